"""Today's rates become the snapshot; products are as the Price List API has them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from cli import checks, pricelist
from contract.prices import Prices, load_prices
from tests.cli.conftest import Answer

SNAPSHOT = json.loads(pricelist.SNAPSHOT.read_text())


def product(name: str, component: str, usd: str = "0.5000000000", unit: str = "Hrs") -> str:
    dimension = {"unit": unit, "pricePerUnit": {"USD": usd}, "description": f"${usd} per {component} {name}"}
    attributes = {"servicecode": "AmazonSageMaker", "instanceName": name, "component": component}
    terms = {"OnDemand": {"SKU.TERM": {"priceDimensions": {"SKU.TERM.RATE": dimension}}}}
    return json.dumps({"product": {"productFamily": "ML Instance", "attributes": attributes}, "terms": terms})


PRODUCTS = [
    product("ml.m5.xlarge", "Training"),
    product("ml.m5.xlarge", "Hosting", "0.2"),
    product("ml.m5.large", "Batch Transform", "0.3"),
    product("ml.m5.large", "Notebook", "9"),
    product("ml.m5.large", "Training", "9", unit="GB"),
    product("ml.m5.large", "Processing", "0.0"),
    product("ml.z9.large", "Training", "1"),
    json.dumps({"product": {"attributes": {}}, "terms": {}}),
]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    client = boto3.client("pricing", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    monkeypatch.setattr(pricelist, "client", lambda profile: client)
    with Stubber(client) as stub:
        yield stub


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(SNAPSHOT))
    monkeypatch.setattr(pricelist, "SNAPSHOT", path)
    return path


def answers(api: Stubber, *pages: list[str]) -> None:
    asked: dict[str, Any] = {
        "ServiceCode": "AmazonSageMaker", "FormatVersion": "aws_v1",
        "Filters": [{"Type": "TERM_MATCH", "Field": "regionCode", "Value": "eu-west-1"}],
    }  # fmt: skip
    for number, page in enumerate(pages):
        more = {} if number == len(pages) - 1 else {"NextToken": f"t{number}"}
        api.add_response("get_products", {"FormatVersion": "aws_v1", "PriceList": page, **more}, asked)
        asked = {**asked, "NextToken": f"t{number}"}


def test_refreshing_takes_todays_rates_of_the_types_that_are_offered(
    api: Stubber, snapshot: Path, tandem: Callable[..., Answer]
) -> None:
    answers(api, PRODUCTS[:3], PRODUCTS[3:])
    told = tandem("--json", "prices", "refresh", "--region", "eu-west-1")
    assert told.code == 0, told.stderr
    fresh = json.loads(snapshot.read_text())
    assert fresh["training"] == {**SNAPSHOT["training"], "ml.m5.xlarge": 0.5}
    assert fresh["hosting"] == {**SNAPSHOT["hosting"], "ml.m5.xlarge": 0.2}
    assert fresh["transform"] == {**SNAPSHOT["transform"], "ml.m5.large": 0.3}
    assert fresh["processing"] == SNAPSHOT["processing"]
    assert (fresh["date"], fresh["region"]) == (datetime.now(UTC).date().isoformat(), "eu-west-1")
    assert "training ml.m5.large" in fresh["source"], "whose rate is as before"
    assert set(told.document["changed"]) == {"ml.m5.xlarge", "ml.m5.large"}
    assert Prices(**fresh).hourly("training", "ml.m5.xlarge", "x") == 0.5


def test_a_region_without_prices_leaves_the_snapshot_as_it_is(
    api: Stubber, snapshot: Path, tandem: Callable[..., Answer]
) -> None:
    before = snapshot.read_text()
    answers(api, PRODUCTS[-1:])
    told = tandem("prices", "refresh", "--region", "eu-west-1")
    assert told.code == 1
    assert "no instance type" in told.stderr
    assert snapshot.read_text() == before


def test_a_written_snapshot_reads_as_it_was(tmp_path: Path) -> None:
    pricelist.write(SNAPSHOT, tmp_path / "p.json")
    assert json.loads((tmp_path / "p.json").read_text()) == SNAPSHOT


@pytest.mark.parametrize(("days", "status"), [(10, checks.GOOD), (400, checks.WARNING)])
def test_doctor_says_when_prices_are_old(monkeypatch: pytest.MonkeyPatch, days: int, status: str) -> None:
    then = (datetime.now(UTC).date() - timedelta(days=days)).isoformat()
    monkeypatch.setattr(checks, "load_prices", lambda: Prices(**{**vars(load_prices()), "date": then}))
    found = checks.prices()
    assert found.status == status
    assert then in found.found
    assert ("tandem prices refresh" in found.fix) == (status == checks.WARNING)
