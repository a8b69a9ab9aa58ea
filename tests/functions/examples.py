"""A request and its reports, as the other rooms write them."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

from contract.gate import Verdict
from contract.manifest import Feature
from contract.reports import Champion, DatasetReport, EvaluationReport, Form
from contract.request import RunRequest, Upload, build_request
from contract.run import Failure, Job, Run, StateVisit

CODE = {
    "training_job": "digits-1f3a9c2b7d-train-0-0-0",
    "training_image": "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.13-cpu",
    "code_uri": "s3://assets/0123456789abcdef.tar.gz",
}


def request(tenant: str = "acme", run: str = "digits-1f3a9c2b7d", **sections: Any) -> RunRequest:
    key = f"{tenant}/digits/inbox/digits.zip"
    return build_request(
        run=run,
        console={"tenant": tenant, "project": "digits", "upload": f"s3://data/{key}"},
        project_toml={"recipe": "image", **sections},
        upload=Upload(bucket="data", key=key, version_id="v1", bytes=250_000, files=1),
    )


def dataset(run: str = "digits-1f3a9c2b7d", rows: int = 1437) -> DatasetReport:
    return DatasetReport(
        run=run,
        accepted=True,
        reasons=("row 17 'left/broken.png': not an image",),
        rows={"train": rows, "validation": rows // 8, "test": rows // 4},
        rejected_rows=1,
        duplicate_rows=2,
        task="classification",
        metric="accuracy",
        labels={str(digit): 180 - digit for digit in range(10)},
        features=(Feature(name="image", kind="image", statistics={"mean": 0.31, "std": 0.4, "min": 0.0, "max": 1.0}),),
        features_total=1,
        fingerprint="5e" * 32,
        bytes=115_000,
        seconds=1.4,
    )


def evaluation(run: str = "digits-1f3a9c2b7d", *, promote: bool = True, champion: bool = True) -> EvaluationReport:
    labels = tuple(str(digit) for digit in range(10))
    return EvaluationReport(
        run=run,
        metric="accuracy",
        higher_is_better=True,
        rows=360,
        metrics={"accuracy": 0.9861, "macro_f1": 0.9858, "log_loss": 0.0553},
        baseline={"accuracy": 0.1028},
        forms=(
            Form(
                name="onnx-float32",
                metrics={"accuracy": 0.9861},
                latency_ms={"p50": 0.21, "p99": 0.4},
                bytes=420_000,
                parity=2.4e-7,
                agreement=1.0,
                note="slower than onnx-int8",
            ),
            Form(
                name="onnx-int8",
                metrics={"accuracy": 0.9861},
                latency_ms={"p50": 0.11, "p99": 0.2},
                bytes=107_000,
                parity=0.03,
                agreement=0.9972,
                spread=2.5e-4,
                note="served: the fastest that is good, the smallest of those as fast",
            ),
            Form(
                name="tflite",
                metrics={},
                latency_ms={},
                bytes=410_000,
                parity=1.1e-6,
                note="for devices: not measured here, and not served",
            ),
        ),
        chosen="onnx-int8",
        champion=Champion(
            package_arn="arn:aws:sagemaker:us-east-1:123456789012:model-package/acme--digits/3",
            version=3,
            metrics={"accuracy": 0.9722},
        )
        if champion
        else None,
        labels=labels,
        confusion=tuple(tuple(35 if i == j else (1 if (i + j) % 9 == 0 else 0) for j in range(10)) for i in range(10)),
        model_sha256="ab" * 32,
        verdict=Verdict(promote=promote, reasons=("accuracy 0.9861 beats the champion's 0.9722",)),
    )


def regression(run: str = "diabetes-1f3a9c2b7d") -> EvaluationReport:
    """Return the report of a model that predicts values."""
    return dataclasses.replace(
        evaluation(run, champion=False),
        task="regression",
        metric="rmse",
        higher_is_better=False,
        metrics={"rmse": 53.2, "mae": 43.1, "r2": 0.48},
        baseline={"rmse": 77.1, "mae": 65.4, "r2": -0.01},
        baseline_name="always answering with the training rows' mean",
        labels=("progression",),
        confusion=(),
        pairs=tuple((float(i), 150 + (i - 150) * 0.6) for i in range(25, 346, 4)),
        error_quantiles={"p50": 35.5, "p90": 88.0, "p99": 120.0, "max": 131.25},
        verdict=Verdict(promote=True, reasons=("rmse 53.2000 beats the baseline's 77.1000",)),
    )


STATES = (
    ("Accept request", 0.9),
    ("Is request accepted?", 0.0),
    ("Is upload small?", 0.0),
    ("Prepare dataset", 2.4),
    ("Read dataset report", 0.2),
    ("Is dataset accepted?", 0.0),
    ("Plan compute", 0.6),
    ("Is plan within budget?", 0.0),
    ("Use spot?", 0.0),
    ("Train on spot", 214.0),
    ("Did spot training finish?", 0.0),
    ("Check artefact", 0.2),
    ("Find champion", 0.1),
    ("Evaluate", 176.0),
    ("Read evaluation report", 0.2),
    ("Gate", 0.0),
    ("Register model", 1.1),
    ("Deploy", 187.0),
    ("Is model deployed?", 0.0),
    ("Settle run", 2.0),
)


def at(seconds: float) -> str:
    moment = datetime(2026, 11, 21, 10, 0, 3, tzinfo=UTC) + timedelta(seconds=seconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def states(until: str = "Settle run", error: str = "") -> list[StateVisit]:
    visits, clock = [], 0.4
    for name, seconds in STATES:
        left = at(clock + seconds + 0.03)
        visits.append(StateVisit(name=name, entered=at(clock), left=left, error=error if name == until else ""))
        clock += seconds + 0.06
        if name == until:
            break
    return visits


def epochs(count: int = 15) -> list[dict[str, float]]:
    return [
        {
            "epoch": i,
            "train_loss": 2.1 * 0.72**i + 0.02,
            "validation_loss": 1.9 * 0.74**i + 0.05 + 0.01 * (i % 3),
            "validation_accuracy": 0.99 - 0.75 * 0.68**i,
            "samples_per_second": 5200.0 + 90 * (i % 4),
            "seconds": 0.27,
        }
        for i in range(1, count + 1)
    ]


PLAN: dict[str, Any] = {
    "accepted": True,
    "outcome": None,
    "reasons": [],
    "expected": {
        "seconds": 372.0,
        "usd": 0.041,
        "basis": "5,210 rows/s, measured in run digits-0b1c2d3e4f on 2 x ml.m5.xlarge",
    },
    "worst_case": {
        "usd": 1.3417,
        "lines": [
            {
                "state": "Train on spot",
                "instance": "ml.m5.xlarge",
                "hosts": 2,
                "seconds": 3720,
                "attempts": 1,
                "usd": 0.4753,
            },
            {
                "state": "Train on demand",
                "instance": "ml.m5.xlarge",
                "hosts": 2,
                "seconds": 3720,
                "attempts": 1,
                "usd": 0.4753,
            },
            {
                "state": "Evaluate",
                "instance": "ml.m5.xlarge",
                "hosts": 1,
                "seconds": 1800,
                "attempts": 3,
                "usd": 0.345,
            },
        ],
    },
    "budget_usd": 10.0,
}


def job(name: str, kind: str, **more: Any) -> Job:
    given = {"status": "Completed", "instance": "ml.m5.xlarge", "hosts": 1, "spot": False, "billable_seconds": 92.0}
    return Job(**{"name": name, "kind": kind, "usd": 0.0059, **given, **more})


def run(outcome: str = "DEPLOYED", **more: Any) -> Run:
    """Return a settled run, with everything unless ``more`` says otherwise."""
    name = "digits-1f3a9c2b7d"
    given: dict[str, Any] = {
        "run": name,
        "tenant": "acme",
        "project": "digits",
        "outcome": outcome,
        "reasons": ["accuracy 0.9861 beats the champion's 0.9722"],
        "started": at(0),
        "ended": at(590),
        "execution_arn": f"arn:aws:states:us-east-1:123456789012:execution:tandem-pipeline:{name}",
        "request": request().to_dict(),
        "dataset": dataset().to_dict(),
        "plan": PLAN,
        "evaluation": evaluation().to_dict(),
        "epochs": epochs(),
        "jobs": [
            job(f"{name}-spot-0-0-0", "training", hosts=2, spot=True, billable_seconds=41.0, usd=0.00524),
            job(f"{name}-evaluate-0-1-0", "processing"),
        ],
        "states": states(),
        "package": {
            "package_arn": "arn:aws:sagemaker:us-east-1:123456789012:model-package/acme--digits/4",
            "version": 4,
        },
        "endpoint": "acme--digits--serverless",
        "usd": 0.01114,
    }
    return Run(**{**given, **more})


TRACEBACK = """AlgorithmError: Traceback (most recent call last):
  File "/opt/ml/program/training/train.py", line 88, in main
    step(batch)
  File "/opt/ml/program/training/recipes/image.py", line 41, in forward
    return self.head(self.body(images))
ValueError: expected 1 channel, got <3> & "more", exit code: 1"""


def failed() -> Run:
    """Return a run whose training raised."""
    return run(
        "FAILED",
        reasons=['Train on spot: TrainingFailed: ValueError: expected 1 channel, got <3> & "more", exit code: 1'],
        evaluation=None,
        epochs=epochs(4),
        ended=at(230),
        jobs=[job("digits-1f3a9c2b7d-spot-0-0-0", "training", status="Failed", failure=TRACEBACK, hosts=2, spot=True)],
        states=states("Train on spot", "States.TaskFailed"),
        package=None,
        endpoint=None,
        usd=0.0059,
        failure=Failure(
            state="Train on spot",
            error="TrainingFailed",
            cause=TRACEBACK,
            log="epoch=4 train_loss=0.584\n" + TRACEBACK,
        ),
    )


def nothing(outcome: str, *reasons: str, **more: Any) -> Run:
    """Return a run that ended before anything was trained."""
    empty = dict.fromkeys(("dataset", "plan", "evaluation", "package", "endpoint", "request"))
    given = {"epochs": [], "jobs": [], "usd": 0.0, "ended": at(3.1), "states": states("Is request accepted?")}
    return run(outcome, **{"reasons": list(reasons), **empty, **given, **more})
