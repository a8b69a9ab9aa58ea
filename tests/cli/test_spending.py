"""What serving costs: the machines that are there, at known prices, and no guess in place of an answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from cli import spending
from cli.aws import Account
from cli.commands import cost
from contract.prices import load_prices

ENDPOINT = "acme--risks"
Asked = Callable[[Stubber], None]


def hosting(ask: Asked) -> spending.Hosting | None:
    """Return what is said of a champion whose SageMaker answers so."""
    sagemaker = boto3.client("sagemaker", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    table = SimpleNamespace(get_item=lambda **_: {"Item": {"endpoint": ENDPOINT, "since": "2020-01-01T00:00:00+00:00"}})
    account = cast(Account, SimpleNamespace(client=lambda _: sagemaker, table=lambda: table))
    with Stubber(sagemaker) as stubber:
        ask(stubber)
        return spending.hosting(account, "acme", "risks", spending.this_month())


def refused(code: str, message: str) -> Asked:
    return lambda stubber: stubber.add_client_error("describe_endpoint", code, message)


def serves(kind: str, count: int, made: datetime) -> Asked:
    """SageMaker has an endpoint of one variant."""
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{ENDPOINT}"
    times = {"CreationTime": made, "LastModifiedTime": made}
    named: dict[str, Any] = {"EndpointConfigName": "one", "EndpointConfigArn": arn, "CreationTime": made}
    variant = {"VariantName": "V", "ModelName": "m", "InstanceType": kind, "InitialInstanceCount": 1}
    endpoint = {"EndpointName": ENDPOINT, "EndpointArn": arn, "EndpointConfigName": "one", **times}
    counts = [{"VariantName": "V", "CurrentInstanceCount": count}]

    def ask(stubber: Stubber) -> None:
        described = {**endpoint, "EndpointStatus": "InService", "ProductionVariants": counts}
        stubber.add_response("describe_endpoint", described, {"EndpointName": ENDPOINT})
        stubber.add_response("describe_endpoint_config", {**named, "ProductionVariants": [variant]})

    return ask


def test_an_endpoint_that_is_not_there_costs_nothing() -> None:
    assert hosting(refused("ValidationException", 'Could not find endpoint "acme--risks".')) is None


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException"])
def test_what_cannot_be_asked_is_no_zero(code: str) -> None:
    with pytest.raises(ClientError, match=code):
        hosting(refused(code, "Not now"))


def test_machines_are_counted_from_the_making_of_their_endpoint() -> None:
    made = datetime.now(UTC)  # so that the month's first hour is no other case
    found = hosting(serves("ml.m5.large", 2, made))
    assert found
    assert found.hourly == pytest.approx(2 * load_prices().hosting["ml.m5.large"])
    assert found.usd == pytest.approx(0, abs=0.05)
    assert found.since == made.isoformat(timespec="seconds")
    assert "if it had been so many all along" in cost._serving(found)


def test_an_older_endpoint_is_counted_from_the_month_s_first_day() -> None:
    found = hosting(serves("ml.m5.large", 1, datetime.now(UTC) - timedelta(days=400)))
    assert found
    assert found.since == f"{spending.this_month()}-01T00:00:00+00:00"


def test_a_type_without_a_known_price_is_not_free() -> None:
    found = hosting(serves("ml.m5.24xlarge", 2, datetime.now(UTC)))
    assert found
    assert (found.hourly, found.usd) == (None, None)
    assert "2 x ml.m5.24xlarge" in (said := cost._serving(found))
    assert "does not know" in said


def test_batches_without_a_known_price_are_not_free() -> None:
    def batch(usd: float | None) -> spending.Batch:
        return spending.Batch(job="j", machines="1 x ml.x", seconds=1.0, usd=usd)

    assert cost._batches([batch(1.5), batch(2.0)]) == "2 batches: $3.50, on top; no budget holds for them."
    some = cost._batches([batch(1.5), batch(None)])
    assert some.startswith("2 batches: at least $1.50, on top")
    assert some.endswith("The price list does not know what 1 of them cost.")
