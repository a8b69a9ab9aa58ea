"""How a batch is cut by lambda, and how lambda is measured."""

from __future__ import annotations

import numpy as np
import pytest

from contract.config import Train
from contract.errors import InvalidConfig
from contract.training import check_training
from training.container import Hosts
from training.shares import Rebalancer, Shares


@pytest.mark.parametrize("rows", [1, 2, 7, 64, 1000])
@pytest.mark.parametrize("weights", [(1.0,), (1, 1), (5, 1, 2), (1000, 1, 1), (0.1, 0.2, 0.3, 0.4)])
def test_every_row_is_computed_once_in_its_place(rows: int, weights: tuple[float, ...]) -> None:
    shares, batch = Shares.of(weights), np.arange(rows) * 3
    counts = shares.counts(rows)
    assert sum(counts) == rows
    assert all(abs(n - rows * w / sum(weights)) <= 1 for n, w in zip(counts, weights, strict=True))
    parts = [shares.part(batch, rank) for rank in range(len(weights))]
    assert np.concatenate([part for part, weight in parts if weight]).tolist() == batch.tolist()
    assert all(len(part) for part, _ in parts)  # a rank without rows takes part with one that does not count


@pytest.mark.parametrize("accumulation", [1, 2, 3, 50])
def test_all_ranks_take_as_many_micro_batches(accumulation: int) -> None:
    shares, batch = Shares.of((6, 1, 1)), np.arange(16)
    ranks = [shares.micro_batches(batch, rank, accumulation) for rank in range(3)]
    assert {len(parts) for parts in ranks} == {min(accumulation, 12)}
    counted = [part for parts in ranks for part, weight in parts if weight]
    assert np.concatenate(counted).tolist() == batch.tolist()
    assert max(len(part) for part in counted) == -(-12 // min(accumulation, 12))


def test_the_ranks_of_a_host_divide_its_share() -> None:
    assert Shares.of_hosts((2, 1), [0, 0, 0, 0, 1]).weights == pytest.approx((1 / 6,) * 4 + (1 / 3,))
    assert Shares.of_hosts((), [0, 0, 0, 1]).weights == (0.25,) * 4  # without shares all devices get the same


def test_shares_that_do_not_name_every_host_are_refused() -> None:
    with pytest.raises(InvalidConfig, match=r"train\.shares: \[1, 2, 3\] .* one number for each of the 2 hosts"):
        Shares.of_hosts((1, 2, 3), [0, 1])


def test_shares_of_a_cluster_of_several_types_follow_its_types() -> None:
    hosts = Hosts(
        current="algo-1", all=("algo-1", "algo-2", "algo-3"),
        types={"algo-1": "ml.m5.large", "algo-2": "ml.c5.large", "algo-3": "ml.m5.large"},
    )  # fmt: skip
    assert hosts.in_order((5, 1, 2), ["ml.c5.large", "ml.m5.large"]) == (1, 5, 2)
    assert hosts.in_order((5, 1, 2), []) == (5, 1, 2)


def test_measured_shares_come_to_equal_times_and_follow_a_change() -> None:
    balance, fixed = Rebalancer(Shares.of((1, 1, 1))), 0.01

    def run(updates: int, speed: list[float]) -> list[float]:
        for _ in range(updates):
            counts = balance.shares.counts(512)
            balance.note([fixed + n / v for n, v in zip(counts, speed, strict=True)], counts)
        return [fixed + n / v for n, v in zip(balance.shares.counts(512), speed, strict=True)]

    for speed in ([1000.0, 2000.0, 4000.0], [4000.0, 1000.0, 1000.0]):
        times = run(400, speed)
        assert max(times) / min(times) < 1.05, balance.shares


def test_a_rank_that_computed_nothing_keeps_its_share() -> None:
    balance = Rebalancer(Shares.of((1000, 1)))
    for _ in range(4):
        balance.note([1.0, 0.2], [8, 0])
    assert balance.shares.weights == pytest.approx((1000 / 1001, 1 / 1001))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"shares": (1.0,), "hosts": 2}, "one number for each of the 2 hosts"),
        ({"shares": (1.0, 0.0), "hosts": 2}, r"train\.shares\[1\]: 0.0 .* above 0"),
        ({"shares": (1.0, -1.0), "hosts": 2}, "above 0"),
        ({"shares": (1.0,), "groups": {"ml.c5.large": 1, "ml.m5.large": 1}}, "each of the 2 hosts"),
        ({"groups": {"ml.c5.large": 1}, "hosts": 2}, r"train\.hosts: 2 .* beside train\.groups"),
        ({"groups": {"ml.c5.large": 1}, "instance": "ml.m5.large"}, r"train\.instance"),
        ({"groups": {"ml.c5.large": 1}, "fallback_instances": ("ml.m5.large",)}, r"train\.fallback_instances"),
        ({"groups": {f"ml.m5.{n}xlarge": 1 for n in range(6)}}, "at most 5 instance types"),
        ({"strategy": "fsdp", "communication": "fp16"}, r"train\.communication: 'fp16'"),
        ({"strategy": "fsdp", "communication": "powersgd"}, r"train\.communication: 'powersgd'"),
        ({"strategy": "fsdp", "rebalance": True}, r"train\.rebalance"),
        ({"strategy": "fsdp", "compile": True}, r"train\.compile"),
        ({"powersgd_rank": 4}, r"train\.powersgd_rank: 4"),
        ({"momentum": 0.9}, r"train\.momentum: 0.9"),
        ({"accumulation": 65}, r"train\.accumulation: 65 .* at most train\.batch_size = 64"),
    ],
)  # fmt: skip
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidConfig, match=says):
        check_training(Train(**settings))  # type: ignore[arg-type]
