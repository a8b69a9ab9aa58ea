"""Fetches what ``follow`` needs while a run goes on, and shows it until the run ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from botocore.exceptions import ClientError
from rich.live import Live

from cli import follow
from cli.aws import Account, error_code
from cli.errors import NotDeployed
from cli.follow import Progress, Search
from cli.progress_view import Lines, picture
from cli.render import Output
from contract import names

LOG_GROUPS = {"training": names.TRAINING_LOGS, "processing": names.PROCESSING_LOGS}
POLL_SECONDS = 1.0  # GetExecutionHistory is refilled at 20 calls a second for the whole account
SEARCH_SECONDS = 5.0  # between two looks at a search's training jobs: up to eight pages of them
START_SECONDS = 120.0


@dataclass(kw_only=True)
class LogTail:
    """The lines of one job's log so far; each fetch asks only for what is new."""

    account: Account
    group: str
    job: str
    lines: list[str] = field(default_factory=list)
    _tokens: dict[str, str] = field(default_factory=dict)

    def fetch(self) -> list[str]:
        """Return all lines so far, over all hosts."""
        logs = self.account.client("logs")
        try:
            streams = logs.describe_log_streams(logGroupName=self.group, logStreamNamePrefix=f"{self.job}/")
        except ClientError as error:
            if error_code(error) == "ResourceNotFoundException":  # nothing was logged yet
                return self.lines
            raise
        for stream in streams["logStreams"]:
            self._fetch_stream(logs, stream["logStreamName"])
        return self.lines

    def _fetch_stream(self, logs: Any, stream: str) -> None:
        while True:
            token = self._tokens.get(stream)
            page = logs.get_log_events(
                logGroupName=self.group,
                logStreamName=stream,
                startFromHead=True,
                **({"nextToken": token} if token else {}),
            )
            self.lines += [event["message"] for event in page["events"]]
            self._tokens[stream] = page["nextForwardToken"]
            if not page["events"] or page["nextForwardToken"] == token:
                return


class Watcher:
    """One execution, of the pipeline or of the deployment machine, as it goes on."""

    def __init__(self, account: Account, execution_arn: str) -> None:
        self.account, self.execution_arn = account, execution_arn
        self._tails: dict[str, LogTail] = {}
        self._ended: dict[str, Progress] = {}
        self._searched: tuple[float, Search | None] = (-SEARCH_SECONDS, None)

    def poll(self) -> Progress:
        """Return how far the execution is now."""
        described = self.account.client("stepfunctions").describe_execution(executionArn=self.execution_arn)
        outer = self._history(self.execution_arn, 0)
        inner = [self._history(arn, 1) for arn in outer.jobs("execution")]
        return replace(
            follow.join(outer, inner),
            epochs=follow.read_epochs(self._training_log(outer.jobs("training"))),
            search=self._search(outer),
            status=described["status"],
            started=described["startDate"],
            ended=described.get("stopDate"),
            error=described.get("error") or outer.error,
            cause=described.get("cause") or outer.cause,
        )

    def polls(self) -> Iterator[Progress]:
        """Yield the progress about once a second, until the execution has ended."""
        while True:
            progress = self.poll()
            yield progress
            if progress.finished:
                return
            time.sleep(POLL_SECONDS)

    def _history(self, arn: str, depth: int) -> Progress:
        if arn not in self._ended:
            pages = self.account.pages("stepfunctions", "get_execution_history", "events", executionArn=arn)
            progress = follow.read_history(pages, depth=depth)
            if not progress.finished:
                return progress
            self._ended[arn] = progress
        return self._ended[arn]

    def _search(self, progress: Progress) -> Search | None:
        """Return how far the run's newest tuning job is, or was some seconds ago; None when there is none."""
        when, search = self._searched
        if progress.finished or time.monotonic() - when >= SEARCH_SECONDS:
            self._searched = time.monotonic(), self._look_at_search(progress)
            return self._searched[1]
        return search

    def _look_at_search(self, progress: Progress) -> Search | None:
        planned = progress.planned_search
        if not planned or not progress.jobs("tuning"):
            return None
        name = progress.jobs("tuning")[-1]
        operation, member = "list_training_jobs_for_hyper_parameter_tuning_job", "TrainingJobSummaries"
        try:
            listed = list(self.account.pages("sagemaker", operation, member, HyperParameterTuningJobName=name))
        except ClientError as error:
            if error_code(error) != "ResourceNotFound":  # it is about to be created
                raise
            listed = []
        return follow.read_search(listed, metric=planned["metric"], wanted=planned["jobs"])

    def _training_log(self, jobs: list[str]) -> Iterator[str]:
        for job in jobs:
            tail = LogTail(account=self.account, group=LOG_GROUPS["training"], job=job)
            yield from self._tails.setdefault(job, tail).fetch()


def execution_of(account: Account, run: str) -> str:
    """Return the ARN that the pipeline's execution named ``run`` has (or will have)."""
    return account.installation.pipeline_arn.replace(":stateMachine:", ":execution:") + f":{run}"


def wait_for_start(account: Account, arn: str) -> None:
    """Return once the execution exists.

    Raises:
        NotDeployed: when it has not started after two minutes.
    """
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            account.client("stepfunctions").describe_execution(executionArn=arn)
            return
        except ClientError as error:
            if error_code(error) != "ExecutionDoesNotExist":
                raise
        if time.monotonic() > deadline:
            raise NotDeployed(
                f"The upload arrived, but no run started within {START_SECONDS:.0f} s.",
                "Look at the intake function's log group and its dead-letter queue; `tandem doctor` helps.",
            )
        time.sleep(POLL_SECONDS / 2)


def show(watcher: Watcher, out: Output, title: str) -> Progress:
    """Show the execution until it has ended, and return how it was then."""
    return _show_live(watcher, out, title) if out.live else _show_lines(watcher, out)


def _show_lines(watcher: Watcher, out: Output) -> Progress:
    lines = Lines()
    for progress in watcher.polls():
        for line in lines.news(progress):
            out.say(line)
    return progress


def _show_live(watcher: Watcher, out: Output, title: str) -> Progress:
    latest = Progress()
    with Live(
        get_renderable=lambda: picture(latest, title), console=out.console, refresh_per_second=8, transient=False
    ):
        for progress in watcher.polls():
            latest = progress
    return latest
