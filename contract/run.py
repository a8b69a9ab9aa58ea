"""How a run ends, and the document that tells its whole story (run.json, the report's data)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from contract.leaderboard import Leaderboard


class Outcome(StrEnum):
    """How a run ended. The first five are executions that succeed."""

    DEPLOYED = "DEPLOYED"  # the challenger is in service
    REGISTERED = "REGISTERED"  # the challenger is a new version, of a kind that only its owner can serve
    KEPT_CHAMPION = "KEPT_CHAMPION"  # the challenger was not better, or a person rejected it
    REJECTED = "REJECTED"  # the upload could not become a dataset
    REFUSED = "REFUSED"  # the request has a mistake, or would cost more than it may
    FAILED = "FAILED"  # something broke; redrive continues at the state that failed
    STOPPED = "STOPPED"  # a person stopped it, or it ran out of time


RUNNING = "RUNNING"


class DeploymentStatus(StrEnum):
    """How a deployment ended well."""

    DEPLOYED = "DEPLOYED"  # the version is in service
    CHALLENGING = "CHALLENGING"  # the version answers its share beside the champion, until a person decides
    CHAMPION_CHANGED = "CHAMPION_CHANGED"  # nothing was touched: the verdict was about another champion
    NOTHING_TO_DO = "NOTHING_TO_DO"  # a deployment was stopped, and had not changed what is in service


@dataclass(frozen=True, kw_only=True)
class Job:
    """One SageMaker job of a run, as it was billed."""

    name: str
    kind: str  # training, processing, transform, or tuning: all training jobs of a search together
    status: str
    instance: str
    hosts: int
    spot: bool
    billable_seconds: float  # a host
    usd: float | None  # None when the price snapshot does not know the instance type
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class StateVisit:
    """One state as the execution's history shows it; times are ISO 8601, UTC."""

    name: str
    entered: str
    left: str | None
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a run failed or was stopped."""

    state: str  # the state that was being executed; "" when there was none
    error: str
    cause: str
    log: str = ""  # the end of the failed job's log, traceback included


@dataclass(frozen=True, kw_only=True)
class Run:
    """A settled run."""

    run: str
    tenant: str
    project: str
    outcome: str
    reasons: list[str]
    started: str
    ended: str
    execution_arn: str
    request: dict[str, Any] | None
    dataset: dict[str, Any] | None
    plan: dict[str, Any] | None
    evaluation: dict[str, Any] | None
    epochs: list[dict[str, float]] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    states: list[StateVisit] = field(default_factory=list)
    package: dict[str, Any] | None = None
    endpoint: str | None = None
    failure: Failure | None = None
    usd: float | None = None
    tuning: Leaderboard | None = None  # the last search, if there was one
