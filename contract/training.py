"""Settings of [train] that contradict each other: found in a request, and again in a job's hyperparameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from contract.config import Train
from contract.errors import InvalidConfig

MOST_GROUPS = 5  # of SageMaker's ResourceConfig.InstanceGroups
DEFAULTS = {field.name: field.default for field in fields(Train)}


def check_training(train: Train) -> None:
    """Refuse settings that cannot be meant together.

    Raises:
        InvalidConfig: for the first of them.
    """
    for check in (_groups, _shares, _strategy, _learning):
        for mistake in check(train):
            raise mistake


def _groups(train: Train) -> Iterator[InvalidConfig]:
    if not train.groups:
        return
    for name in ("instance", "hosts", "fallback_instances"):
        if (value := getattr(train, name)) != DEFAULTS[name]:
            yield InvalidConfig(f"train.{name}", value, "nothing beside train.groups, which names all machines")
    if len(train.groups) > MOST_GROUPS:
        yield InvalidConfig("train.groups", train.groups, f"at most {MOST_GROUPS} instance types")


def _shares(train: Train) -> Iterator[InvalidConfig]:
    for position, share in enumerate(train.shares):
        if share <= 0:
            fix = "A host without work is cheaper left out: lower train.hosts."
            yield InvalidConfig(f"train.shares[{position}]", share, "a number above 0", fix)
    if train.shares and len(train.shares) != train.host_count:
        allowed = f"one number for each of the {train.host_count} hosts"
        yield InvalidConfig("train.shares", list(train.shares), allowed)


def _strategy(train: Train) -> Iterator[InvalidConfig]:
    if train.strategy == "fsdp":
        if train.communication != "none":
            fix = "fsdp exchanges gradients in its own way; take strategy 'ddp' to compress them."
            yield InvalidConfig("train.communication", train.communication, "'none' with strategy 'fsdp'", fix)
        if train.rebalance:
            fix = "Under fsdp every layer waits for all, so no rank's own time can be told; give train.shares instead."
            yield InvalidConfig("train.rebalance", True, "false with strategy 'fsdp'", fix)
        if train.compile:
            fix = "Choose one of the two."
            yield InvalidConfig("train.compile", True, "false with strategy 'fsdp'", fix)
    if train.powersgd_rank != DEFAULTS["powersgd_rank"] and train.communication != "powersgd":
        fix = "It belongs to train.communication = 'powersgd'."
        yield InvalidConfig("train.powersgd_rank", train.powersgd_rank, "nothing without powersgd", fix)


def _learning(train: Train) -> Iterator[InvalidConfig]:
    if train.momentum and train.optimiser != "sgd":
        yield InvalidConfig("train.momentum", train.momentum, "0 with adamw", "It belongs to optimiser = 'sgd'.")
    if train.accumulation > train.batch_size:
        allowed = f"at most train.batch_size = {train.batch_size}: a micro-batch has a row at least"
        yield InvalidConfig("train.accumulation", train.accumulation, allowed)
