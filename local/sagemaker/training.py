"""Training jobs: one process tree a host, from CreateTrainingJob to the model in S3."""

from __future__ import annotations

import itertools
import math
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from local.chaos import processes
from local.chaos.faults import SpotInterruption
from local.chaos.lab import LAB
from local.sagemaker import containers, namespace, opt_ml, rules, script_mode
from local.sagemaker.gpus import Gpus
from local.sagemaker.jobs import Ended, Event, Job, Member, describe_network, discard, failed
from local.sagemaker.objects import Location, MissingInput, Sync, shard
from local.sagemaker.records import Record, now
from local.sagemaker.telemetry import Metrics

if TYPE_CHECKING:
    from local.cloud import Cloud

GROUP = NAMESPACE = "/aws/sagemaker/TrainingJobs"
CHECKPOINTS = "/opt/ml/checkpoints"
NO_CAPACITY = (
    "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type."
)
MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Interrupted": "Training job interrupted: the managed spot training instances were taken back",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Completed": "Training job completed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job wait time exceeded MaxWaitTimeInSeconds provided",
}


class TrainingJob(Job):
    """One training job, on its own thread."""

    def __init__(self, cloud: Cloud, record: Record, output: Location) -> None:
        super().__init__(cloud, record, GROUP)
        self.request, self.output = record.request, output
        self.training_started: datetime | None = None
        self.spot_returns = True
        definitions = self.request["AlgorithmSpecification"].get("MetricDefinitions", [])
        self.metrics = Metrics(self.client("cloudwatch"), definitions, NAMESPACE, {"TrainingJobName": record.name})
        self.gpus = Gpus(cloud, record.name)

    def work(self) -> None:
        """Run attempts until one is not interrupted; raises Ended."""
        condition = self.request["StoppingCondition"]
        began = time.monotonic()
        trained = 0.0
        for attempt in itertools.count(1):
            self.enter("Starting")
            machines = self.provision()
            container, command = self.resolve()
            self.enter("Downloading")
            self.members = self.download(attempt, machines)
            self.enter("Training")
            kinds = (instance for _, instance, count in machines for _ in range(count))
            self.gpus.begin(dict(zip((member.name for member in self.members), kinds, strict=True)))
            self.training_started = self.training_started or now()
            started = time.monotonic()
            result = self.train(container, command, condition.get("MaxRuntimeInSeconds", rules.DAY) - trained)
            trained += time.monotonic() - started
            if isinstance(result, Ended):
                self.upload(result)
                raise result
            self.enter("Interrupted")
            left = condition["MaxWaitTimeInSeconds"] - (time.monotonic() - began)
            if not self.spot_returns:
                self.cloud.clock.sleep(max(left, 0), self._stop_asked)
            if left <= 0 or not self.spot_returns:
                raise Ended(status="Stopped", secondary="MaxWaitTimeExceeded")

    def provision(self) -> list[tuple[str, str, int]]:
        """Return the instance groups that are to be had (name, type, count): all, or the first preference of which
        there are machines."""
        resources = self.request["ResourceConfig"]
        if "InstanceGroups" in resources:
            groups = [(each["InstanceGroupName"], each["InstanceType"], each["InstanceCount"])
                      for each in resources["InstanceGroups"]]  # fmt: skip
            if any(processes.is_missing(self.record.name, instance) for _, instance, _ in groups):
                raise failed(NO_CAPACITY)
            return groups
        for each in resources.get("InstancePreferences", [resources]):
            instance, count = each["InstanceType"], each.get("InstanceCount", resources.get("InstanceCount"))
            if not processes.is_missing(self.record.name, instance):
                if "InstancePreferences" in resources:
                    chosen = {"SelectedInstanceType": instance, "SelectedInstanceCount": count}
                    self.record.update(ResourceConfig={**resources, **chosen})
                return [(opt_ml.GROUP, instance, count)]
        raise failed(NO_CAPACITY)

    def resolve(self) -> tuple[containers.Container, list[str]]:
        """Return the image's container and the command to run in it."""
        algorithm = self.request["AlgorithmSpecification"]
        try:
            container = containers.resolve(self.cloud, algorithm["TrainingImage"], self.role)
        except containers.NoImage as error:
            raise failed(f"ClientError: Cannot pull algorithm container: {error}") from error
        if "ContainerEntrypoint" in algorithm:
            return container, [*algorithm["ContainerEntrypoint"], *algorithm.get("ContainerArguments", [])]
        if missing := script_mode.missing(container.framework):
            raise failed(f"ClientError: {missing}")
        entrypoint = script_mode.ENTRYPOINT if container.deep_learning else container.entrypoint
        return container, [*entrypoint, *algorithm.get("ContainerArguments", ["train"])]

    def download(self, attempt: int, machines: list[tuple[str, str, int]]) -> list[Member]:
        """Make the hosts' folders: configuration, channels and earlier checkpoints."""
        members = self.cluster(sum(count for _, _, count in machines), attempt)
        names = iter([member.visible_name for member in members])
        groups = [
            opt_ml.group(list(itertools.islice(names, count)), instance, name) for name, instance, count in machines
        ]
        for member in members:
            resources = opt_ml.resource_config(member.visible_name, groups)
            opt_ml.write_training(member.root, self.request, resources)
        try:
            for channel in self.request.get("InputDataConfig", []):
                self._download_channel(channel, members)
            self._download_checkpoints(members)
        except MissingInput as error:
            raise failed(f"ClientError: Data download failed: {error}") from error
        return members

    def train(self, container: containers.Container, command: list[str], seconds: float) -> Ended | Event:
        """Run the containers of all hosts, uploading checkpoints meanwhile."""
        hosts = [member.host(container, command, self.environment(container, member)) for member in self.members]
        syncs = [sync.start() for sync in self._syncs()]
        try:
            return self.run_containers(hosts, isolated=describe_network(self.request), seconds=seconds)
        finally:
            for sync in syncs:
                sync.finish()
            self.metrics.flush()

    def environment(self, container: containers.Container, member: Member) -> dict[str, str]:
        """Return the variables that image and platform set, then the request's."""
        region = self.record.arn.split(":")[3]
        platform = {
            "TRAINING_JOB_NAME": self.record.name,
            "TRAINING_JOB_ARN": self.record.arn,
            "CURRENT_HOST": member.visible_name,
            "DMLC_INTERFACE": opt_ml.INTERFACE,
            "SAGEMAKER_REGION": region,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
        }
        isolated = describe_network(self.request)
        own_network = isolated and not namespace.unavailable()
        image = script_mode.environment(self.record.name, container.framework, own_network=own_network)
        return {**image, **platform, **self.reach, **self.request.get("Environment", {})}

    def upload(self, end: Ended) -> None:
        """Store the model (unless the job failed) and the other output."""
        roots = [member.root for member in self.members]
        scratch = self.folder / "output.tar.gz"
        if end.status != "Failed":
            self.enter("Uploading")
            models = [root / "model" for root in roots]
            self.objects.upload_archive(models, self.output / "model.tar.gz", scratch, self.key)
        others = [root / "output" / "data" for root in roots]
        self.objects.upload_archive(others, self.output / "output.tar.gz", scratch, self.key)

    def on_line(self, host: str, line: str) -> None:
        """Take a line: log, metrics, and an interruption that waits for it."""
        super().on_line(host, line)
        for name, value in self.metrics.read(line):
            self.on_metric(name, value)
        spot = self.request.get("EnableManagedSpotTraining")
        if spot and (taken := LAB.take(SpotInterruption, job=self.record.name, when=line)):
            self.spot_returns = taken.comes_back
            self.events.put(Event(kind="interrupt"))

    def on_metric(self, name: str, value: float) -> None:
        """Take a metric's value, as soon as a container prints it."""

    def on_stopping(self) -> None:
        """StopTrainingJob was called."""
        self.record.update(TrainingJobStatus="Stopping")
        self.enter("Stopping")

    def tick(self) -> None:
        """Send metrics while the job runs."""
        self.metrics.flush()
        self.gpus.look(self.machines)

    def enter(self, secondary: str, message: str = "") -> None:
        """Go to a secondary status."""
        moment = now()
        with self.record.lock:
            transitions = [dict(each) for each in self.record.get("SecondaryStatusTransitions") or []]
            if transitions:
                transitions[-1].setdefault("EndTime", moment)
            step = {"Status": secondary, "StartTime": moment, "StatusMessage": message or MESSAGES[secondary]}
            self.record.update(SecondaryStatus=secondary, SecondaryStatusTransitions=[*transitions, step])

    def finish(self, end: Ended) -> None:
        """Record the end: status, reason, times, final metrics."""
        ended = now()
        self.enter(end.secondary, end.reason or MESSAGES[end.secondary])
        times: dict[str, Any] = {"TrainingEndTime": ended}
        if self.training_started:
            seconds = math.ceil((ended - self.training_started).total_seconds())
            times |= {
                "TrainingStartTime": self.training_started,
                "TrainingTimeInSeconds": seconds,
                "BillableTimeInSeconds": seconds,
            }
        self.record.update(
            **times,
            FinalMetricDataList=self.metrics.final(),
            FailureReason=end.reason or None,
            TrainingJobStatus=end.status,
        )
        if end.status == "Completed":
            discard(self.folder)

    def _download_channel(self, channel: dict[str, Any], members: list[Member]) -> None:
        source = channel["DataSource"]["S3DataSource"]
        chosen = self.objects.choose(source["S3Uri"], source["S3DataType"])
        distribution = source.get("S3DataDistributionType", "FullyReplicated")
        for index, member in enumerate(members):
            own = shard(chosen, distribution, index, len(members))
            self.objects.download_all(own, member.root / "input" / "data" / channel["ChannelName"])

    def _download_checkpoints(self, members: list[Member]) -> None:
        if config := self.request.get("CheckpointConfig"):
            location = Location.parse(config["S3Uri"])
            folder = Location(bucket=location.bucket, key=f"{location.key.rstrip('/')}/")
            keys = self.objects.keys(folder)
            chosen = [(Location(bucket=folder.bucket, key=key), key.removeprefix(folder.key)) for key in keys]
            for member in members:
                self.objects.download_all(chosen, self._checkpoints(member))

    def _syncs(self) -> list[Sync]:
        config = self.request.get("CheckpointConfig")
        if not config:
            return []
        return [Sync(self.objects, self._checkpoints(each), Location.parse(config["S3Uri"])) for each in self.members]

    def _checkpoints(self, member: Member) -> Any:
        inside = self.request["CheckpointConfig"].get("LocalPath", CHECKPOINTS)
        return opt_ml.path_in(member.root, inside, "CheckpointConfig.LocalPath")
