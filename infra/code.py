"""The code that training and processing containers run: a deterministic tar.gz of ``training/`` and ``contract/``."""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from contract import names

ROOT = Path(__file__).parents[1]
FOLDERS = ("contract", "training")
COPIES = {names.TUNING_PROGRAM: "training/tuned.py"}
"""Files that are also elsewhere in the archive: the toolkit of AWS's images starts programs at its root."""


class Code(assets.Asset):
    """The archive as an asset; SageMaker unpacks no zips, and its address is part of a run's lineage."""

    def __init__(self, scope: Construct, id: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "code.tar.gz")
            path.write_bytes(archive(ROOT, FOLDERS, COPIES))
            super().__init__(scope, id, path=str(path))


def archive(root: Path, folders: tuple[str, ...], copies: Mapping[str, str]) -> bytes:
    """Return a tar.gz of folders below ``root``: the same files give the same bytes, anywhere, at any time.

    ``copies`` are further entries by name, and the files that they hold.
    """
    files = {path.relative_to(root).as_posix(): path for path in _files(root, folders)}
    files |= {name: root / source for name, source in copies.items()}
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for name, path in files.items():
            body = path.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(body), 0o644
            tar.addfile(entry, io.BytesIO(body))
    return buffer.getvalue()


def _files(root: Path, folders: tuple[str, ...]) -> Iterator[Path]:
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
                yield path
