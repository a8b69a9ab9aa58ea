"""Runbooks: the pages for whoever is called. Every alarm and every message to people ends with the address of one."""

from __future__ import annotations

from enum import StrEnum

FOLDER = "docs/runbooks"


class Runbook(StrEnum):
    """The pages, by the names of their files."""

    UNDELIVERED_EVENT = "undelivered-event"
    SLEEP_SCHEDULE = "sleep-schedule"
    API_ERRORS = "api-errors"
    SPENDING = "spending"
    RUN_FAILED = "run-failed"
    BATCH_FAILED = "batch-failed"
    SLEEP_FAILED = "sleep-failed"
    RECOVERY_FAILED = "recovery-failed"
    APPROVAL_WANTED = "approval-wanted"
    MODEL_ERRORS = "model-errors"
    MODEL_LATENCY = "model-latency"
    MODEL_BACKLOG = "model-backlog"

    @property
    def page(self) -> str:
        """Where it is in the repository."""
        return f"{FOLDER}/{self.value}.md"

    def after(self, text: str) -> str:
        """Return what an alarm says, with the page's address."""
        return f"{text}. {self.page}"
