"""Is this folder the model archive that was evaluated, whole and unaltered?

The server loads nothing that the manifest does not vouch for by sha256, and no
pickle in any disguise: unpickling runs code.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from contract.errors import InvalidConfig, InvalidModel
from contract.keys import MODEL_MANIFEST, MODEL_ONNX
from contract.manifest import FORMAT, ModelManifest

PICKLE_SUFFIXES = frozenset({".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".npz", ".dill"})
PICKLE_MAGIC = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))  # PROTO opcode


def read_manifest(folder: Path) -> ModelManifest:
    """Return the manifest of the archive unpacked in ``folder``, once every file has been checked against it.

    Raises:
        InvalidModel: for a missing, unlisted or altered file, a pickle, a
            format that this server does not read, or a damaged manifest.
    """
    document = _load(folder / MODEL_MANIFEST)
    if document.get("format") != FORMAT:
        raise InvalidModel(
            f"{MODEL_MANIFEST} has format {document.get('format')!r}; this server reads format {FORMAT}. "
            "Serve it with the image that belongs to it, or train it again."
        )
    try:
        manifest = ModelManifest.from_dict(document)
    except InvalidConfig as error:
        raise InvalidModel(f"{MODEL_MANIFEST} is damaged: {error}") from error
    if MODEL_ONNX not in manifest.files:
        raise InvalidModel(f"{MODEL_MANIFEST} lists no {MODEL_ONNX}; it has {', '.join(sorted(manifest.files)) or '-'}")
    _check_listing(folder, manifest)
    for name, digest in manifest.files.items():
        _check_file(folder / name, digest)
    return manifest


def _load(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise InvalidModel(f"{path} does not exist: is the model archive unpacked there?") from error
    except (ValueError, RecursionError) as error:
        raise InvalidModel(f"{path.name} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidModel(f"{path.name} holds a {type(document).__name__}, not an object")
    return document


def _check_listing(folder: Path, manifest: ModelManifest) -> None:
    """Refuse a file that the manifest does not list, and a name that leads out of the folder."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    unlisted = sorted(found - manifest.files.keys() - {MODEL_MANIFEST})
    if unlisted:
        raise InvalidModel(f"the archive has files that {MODEL_MANIFEST} does not list: {', '.join(unlisted[:5])}")
    missing = sorted(manifest.files.keys() - found)
    if missing:
        raise InvalidModel(f"the archive lacks files that {MODEL_MANIFEST} lists: {', '.join(missing[:5])}")


def _check_file(path: Path, digest: str) -> None:
    if path.is_symlink():
        raise InvalidModel(f"{path.name} is a link; an archive holds plain files")
    with path.open("rb") as file:
        start = file.read(2)
        if path.suffix.lower() in PICKLE_SUFFIXES or start in PICKLE_MAGIC:
            raise InvalidModel(f"{path.name} is a pickle; weights are kept as safetensors, models as ONNX")
        file.seek(0)
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != digest:
        raise InvalidModel(f"{path.name} was altered: its sha256 is {actual}, {MODEL_MANIFEST} says {digest}")
