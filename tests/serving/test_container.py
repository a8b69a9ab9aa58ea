"""The Dockerfile and its requirements."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

from packaging.requirements import Requirement

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = (REPOSITORY / "serving" / "Dockerfile").read_text()
PINS = dict(
    line.split("==")
    for line in (REPOSITORY / "serving" / "requirements.txt").read_text().splitlines()
    if not line.startswith("#")
)


def test_the_dockerfile_keeps_to_the_instructions_that_the_laptop_cloud_knows() -> None:
    instructions = re.findall(r"^(\w+) ", DOCKERFILE, re.MULTILINE)
    known = {"FROM", "LABEL", "ENV", "WORKDIR", "COPY", "RUN", "EXPOSE", "USER", "ENTRYPOINT", "CMD"}
    assert set(instructions) <= known
    assert re.findall(r"^RUN (\w+ \w+)", DOCKERFILE, re.MULTILINE) == ["pip install"]
    assert instructions[0] == "FROM"


def test_all_that_it_copies_exists_in_the_build_context() -> None:
    for source in re.findall(r"^COPY (\S+) \S+$", DOCKERFILE, re.MULTILINE):
        assert (REPOSITORY / source).exists()
        assert source.split("/")[0] in {"contract", "serving"}


def test_sagemaker_is_told_that_the_port_can_be_chosen() -> None:
    assert "LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true" in DOCKERFILE


def test_the_image_has_the_versions_that_were_tested_here() -> None:
    assert {name: importlib.metadata.version(name) for name in PINS} == PINS


def test_whatever_a_pinned_package_needs_is_pinned_too() -> None:
    for name in PINS:
        for text in importlib.metadata.requires(name) or []:
            requirement = Requirement(text)
            on_linux = {"extra": "", "sys_platform": "linux", "platform_system": "Linux", "python_version": "3.12"}
            if requirement.marker is None or requirement.marker.evaluate(on_linux):
                assert requirement.name in PINS, f"{name} needs {requirement}"
