"""A request and its reports, as the other rooms write them."""

from __future__ import annotations

from typing import Any

from contract.gate import Verdict
from contract.manifest import Feature
from contract.reports import Champion, DatasetReport, EvaluationReport, Form
from contract.request import RunRequest, Upload, build_request

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
            ),  # fmt: skip
        ),
        chosen="onnx-float32",
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
