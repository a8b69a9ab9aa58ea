"""What may differ between two installations, typed in one place; the values are CDK context (cdk.json, ``-c``)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs
from constructs import Node

from contract import retention
from contract.errors import InvalidConfig

PRIVATE = "private"
IDS = re.compile(r"(subnet-ID,)+sg-ID(,sg-ID)*".replace("ID", "[0-9a-f]{8}([0-9a-f]{9})?"))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """An installation.

    Attributes:
        keep_data: whether buckets, ledger, key and images outlive their stacks, and stacks and ledger are protected
            from being deleted.
        log_days: days that logs of functions and machines are kept, as CloudWatch Logs allows.
        log_level: level of the handlers' logs.
        mlflow: ARN of SageMaker's managed tracking server, or a tracking URI, that runs are told to; empty for none.
        tensorboard: whether each run gets a TensorBoard event file.
        monthly_usd: US dollars a month at which AWS Budgets tells people, and that a tenant without a budget of its own
            may spend.
        trail: whether CloudTrail records who touched objects and the ledger (infra/trail.py says what it costs).
        vpc: ``private`` for subnets of its own, without a way to the internet, in which jobs, endpoints and functions
            run; ids of a team's own subnets and security groups, with commas; empty for AWS's networks.
        api: whether applications can ask the models over HTTPS, with a key.
        keep_days: JSON, kind of data = days, for kinds that are not kept as long as ``contract/retention.py`` has it.
    """

    keep_data: bool = True
    log_days: int = 30
    log_level: str = "INFO"
    mlflow: str = ""
    tensorboard: bool = False
    api: bool = True
    monthly_usd: int = 200
    trail: bool = True
    keep_days: str = "{}"
    vpc: str = ""

    @classmethod
    def from_context(cls, node: Node) -> Settings:
        """Read the context ``tandem:<name>`` of each attribute.

        Raises:
            ValueError: for a value that cannot be meant.
        """
        days, level, mlflow = (node.try_get_context(f"tandem:{name}") for name in ("log_days", "log_level", "mlflow"))
        if days is not None and f"{days}" not in RETENTIONS:
            raise ValueError(f"context tandem:log_days is {days!r}; expected one of {', '.join(RETENTIONS)}")
        return cls(
            keep_data=_switch(node, "keep_data", cls.keep_data),
            log_days=cls.log_days if days is None else int(days),
            log_level=level or cls.log_level,
            mlflow=mlflow or cls.mlflow,
            tensorboard=_switch(node, "tensorboard", cls.tensorboard),
            api=_switch(node, "api", cls.api),
            trail=_switch(node, "trail", cls.trail),
            keep_days=_kinds(node),
            vpc=_network(node, mlflow or ""),
            monthly_usd=_dollars(node, "monthly_usd", cls.monthly_usd),
        )

    @property
    def removal_policy(self) -> RemovalPolicy:
        """What happens to things that hold data when their stack is deleted."""
        return RemovalPolicy.RETAIN if self.keep_data else RemovalPolicy.DESTROY

    @property
    def days(self) -> dict[str, int | None]:
        """How many days each kind of data is kept; None for good."""
        return retention.parse(self.keep_days)

    def rule_days(self, kind: str) -> int:
        """Return how many days a kind is kept that a bucket's own rule sees to."""
        return int(self.days[kind] or 0)

    @property
    def retention(self) -> logs.RetentionDays:
        """How long logs are kept."""
        return RETENTIONS[str(self.log_days)]


def _switch(node: Node, name: str, default: bool) -> bool:
    value = node.try_get_context(f"tandem:{name}")
    if value not in (None, True, False, "true", "false"):
        raise ValueError(f"context tandem:{name} is {value!r}; expected true or false")
    return default if value is None else value in (True, "true")


def _network(node: Node, mlflow: str) -> str:
    value = node.try_get_context("tandem:vpc") or ""
    if value not in ("", PRIVATE) and not IDS.fullmatch(value):
        raise ValueError(f"context tandem:vpc is {value!r}; expected '', '{PRIVATE}' or ids: 'subnet-...,sg-...'")
    if value and mlflow:
        raise ValueError(
            "context tandem:mlflow names a server that nothing reaches from tandem:vpc: leave one of them out"
        )
    return str(value)


def _kinds(node: Node) -> str:
    value = node.try_get_context("tandem:keep_days") or {}
    text = value if isinstance(value, str) else json.dumps(value)
    try:
        retention.parse(text)
    except InvalidConfig as error:
        raise ValueError(f"context tandem:keep_days is {value!r}; expected kind = days: {error}") from error
    return text


def _dollars(node: Node, name: str, default: int) -> int:
    value = node.try_get_context(f"tandem:{name}")
    if value is None:
        return default
    if not f"{value}".isdecimal() or not int(value):
        raise ValueError(f"context tandem:{name} is {value!r}; expected a whole number of US dollars, at least 1")
    return int(value)


RETENTIONS = {
    "1": logs.RetentionDays.ONE_DAY,
    "7": logs.RetentionDays.ONE_WEEK,
    "14": logs.RetentionDays.TWO_WEEKS,
    "30": logs.RetentionDays.ONE_MONTH,
    "90": logs.RetentionDays.THREE_MONTHS,
    "365": logs.RetentionDays.ONE_YEAR,
}
