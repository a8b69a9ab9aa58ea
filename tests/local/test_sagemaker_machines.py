"""Containers are hosts of their own, end with the cloud, and manage without namespaces where there are none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from local.cloud import Cloud
from local.sagemaker import namespace
from local.sagemaker.machines import Host, Machines
from tests.local import sagemaker as sm
from tests.local.functions import eventually

GROUP = "/aws/sagemaker/TrainingJobs"
REPOSITORY = Path(__file__).resolve().parents[2]
needs_namespaces = pytest.mark.skipif(namespace.unavailable() != "", reason=namespace.unavailable())


@pytest.fixture(params=["namespaces", "none"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with namespaces, where there are some, and without."""
    if request.param == "none":
        monkeypatch.setattr(namespace, "unavailable", lambda: "none in this test")
    elif namespace.unavailable():
        pytest.skip(namespace.unavailable())
    name: str = request.param
    return name


class Running:
    """Machines of one host and what they said."""

    def __init__(self, folder: Path, script: str, **binds: Path) -> None:
        self.lines: list[str] = []
        (folder / "ml").mkdir(parents=True)
        host = Host(
            name="algo-1",
            address="127.200.0.1",
            root=folder / "ml",
            command=["bash", "-c", script],
            environment={"PATH": os.environ["PATH"], "SAGEMAKER_BASE_DIR": str(folder / "ml")},
            folder="/",
            binds={f"/{name.replace('__', '/')}": path for name, path in binds.items()},
        )
        self.machines = Machines(
            hosts=[host],
            folder=folder / "machines",
            isolated=False,
            on_line=lambda _, line: self.lines.append(line),
            on_exit=lambda *_: None,
        ).start()

    def end(self, seconds: float = 15) -> int:
        assert self.machines.ended(seconds)
        self.machines.close()
        return self.machines.exits["algo-1"]


@needs_namespaces
def test_opt_keeps_its_content_beside_opt_ml(tmp_path: Path) -> None:
    before = sorted(os.listdir("/opt")) if Path("/opt").exists() else []
    running = Running(tmp_path, "ls -1 /opt; touch /opt/ml/mine")
    assert running.end() == 0
    assert running.lines == sorted({*before, "ml"})
    assert (tmp_path / "ml" / "mine").exists()
    assert (sorted(os.listdir("/opt")) if Path("/opt").exists() else []) == before


@needs_namespaces
def test_files_of_an_image_are_where_its_dockerfile_put_them(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.mkdir()
    (image / "hello").write_text("hello from the image")
    running = Running(tmp_path / "job", "cat /opt/deep/program/hello /srv-of-image/hello; test -d /usr/bin",
                      opt__deep__program=image, **{"srv-of-image": image})  # fmt: skip
    assert running.end() == 0
    assert running.lines == ["hello from the imagehello from the image"]


@needs_namespaces
def test_the_program_is_process_one_so_a_sigterm_nobody_handles_is_lost(tmp_path: Path) -> None:
    running = Running(tmp_path, "echo $$; sleep 1; exit 5")
    time.sleep(0.4)
    running.machines.signal(signal.SIGTERM)
    assert running.end() == 5
    assert running.lines == ["1"]


def test_a_program_that_is_not_there_says_so(tmp_path: Path, kind: str) -> None:
    running = Running(tmp_path, "exec no-such-program")
    assert running.end() == 127
    assert "no-such-program" in running.lines[0]


def test_processes_left_behind_end_with_the_first(tmp_path: Path, kind: str) -> None:
    mark = f"3600.{os.getpid()}"
    running = Running(tmp_path, f"setsid sleep {mark} & sleep 0.2")
    assert running.end() == 0
    assert not commands(mark)


def test_a_kill_takes_everything(tmp_path: Path, kind: str) -> None:
    mark = f"3601.{os.getpid()}"
    running = Running(tmp_path, f"setsid sleep {mark} & trap '' TERM; sleep {mark}")
    assert eventually(lambda: len(commands(mark)) >= 2)
    running.machines.kill()
    assert running.end() == 137
    assert eventually(lambda: not commands(mark))


def test_nothing_outlives_a_cloud_that_is_killed(tmp_path: Path, kind: str) -> None:
    mark = f"3602.{os.getpid()}"
    program = f"""
        import sys, time
        from pathlib import Path
        from local.sagemaker import namespace
        from tests.local.test_sagemaker_machines import Running
        if {kind!r} == "none":
            namespace.unavailable = lambda: "none in this test"
        running = Running(Path({str(tmp_path)!r}), "setsid sleep {mark} & sleep {mark}")
        time.sleep(60)
    """
    cloud = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], cwd=REPOSITORY)
    assert eventually(lambda: len(commands(mark)) >= 2)
    cloud.kill()
    cloud.wait()
    assert eventually(lambda: not commands(mark))


class TestWithoutNamespaces:
    @pytest.fixture(autouse=True)
    def _none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(namespace, "unavailable", lambda: "none in this test")

    def test_jobs_run_below_their_base_folder_and_say_what_is_missing(self, cloud: Cloud) -> None:
        bucket = sm.bucket(cloud)
        script = (
            "cp $SAGEMAKER_BASE_DIR/input/config/resourceconfig.json $SAGEMAKER_BASE_DIR/model/; echo $CURRENT_HOST"
        )
        request = sm.training(bucket, script, hosts=2)
        job = sm.train(cloud, request)
        assert job["TrainingJobStatus"] == "Completed", job
        lines = sm.log(cloud, GROUP, request["TrainingJobName"])
        explained = [line for line in lines if line.startswith("laptop cloud: namespaces are not available")]
        assert "none in this test" in explained[0]
        assert "the network is not isolated" in explained[0]
        hosts = sorted(set(lines) - set(explained))
        assert len(hosts) == 2
        assert all(host.startswith("127.") for host in hosts)

    def test_a_failure_still_has_its_reason(self, cloud: Cloud) -> None:
        script = "echo sorry > $SAGEMAKER_BASE_DIR/output/failure; exit 9"
        job = sm.train(cloud, sm.training(sm.bucket(cloud), script))
        assert job["FailureReason"] == "AlgorithmError: sorry\n, exit code: 9"


def test_describing_a_request_needs_no_trial_twice() -> None:
    assert namespace.unavailable() is namespace.unavailable()


def test_the_specification_of_machines_is_plain_data(tmp_path: Path) -> None:
    running = Running(tmp_path, "true")
    running.end()
    spec: dict[str, Any] = json.loads((tmp_path / "machines" / "machines.json").read_text())
    assert spec["hosts"][0]["command"] == ["bash", "-c", "true"]


def commands(mark: str) -> list[str]:
    """Return the processes whose command line has ``mark`` as an argument of sleep."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"sleep") and mark.encode() in words:
            found.append(pid)
    return found
