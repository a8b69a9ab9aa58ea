"""A run in MLflow: SageMaker's managed server by its ARN, or any other by its tracking URI.

An experiment is a project, a run is a run, found again by its tag. Source of the client's
calls: https://mlflow.org/docs/latest/api_reference/python_api/mlflow.client.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

from mlflow.client import MlflowClient
from mlflow.entities import Experiment, Metric, Param, RunTag

from contract import names

if TYPE_CHECKING:
    from functions.track import Story

T = TypeVar("T")
BATCH = 100  # of parameters, which one request may hold; of metrics it may hold more
VALUE_LIMIT = 5000  # characters of a parameter's or a tag's value


def tell(server: str, story: Story) -> str:
    """Log a run; return its id in MLflow.

    Args:
        server: ARN of a managed tracking server, or a tracking URI.
        story: the run.
    """
    client = MlflowClient(tracking_uri=server)
    run = _find(client, story)
    for parameters in _batches([Param(name, value[:VALUE_LIMIT]) for name, value in story.parameters.items()]):
        client.log_batch(run, params=parameters)
    for metrics in _batches(list(_metrics(story))):
        client.log_batch(run, metrics=metrics)
    client.log_batch(run, tags=[RunTag(name, value[:VALUE_LIMIT]) for name, value in story.tags.items()])
    client.set_terminated(run, "FINISHED" if story.succeeded else "FAILED", end_time=_milliseconds(story.ended))
    if story.report:  # last: a server may take all the rest and have no place for files
        client.log_text(run, story.report, "report.html")
    return run


def _find(client: MlflowClient, story: Story) -> str:
    """Return the id of the run in MLflow, made when there is none."""
    experiment: Experiment | None = client.get_experiment_by_name(story.experiment)
    number = experiment.experiment_id if experiment else client.create_experiment(story.experiment)
    found = client.search_runs([number], f"tags.`{names.TAG_RUN}` = '{story.name}'")
    if found:
        return str(found[0].info.run_id)
    tags = {names.TAG_RUN: story.name}
    made = client.create_run(number, start_time=_milliseconds(story.started), tags=tags, run_name=story.name)
    return str(made.info.run_id)


def _metrics(story: Story) -> Iterator[Metric]:
    """Yield those of each epoch, its number as the step, then those of the held-out rows."""
    moment = story.started
    for epoch in story.epochs:
        moment += epoch.get("seconds", 0.0)
        for name, value in epoch.items():
            if name != "epoch":
                yield Metric(name, value, _milliseconds(moment), int(epoch["epoch"]))
    for name, value in story.results.items():
        yield Metric(name, value, _milliseconds(story.ended), 0)


def _batches(things: list[T]) -> Iterator[list[T]]:
    for first in range(0, len(things), BATCH):
        yield things[first : first + BATCH]


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
