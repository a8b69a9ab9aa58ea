"""The container's entry, for real: torchrun over two hosts, failures, stops, wheels."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import uuid
import zipfile
from pathlib import Path

import pytest

from contract import keys, names
from contract.metrics import parse_line
from tests.training.builders import start, training_job
from training import launch, packages
from training.container import STOPPED, Container

HOSTS = ("127.0.0.1", "127.0.0.2")


def job(tmp_path: Path, table: Path, **settings: object) -> list[Path]:
    """Make the base folders of a two-host job."""
    return [training_job(tmp_path / host, table, host=host, hosts=HOSTS, **settings) for host in HOSTS]


def launch_all(bases: list[Path], **more: str) -> list[str]:
    """Run the entry on each host; return their outputs with the exit status at the end."""
    name = f"job-{uuid.uuid4().hex[:8]}"
    running = [start(base, "-m", "training.launch", "train", TRAINING_JOB_NAME=name, **more) for base in bases]
    return [f"{process.communicate(timeout=100)[0]}\nexit {process.returncode}" for process in running]


def test_two_hosts_train_one_model(table: Path, tmp_path: Path) -> None:
    bases = job(tmp_path, table, epochs=2)
    first, second = launch_all(bases)
    assert first.endswith("exit 0"), first
    assert second.endswith("exit 0"), second
    assert [parse_line(line)["epoch"] for line in first.splitlines() if parse_line(line)] == [1, 2]
    assert not any(parse_line(line) for line in second.splitlines())
    assert {path.name for path in (bases[0] / "model").iterdir()} == {
        keys.MODEL_WEIGHTS,
        keys.MODEL_MANIFEST,
        keys.MODEL_METRICS,
    }
    assert not (bases[1] / "model").exists()
    assert not (bases[0] / "output/failure").exists()


def test_ranks_that_have_finished_do_not_fail_at_the_interpreter_s_end(table: Path, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    abort = "import atexit, os, sys\nif 'training.train' in sys.orig_argv: atexit.register(os.abort)\n"
    (tmp_path / "site" / "sitecustomize.py").write_text(abort)
    base = training_job(tmp_path / "alone", table, epochs=1)
    path = os.pathsep.join((str(tmp_path / "site"), str(Path(launch.__file__).parents[1])))
    process = start(base, "-m", "training.launch", "train", PYTHONPATH=path)
    output = process.communicate(timeout=100)[0]
    assert process.returncode == 0, output


def test_the_host_that_failed_tells_why_and_the_other_one_that_it_is_not_the_cause(table: Path, tmp_path: Path) -> None:
    bases = job(tmp_path, table, epochs=2)
    for shard in (bases[1] / names.TRAINING_INPUTS / "train").iterdir():
        shard.unlink()
    first, second = launch_all(bases)
    assert first.endswith("exit 1"), first
    assert second.endswith("exit 1"), second
    cause = (bases[1] / "output/failure").read_text()
    assert cause.splitlines()[-1].startswith("FileNotFoundError: there is no shard in")
    assert 'training/train.py", line' in cause
    assert len(cause) <= launch.FAILURE_LIMIT
    assert (bases[0] / "output/failure").read_text().startswith(launch.LOST_PEER_NOTE)
    assert not (bases[0] / "model").exists()


def test_sigterm_reaches_the_ranks_which_write_a_checkpoint(table: Path, tmp_path: Path) -> None:
    base = training_job(tmp_path / "a", table, epochs=5000, checkpoint_every=5000, batch_size=16)
    process = start(base, "-m", "training.launch", "train")
    assert process.stdout is not None
    for line in process.stdout:
        if parse_line(line):
            break
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=30)[0]
    assert process.returncode == STOPPED, output
    assert list((base / "checkpoints").glob("*.safetensors"))
    assert not (base / "output/failure").exists()


def test_sigterm_stops_a_job_that_still_waits_for_its_hosts(table: Path, tmp_path: Path) -> None:
    base = training_job(tmp_path / "a", table, hosts=("algo-1.invalid", "algo-2.invalid"), host="algo-2.invalid")
    process = start(base, "-m", "training.launch", "train")
    while not catches(process.pid, signal.SIGTERM):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=30)[0]
    assert process.returncode == STOPPED, output


def catches(pid: int, number: signal.Signals) -> bool:
    """Say whether a process handles a signal, without which the first process of a container would not hear it."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(status["SigCgt"], 16) & 1 << number - 1)


def test_a_processing_job_leaves_its_failure_in_message(tmp_path: Path) -> None:
    process = start(tmp_path, "-m", "training.launch", "prepare")
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    message = (tmp_path / "output/message").read_text()
    assert "FileNotFoundError" in message.splitlines()[-1]
    assert message.splitlines()[-1] in output


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("train", "the program on algo-1 was killed by SIGKILL; the host has probably run out of memory: raise train."),
        ("evaluate", "the program on this host was killed by SIGKILL; the host has probably run out of memory: take a"),
    ],
)
def test_a_program_that_is_killed_says_by_what(table: Path, tmp_path: Path, program: str, says: str) -> None:
    (tmp_path / "site").mkdir()
    kill = f"import os, sys\nif 'training.{program}' in sys.orig_argv:\n    print('read'); sys.stdout.flush()\n"
    (tmp_path / "site" / "sitecustomize.py").write_text(f"{kill}    os.kill(os.getpid(), 9)\n")
    base = training_job(tmp_path / "alone", table)
    path = os.pathsep.join((str(tmp_path / "site"), str(Path(launch.__file__).parents[1])))
    process = start(base, "-m", "training.launch", program, PYTHONPATH=path)
    process.communicate(timeout=100)
    assert process.returncode == 1
    left = (base / "output" / ("failure" if program == "train" else "message")).read_text()
    assert left.startswith(says)
    assert left.endswith("its host last printed:\nread")


def run_here(base: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the entry in this process, where it fails before it starts anything; return the failure."""
    monkeypatch.setenv(names.BASE_DIR, str(base))
    assert launch.main(["train"]) == 1
    return (base / "output/failure").read_text()


def test_a_host_without_address_is_named(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "RESOLVE_SECONDS", 0.1)
    base = training_job(tmp_path / "a", table, hosts=("algo-1.invalid", "algo-2.invalid"), host="algo-2.invalid")
    assert "the host 'algo-1.invalid' has no address after 0.1 s" in run_here(base, monkeypatch)


def test_a_keras_job_where_there_is_no_tensorflow_says_how_to_get_it(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    base = training_job(tmp_path / "a", table, recipe="keras_tabular")
    assert "-e '.[tensorflow]'" in run_here(base, monkeypatch)


def test_keras_hosts_are_told_of_each_other(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_wait_for_name", lambda host, seconds: None)
    hosts = ("algo-1", "algo-2")
    base = training_job(tmp_path / "a", table, recipe="keras_tabular", hosts=hosts, host="algo-2")
    environment = {"TRAINING_JOB_NAME": "job"}
    command = launch._trainer(Container(base=base), environment)
    assert command[-2:] == ["-m", "training.keras.train"]
    config = json.loads(environment["TF_CONFIG"])
    workers = config["cluster"]["worker"]
    assert [worker.partition(":")[0] for worker in workers] == list(hosts)
    assert len({worker.partition(":")[2] for worker in workers}) == 2
    assert config["task"] == {"type": "worker", "index": 1}


def test_hosts_are_ranked_by_number_and_jobs_meet_at_ports_of_their_own(table: Path, tmp_path: Path) -> None:
    hosts = [f"algo-{number}" for number in range(1, 12)]
    base = training_job(tmp_path / "a", table, hosts=sorted(hosts), host="algo-10")
    found = launch.Container(base=base).hosts()
    assert (found.leader, found.rank) == ("algo-1", 9)
    ports = {launch._port({"TRAINING_JOB_NAME": f"job-{number}"}) for number in range(20)}
    assert len(ports) == 20
    assert all(20_000 <= port < 30_000 for port in ports)


def test_an_unknown_program_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert launch.main(["trian"]) == 2
    assert "train|prepare|spark|evaluate" in capsys.readouterr().err


def test_the_end_of_a_long_failure_is_kept() -> None:
    text = "\n".join(f"line {number}" for number in range(1000))
    kept = launch.ending(text, 50)
    assert len(kept) <= 50
    assert kept.startswith("line ")
    assert kept.endswith("line 999")
    assert launch.ending("x" * 100, 10) == "x" * 10


def wheel(folder: Path, name: str = "tandem_probe", version: str = "1.0") -> Path:
    """Write a wheel of one module."""
    folder.mkdir(exist_ok=True)
    path, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "ANSWER = 42\n")
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: numpy\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def requirements(folder: Path, *lines: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "requirements.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_nothing_is_installed_where_the_pins_are_satisfied(tmp_path: Path) -> None:
    wheels = requirements(tmp_path / "wheels", "# pins", "torch==2.13.0  # any build", "safetensors[numpy]==0.8.0", "")
    assert not packages.install_missing(wheels, tmp_path / "packages")
    assert not (tmp_path / "packages").exists()


def test_a_job_is_checked_against_the_lists_that_it_needs(tmp_path: Path) -> None:
    wheels = requirements(tmp_path / "wheels", "numpy==2.4.6")
    (wheels / "tensorflow.txt").write_text("tandem-probe==1.0\n")
    wheel(wheels)
    assert not packages.install_missing(wheels, tmp_path / "packages")
    assert packages.install_missing(wheels, tmp_path / "packages", ("requirements.txt", "tensorflow.txt"))
    assert (tmp_path / "packages/tandem_probe-1.0.dist-info").is_dir()


def test_what_is_missing_is_installed_from_the_zip_without_a_network(tmp_path: Path) -> None:
    wheels = requirements(tmp_path / "wheels", "tandem-probe==1.0", "numpy==2.4.6")
    path = wheel(tmp_path / "wheels")
    (tmp_path / "input").mkdir()
    with zipfile.ZipFile(tmp_path / "input/0a1b2c.zip", "w") as archive:
        for file in (path, wheels / "requirements.txt"):
            archive.write(file, file.name)
    assert packages.install_missing(tmp_path / "input", tmp_path / "packages")
    assert {path.name for path in (tmp_path / "packages").iterdir()} >= {"tandem_probe.py"}


def test_what_can_not_be_installed_fails_the_job_by_name(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = training_job(tmp_path / "a", table)
    requirements(base / names.TRAINING_INPUTS / "wheels", "tandem-probe==1.0")
    failure = run_here(base, monkeypatch)
    assert "the image lacks tandem-probe==1.0 and the wheels input does not bring them" in failure


@pytest.mark.parametrize(("line", "says"), [("numpy>=2", "'numpy>=2'; expected an exact pin"), (None, "expected")])
def test_loose_pins_and_missing_lists_are_refused(tmp_path: Path, line: str | None, says: str) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    if line:
        requirements(wheels, line)
    with pytest.raises(packages.CannotInstall, match=says):
        packages.install_missing(wheels, tmp_path / "packages")
