"""How many GPUs a type has is known for each type that has a price."""

from __future__ import annotations

import re

from contract import gpus
from contract.prices import load_prices

ALWAYS_ONE = re.compile(r"(2|4|8|16)?xlarge")
"""AWS's sizes of its g and p families with one GPU; every other size has several."""


def test_every_type_of_the_price_list_with_several_gpus_is_told() -> None:
    priced = {instance for instance in load_prices().training if gpus.count(instance)}
    assert len(priced) > 20
    assert {instance for instance in priced if not ALWAYS_ONE.fullmatch(instance.rpartition(".")[2])} == set(
        gpus.SEVERAL
    )


def test_machines_without_gpus_have_none() -> None:
    assert [gpus.count(each) for each in ("ml.m5.xlarge", "ml.c5.9xlarge", "ml.trn1.2xlarge", "")] == [0, 0, 0, 0]
