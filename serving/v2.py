"""KServe's V2 protocol (Open Inference Protocol, REST): the model's own tensors in, its output out.

Routes below ``/v2``, errors as ``{"error": "..."}``. JSON has no NaN: a missing number is ``null``. The binary tensor
extension is not spoken. Source: kserve.github.io, "Open Inference Protocol".
"""

from __future__ import annotations

import math
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from contract.errors import nearest
from contract.manifest import Schema, Tensor
from contract.values import LARGEST
from serving.calls import refused
from serving.errors import Refused, show
from serving.http import Response
from serving.inputs import Arrays
from serving.model import Model

PREFIX = "/v2"
DATATYPES = {"uint8": "UINT8", "float32": "FP32", "int64": "INT64"}
KEYS = ("id", "parameters", "inputs", "outputs")
LIMITS = {"uint8": (0, 255), "float32": (-LARGEST, LARGEST), "int64": (-(2**63), 2**63 - 1)}
TYPES: dict[str, frozenset[type]] = {
    "uint8": frozenset({int}),
    "float32": frozenset({float, int, type(None)}),
    "int64": frozenset({int}),
}


class InferCall:
    """A request to ``.../infer``; see :class:`serving.calls.Asked`."""

    content_type = "application/json"

    def __init__(self, name: str, body: bytes) -> None:
        self.body = body
        self._name = name
        self._id: str | None = None

    def arrays(self, model: Model) -> Arrays:
        """Decode the body.

        Raises:
            Refused: when it does not fit the model.
        """
        document = _document(self.body)
        self._id = document.get("id")
        if self._id is not None and not isinstance(self._id, str):
            raise Refused(f"{show(self._id)} is not allowed; expected text", "id")
        schema = model.manifest.schema
        _check_outputs(document.get("outputs"), schema.output)
        given = _by_name(document.get("inputs"), schema)
        arrays = {tensor.name: _array(given[tensor.name], tensor) for tensor in schema.inputs}
        if len({len(array) for array in arrays.values()}) > 1:
            raise Refused(f"the inputs have {[len(array) for array in arrays.values()]} rows; expected equally many")
        _check_codes(arrays, schema)
        return arrays

    def response(self, model: Model, answers: npt.NDArray[np.float32]) -> Response:
        """Encode the answers."""
        output = {
            "name": model.manifest.schema.output,
            "datatype": "FP32",
            "shape": list(answers.shape),
            "data": np.ascontiguousarray(answers).ravel(),
        }
        document = {"model_name": self._name, "model_version": model.manifest.run, "outputs": [output]}
        if self._id is not None:
            document["id"] = self._id
        return Response(body=orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY))

    def refusal(self, error: Exception) -> Response:
        """Say why there are none."""
        return in_v2(refused(error))


def in_v2(response: Response) -> Response:
    """Return an error of ours as V2 has it."""
    error = orjson.loads(response.body)["error"]
    where = f"{error['path']}: " if error["path"] else ""
    return Response(body=orjson.dumps({"error": where + error["message"]}), status=response.status,
                    headers=response.headers)  # fmt: skip


def server_metadata() -> dict[str, Any]:
    """Return the answer to ``GET /v2``."""
    return {"name": "tandem", "version": "1", "extensions": []}


def model_metadata(name: str, model: Model) -> dict[str, Any]:
    """Return the answer to ``GET /v2/models/{name}``."""
    schema = model.manifest.schema
    output = {"name": schema.output, "datatype": "FP32", "shape": [-1, len(schema.labels)]}
    return {
        "name": name,
        "versions": [model.manifest.run],
        "platform": "onnx",
        "inputs": [
            {"name": tensor.name, "datatype": DATATYPES[tensor.dtype], "shape": list(tensor.shape)}
            for tensor in schema.inputs
        ],
        "outputs": [output],
    }


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise Refused(f"the body is {show(document)}; expected an object with 'inputs'")
    for key in document:
        if key not in KEYS:
            raise Refused(f"{show(key)} is not known; expected {', '.join(KEYS)}. {nearest(key, KEYS)}".rstrip())
    return document


def _by_name(inputs: Any, schema: Schema) -> dict[str, dict[str, Any]]:
    names = [tensor.name for tensor in schema.inputs]
    if not isinstance(inputs, list) or not all(isinstance(each, dict) for each in inputs):
        raise Refused(f"{show(inputs)} is not allowed; expected a list of tensors", "inputs")
    given = [each.get("name") for each in inputs]
    if not all(isinstance(name, str) for name in given) or sorted(given) != sorted(names):
        raise Refused(f"{show(given)} are given; expected each of {', '.join(names)} once", "inputs")
    return {each["name"]: each for each in inputs}


def _check_outputs(outputs: Any, name: str) -> None:
    if outputs is None or outputs == []:
        return
    if not isinstance(outputs, list) or not all(
        isinstance(each, dict) and each.get("name") == name for each in outputs
    ):
        raise Refused(f"{show(outputs)} is not allowed; the model has one output, {name!r}", "outputs")


def _array(given: dict[str, Any], tensor: Tensor) -> npt.NDArray:
    path, datatype = f"inputs.{tensor.name}", DATATYPES[tensor.dtype]
    if given.get("datatype") != datatype:
        raise Refused(f"{show(given.get('datatype'))} is not allowed; expected {datatype!r}", f"{path}.datatype")
    shape: Any = given.get("shape")
    sizes = list(tensor.shape[1:])
    fits = isinstance(shape, list) and len(shape) > 0 and set(map(type, shape)) == {int}
    if not fits or shape[0] < 1 or shape[1:] != sizes:
        raise Refused(f"{show(shape)} is not allowed; expected [rows, {str(sizes)[1:]}", f"{path}.shape")
    values = _flat(given.get("data"), len(shape), path)
    if len(values) != math.prod(shape):
        raise Refused(f"there are {len(values)} values; the shape {shape} needs {math.prod(shape)}", f"{path}.data")
    return _typed(values, tensor.dtype, f"{path}.data").reshape(shape)


def _flat(data: Any, depth: int, path: str) -> list[Any]:
    """Return the values of a list, or of lists in lists as deep as the shape."""
    for _ in range(depth):
        if not isinstance(data, list):
            break
        if not data or not isinstance(data[0], list):
            return data
        if set(map(type, data)) != {list}:
            break
        data = list(chain.from_iterable(data))
    raise Refused(
        f"{show(data)} is not allowed; expected a list of values, flat or nested as the shape", f"{path}.data"
    )


def _typed(values: list[Any], dtype: str, path: str) -> npt.NDArray:
    if not TYPES[dtype].issuperset(map(type, values)):
        wrong = next(value for value in values if type(value) not in TYPES[dtype])
        raise Refused(f"{show(wrong)} is not allowed; expected {DATATYPES[dtype]}", path)
    low, high = LIMITS[dtype]
    try:
        array = np.array(values, np.float64 if dtype == "float32" else np.int64)
    except OverflowError:  # beyond 64 bits
        array = np.array(values, np.float64)
    outside = np.flatnonzero((array < low) | (array > high))  # NaN, which stands for null, is neither
    if len(outside) or (dtype == "int64" and array.dtype != np.int64):
        wrong = values[outside[0]] if len(outside) else max(values)
        raise Refused(f"{show(wrong)} is not allowed; expected a number from {low:g} to {high:g}", path)
    return array.astype(dtype)


def _check_codes(arrays: Arrays, schema: Schema) -> None:
    """Refuse codes that stand for nothing: the model would look beyond its tables."""
    limits = [feature.codes for feature in schema.features if feature.kind == "category"]
    text = [len(feature.vocabulary) + 2 for feature in schema.features if feature.kind == "text"]
    for name, sizes in (("category", limits), ("text", text)):
        if name in arrays and sizes:
            wrong = np.argwhere((arrays[name] < 0) | (arrays[name] >= np.array(sizes)))
            if len(wrong):
                row, column = map(int, wrong[0])
                size = sizes[column if name == "category" else 0]
                value = int(arrays[name][row, column])
                raise Refused(f"{value} is no code; expected 0 to {size - 1}", f"inputs.{name}[{row}, {column}]")
