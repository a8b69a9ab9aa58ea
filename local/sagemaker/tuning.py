"""One tuning job: real training jobs, several at a time, each with the values that the search proposes."""

from __future__ import annotations

import functools
import logging
import queue
import secrets
import threading
import time
from typing import TYPE_CHECKING, Any

from local import events
from local.sagemaker import tuning_record as told
from local.sagemaker import tuning_request as asked
from local.sagemaker.records import now
from local.sagemaker.tuning_record import Trained, TuningRecord
from local.sagemaker.tuning_search import Search
from local.sagemaker.tuning_training import Event, TunedTrainingJob

if TYPE_CHECKING:
    from local.cloud import Cloud
    from local.sagemaker.training_api import TrainingJobs

log = logging.getLogger(__name__)
ATTEMPTS = 5  # training jobs that may end without an objective before the tuning job gives up
LOOK = "please take a look at the training job failures by listing training jobs for the hyperparameter tuning job."
NO_SUCCESS = f"No training job succeeded after {ATTEMPTS} attempts. For additional details, {LOOK}"
ALL_FAILED = f"All training jobs failed. For additional details, {LOOK}"
NO_OBJECTIVE = (
    "No objective metrics found after running {count} training jobs. Please ensure that the custom algorithm is "
    "emitting the objective metric as defined by the regular expression provided."
)


class TuningJob:
    """One tuning job on its own thread.

    Args:
        cloud: where it runs.
        backend: moto's, of the account and region.
        record: what Describe shows.
        trainings: runs its training jobs.
        parents: the tuning jobs it starts from.
    """

    def __init__(
        self, cloud: Cloud, backend: Any, record: TuningRecord, trainings: TrainingJobs, parents: list[TuningRecord]
    ) -> None:
        self.cloud, self.backend, self.record, self.trainings, self.parents = cloud, backend, record, trainings, parents
        request = record.request
        config = request["HyperParameterTuningJobConfig"]
        self.limits, self.criteria = config["ResourceLimits"], config.get("TuningJobCompletionCriteria", {})
        self.definitions = {asked.name_of(each): each for each in asked.definitions(request)}
        self.most = asked.most_jobs(request)
        self.search = Search(
            name=record.name,
            strategy=config["Strategy"],
            spaces=asked.spaces(request),
            maximise=asked.objective(request, asked.definitions(request)[0])["Type"] == "Maximize",
            jobs=self.most,
            seed=config.get("RandomSeed"),
            resource=asked.hyperband(request),
            median_rule=config.get("TrainingJobEarlyStoppingType") == "Auto",
        )
        self._better = self.search.better
        self._events: queue.Queue[Event] = queue.Queue()
        self._finished: list[Trained] = []
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"tuning-{record.name}")

    def start(self) -> None:
        """Begin; returns at once."""
        self._inherit()
        self.enter("InProgress")
        self._thread.start()

    def stop(self) -> None:
        """Ask it to stop, as StopHyperParameterTuningJob does."""
        self.enter("Stopping")
        self._events.put(Event(kind="stop"))

    def close(self) -> None:
        """Launch nothing more, because the cloud stops; its training jobs are closed by those who run them."""
        self._events.put(Event(kind="close"))
        self._thread.join()

    def enter(self, status: str, reason: str = "") -> None:
        """Go to a status, and tell EventBridge."""
        self.record.update(HyperParameterTuningJobStatus=status, FailureReason=reason or None)
        detail = {**self.record.describe(), "Tags": {tag["Key"]: tag["Value"] for tag in self.record.tags}}
        events.publish(
            self.cloud,
            source="aws.sagemaker",
            detail_type="SageMaker HyperParameter Tuning Job State Change",
            detail=events.in_milliseconds(detail),
            resources=[self.record.arn],
        )

    def _run(self) -> None:
        try:
            status, reason = self._tune()
        except _Closed:
            return
        except Exception as error:
            log.exception("the laptop cloud failed at tuning job %s", self.record.name)
            self._stop_running()
            status, reason = "Failed", f"InternalServerError: the laptop cloud: {error!r}"
        self.record.update(HyperParameterTuningEndTime=now())
        self.enter(status, reason)

    def _tune(self) -> tuple[str, str]:
        """Train until there is nothing more to do; return status and FailureReason."""
        ending: tuple[str, str] | None = None
        while True:
            while ending is None and len(self.record.trained) < self.most and len(self._running) < self._parallel:
                self._launch()
            self._refresh()
            if not self._running:
                break
            event = self._next_event(forever=ending is not None)
            self._take(event)
            if ending is None and (ending := self._ending(event)):
                self._stop_running()
        status, reason = ending or ("Completed", "")
        if status == "Completed" and not self._succeeded:
            return "Failed", self._why_none(ALL_FAILED)
        return status, reason

    def _launch(self) -> None:
        """Start the next training job."""
        proposal = self.search.propose()
        definition, request = self.definitions[proposal.definition], self.record.request
        name = f"{self.record.name}-{len(self.record.trained) + 1:03d}-{secrets.token_hex(4)}"
        metric = asked.objective(request, definition)
        training = self.trainings.launch(
            self.backend,
            asked.training_request(request, definition, name, proposal.values),
            make=functools.partial(
                TunedTrainingJob,
                instances=asked.instances(definition),
                metric=metric["MetricName"],
                tell=self._events.put,
            ),
            TuningJobArn=self.record.arn,
        )
        self.record.trained.append(
            Trained(
                number=proposal.number,
                definition=proposal.definition,
                values=proposal.values,
                metric=metric,
                record=training,
            )
        )

    def _next_event(self, *, forever: bool) -> Event:
        """Return what happens next; ``expired`` when MaxRuntimeInSeconds is over."""
        limit = self.limits.get("MaxRuntimeInSeconds")
        timeout = None if limit is None or forever else max(self._began + limit - time.monotonic(), 0.0)
        try:
            return self._events.get(timeout=timeout)
        except queue.Empty:
            return Event(kind="expired")

    def _take(self, event: Event) -> None:
        """Learn from a training job's news."""
        if event.kind == "close":
            raise _Closed
        job = next((each for each in self.record.trained if each.record.name == event.job), None)
        if job is None or job.ended:
            return
        if event.kind == "value" and self.search.report(job.number, event.value):
            self.trainings.stop(job.record)
        if event.kind == "end":
            status = job.record.get("TrainingJobStatus")
            job.objective = None if status == "Failed" else _final(job)
            self.search.tell(job.number, job.objective, stopped=status == "Stopped")
            job.ended = True
            self._finished.append(job)

    def _ending(self, event: Event) -> tuple[str, str] | None:
        """Return status and reason if no more training jobs are to be launched."""
        if event.kind == "stop":
            return "Stopped", ""
        if event.kind == "expired":
            return "Completed", ""
        if len(self._finished) >= ATTEMPTS and not self._succeeded:
            return "Failed", self._why_none(NO_SUCCESS)
        best = self._best()
        target = self.criteria.get("TargetObjectiveMetricValue")
        if best and best.objective is not None and target is not None and not self._better(target, best.objective):
            return "Completed", ""
        most = self.criteria.get("BestObjectiveNotImproving", {}).get("MaxNumberOfTrainingJobsNotImproving")
        return ("Completed", "") if most and self._not_improving() >= most else None

    def _refresh(self) -> None:
        """Have Describe show what there is now."""
        best = self._best()
        shown = best.summary() if best else None
        identical = self.record.request.get("WarmStartConfig", {}).get("WarmStartType") == "IdenticalDataAndAlgorithm"
        self.record.update(
            **told.counters(self.record.trained),
            BestTrainingJob=shown,
            OverallBestTrainingJob=told.overall_best(self.record, shown, self.parents, self._better)
            if identical
            else None,
            TuningJobCompletionDetails={"NumberOfTrainingJobsObjectiveNotImproving": self._not_improving()},
            ConsumedResources={"RuntimeInSeconds": int(time.monotonic() - self._began)},
        )

    def _best(self) -> Trained | None:
        return told.best(self._finished, self._better)

    def _not_improving(self) -> int:
        return told.not_improving(self._finished, self._better)

    def _inherit(self) -> None:
        """Learn from the training jobs of the parents."""
        for parent in self.parents:
            for each in parent.trained:
                if each.objective is not None:
                    self.search.observe(
                        next(iter(self.definitions)), each.record.request["HyperParameters"], each.objective
                    )

    def _stop_running(self) -> None:
        for each in self._running:
            self.trainings.stop(each.record)

    def _why_none(self, otherwise: str) -> str:
        trained = any(each.record.get("TrainingJobStatus") == "Completed" for each in self._finished)
        return NO_OBJECTIVE.format(count=len(self._finished)) if trained else otherwise

    @property
    def _parallel(self) -> int:
        return int(self.limits["MaxParallelTrainingJobs"])

    @property
    def _running(self) -> list[Trained]:
        return [each for each in self.record.trained if not each.ended]

    @property
    def _succeeded(self) -> list[Trained]:
        return [each for each in self._finished if each.objective is not None]


class _Closed(Exception):
    """The cloud stops."""


def _final(job: Trained) -> float | None:
    """Return the last value of its objective among a training job's final metrics."""
    finals = {each["MetricName"]: float(each["Value"]) for each in job.record.get("FinalMetricDataList") or []}
    return finals.get(job.metric["MetricName"])
