"""The OpenAPI document of one model, from its manifest: its real columns, types, labels, and a request that works.

https://spec.openapis.org/oas/v3.1.0; the paths are relative to where the document was fetched.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from contract.dates import DAYS, EXPECTED, from_parts
from contract.images import FORMATS
from contract.manifest import Feature, ModelManifest, Schema

Json = dict[str, Any]
MAX_VALUES = 100
"""Values of a category that are listed; further ones are counted."""
EXAMPLE_START = "2026-01-31T08:00"
NPY = "application/x-npy"
ERRORS = {
    "400": "The request does not fit the model; `path` says where.",
    "403": "The key is missing, unknown, switched off, or another tenant's.",
    "404": "No model of this project is in service.",
    "406": "Accept allows neither JSON nor CSV.",
    "409": "The version in service has no endpoint: it answers files, or runs on devices.",
    "413": "The body is too large; send fewer rows.",
    "415": "The model does not read this content type.",
    "429": "The key's throttle or quota is used up, or the model is busy; see Retry-After.",
    "502": "The model failed; its log says why.",
    "503": "The model is not in service now, or sleeps; see Retry-After.",
    "504": "The model took more than 25 s.",
}

LATER_ERRORS = {
    "400": ERRORS["400"],
    "403": ERRORS["403"],
    "404": "There is no such prediction, or not any more.",
    "413": "The request was too large, or the answer is; send fewer rows.",
    "415": ERRORS["415"],
    "429": "The key's throttle or quota is used up; see Retry-After.",
    "502": "The model failed; send the request again.",
    "504": "The request waited too long; send it again.",
}
"""What may come instead of an answer that is fetched later."""


def document(manifest: ModelManifest, version: int, target: str) -> Json:
    """Return the document; ``target`` is what serves the version (contract.config.Deploy)."""
    project = f"{manifest.tenant}/{manifest.project}"
    return {
        "openapi": "3.1.0",
        "info": {"title": project, "version": str(version), "description": _story(manifest, version)},
        "servers": [{"url": ".", "description": "Where this document is."}],
        "security": [{"key": []}],
        "paths": _paths(manifest.schema, later=target == "async"),
        "components": {
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
            "schemas": {
                "Row": _row(manifest.schema),
                "Prediction": _prediction(manifest.schema),
                "Answer": _answer(),
                "Error": _error(),
                **({"Pending": _pending()} if target == "async" else {}),
            },
        },
    }


def describe(manifest: ModelManifest, version: int, target: str) -> Json:
    """Return the model's schema in short; ``served_by`` is the target that the version was deployed to."""
    schema = manifest.schema
    return {
        "tenant": manifest.tenant,
        "project": manifest.project,
        "version": version,
        "served_by": target,
        "model": {"run": manifest.run, "recipe": manifest.recipe, "form": manifest.form},
        "task": schema.task,
        "target": schema.target,
        "labels": list(schema.labels),
        "row": _row(schema),
        "content_types": list(content_types(schema)),
        "example": example(schema),
    }


def example(schema: Schema) -> Json:
    """Return a request that the model answers: means, first categories, a black image."""
    kinds = {feature.kind for feature in schema.features}
    if "image" in kinds:
        _, height, width, channels = schema.inputs[0].shape
        return {"instances": [{"image": base64.b64encode(black_png(width, height, channels)).decode()}]}
    if "history" in kinds:
        return {"instances": [_series(schema)]}
    columns: Json = {}
    for feature in schema.features:
        if feature.kind == "date":
            if feature.part == DAYS:
                columns[feature.name] = from_parts({DAYS: feature.statistics["mean"]})
        else:
            columns[feature.name] = _typical(feature)
    return {"instances": [columns]}


def content_types(schema: Schema) -> Iterator[str]:
    """Yield what the server reads for this model (serving/*_inputs.py; tests/serving compares)."""
    kinds = {feature.kind for feature in schema.features}
    yield "application/json"
    if "image" not in kinds:
        yield "text/csv"
    if "image" in kinds or kinds == {"number"}:
        yield NPY
    if "image" in kinds:
        yield from FORMATS


def _story(manifest: ModelManifest, version: int) -> str:
    what = "a class of" if manifest.schema.task == "classification" else "values of"
    return f"Predicts {what} `{manifest.schema.target}`. Version {version}, made by run `{manifest.run}`."


def _paths(schema: Schema, *, later: bool) -> Json:
    """Return the paths: the model answers at once, or ``later``."""
    if not later:
        return {"/predict": {"post": _predict(schema, {"200": _good(schema)}, ERRORS)}}
    number = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    fetch = {
        "operationId": "prediction",
        "summary": "Fetch the answer to a request that waited.",
        "parameters": [number],
        "responses": {"200": _good(schema), "202": _waits("There is no answer yet.")} | _errors(LATER_ERRORS),
    }
    queued = {"202": _waits("The request waits; Location says where its answer will be.")}
    return {"/predict": {"post": _predict(schema, queued, ERRORS)}, "/predictions/{id}": {"get": fetch}}


def _predict(schema: Schema, good: Json, errors: dict[str, str]) -> Json:
    return {
        "operationId": "predict",
        "summary": "Ask the model in service.",
        "requestBody": {"required": True, "content": {kind: _content(kind, schema) for kind in content_types(schema)}},
        "responses": good | _errors(errors),
    }


def _errors(errors: dict[str, str]) -> Json:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {status: {"description": why, "content": content} for status, why in errors.items()}


def _waits(why: str) -> Json:
    headers = {
        "Location": {"description": "Relative to the path that was asked.", "schema": {"type": "string"}},
        "Retry-After": {"description": "Seconds after which to look.", "schema": {"type": "integer"}},
    }
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Pending"}}}
    return {"description": why, "headers": headers, "content": content}


def _pending() -> Json:
    told = {"id": {"type": "string"}, "status": {"type": "string", "const": "pending"}}
    return {"type": "object", "properties": told, "required": list(told)}


def _content(kind: str, schema: Schema) -> Json:
    if kind == "application/json":
        rows = {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Row"}}
        body = {"type": "object", "properties": {"instances": rows}, "required": ["instances"]}
        return {"schema": body | {"additionalProperties": False}, "example": example(schema)}
    if kind == "text/csv":
        return {"schema": {"type": "string", "description": "A header with the columns' names, then a line a row."}}
    if kind == NPY:
        return {"schema": {"description": "An array as numpy.save writes it.", "contentMediaType": NPY}}
    return {"schema": {"description": "One image file.", "contentMediaType": kind}}


def _good(schema: Schema) -> Json:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}
    header = "label, then probability:<label> of each" if schema.task == "classification" else "the values' names"
    content["text/csv"] = {"schema": {"type": "string", "description": f"With a header: {header}. Ask by Accept."}}
    request_id = {"x-request-id": {"description": "Name it when you ask for help.", "schema": {"type": "string"}}}
    return {"description": "One prediction a row, in order.", "headers": request_id, "content": content}


def _row(schema: Schema) -> Json:
    kinds = {feature.kind for feature in schema.features}
    if "image" in kinds:
        _, height, width, channels = schema.inputs[0].shape
        shape = f"{height} x {width}" + (" x 3" if channels == 3 else "")
        told = f"An image file in base64, scaled to {shape}; or its pixels, 0 to 255, as lists of that shape."
        properties: Json = {"image": {"type": ["string", "array"], "description": told}}
    elif "history" in kinds:
        properties = _series_columns(schema)
    else:
        parts = {feature.name: feature for feature in reversed(schema.features)}
        properties = {name: _column(parts[name]) for name in dict.fromkeys(each.name for each in schema.features)}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _column(feature: Feature) -> Json:
    """Return a column's type; every value may be missing, which is null."""
    if feature.kind == "number":
        statistics = feature.statistics
        told = ", ".join(f"{name} {statistics[name]:g}" for name in ("min", "mean", "max") if name in statistics)
        return {"type": ["number", "null"]} | ({"description": f"In training: {told}."} if told else {})
    if feature.kind == "date":
        return {"type": ["string", "null"], "description": f"Expected: {EXPECTED}."}
    if feature.kind == "text":
        return {"type": ["string", "null"], "description": "A text."}
    if feature.hashed:
        told = "HMAC-SHA256 with the tenant's salt: 32 hexadecimal digits."
        return {"type": ["string", "null"], "pattern": "^[0-9a-f]{32}$", "description": told}
    total, listed = len(feature.vocabulary), list(feature.vocabulary[:MAX_VALUES])
    more = f" The first {MAX_VALUES} of {total} are listed." if total > MAX_VALUES else ""
    told = f"A category; one that is not known counts as unknown.{more}"
    return {"type": ["string", "null"], "description": told, "examples": listed}


def _series_columns(schema: Schema) -> Json:
    steps = {tensor.name: tensor.shape[-1] for tensor in schema.inputs}["history"]
    kinds = {feature.kind: feature for feature in schema.features}
    history = {
        "type": "array", "items": {"type": ["number", "null"]}, "minItems": steps,
        "description": f"The last {steps} values or more, oldest first.",
    }  # fmt: skip
    columns = {
        "history": history,
        "start": {"type": "string", "description": "The first time that is forecast, ISO 8601."},
    }
    return columns | ({"series": _column(kinds["category"])} if "category" in kinds else {})


def _series(schema: Schema) -> Json:
    kinds = {feature.kind: feature for feature in schema.features}
    steps = {tensor.name: tensor.shape[-1] for tensor in schema.inputs}["history"]
    row: Json = {"history": [_short(kinds["history"].statistics.get("mean", 0.0))] * steps, "start": EXAMPLE_START}
    return row | ({"series": _typical(kinds["category"])} if "category" in kinds else {})


def _typical(feature: Feature) -> float | str | None:
    if feature.kind == "number":
        return _short(feature.statistics.get("mean", 0.0))
    if feature.kind == "text":
        return " ".join(feature.vocabulary[:5])
    return feature.vocabulary[0] if feature.vocabulary else None


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _prediction(schema: Schema) -> Json:
    numbers = {"type": "object", "properties": {label: {"type": "number"} for label in schema.labels}}
    if schema.task == "regression":
        return {"type": "object", "properties": {"values": numbers}, "required": ["values"]}
    label = {"type": "string", "enum": list(schema.labels)}
    properties = {"label": label, "probabilities": numbers}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _answer() -> Json:
    predictions = {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}}
    model = {"type": "object", "description": "Which model answered: run, recipe, form."}
    return {"type": "object", "properties": {"predictions": predictions, "model": model}, "required": ["predictions"]}


def _error() -> Json:
    told = {name: {"type": "string"} for name in ("type", "message", "path", "request_id")}
    error = {"type": "object", "properties": told, "required": ["type", "message"]}
    return {"type": "object", "properties": {"error": error}, "required": ["error"]}


def black_png(width: int, height: int, channels: int) -> bytes:
    """Return a black image as a PNG file (https://www.w3.org/TR/png): grey of one channel, RGB of three."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    colour = {1: 0, 3: 2}[channels]
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    pixels = zlib.compress((b"\0" + bytes(width * channels)) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
