"""A function that runs again and again, and what it could not do in the dead letters."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra import grants
from infra.handler import Handler, source
from infra.rules import reliably
from infra.settings import Settings

LONGEST_SECONDS = 900


class Scheduled(Construct):
    """The function and its schedule; who extends it grants what its work needs.

    Args:
        entry: the handler, ``functions.<name>.handler``.
        description: of the schedule: what is true after its work.
        environment: the function's variables.
        dead_letters: for events that the function failed on, or that never reached it.
        settings: of the application.
        every: the time between two runs.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        entry: str,
        description: str,
        environment: Mapping[str, str],
        dead_letters: sqs.IQueue,
        settings: Settings,
        every: Duration = Duration.days(1),  # noqa: B008  # a constant
    ) -> None:
        super().__init__(scope, id)
        self.function = Handler(
            self,
            "Function",
            entry=entry,
            code=source("functions", "contract"),
            environment=environment,
            settings=settings,
            seconds=LONGEST_SECONDS,
            dead_letter_queue=dead_letters,
        )
        grants.encrypt(self.function, dead_letters.encryption_master_key)
        events.Rule(
            self,
            "Schedule",
            description=description,
            schedule=events.Schedule.rate(every),
            targets=[reliably(self.function, dead_letters)],
        )
