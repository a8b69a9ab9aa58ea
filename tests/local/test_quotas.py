"""Service Quotas of the laptop cloud, and the gap of moto's."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from contract import quotas
from local.cloud import Cloud
from tests.local.conftest import Vanilla

NAME = quotas.name_of("spot", "ml.p4d.24xlarge")


def test_vanilla_moto_still_has_the_gap(vanilla: Vanilla) -> None:
    with pytest.raises(ClientError, match="NoSuchResourceException"):
        vanilla.client("service-quotas").list_aws_default_service_quotas(ServiceCode=quotas.SERVICE)


def test_quotas_are_listed_page_by_page_and_read_by_name(cloud: Cloud) -> None:
    client = cloud.client("service-quotas")
    first = client.list_service_quotas(ServiceCode=quotas.SERVICE, MaxResults=10)
    assert len(first["Quotas"]) == 10
    assert first["NextToken"]
    found = quotas.read(client, [NAME, "ml.x9.large for endpoint usage"])
    assert list(found) == [NAME]
    assert client.get_service_quota(ServiceCode="sagemaker", QuotaCode=found[NAME].code)["Quota"]["QuotaName"] == NAME
    with pytest.raises(ClientError, match="NoSuchResourceException"):
        client.get_service_quota(ServiceCode="sagemaker", QuotaCode="L-00000000")


def test_another_value_is_granted_at_once(cloud: Cloud) -> None:
    client = cloud.client("service-quotas")
    code = quotas.read(client, [NAME])[NAME].code
    try:
        client.request_service_quota_increase(ServiceCode="sagemaker", QuotaCode=code, DesiredValue=0)
        assert quotas.read(client, [NAME])[NAME].limit == 0
    finally:
        cloud.quotas.set(NAME, None)
    assert quotas.read(client, [NAME])[NAME].limit > 0
