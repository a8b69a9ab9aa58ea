"""Processing jobs: inputs from S3 to local paths, a program, outputs back to S3."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.chaos import processes
from local.sagemaker import containers, opt_ml, rules
from local.sagemaker.jobs import Ended, Job, Member, describe_network, discard, failed
from local.sagemaker.objects import Location, MissingInput, Sync, shard
from local.sagemaker.records import Record, now
from local.sagemaker.training import NO_CAPACITY

if TYPE_CHECKING:
    from local.cloud import Cloud

GROUP = "/aws/sagemaker/ProcessingJobs"


class ProcessingJob(Job):
    """One processing job, on its own thread."""

    def __init__(self, cloud: Cloud, record: Record) -> None:
        super().__init__(cloud, record, GROUP)
        self.request = record.request
        self.outputs = self.request.get("ProcessingOutputConfig", {}).get("Outputs", [])

    def work(self) -> None:
        """Inputs, program, outputs; raises Ended."""
        instance, count = self.provision()
        container, command = self.resolve()
        self.members = self.cluster(count, 1)
        names = [member.visible_name for member in self.members]
        for member in self.members:
            resources = opt_ml.resource_config(member.visible_name, [opt_ml.group(names, instance)])
            opt_ml.write_processing(member.root, self.record.describe(), resources)
            self._make_outputs(member)
        self.download()
        self.record.update(ProcessingStartTime=now())
        seconds = self.request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", rules.DAY)
        end = self.process(container, command, seconds)
        if end.status == "Completed":
            self.upload()
        raise end

    def provision(self) -> tuple[str, int]:
        """Return the instance type and count that are to be had."""
        cluster = self.request["ProcessingResources"]["ClusterConfig"]
        for each in cluster.get("InstancePreferences", [cluster]):
            instance, count = each["InstanceType"], each.get("InstanceCount", cluster.get("InstanceCount", 1))
            if not processes.is_missing(self.record.name, instance):
                if "InstancePreferences" in cluster:
                    chosen = {**cluster, "SelectedInstanceType": instance, "SelectedInstanceCount": count}
                    self.record.update(ProcessingResources={"ClusterConfig": chosen})
                return instance, count
        raise failed(NO_CAPACITY)

    def resolve(self) -> tuple[containers.Container, list[str]]:
        """Return the image's container and the command to run in it."""
        application = self.request["AppSpecification"]
        try:
            container = containers.resolve(self.cloud, application["ImageUri"], self.role)
        except containers.NoImage as error:
            raise failed(f"ClientError: Cannot pull container image: {error}") from error
        entrypoint = application.get("ContainerEntrypoint", container.entrypoint)
        if not entrypoint:
            raise failed(
                f"ClientError: the laptop cloud runs {application['ImageUri']} only with a ContainerEntrypoint"
            )
        default = [] if "ContainerEntrypoint" in application else container.arguments
        return container, [*entrypoint, *application.get("ContainerArguments", default)]

    def download(self) -> None:
        """Bring the inputs to every host."""
        try:
            for each in self.request.get("ProcessingInputs", []):
                source = each["S3Input"]
                chosen = self.objects.choose(source["S3Uri"], source["S3DataType"])
                distribution = source.get("S3DataDistributionType", "FullyReplicated")
                for index, member in enumerate(self.members):
                    folder = opt_ml.path_in(member.root, source["LocalPath"], each["InputName"])
                    self.objects.download_all(shard(chosen, distribution, index, len(self.members)), folder)
        except MissingInput as error:
            raise failed(f"ClientError: Data download failed: {error}") from error

    def process(self, container: containers.Container, command: list[str], seconds: float) -> Ended:
        """Run the containers, uploading Continuous outputs meanwhile."""
        syncs = [sync.start() for sync in self._syncs()]
        hosts = [member.host(container, command, self.environment()) for member in self.members]
        try:
            end = self.run_containers(hosts, isolated=describe_network(self.request), seconds=seconds)
        finally:
            for sync in syncs:
                sync.finish()
        assert isinstance(end, Ended), "a processing job is never interrupted"
        return end

    def environment(self) -> dict[str, str]:
        """Return the variables that the platform sets, then the request's."""
        region = self.record.arn.split(":")[3]
        return {"AWS_REGION": region, "AWS_DEFAULT_REGION": region, **self.reach, **self.request.get("Environment", {})}

    def upload(self) -> None:
        """Store the EndOfJob outputs of every host."""
        for each, folder, prefix in self._output_folders():
            if each.get("S3UploadMode") != "Continuous":
                self.objects.upload_all(folder, prefix, self.key)

    def on_stopping(self) -> None:
        """StopProcessingJob was called."""
        self.record.update(ProcessingJobStatus="Stopping")

    def finish(self, end: Ended) -> None:
        """Record the end."""
        messages = [message for member in self.members if (message := opt_ml.told(member.root, "message"))]
        self.record.update(
            ProcessingJobStatus=end.status,
            ProcessingEndTime=now(),
            FailureReason=end.reason or _time_out(end) or None,
            ExitMessage=messages[0] if messages else None,
        )
        if end.status == "Completed":
            discard(self.folder)

    def _syncs(self) -> list[Sync]:
        return [
            Sync(self.objects, folder, prefix)
            for each, folder, prefix in self._output_folders()
            if each.get("S3UploadMode") == "Continuous"
        ]

    def _output_folders(self) -> list[tuple[dict[str, Any], Path, Location]]:
        return [
            (
                each["S3Output"],
                opt_ml.path_in(member.root, each["S3Output"]["LocalPath"], each["OutputName"]),
                Location.parse(each["S3Output"]["S3Uri"]),
            )
            for each in self.outputs
            for member in self.members
        ]

    def _make_outputs(self, member: Member) -> None:
        for each in self.outputs:
            path = opt_ml.path_in(member.root, each["S3Output"]["LocalPath"], each["OutputName"])
            path.mkdir(parents=True, exist_ok=True)


def _time_out(end: Ended) -> str:
    return "Job timed out: it ran longer than MaxRuntimeInSeconds" if end.secondary == "MaxRuntimeExceeded" else ""
