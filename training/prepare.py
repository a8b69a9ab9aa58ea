"""An upload becomes a dataset: parsed, anonymised, split, packed, fingerprinted.

One implementation, two entries: :func:`handler` in Lambda for small uploads, and

    python3 -m training.launch prepare

in a processing job for larger ones. No torch here: it does not fit in Lambda.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from contract import keys, names
from contract.manifest import Feature, Schema
from contract.parsing import to_dict
from contract.reports import MAX_FEATURES, MAX_LABELS, DatasetReport
from contract.request import RunRequest
from contract.run import Outcome
from training import recipes
from training.checks import Labels, check_quarantine, check_rows
from training.container import Container
from training.data import combine
from training.engine import Embedded, Engine
from training.packing import pack
from training.privacy import unquoted
from training.recipes import Preparation
from training.rejection import Quarantine, Rejected, bounded, shorten
from training.replay import Replay, join
from training.split import Splitter

TOLD = ("mean", "std", "missing")
"""Statistics in the report, which executions and logs keep: a lowest or highest value is somebody's."""


def prepare(
    request: RunRequest, *, upload: Path, salt: bytes, out: Path, engine: Engine | None = None
) -> DatasetReport:
    """Write ``dataset/``, ``quarantine/`` and ``dataset_report.json`` below ``out``.

    What is wrong with the upload ends in a report that says so; only our own
    bugs raise.

    Args:
        request: the run.
        upload: folder of the uploaded files.
        salt: the tenant's salt; empty when the project hashes no column.
        out: an empty folder.
        engine: what reads the parts of the upload; this process, if none is given.
    """
    started = time.monotonic()
    quarantine = Quarantine(out / keys.QUARANTINE)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            with unquoted():
                report = _accept(request, upload, salt, out, quarantine, engine or Embedded(), Path(scratch))
        except Rejected as rejected:
            shutil.rmtree(out / keys.DATASET, ignore_errors=True)
            report = _rejection(request, rejected, quarantine)
    report = DatasetReport(**{**vars(report), "seconds": round(time.monotonic() - started, 3)})
    (out / keys.DATASET_REPORT).write_text(json.dumps(report.to_dict()))
    return report


def _accept(
    request: RunRequest, upload: Path, salt: bytes, out: Path, quarantine: Quarantine, engine: Engine, scratch: Path
) -> DatasetReport:
    work = Preparation(request=request, splitter=_splitter(request), quarantine=quarantine, salt=salt, engine=engine)
    recipe = recipes.load(request.recipe.name)
    files = _files(upload, recipe.accepts)
    again = _replay(request, upload, files, scratch) if request.prepare.replay else None
    source = recipe.read(again.files if again else files, work)
    dataset = out / keys.DATASET
    packed = pack(source, dataset, shard_bytes=request.prepare.shard_mb * 2**20)
    schema = source.schema()
    good = sum(packed.rows.values()) if quarantine.good is None else quarantine.good
    check_quarantine(quarantine, good=good, allowed=request.prepare.max_rejected_fraction)
    check_rows(packed.rows, packed.labels, schema)
    (out / keys.DATASET_SCHEMA).write_text(json.dumps(to_dict(schema)))
    if again:
        (out / keys.REPLAY).mkdir()
        shutil.copy(again.kept, out / keys.REPLAY)
    return DatasetReport(
        run=request.run,
        accepted=True,
        reasons=_reasons([again.note, *source.notes] if again else source.notes, quarantine),
        rows=packed.rows,
        replayed=again.rows if again else 0,
        rejected_rows=quarantine.rows,
        duplicate_rows=packed.duplicates,
        task=schema.task,
        metric=schema.metric,
        labels=_label_counts(packed.labels, schema) if schema.task == "classification" else {},
        statistics=_told(schema.statistics) if schema.task == "regression" else {},
        features=tuple(_briefly(feature) for feature in schema.features[:MAX_FEATURES]),
        features_total=len(schema.features),
        anonymised=source.anonymised,
        fingerprint=combine(packed.hashes),
        bytes=packed.bytes,
    )


def _replay(request: RunRequest, upload: Path, files: Sequence[Path], scratch: Path) -> Replay:
    """Join the upload with what was kept of earlier ones, if anything was."""
    earlier = next((path for path in upload.iterdir() if path.stem == keys.REPLAY_STEM), None)
    salt = f"replay/{request.tenant}/{request.project}"  # another one than the split's: a sample has rows of each
    return join(files, earlier, share=request.prepare.replay, salt=salt, scratch=scratch)


def _label_counts(labels: Labels, schema: Schema) -> dict[str, int]:
    """Return the rows of the most frequent classes, in the order of the classes."""
    of_class: Counter[int] = sum(labels.values(), Counter())
    shown = sorted(code for code, _ in of_class.most_common(MAX_LABELS))
    return {shorten(schema.labels[code]): of_class[code] for code in shown}


def _briefly(feature: Feature) -> Feature:
    """Return a feature as the report has it: its values are in schema.json."""
    return replace(feature, name=shorten(feature.name), vocabulary=(), statistics=_told(feature.statistics))


def _told(statistics: Mapping[str, float]) -> dict[str, float]:
    return {name: statistics[name] for name in TOLD if name in statistics}


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
    files = sorted(path for path in upload.rglob("*") if path.is_file() and path.stem != keys.REPLAY_STEM)
    if not files:
        raise Rejected("the upload holds no file")
    strange = [path.name for path in files if path.suffix.lower() not in accepts]
    if strange:
        raise Rejected(*(f"{name} is none of the files this recipe reads: {', '.join(accepts)}" for name in strange))
    return files


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


def main(engine: Engine | None = None) -> None:
    """Prepare in a processing job."""
    container = Container.here()
    request = RunRequest.from_dict(json.loads((container.processing_input("request") / keys.REQUEST).read_text()))
    salts = [path for path in container.processing_input("salt").glob("*") if path.is_file()]
    salt = _check_salt(request, salts[0].read_bytes() if salts else b"")
    out = container.processing_output
    out.mkdir(parents=True, exist_ok=True)
    print(
        _summary(prepare(request, upload=container.processing_input("upload"), salt=salt, out=out, engine=engine)),
        flush=True,
    )


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Prepare in Lambda: ``event`` is ``$run``; inputs come from S3 and results go there."""
    import boto3

    request, s3 = RunRequest.from_dict(event), boto3.client("s3")
    artifacts = os.environ[names.ARTIFACTS_BUCKET]
    if request.script:
        return _handed_on(request, s3, artifacts)
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


def _handed_on(request: RunRequest, s3: Any, artifacts: str) -> dict[str, Any]:
    """Report files that a script gets as they are: only their number and size are known."""
    report = DatasetReport(run=request.run, accepted=True, files=request.upload.files, bytes=request.upload.bytes)
    s3.put_object(Bucket=artifacts, Key=request.prefix + keys.DATASET_REPORT, Body=json.dumps(report.to_dict()))
    return {"accepted": True, "outcome": None, "reasons": []}


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
