"""The code archive and the wheelhouses."""

from __future__ import annotations

import io
import os
import re
import tarfile
import tomllib
from pathlib import Path

import pytest

from contract.names import TUNING_PROGRAM
from infra import tracking, wheels
from infra.code import COPIES, FOLDERS, ROOT, archive
from infra.wheels import CONTAINER_PINS, FOLDER, LAYER_PINS, TENSORFLOW_PINS, pip

PIN = re.compile(r"^([a-z0-9-]+)==(\S+)$", re.MULTILINE)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "training" / "recipes").mkdir(parents=True)
    (tmp_path / "training" / "b.py").write_text("b")
    (tmp_path / "training" / "recipes" / "a.py").write_text("a")
    (tmp_path / "training" / "__pycache__").mkdir()
    (tmp_path / "training" / "__pycache__" / "b.pyc").write_text("machine code")
    return tmp_path


def members(body: bytes) -> list[tarfile.TarInfo]:
    return tarfile.open(fileobj=io.BytesIO(body), mode="r:gz").getmembers()


def test_the_same_files_give_the_same_archive_at_any_time(tree: Path) -> None:
    first = archive(tree, ("training",), {})
    os.utime(tree / "training" / "b.py", (1, 1))
    (tree / "training" / "b.py").chmod(0o600)
    assert archive(tree, ("training",), {}) == first


def test_another_file_gives_another_archive(tree: Path) -> None:
    first = archive(tree, ("training",), {})
    (tree / "training" / "b.py").write_text("c")
    assert archive(tree, ("training",), {}) != first


def test_the_archive_holds_sources_only_in_a_fixed_order(tree: Path) -> None:
    names = [member.name for member in members(archive(tree, ("training",), {}))]
    assert names == ["training/b.py", "training/recipes/a.py"]


def test_containers_get_training_and_the_contract() -> None:
    names = {member.name for member in members(archive(ROOT, FOLDERS, COPIES))}
    assert {"training/launch.py", "contract/names.py", "contract/recipes.json"} <= names
    assert TUNING_PROGRAM in names
    # The toolkit would install what such files ask for, without a network.
    assert not {"setup.py", "requirements.txt"} & names
    assert not [name for name in names if name.startswith(("infra", "functions", "local"))]


@pytest.mark.parametrize("pins", [CONTAINER_PINS, LAYER_PINS])
def test_pins_are_those_that_everything_is_tested_with(pins: str) -> None:
    locked = dict(PIN.findall((ROOT / "requirements.lock").read_text()))
    wanted = dict(PIN.findall((FOLDER / pins).read_text()))
    assert wanted
    assert {name: locked.get(name) for name in wanted} == wanted


def test_a_missing_wheel_stops_the_synthesis_with_pips_own_words(tmp_path: Path) -> None:
    (tmp_path / "pins.txt").write_text("./no-such-wheel.whl\n")
    with pytest.raises(RuntimeError, match="no-such-wheel"):
        pip("download", "--no-index", "--dest", str(tmp_path), "--requirement", str(tmp_path / "pins.txt"))


def test_wheels_are_bundled_with_their_pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(wheels, "pip", lambda *arguments: calls.append(arguments))
    assert wheels.Download().try_bundle(str(tmp_path)) is True
    for (command, *rest), pins in zip(calls, (CONTAINER_PINS, TENSORFLOW_PINS), strict=True):
        assert (tmp_path / pins).read_text() == (FOLDER / pins).read_text()
        assert command == "download"
        assert rest[-1] == str(FOLDER / pins)
        assert "manylinux_2_28_x86_64" in rest
        assert rest[rest.index("--python-version") + 1] == "3.12"


def test_the_trackers_layer_has_what_is_tested() -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["mlflow"]
    wanted = dict(PIN.findall(tracking.PINS.read_text()))
    locked = dict(PIN.findall((ROOT / "requirements.lock").read_text())) | dict(PIN.findall("\n".join(extra)))
    shared = {name: version for name, version in wanted.items() if name in locked}
    assert {"mlflow-skinny", "sagemaker-mlflow", "tensorboardx", "protobuf"} <= shared.keys()
    assert {name: locked[name] for name in shared} == shared


def test_the_tensorflow_jobs_wheels_are_those_of_the_extra() -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["tensorflow"]
    wanted = PIN.findall((FOLDER / TENSORFLOW_PINS).read_text())
    assert wanted
    assert {f"{name}=={version}" for name, version in wanted} <= set(extra)
