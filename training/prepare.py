"""An upload becomes a dataset: parsed, anonymised, split, packed, fingerprinted.

One implementation, two entries: :func:`handler` in Lambda for small uploads, and

    python3 -m training.launch prepare

in a processing job for larger ones. No torch here: it does not fit in Lambda.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contract import keys, names
from contract.manifest import Schema
from contract.parsing import to_dict
from contract.reports import MAX_FEATURES, DatasetReport
from contract.request import RunRequest
from contract.run import Outcome
from training import recipes
from training.container import Container
from training.data import LABEL, Writer
from training.recipes import Chunk, Preparation, Source
from training.rejection import Quarantine, Rejected, bounded
from training.split import Splitter

MIN_ROWS = {"train": 10, "validation": 1, "test": 5}
MIN_ROWS_PER_CLASS = 5
MAX_CLASSES = 1000
NAMED = 5  # how many bad names a reason lists


def prepare(request: RunRequest, *, upload: Path, salt: bytes, out: Path) -> DatasetReport:
    """Write ``dataset/``, ``quarantine/`` and ``dataset_report.json`` below ``out``.

    What is wrong with the upload ends in a report that says so; only our own
    bugs raise.

    Args:
        request: the run.
        upload: folder of the uploaded files.
        salt: the tenant's salt; empty when the project hashes no column.
        out: an empty folder.
    """
    started = time.monotonic()
    quarantine = Quarantine(out / keys.QUARANTINE)
    try:
        report = _accept(request, upload, salt, out, quarantine)
    except Rejected as rejected:
        shutil.rmtree(out / keys.DATASET, ignore_errors=True)
        report = _rejection(request, rejected, quarantine)
    report = DatasetReport(**{**vars(report), "seconds": round(time.monotonic() - started, 3)})
    (out / keys.DATASET_REPORT).write_text(json.dumps(report.to_dict()))
    return report


def _accept(request: RunRequest, upload: Path, salt: bytes, out: Path, quarantine: Quarantine) -> DatasetReport:
    work = Preparation(request=request, splitter=_splitter(request), quarantine=quarantine, salt=salt)
    recipe = recipes.load(request.recipe.name)
    source = recipe.read(_files(upload, recipe.accepts), work)
    packer = _Packer(out / keys.DATASET, shard_bytes=request.prepare.shard_mb * 2**20)
    for chunk in source.chunks():
        packer.add(chunk)
    packer.close()
    schema = source.schema()
    _check_quarantine(quarantine, packer.total, request.prepare.max_rejected_fraction)
    _check_rows(packer, schema)
    (out / keys.DATASET_SCHEMA).write_text(json.dumps(to_dict(schema)))
    return _acceptance(request, source, schema, packer, quarantine)


def _splitter(request: RunRequest) -> Splitter:
    return Splitter(
        salt=f"{request.tenant}/{request.project}",
        validation_fraction=request.prepare.validation_fraction,
        test_fraction=request.prepare.test_fraction,
    )


def _files(upload: Path, accepts: Sequence[str]) -> list[Path]:
    """Return the upload's data files, in a fixed order.

    Raises:
        Rejected: when there is none, or one that the recipe cannot read.
    """
    files = sorted(path for path in upload.rglob("*") if path.is_file())
    if not files:
        raise Rejected("the upload holds no file")
    strange = [path.name for path in files if path.suffix.lower() not in accepts]
    if strange:
        raise Rejected(*(f"{name} is none of the files this recipe reads: {', '.join(accepts)}" for name in strange))
    return files


class _Packer:
    """Writes chunks into the splits' shards and counts what goes by."""

    def __init__(self, folder: Path, *, shard_bytes: int) -> None:
        self.labels: dict[str, Counter[int]] = {name: Counter() for name in keys.SPLITS}
        self.duplicates = 0
        self._seen: set[bytes] = set()
        self._writers = {name: Writer(folder / name, shard_bytes=shard_bytes) for name in keys.SPLITS}
        self._hashes: dict[tuple[str, str], Any] = {}

    def add(self, chunk: Chunk) -> None:
        for number, name in enumerate(keys.SPLITS):
            mine = {key: array[chunk.split == number] for key, array in chunk.arrays.items()}
            if len(mine[LABEL]):
                self._writers[name].add(mine)
                self.labels[name].update(mine[LABEL].tolist())
                for key, array in mine.items():
                    self._hashes.setdefault((name, key), hashlib.sha256()).update(np.ascontiguousarray(array).data)
        before = len(self._seen)
        self._seen.update(chunk.content)
        self.duplicates += len(chunk.content) - (len(self._seen) - before)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()

    @property
    def rows(self) -> dict[str, int]:
        return {name: writer.rows for name, writer in self._writers.items()}

    @property
    def total(self) -> int:
        return sum(self.rows.values())

    @property
    def bytes(self) -> int:
        return sum(writer.bytes for writer in self._writers.values())

    def fingerprint(self) -> str:
        """Return sha256 of all rows, the same however they are cut into shards."""
        parts = (f"{name}/{key}:{value.hexdigest()}" for (name, key), value in sorted(self._hashes.items()))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _check_quarantine(quarantine: Quarantine, good: int, allowed: float) -> None:
    rows = good + quarantine.rows
    if not rows:
        raise Rejected("the upload holds no row")
    share = quarantine.rows / rows
    if share > allowed:
        raise Rejected(
            f"{quarantine.rows} of {rows} rows are bad ({share:.1%}); "
            f"prepare.max_rejected_fraction allows {allowed:.1%}"
        )


def _check_rows(packer: _Packer, schema: Schema) -> None:
    of_class: Counter[int] = sum(packer.labels.values(), Counter())
    if len(of_class) < 2:
        only = f" ({schema.labels[next(iter(of_class))]!r})" if of_class else ""
        raise Rejected(f"there is only one class{only} in {schema.target!r}; at least two are needed to tell apart")
    if len(schema.labels) > MAX_CLASSES:
        raise Rejected(
            f"{schema.target!r} has {len(schema.labels):,} classes, at most {MAX_CLASSES:,} are learned; "
            "is it a quantity? Regression is not offered yet"
        )
    reasons = [
        f"{name} got {packer.rows[name]} of {packer.total} rows, at least {least} are needed: add rows"
        for name, least in MIN_ROWS.items()
        if packer.rows[name] < least
    ]
    small = [code for code in range(len(schema.labels)) if of_class[code] < MIN_ROWS_PER_CLASS]
    unseen = [code for code in range(len(schema.labels)) if code not in small and not packer.labels["train"][code]]
    if small:
        reasons.append(
            f"{len(small)} classes have fewer than {MIN_ROWS_PER_CLASS} good rows: "
            f"{_named(f'{schema.labels[code]!r} ({of_class[code]})' for code in small)}; add rows or remove the class"
        )
    if unseen:
        reasons.append(
            f"no training row has the class {_named(repr(schema.labels[code]) for code in unseen)}: add rows"
        )
    if reasons:
        raise Rejected(*reasons)


def _named(things: Any) -> str:
    listed = list(things)
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(listed[:NAMED]) + more


def _acceptance(
    request: RunRequest, source: Source, schema: Schema, packer: _Packer, quarantine: Quarantine
) -> DatasetReport:
    of_class: Counter[int] = sum(packer.labels.values(), Counter())
    return DatasetReport(
        run=request.run,
        accepted=True,
        reasons=_reasons(source.notes, quarantine),
        rows=packer.rows,
        rejected_rows=quarantine.rows,
        duplicate_rows=packer.duplicates,
        labels={schema.labels[code]: count for code, count in sorted(of_class.items())},
        features=schema.features[:MAX_FEATURES],
        features_total=len(schema.features),
        anonymised=source.anonymised,
        fingerprint=packer.fingerprint(),
        bytes=packer.bytes,
    )


def _rejection(request: RunRequest, rejected: Rejected, quarantine: Quarantine) -> DatasetReport:
    return DatasetReport(
        run=request.run,
        accepted=False,
        outcome=Outcome.REJECTED.value,
        reasons=_reasons(rejected.reasons, quarantine),
        rejected_rows=quarantine.rows,
    )


def _reasons(first: Sequence[str], quarantine: Quarantine) -> tuple[str, ...]:
    return bounded([*first, *quarantine.reasons], total=len(first) + quarantine.rows)


def main() -> None:
    """Prepare in a processing job."""
    container = Container.here()
    request = RunRequest.from_dict(json.loads((container.processing_input("request") / keys.REQUEST).read_text()))
    salts = [path for path in container.processing_input("salt").glob("*") if path.is_file()]
    salt = _check_salt(request, salts[0].read_bytes() if salts else b"")
    out = container.processing_output
    out.mkdir(parents=True, exist_ok=True)
    print(_summary(prepare(request, upload=container.processing_input("upload"), salt=salt, out=out)), flush=True)


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Prepare in Lambda: ``event`` is ``$run``; inputs come from S3 and results go there."""
    import boto3

    request, s3 = RunRequest.from_dict(event), boto3.client("s3")
    artifacts = os.environ[names.ARTIFACTS_BUCKET]
    with tempfile.TemporaryDirectory() as scratch:
        upload, out = Path(scratch, "upload"), Path(scratch, "out")
        out.mkdir()
        _download(s3, artifacts, request.prefix + keys.UPLOAD, upload)
        salt = b""
        if request.privacy.hash:
            found = s3.get_object(Bucket=os.environ[names.DATA_BUCKET], Key=keys.salt(request.tenant))
            salt = found["Body"].read()
        report = prepare(request, upload=upload, salt=_check_salt(request, salt), out=out)
        for path in sorted(path for path in out.rglob("*") if path.is_file()):
            s3.upload_file(str(path), artifacts, request.prefix + path.relative_to(out).as_posix())
    print(_summary(report), flush=True)
    return {"accepted": report.accepted, "outcome": report.outcome, "reasons": list(report.reasons)}


def _check_salt(request: RunRequest, salt: bytes) -> bytes:
    if request.privacy.hash and not salt:
        raise RuntimeError(f"tenant {request.tenant!r} has no salt at {keys.salt(request.tenant)} in the data bucket")
    return salt


def _download(s3: Any, bucket: str, prefix: str, folder: Path) -> None:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in (e for e in page.get("Contents", []) if not e["Key"].endswith("/")):
            path = folder / entry["Key"].removeprefix(prefix)
            if not path.resolve().is_relative_to(folder.resolve()):
                raise ValueError(f"the key {entry['Key']!r} leads out of the upload")
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, entry["Key"], str(path))


def _summary(report: DatasetReport) -> str:
    return json.dumps({key: report.to_dict()[key] for key in ("run", "accepted", "rows", "rejected_rows", "reasons")})


if __name__ == "__main__":
    main()
