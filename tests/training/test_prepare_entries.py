"""The two ways in: Lambda and processing job."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from contract import keys, names
from local.cloud import Cloud
from tests.training.builders import ROOT, SALT, csv, environment, request, run_prepare, start

HASHED = {"privacy": {"hash": ["region"]}}


@pytest.mark.usefixtures("account")
def test_lambda_reads_from_s3_and_writes_there(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training.prepare import handler

    s3 = cloud.client("s3")
    for bucket in ("prepare-data", "prepare-artifacts"):
        s3.create_bucket(Bucket=bucket)
    asked = request(HASHED)
    s3.put_object(Bucket="prepare-artifacts", Key=f"{asked.prefix}{keys.UPLOAD}a b+c%20 📈.csv", Body=csv().encode())
    s3.put_object(Bucket="prepare-data", Key=keys.salt("acme"), Body=SALT)
    monkeypatch.setenv(names.ARTIFACTS_BUCKET, "prepare-artifacts")
    monkeypatch.setenv(names.DATA_BUCKET, "prepare-data")
    answer = handler(json.loads(json.dumps(asked.to_dict())), None)
    assert answer == {"accepted": True, "outcome": None, "reasons": []}
    listed = s3.list_objects_v2(Bucket="prepare-artifacts", Prefix=asked.prefix)["Contents"]
    written = {entry["Key"].removeprefix(asked.prefix) for entry in listed}
    assert {
        keys.DATASET_REPORT,
        keys.DATASET_SCHEMA,
        *(f"dataset/{s}/00000-00000.safetensors" for s in keys.SPLITS),
    } < written
    body = s3.get_object(Bucket="prepare-artifacts", Key=asked.prefix + keys.DATASET_REPORT)["Body"].read()
    expected, _ = run_prepare(tmp_path / "a", {"rows.csv": csv()}, HASHED)
    assert json.loads(body)["fingerprint"] == expected.fingerprint


def test_a_missing_salt_is_our_fault_and_raises(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training.prepare import main

    monkeypatch.setenv(names.BASE_DIR, str(tmp_path))
    folder = tmp_path / names.PROCESSING_INPUTS / "request"
    folder.mkdir(parents=True)
    (folder / keys.REQUEST).write_text(json.dumps(request(HASHED).to_dict()))
    with pytest.raises(RuntimeError, match=r"tenant 'acme' has no salt at acme/\.salt"):
        main()


def test_the_processing_job_makes_the_same_dataset(tmp_path: Path) -> None:
    base = tmp_path / "base"
    inputs = base / names.PROCESSING_INPUTS
    for name, file, content in (
        ("request", keys.REQUEST, json.dumps(request(HASHED).to_dict()).encode()),
        ("upload", "rows.csv", csv().encode()),
        ("salt", ".salt", SALT),
    ):
        (inputs / name).mkdir(parents=True)
        (inputs / name / file).write_bytes(content)
    process = start(base, "-m", "training.launch", "prepare")
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 0, output
    report = json.loads((base / names.PROCESSING_OUTPUT / keys.DATASET_REPORT).read_text())
    expected, _ = run_prepare(tmp_path / "a", {"rows.csv": csv()}, HASHED)
    assert report["fingerprint"] == expected.fingerprint


def test_preparation_needs_no_torch_and_few_packages(tmp_path: Path) -> None:
    program = (
        "import sys, training.prepare\n"
        "from training import recipes\n"
        "[recipes.load(name) for name in recipes.names()]\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, check=True
    )
    third_party = {name for name in eval(done.stdout) if not name.startswith("_")}
    allowed = {"numpy", "safetensors", "PIL", "duckdb", "contract", "training"}
    assert {name for name in third_party if name in {"torch", "onnx", "onnxruntime", "pandas", "boto3"}} == set()
    assert allowed <= third_party
