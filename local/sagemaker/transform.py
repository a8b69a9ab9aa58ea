"""Transform jobs: servers of a model answer every object of a prefix, and the answers go to S3."""

from __future__ import annotations

import functools
import http.client
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from local import events
from local.chaos import processes
from local.sagemaker.fleets import SHORTEST_STARTUP, STARTUP_SECONDS
from local.sagemaker.jobs import Ended, Job, failed
from local.sagemaker.model_images import ModelImages, NoFleet
from local.sagemaker.objects import Location, MissingInput
from local.sagemaker.records import Record, now
from local.sagemaker.servers import Answer, Server, Unhealthy
from local.sagemaker.training import NO_CAPACITY
from local.sagemaker.transform_records import TooMuch, assemble, payloads

if TYPE_CHECKING:
    from local.cloud import Cloud

GROUP = "/aws/sagemaker/TransformJobs"
DEFAULT_PAYLOAD, DEFAULT_SECONDS, DEFAULT_RETRIES = 6, 600, 3
RETRY_SECONDS = 1.0
SEE_LOGS = "See job logs for more information"


class BadAnswer(Exception):
    """A request that the model did not answer well; ``kind`` is whose fault it is, in SageMaker's words."""

    def __init__(self, kind: str, said: str) -> None:
        super().__init__(said)
        self.kind = kind


class TransformJob(Job):
    """One transform job, on its own thread.

    Args:
        cloud: where it runs.
        record: what Describe shows.
        model: returns a model's container definition by name, with its isolation.
    """

    def __init__(self, cloud: Cloud, record: Record, model: Callable[[str], dict[str, Any]]) -> None:
        self.request, self._model = record.request, model
        self._role = str(model(self.request["ModelName"])["ExecutionRoleArn"])  # it may be deleted before the job ends
        super().__init__(cloud, record, GROUP)
        self._servers: list[Server] = []
        self.limit: int = self.request.get("MaxPayloadInMB", DEFAULT_PAYLOAD)
        self.parallel: int = self.request.get("MaxConcurrentTransforms") or 1
        self.strategy: str = self.request.get("BatchStrategy", "MultiRecord")

    @property
    def role(self) -> str:
        """The ARN of its model's role."""
        return self._role

    def start(self) -> None:
        """Begin; returns at once."""
        self._enter("InProgress")
        super().start()

    def stop(self) -> None:
        """Ask it to stop, as StopTransformJob does: requests on their way are given up."""
        with self.record.lock:
            if self.record.get("TransformJobStatus") == "InProgress":
                self._enter("Stopping")
        super().stop()
        for server in list(self._servers):
            server.close()

    def work(self) -> None:
        """Servers up, every object answered, servers down; raises Ended."""
        instance = self.request["TransformResources"]["InstanceType"]
        if processes.is_missing(self.record.name, instance):
            raise failed(NO_CAPACITY)
        chosen = self._chosen()
        self.record.update(TransformStartTime=now())  # "starts on ML instances": the model's start is billed, too
        try:
            self._bring_up()
            ends = self._answer(chosen)
        finally:
            for server in self._servers:
                server.close()
        self._look()
        raise ends[0] if ends else Ended(status="Completed", secondary="Completed")

    def finish(self, end: Ended) -> None:
        """Record the end."""
        self._enter(end.status, TransformEndTime=now(), FailureReason=end.reason or None)

    def _chosen(self) -> list[tuple[Location, str]]:
        source = self.request["TransformInput"]["DataSource"]["S3DataSource"]
        try:
            return self.objects.choose(source["S3Uri"], source["S3DataType"])
        except MissingInput as error:
            raise failed(f"ClientError: {error}") from error

    def _bring_up(self) -> None:
        """Have healthy servers, one an instance; raises Ended when they do not come."""
        images = ModelImages(
            cloud=self.cloud,
            folder=self.folder / "servers",
            model=self._definition,
            on_line=lambda stream, line: self.on_line(stream.partition("/")[2], line),
        )
        try:
            image = images.of("transform", self.request["ModelName"])
            for number in range(self.request["TransformResources"]["InstanceCount"]):
                self._servers.append(images.server(image, "transform", number))
                self._look()  # a stop closes the servers that are in the list, and so it sees this one
                self._servers[-1].start()
            for server in self._servers:
                server.wait_until_healthy(max(self.cloud.clock.seconds(STARTUP_SECONDS), SHORTEST_STARTUP))
        except NoFleet as error:
            raise failed(f"ClientError: {error}") from error
        except Unhealthy as error:
            self._look()
            self._note(0, f"[sagemaker logs]: the model's server did not pass the ping health check: {error}")
            raise failed(f"AlgorithmError: {SEE_LOGS}") from error

    def _answer(self, chosen: list[tuple[Location, str]]) -> list[Ended]:
        """Have the servers answer every object; return the failures."""
        settings = f"MaxConcurrentTransforms={self.parallel}, MaxPayloadInMB={self.limit}"
        self._note(0, f"[sagemaker logs]: {settings}, BatchStrategy={self.strategy}")
        count = len(self._servers)
        with ThreadPoolExecutor(count, "transform") as hosts:
            shares = [chosen[number::count] for number in range(count)]
            return [end for ends in hosts.map(self._host, range(count), shares) for end in ends]

    def _definition(self, name: str) -> dict[str, Any]:
        definition = self._model(name)
        told = {
            "SAGEMAKER_BATCH": "true",
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(self.limit),
            "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": str(self.parallel),
            "SAGEMAKER_BATCH_STRATEGY": {"MultiRecord": "MULTI_RECORD"}.get(self.strategy, "SINGLE_RECORD"),
        }
        return {
            **definition,
            "Environment": {**told, **definition.get("Environment", {}), **self.request.get("Environment", {})},
        }

    def _host(self, number: int, chosen: list[tuple[Location, str]]) -> list[Ended]:
        """Have one server answer its objects; return the failures: one object's does not stop the others."""
        ends = []
        with ThreadPoolExecutor(self.parallel, f"transform-{number}") as requests:
            for location, name in chosen:
                try:
                    self._transform(number, requests, location, name)
                except (TooMuch, MissingInput) as error:
                    self._note(number, f"[sagemaker logs]: {location.bucket}/{location.key}: {error}")
                    ends.append(failed(f"ClientError: {SEE_LOGS}"))
                except BadAnswer as error:
                    for line in str(error).splitlines():
                        self._note(number, f"[sagemaker logs]: {location.bucket}/{location.key}: {line}")
                    ends.append(failed(f"{error.kind}: {SEE_LOGS}"))
        return ends

    def _transform(self, number: int, requests: ThreadPoolExecutor, location: Location, name: str) -> None:
        """Answer one object; nothing is stored unless all of it was answered."""
        source, target = self.request["TransformInput"], self.request["TransformOutput"]
        body = self.objects.read(location)
        bodies = payloads(body, source.get("SplitType", "None"), self.strategy, self.limit)
        answers = list(requests.map(functools.partial(self._ask, number), bodies))
        key = Location.parse(target["S3OutputPath"]) / f"{name}.out"
        answered = assemble(answers, target.get("AssembleWith", "None") == "Line")
        self._look()
        self.objects.write(answered, key, self.key)

    def _ask(self, number: int, body: bytes) -> bytes:
        """Return the model's answer; what is the server's fault is tried again; raises BadAnswer."""
        tries = 1 + self.request.get("ModelClientConfig", {}).get("InvocationsMaxRetries", DEFAULT_RETRIES)
        for left in reversed(range(tries)):
            self._look()
            try:
                answer = self._invoke(number, body)
            except (OSError, http.client.HTTPException) as error:
                said, kind = f"the model's server did not answer: {error!r}", "AlgorithmError"
            else:
                if answer.status == 200:
                    return answer.body
                kind = "ClientError" if 400 <= answer.status < 500 else "AlgorithmError"
                said = f"{kind}: {answer.status}\nMessage:\n{answer.body.decode(errors='replace')}"
            if kind == "ClientError" or not left:
                raise BadAnswer(kind, said)
            self.cloud.clock.sleep(RETRY_SECONDS, self._stop_asked)
        raise AssertionError("there is at least one try")

    def _invoke(self, number: int, body: bytes) -> Answer:
        headers = {
            "Content-Type": self.request["TransformInput"].get("ContentType"),
            "Accept": self.request["TransformOutput"].get("Accept"),
        }
        seconds = self.request.get("ModelClientConfig", {}).get("InvocationsTimeoutInSeconds", DEFAULT_SECONDS)
        given = {key: value for key, value in headers.items() if value}
        return self._servers[number].invoke(body, given, seconds)

    def _look(self) -> None:
        """Raise the end of a job that is stopped."""
        if self._stop_asked.is_set():
            raise Ended(status="Stopped", secondary="Stopped")

    def _note(self, number: int, line: str) -> None:
        """Write to the stream in which SageMaker itself tells of an instance."""
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        self.logs.write(f"{self.record.name}/i-{number:017x}-{self._stamp}/data-log", f"{moment}:{line}")

    def _enter(self, status: str, **fields: Any) -> None:
        """Go to a status, and tell EventBridge."""
        self.record.update(TransformJobStatus=status, **fields)
        detail = {**self.record.describe(), "Tags": {tag["Key"]: tag["Value"] for tag in self.record.tags}}
        events.publish(
            self.cloud,
            source="aws.sagemaker",
            detail_type="SageMaker Transform Job State Change",
            detail=events.in_milliseconds(detail),
            resources=[self.record.arn],
        )
