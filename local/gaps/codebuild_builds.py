"""Gap: builds succeed without building.

AWS runs the buildspec in a container and ends as SUCCEEDED or FAILED, phase by
phase. moto says SUCCEEDED as soon as it is asked, with random durations, and
adds the phases anew at every BatchGetBuilds. Closed by ``local/builds.py``: the
source's Dockerfile is built as a process image and pushed to ECR.

Not emulated: the buildspec's commands, sources other than S3, artifacts,
variables from SSM or Secrets Manager, caches.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from moto.codebuild.responses import CodeBuildResponse
from moto.core.responses import ActionResult

from local.builds import Builds

if TYPE_CHECKING:
    from local.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Answer the operations on builds; projects stay moto's."""
    builds = Builds(cloud)

    def start_build(self: CodeBuildResponse) -> ActionResult:
        request = json.loads(self.body)
        return ActionResult({"build": builds.start(self.codebuild_backend.codebuild_projects, request)})

    def batch_get_builds(self: CodeBuildResponse) -> ActionResult:
        return ActionResult(builds.get(json.loads(self.body)["ids"]))

    def stop_build(self: CodeBuildResponse) -> ActionResult:
        return ActionResult({"build": builds.stop(json.loads(self.body)["id"])})

    def list_builds(self: CodeBuildResponse) -> ActionResult:
        return ActionResult({"ids": builds.ids()})

    def list_builds_for_project(self: CodeBuildResponse) -> ActionResult:
        return ActionResult({"ids": builds.ids(json.loads(self.body)["projectName"])})

    for operation in (start_build, batch_get_builds, stop_build, list_builds, list_builds_for_project):
        setattr(CodeBuildResponse, operation.__name__, operation)
