"""Further versions of a trained model, registered without another training."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import tarfile
from typing import Any

import onnx

from benchmarks.places.version import register
from contract import keys
from tests.e2e.app import App

NUMBERS = "numeric"
LIMIT = 1000.0
_numbers = itertools.count(1)


def another(app: App, package_arn: str, deploy: dict[str, Any], *, archive: bytes | None = None) -> str:
    """Register a copy of a version with other ``[deploy]`` settings, and another archive if given; return its ARN."""
    url = ""
    if archive is not None:
        tenant, project = package_arn.split("/")[1].split("--")
        key = f"{tenant}/{project}/runs/poisoned-{next(_numbers)}/{keys.MODEL}"
        app.s3.put_object(Bucket=app.artifacts, Key=key, Body=archive)
        url = f"s3://{app.artifacts}/{key}"
    return register(app.cloud.client("sagemaker"), package_arn, deploy, url)


def archive_of(app: App, package_arn: str) -> bytes:
    """Return a version's model archive."""
    found = app.cloud.client("sagemaker").describe_model_package(ModelPackageName=package_arn)
    _, key = keys.parse_uri(found["InferenceSpecification"]["Containers"][0]["ModelDataUrl"])
    return app.read(key)


def poisoned(archive: bytes) -> bytes:
    """Return a model that breaks at any number above LIMIT, which no held-out row has, and else answers as before."""
    files = _unpack(archive)
    files[keys.MODEL_ONNX] = _breaking(onnx.load_from_string(files[keys.MODEL_ONNX])).SerializeToString()
    manifest = json.loads(files[keys.MODEL_MANIFEST])
    manifest["files"][keys.MODEL_ONNX] = hashlib.sha256(files[keys.MODEL_ONNX]).hexdigest()
    files[keys.MODEL_MANIFEST] = json.dumps(manifest).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return packed.getvalue()


def _unpack(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]


def _breaking(model: onnx.ModelProto) -> onnx.ModelProto:
    """Add 0 to the output, looked up in a table of one entry: by 1 where a number is above LIMIT."""
    graph, node = model.graph, onnx.helper.make_node
    output = graph.output[0].name
    for each in graph.node:
        each.output[:] = ["answer" if name == output else name for name in each.output]
    graph.initializer.extend(
        [
            onnx.helper.make_tensor("limit", onnx.TensorProto.FLOAT, [], [LIMIT]),
            onnx.helper.make_tensor("entries", onnx.TensorProto.FLOAT, [1], [0.0]),
        ]
    )
    graph.node.extend(
        [
            node("Greater", [NUMBERS, "limit"], ["large"]),
            node("Cast", ["large"], ["each"], to=onnx.TensorProto.INT64),
            node("ReduceMax", ["each"], ["place"], keepdims=0),
            node("Gather", ["entries", "place"], ["entry"]),
            node("Add", ["answer", "entry"], [output]),
        ]
    )
    return model
