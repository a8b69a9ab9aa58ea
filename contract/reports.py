"""DatasetReport and EvaluationReport: what the pipeline decides on, and what people read.

Both pass through the state machine, whose data may have 256 KiB: lists here are
bounded, the whole is in S3. Executions keep what they saw, so that no value of a row's
features is in them, but the names of classes and of groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contract.gate import Verdict
from contract.manifest import Feature
from contract.parsing import parse, setting, to_dict

MAX_REASONS = 20
MAX_FEATURES = 100
MAX_LABELS = 100
MAX_PAIRS = 200


class _Document:
    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Any:
        """Parse the JSON document."""
        return parse(cls, data)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready data."""
        return to_dict(self)


@dataclass(frozen=True, kw_only=True)
class DatasetReport(_Document):
    """What preparation found."""

    run: str = setting("The run.")
    accepted: bool = setting("Whether training may go on.")
    outcome: str | None = setting("REJECTED, or null.", default=None)
    reasons: tuple[str, ...] = setting("Why not, and which rows were set aside; at most 20.", default=())
    rows: dict[str, int] = setting("Rows of train, validation, test.", default_factory=dict)
    replayed: int = setting("Rows of earlier uploads among them.", default=0)
    rejected_rows: int = setting("Rows set aside in quarantine.", default=0)
    duplicate_rows: int = setting("Rows that occur more than once (kept).", default=0)
    task: str = setting("What is learned: classification or regression; empty when rejected.", default="")
    metric: str = setting("What gate and tuner compare; empty when rejected.", default="")
    labels: dict[str, int] = setting("Rows of each class, the 100 most frequent.", default_factory=dict)
    statistics: dict[str, float] = setting(
        "Of the training rows' target (regression): mean, std.", default_factory=dict
    )
    features: tuple[Feature, ...] = setting(
        "What rows are described by, without any of their values; at most 100.", default=()
    )
    files: int = setting("Files handed on as they are, to a script; then there are no rows.", default=0)
    features_total: int = setting("How many features there are.", default=0)
    anonymised: dict[str, str] = setting("What was done to each column marked by [privacy].", default_factory=dict)
    fingerprint: str = setting("sha256 of the prepared rows.", default="")
    bytes: int = setting("Size of the shards.", default=0)
    seconds: float = setting("Time it took.", default=0.0)


@dataclass(frozen=True, kw_only=True)
class Form:
    """One form in which the model could be served."""

    name: str = setting("onnx-float32, ...: contract.forms.")
    metrics: dict[str, float] = setting("On the held-out rows; empty when it cannot be run where it is measured.")
    latency_ms: dict[str, float] = setting("p50 and p99 of one row, one thread; empty likewise.")
    bytes: int = setting("Size of the file.")
    parity: float = setting("Largest difference from the trained model's outputs, in the schema's scale.")
    agreement: float | None = setting(
        "Share of the held-out rows that it answers as the trained model does: with the same class, or with values "
        "that are within a hundredth of the target's deviation.",
        default=None,
    )
    drop: float = setting(
        "How much worse it is than the trained model by the metric: absolutely for scores, as a share for errors.",
        default=0.0,
    )
    spread: float = setting(
        "Largest difference between its answers to one row, asked alone or among others, with one kernel or another, "
        "in the schema's scale.",
        default=0.0,
    )
    note: str = setting("Why it is served, or why not.", default="")


@dataclass(frozen=True, kw_only=True)
class Champion:
    """The version in service, measured on the same rows."""

    package_arn: str = setting("Its model package.")
    version: int = setting("Its number.")
    metrics: dict[str, float] = setting("On the challenger's held-out rows; empty when it cannot read them.")
    note: str = setting("Why it could not be measured, if so.", default="")


@dataclass(frozen=True, kw_only=True)
class Group:
    """The held-out rows that have one value, or values of one range, in a column."""

    column: str = setting("The column.")
    value: str = setting("The value, or the range in words.")
    rows: int = setting("Held-out rows.")
    metric: float = setting("The metric that the gate compares, on these rows alone.")


@dataclass(frozen=True, kw_only=True)
class Disturbed:
    """The metric when the rows come worse than they were uploaded."""

    name: str = setting("What was done to them, in words.")
    metric: float = setting("The metric that the gate compares.")


@dataclass(frozen=True, kw_only=True)
class EvaluationReport(_Document):
    """What evaluation measured, and the verdict."""

    run: str = setting("The run.")
    task: str = setting("What was learned: classification or regression.", default="classification")
    metric: str = setting("What the gate compares.")
    higher_is_better: bool = setting("Which way it is good.")
    rows: int = setting("Held-out rows.")
    metrics: dict[str, float] = setting("Of the chosen form on the held-out rows.")
    baseline: dict[str, float] = setting("Metrics of the recipe's baseline.")
    baseline_name: str = setting("What the baseline does, in words.", default="")
    forms: tuple[Form, ...] = setting("Every form that was measured.")
    chosen: str = setting("The form that would be served.")
    champion: Champion | None = setting("The version in service, if any.", default=None)
    labels: tuple[str, ...] = setting("Classes, or names of the values that are predicted; at most 100.")
    confusion: tuple[tuple[int, ...], ...] = setting(
        "Rows by true class (first) and predicted class; at most 100 x 100. Empty for regression.", default=()
    )
    pairs: tuple[tuple[float, ...], ...] = setting(
        "True and predicted value of held-out rows, spread evenly, at most 200 (regression). They are in a document of "
        "their own, and here in the run's document only.",
        default=(),
    )
    error_quantiles: dict[str, float] = setting(
        "Absolute error that a share of the held-out values stays below: p50, p90, p99, max (regression).",
        default_factory=dict,
    )
    groups: tuple[Group, ...] = setting("Groups of evaluate.groups, the worst of each column first.", default=())
    importance: dict[str, float] = setting(
        "How much worse the metric is when a feature tells nothing, the most important first; at most 50.",
        default_factory=dict,
    )
    robustness: tuple[Disturbed, ...] = setting("The metric under disturbances; the first is none.", default=())
    start: str = setting("What training began with, in words; empty for fresh weights.", default="")
    model_sha256: str = setting("Of the archive that would be served.")
    verdict: Verdict = setting("The release decision.")
