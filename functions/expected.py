"""What a run takes and costs as a rule, by the throughput that was measured, in this project if it ever trained so.

What it may cost at worst is another question (``functions/worst_case.py``), and this guess decides nothing.
"""

from __future__ import annotations

import math
from typing import Any

from contract import ledger
from contract.errors import InvalidConfig
from contract.prices import load_prices
from contract.recipes import load_recipes
from contract.reports import DatasetReport
from contract.request import RunRequest
from functions import table, tuning

STARTUP_SECONDS = 180
"""What a job takes to get its machines, image and data (AWS: minutes); of these, the next are billed."""
BILLED_STARTUP_SECONDS = 90


def of(request: RunRequest, dataset: DatasetReport) -> dict[str, Any]:
    """Return the expected time from now to the verdict, its price, and what the guess rests on."""
    if request.script:
        return _longest(request)
    train, prices = request.train, load_prices()
    speed, basis = throughput(request)
    training = dataset.rows.get("train", 0) * _epochs(request) / speed
    learned_again = dataset.rows.get("train", 0) * _epochs_of_smaller_networks(request)
    evaluation = (dataset.rows.get("test", 0) + learned_again) / speed
    jobs, parallel = (request.tune.jobs, request.tune.parallel) if request.candidates else (1, 1)
    hourly = sum(prices.training[name] * count for name, count in train.machines.items())
    usd = (training + BILLED_STARTUP_SECONDS) * hourly * jobs
    usd += (evaluation + BILLED_STARTUP_SECONDS) * prices.processing[request.evaluate.instance]
    rounds = math.ceil(jobs / parallel)
    return {
        "seconds": round(rounds * (training + STARTUP_SECONDS) + evaluation + STARTUP_SECONDS, 1),
        "usd": round(usd / 3600, 4),
        "basis": basis,
    }


def _epochs_of_smaller_networks(request: RunRequest) -> int:
    """Return the epochs that Evaluate trains a pruned network and a student for."""
    optimise = request.optimise
    return (optimise.prune_epochs if optimise.prune else 0) + (request.train.epochs if optimise.distil else 0)


def _longest(request: RunRequest) -> dict[str, Any]:
    """Return what a script may take: nobody knows how fast it is."""
    train, seconds = request.train, request.train.max_minutes * 60
    usd = (seconds + BILLED_STARTUP_SECONDS) * load_prices().training[train.instance] * train.hosts / 3600
    basis = "train.max_minutes: how long a script of your own takes is not known here"
    return {"seconds": round(seconds + STARTUP_SECONDS, 1), "usd": round(usd, 4), "basis": basis}


def _epochs(request: RunRequest) -> float:
    """Return how many epochs a job trains: of a search the mean over its candidates, a range's middle."""
    if not request.candidates:
        return request.train.epochs
    found = [candidate.ranges.get("epochs") for candidate in request.candidates]
    each = [
        tuning.settings(request, candidate)["epochs"] if varied is None else tuning.middle(varied)
        for candidate, varied in zip(request.candidates, found, strict=True)
    ]
    return sum(each) / len(each)


def throughput(request: RunRequest) -> tuple[float, str]:
    """Return rows trained a second, and where that was measured: in this project if it ever trained so."""
    train, name = request.train, request.recipe.name
    key = ledger.throughput_key(request.tenant, request.project, name, train.cluster, train.host_count)
    row = table.get(key)
    if row and row["samples_per_second"] > 0:
        speed = float(row["samples_per_second"])
        return speed, f"{speed:,.0f} rows/s, measured in run {row['run']} on {train.host_count} x {train.cluster}"
    known = load_recipes()[name].throughput
    if known.samples_per_second <= 0:
        raise InvalidConfig("recipe.name", name, "a recipe whose throughput was measured")
    return known.samples_per_second, (
        f"{known.samples_per_second:,.0f} rows/s, measured for recipe {name!r} on {known.machine} ({known.measured});"
        " this project's first run on these machines will tell better"
    )
