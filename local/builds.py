"""CodeBuild: a build unpacks its source, builds the image of its Dockerfile, and pushes it to ECR.

The commands of the buildspec are not run: what they do (docker build, tag,
push) is done from the source itself. The tag to push is told by the project's
environment variables, our own names or the usual ones.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moto.codebuild.exceptions import InvalidInputException, ResourceNotFoundException

from contract import names
from local import dockerfile, images
from local.permissions import platform
from local.sagemaker.objects import Location, MissingInput, Objects
from local.sagemaker.records import now

if TYPE_CHECKING:
    from local.cloud import Cloud

log = logging.getLogger(__name__)
REPOSITORY = (names.SERVING_IMAGE_REPOSITORY, "IMAGE_REPOSITORY_URI")
TAG = (names.SERVING_IMAGE_TAG, "IMAGE_TAG")
PLATFORM = "AWSCodeBuild"  # the session's name when it takes a project's role
OVERRIDES = {"projectName", "environmentVariablesOverride", "sourceVersion", "idempotencyToken"}


class Failed(Exception):
    """A phase failed.

    Args:
        code: CodeBuild's status code.
        message: why.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Build:
    """One build, on its own thread."""

    def __init__(self, cloud: Cloud, project: dict[str, Any], variables: dict[str, str], number: int) -> None:
        account, region = project["arn"].split(":")[4], project["arn"].split(":")[3]
        self.cloud, self.project, self.variables = cloud, project, variables
        self.id = f"{project['name']}:{uuid.uuid4()}"
        self.stream = self.id.split(":")[1]
        told = (project.get("logsConfig") or {}).get("cloudWatchLogs") or {}
        self.group = told.get("groupName") or f"/aws/codebuild/{project['name']}"
        self._log = platform.log_stream(cloud, project["serviceRole"], PLATFORM, self.group, self.stream)
        self._lock = threading.Lock()
        self.folder = cloud.root / "builds" / self.stream
        self.stopped = threading.Event()
        self._fields: dict[str, Any] = {
            "id": self.id,
            "arn": f"arn:aws:codebuild:{region}:{account}:build/{self.id}",
            "buildNumber": number,
            "startTime": now(),
            "buildStatus": "IN_PROGRESS",
            "currentPhase": "SUBMITTED",
            "projectName": project["name"],
            "source": project["source"],
            "environment": project["environment"],
            "serviceRole": project["serviceRole"],
            "phases": [],
            "buildComplete": False,
            "initiator": "laptop",
            "logs": {"groupName": self.group, "streamName": self.stream},
        }
        self.thread = threading.Thread(target=self._run, daemon=True, name=f"build-{self.id}")

    def describe(self) -> dict[str, Any]:
        """Return the build as BatchGetBuilds shows it."""
        with self._lock:
            return {**self._fields, "phases": [dict(phase) for phase in self._fields["phases"]]}

    def _run(self) -> None:
        try:
            for name in ("SUBMITTED", "QUEUED", "PROVISIONING"):
                self._phase(name, lambda: None)
            self._phase("DOWNLOAD_SOURCE", self._download)
            digest: list[str] = []
            self._phase("BUILD", lambda: digest.append(self._build()))
            self._phase("POST_BUILD", lambda: self._push(digest[0]))
            self._phase("FINALIZING", lambda: None)
            status = "SUCCEEDED"
        except Failed:
            status = "FAILED"
        self._finish("STOPPED" if self.stopped.is_set() else status)

    def _phase(self, name: str, work: Callable[[], None]) -> None:
        began = now()
        self._update(currentPhase=name)
        phase: dict[str, Any] = {"phaseType": name, "phaseStatus": "SUCCEEDED", "startTime": began}
        try:
            if self.stopped.is_set():
                raise Failed("STOPPED", "the build was stopped")
            work()
        except Failed as error:
            self._say(f"{name} failed: {error}")
            phase |= {"phaseStatus": "FAILED", "contexts": [{"statusCode": error.code, "message": str(error)}]}
            raise
        except Exception as error:
            log.exception("the laptop cloud failed at build %s", self.id)
            phase |= {"phaseStatus": "FAULT", "contexts": [{"statusCode": "INTERNAL", "message": repr(error)}]}
            raise Failed("INTERNAL", repr(error)) from error
        finally:
            ended = now()
            phase |= {"endTime": ended, "durationInSeconds": int((ended - began).total_seconds())}
            with self._lock:
                self._fields["phases"].append(phase)

    def _download(self) -> None:
        source = self.project["source"]
        if source["type"] != "S3":
            raise Failed("YAML_FILE_ERROR", f"source type {source['type']} is not emulated by the laptop cloud; S3 is")
        bucket, _, key = source["location"].removeprefix("arn:aws:s3:::").partition("/")
        archive = self.folder / "source.zip"
        try:
            s3 = self.cloud.callers.client(self.project["serviceRole"], "s3", PLATFORM)
            Objects(s3).download(Location(bucket=bucket, key=key), archive)
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(self.folder / "source")
                _restore_modes(packed, self.folder / "source")
        except (MissingInput, zipfile.BadZipFile) as error:
            raise Failed("CLIENT_ERROR", f"cannot get the source s3://{bucket}/{key}: {error}") from error

    def _build(self) -> str:
        source = self.folder / "source"
        found = sorted(source.rglob("Dockerfile"))
        if len(found) != 1:
            raise Failed(
                "COMMAND_EXECUTION_ERROR", f"the source has {len(found)} files called Dockerfile; expected one"
            )
        try:
            return dockerfile.build(
                dockerfile=found[0], context=source, store=self.cloud.root / "images", say=self._say
            )
        except dockerfile.BuildFailed as error:
            where = os.fspath(found[0].relative_to(source))
            raise Failed("COMMAND_EXECUTION_ERROR", f"docker build of {where}: {error}") from error

    def _push(self, digest: str) -> None:
        repository, tag = _either(self.variables, REPOSITORY), _either(self.variables, TAG)
        verbs = (*platform.PUSH, *platform.PULL)  # what another build was faster with is pulled
        if refusal := platform.moving(self.cloud, self.project["serviceRole"], PLATFORM, repository, verbs):
            raise Failed("COMMAND_EXECUTION_ERROR", f"docker push {repository}:{tag}: denied: {refusal}")
        try:
            pushed = images.push(self.cloud, digest, repository, tag)
        except images.PushFailed as error:
            raise Failed("COMMAND_EXECUTION_ERROR", f"docker push {repository}:{tag}: {error}") from error
        self._say(f"{repository}:{tag} is {pushed}")

    def _finish(self, status: str) -> None:
        ended = now()
        with self._lock:
            self._fields["phases"].append({"phaseType": "COMPLETED", "startTime": ended})
        self._update(currentPhase="COMPLETED", buildStatus=status, endTime=ended, buildComplete=True)

    def _update(self, **fields: Any) -> None:
        with self._lock:
            self._fields.update(fields)

    def _say(self, line: str) -> None:
        self._log.write([line])


class Builds:
    """StartBuild, StopBuild, BatchGetBuilds, ListBuilds, ListBuildsForProject."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self._builds: dict[str, Build] = {}
        cloud.on_stop(self.close)

    def start(self, projects: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
        """Start a build of one of moto's ``projects``."""
        name = request["projectName"]
        if name not in projects:
            raise ResourceNotFoundException(f"Project cannot be found: {name}")
        unknown = set(request) - OVERRIDES
        if unknown:
            raise InvalidInputException(
                f"StartBuild's {', '.join(sorted(unknown))} is not emulated by the laptop cloud"
            )
        project = projects[name].project_metadata
        given = [
            *project["environment"].get("environmentVariables", []),
            *request.get("environmentVariablesOverride", []),
        ]
        special = [each["name"] for each in given if each.get("type", "PLAINTEXT") != "PLAINTEXT"]
        if special:
            raise InvalidInputException(f"variables from SSM or Secrets Manager are not emulated: {', '.join(special)}")
        variables = {each["name"]: each["value"] for each in given}
        build = Build(
            self.cloud, project, variables, 1 + sum(each.project is project for each in self._builds.values())
        )
        self._builds[build.id] = build
        queued = build.describe()  # StartBuild never answers with the end, however fast that comes
        build.thread.start()
        return queued

    def get(self, ids: list[str]) -> dict[str, Any]:
        """Return the builds that exist, and the ids that do not."""
        found = [self._builds[each].describe() for each in ids if each in self._builds]
        return {"builds": found, "buildsNotFound": [each for each in ids if each not in self._builds]}

    def stop(self, build_id: str) -> dict[str, Any]:
        """Stop a build before its next phase."""
        if build_id not in self._builds:
            raise ResourceNotFoundException(f"Build {build_id} does not exist")
        self._builds[build_id].stopped.set()
        return self._builds[build_id].describe()

    def ids(self, project: str | None = None) -> list[str]:
        """Return the ids of all builds, or of a project's, newest first."""
        return [each.id for each in reversed(self._builds.values()) if project in (None, each.project["name"])]

    def close(self) -> None:
        """Wait for the builds that run, because the cloud stops."""
        for build in self._builds.values():
            build.stopped.set()
            build.thread.join()


def _either(variables: dict[str, str], known: tuple[str, ...]) -> str:
    for name in known:
        if variables.get(name):
            return variables[name]
    raise Failed("COMMAND_EXECUTION_ERROR", f"the project has no environment variable {' or '.join(known)}")


def _restore_modes(packed: zipfile.ZipFile, folder: Path) -> None:
    """Make executable again what was so when it was packed; Python leaves that out."""
    for member in packed.infolist():
        if (member.external_attr >> 16) & 0o111 and not member.is_dir():
            (folder / member.filename).chmod(0o755)
