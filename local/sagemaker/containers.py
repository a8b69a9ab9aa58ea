"""What an image URI means on a laptop: which program, environment and files."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from local import dockerfile, images
from local.permissions import platform
from local.sagemaker import namespace

if TYPE_CHECKING:
    from local.cloud import Cloud

# AWS's Deep Learning Containers: the laptop's own Python environment stands for them.
DEEP_LEARNING = re.compile(
    r"(\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?|public\.ecr\.aws/deep-learning-containers)"
    r"/(?P<framework>pytorch|tensorflow)[a-z0-9-]*[:@].+"
)
SPARK = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/sagemaker-spark-processing:.+")
SPARK_PROGRAMS = Path(__file__).parent / "spark"  # what stands for the image's own launcher
PYTHON = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
PROGRAMS = str(Path(sys.executable).parent)  # what stands for /usr/local/bin of a Python image
PYTHON_FOLDER = "/usr/local/bin"
LAPTOP = ("OMP_NUM_THREADS", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")  # how much of the laptop may be used


class NoImage(Exception):
    """An image that cannot be run here; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Container:
    """How to start an image.

    Args:
        entrypoint: the image's own program, [] if it has none that the laptop can run.
        environment: its variables, without a job's.
        folder: working directory inside.
        binds: path inside -> path outside, of the image's own files.
        arguments: what the program gets when nobody gives others.
        framework: of AWS's Deep Learning Containers, which have script mode: ``pytorch`` or ``tensorflow``; else "".
    """

    entrypoint: list[str]
    environment: dict[str, str]
    folder: str = "/"
    binds: dict[str, Path] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)
    framework: str = ""

    @property
    def deep_learning(self) -> bool:
        """Whether it is one of AWS's Deep Learning Containers."""
        return self.framework != ""

    def relocated(self) -> Container:
        """Return the container for a machine where ``binds`` cannot be made: its paths lead to the files themselves."""

        def real(text: str) -> str:
            for inside, outside in self.binds.items():
                if text == inside or text.startswith(f"{inside}/"):
                    return f"{outside}{text.removeprefix(inside)}"
            return text

        return Container(
            entrypoint=[real(word) for word in self.entrypoint],
            arguments=[real(word) for word in self.arguments],
            environment={
                name: os.pathsep.join(map(real, value.split(os.pathsep))) for name, value in self.environment.items()
            },
            folder=real(self.folder),
        )


def resolve(cloud: Cloud, uri: str, role: str) -> Container:
    """Return how to start the image ``uri``, which a role pulls; raises NoImage."""
    if refusal := platform.moving(cloud, role, "SageMaker", uri, platform.PULL):
        raise NoImage(f"the image {uri} does not exist, or its permissions are incorrect: {refusal}")
    laptop = {name: os.environ[name] for name in LAPTOP if name in os.environ}
    base = {"PATH": _path(dockerfile.BASE_ENVIRONMENT["PATH"]), **PYTHON, **laptop}
    try:
        image = images.find(cloud, uri)
    except images.ImageNotFound as error:
        if match := DEEP_LEARNING.fullmatch(uri):
            return Container(entrypoint=[], environment=base, framework=match["framework"])
        if SPARK.fullmatch(uri):
            return _spark(base)
        raise NoImage(
            f"the image {uri} can only run on AWS: on the laptop, Deep Learning Containers (.../pytorch*:tag, "
            ".../tensorflow*:tag) stand for this Python environment, and images built by CodeBuild run from ECR here "
            f"({error})"
        ) from error
    container = Container(
        entrypoint=image.entrypoint,
        arguments=image.arguments,
        environment={**base, **image.environment, "PATH": _path(image.environment.get("PATH", base["PATH"]))},
        folder=image.folder,
        binds=image.binds,
    )
    return container.relocated() if namespace.unavailable() else container


def _spark(base: dict[str, str]) -> Container:
    """Return AWS's Spark image, for which pyspark and Java stand here."""
    if importlib.util.find_spec("pyspark") is None or shutil.which("java") is None:
        raise NoImage("preparation on Spark needs pyspark (pip install 'tandem-ml[spark]') and Java 17 on this machine")
    return Container(entrypoint=[], environment={**base, "PATH": os.pathsep.join([str(SPARK_PROGRAMS), base["PATH"]])})


def _path(path: str) -> str:
    """Return an image's PATH with this environment's programs where the image has Python's own."""
    folders = path.split(os.pathsep)
    own = [folder for folder in folders if folder != PROGRAMS]
    place = own.index(PYTHON_FOLDER) if PYTHON_FOLDER in own else len(own)
    return os.pathsep.join([*own[:place], PROGRAMS, *own[place:]])
