"""What the public API tells of a model: its schema, its OpenAPI document, and the page that shows them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from contract import keys, ledger
from contract.manifest import FORMAT, Feature, ModelManifest, Schema, Tensor
from functions import api, describe, openapi, table
from serving.inputs import reader_for
from tests.functions.conftest import World
from tests.serving import archives
from training.archive import pack

DATE = Feature(name="signed", kind="date", part="days", statistics={"mean": 20_000.0})
TEXT = Schema(
    task="classification",
    inputs=(Tensor(name="text", dtype="int64", shape=(-1, 8)),),
    features=(Feature(name="message", kind="text", vocabulary=("free", "money", "now")),),
    labels=("ham", "spam"),
    target="kind",
)
SERIES = Schema(
    task="regression",
    metric="rmse",
    inputs=(
        Tensor(name="history", dtype="float32", shape=(-1, 4)),
        Tensor(name="start", dtype="int64", shape=(-1, 1)),
        Tensor(name="category", dtype="int64", shape=(-1, 1)),
    ),
    features=(
        Feature(name="rides", kind="history", statistics={"mean": 12.3456789}),
        Feature(name="hour", kind="start", statistics={"seconds": 3600.0, "months": 0.0, "phase": 0.0}),
        Feature(name="station", kind="category", vocabulary=("north",)),
    ),
    labels=("t+1", "t+2"),
    target="rides",
    statistics={"mean": 12.0, "std": 2.0},
)
SCHEMAS = {
    "table": archives.CREDIT,
    "numbers": archives.table_schema(archives.AGE, archives.INCOME),
    "dates": archives.table_schema(DATE, archives.JOB),
    "values": archives.values_schema(archives.AGE, label="price"),
    "image": archives.image_schema(),
    "colours": archives.image_schema(channels=3),
    "text": TEXT,
    "series": SERIES,
}


def manifest(schema: Schema) -> ModelManifest:
    return ModelManifest(
        format=FORMAT, tenant="acme", project="credit", run="credit-1", recipe="tabular", options={}, schema=schema
    )


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("target", ["serverless", "async"])
def test_the_document_is_openapi(name: str, target: str) -> None:
    validate(openapi.document(manifest(SCHEMAS[name]), 3, target))


def test_the_document_tells_where_the_answer_to_a_request_that_waits_is_fetched() -> None:
    paths = openapi.document(manifest(archives.CREDIT), 3, "async")["paths"]
    assert "200" not in paths["/predict"]["post"]["responses"]
    assert {"200", "202", "404", "502"} <= paths["/predictions/{id}"]["get"]["responses"].keys()
    assert openapi.document(manifest(archives.CREDIT), 3, "lambda")["paths"].keys() == {"/predict"}


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_server_reads_the_content_types_and_the_example_that_the_document_names(name: str) -> None:
    reader = reader_for(SCHEMAS[name])
    assert set(openapi.content_types(SCHEMAS[name])) == set(reader.decoders)
    body = json.dumps(openapi.example(SCHEMAS[name])).encode()
    arrays = reader.decoders["application/json"](body)
    assert {len(array) for array in arrays.values()} == {1}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_row_has_the_columns_of_the_example(name: str) -> None:
    row = openapi.document(manifest(SCHEMAS[name]), 3, "realtime")["components"]["schemas"]["Row"]
    (instance,) = openapi.example(SCHEMAS[name])["instances"]
    assert list(instance) == list(row["properties"]) == row["required"]


def test_the_document_tells_the_projects_real_columns_and_labels() -> None:
    document = openapi.document(manifest(archives.CREDIT), 3, "realtime")
    schemas = document["components"]["schemas"]
    assert document["info"]["title"] == "acme/credit"
    assert schemas["Row"]["properties"]["job"]["examples"] == ["clerk", "nurse", "Zoë"]
    assert schemas["Prediction"]["properties"]["label"]["enum"] == ["bad", "good"]


def event(world: World, resource: str, key: str = "mine") -> dict[str, Any]:
    return {
        "resource": f"/{{tenant}}/{{project}}{resource}",
        "headers": None,
        "pathParameters": {"tenant": world.tenant, "project": world.project},
        "requestContext": {"requestId": "request-8", "identity": {"apiKeyId": key}},
        "body": None,
        "isBase64Encoded": False,
    }


@pytest.fixture
def served(world: World, tmp_path: Path) -> World:
    """A tenant with a key and a model in service whose archive is there."""
    document = json.dumps(manifest(archives.CREDIT).to_dict()).encode()
    archive = tmp_path / "model.tar.gz"
    pack(archive, {keys.MODEL_MANIFEST: document, keys.MODEL_ONNX: b"x" * 1000})
    key = f"{world.tenant}/runs/r/{keys.MODEL}"
    world.put(key, archive.read_bytes(), world.artifacts)
    row = {"endpoint": "e", "target": "serverless", "version": 3, "model_uri": f"s3://{world.artifacts}/{key}"}
    table.put(ledger.champion_key(world.tenant, world.project), row)
    table.put(ledger.api_key_key("mine"), {"tenant": world.tenant, "consumer": "shop"})
    table.put(ledger.api_key_key("theirs"), {"tenant": "rival", "consumer": "spy"})
    for cache in (api.keys, api.champions):
        cache.clear()
    return world


def test_a_key_reads_schema_and_document_of_the_model_in_service(served: World) -> None:
    schema = json.loads(describe.handler(event(served, ""), None)["body"])
    document = json.loads(describe.handler(event(served, "/openapi.json"), None)["body"])
    assert (schema["version"], document["info"]["version"]) == (3, "3")
    assert schema["row"] == document["components"]["schemas"]["Row"]


@pytest.mark.parametrize("resource", ["", "/openapi.json"])
@pytest.mark.parametrize("key", ["theirs", ""])
def test_without_a_key_of_the_tenant_nothing_is_told(served: World, resource: str, key: str) -> None:
    answer = describe.handler(event(served, resource, key), None)
    assert answer["statusCode"] == 403
    assert "credit" not in answer["body"]


def test_a_model_whose_archive_is_gone_is_not_found(served: World) -> None:
    row = table.get(ledger.champion_key(served.tenant, served.project)) or {}
    table.put(ledger.champion_key(served.tenant, served.project), {**row, "model_uri": f"{row['model_uri']}.gone"})
    assert describe.handler(event(served, ""), None)["statusCode"] == 404


def test_the_page_is_the_same_for_every_project_and_needs_no_key(world: World) -> None:
    answer = describe.handler(event(world, "/docs", ""), None)
    assert answer["statusCode"] == 200
    assert world.project not in answer["body"]
    assert answer["body"] == describe.handler({**event(world, "/docs", ""), "pathParameters": {}}, None)["body"]


def test_the_page_needs_nothing_from_elsewhere_and_runs_only_its_own_script(world: World) -> None:
    answer = describe.handler(event(world, "/docs", ""), None)
    page, policy = answer["body"], answer["headers"]["Content-Security-Policy"]
    assert not re.findall(r"(?:src|href)=[\"']?(?:https?:)?//", page)
    for tag in ("script", "style"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert " on" + "click=" not in page
    assert "innerHTML" not in page
