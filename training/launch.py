"""The entry of every container.

    python3 -m training.launch train       # a training job over all hosts: by torchrun where there are several ranks
    python3 -m training.launch prepare     # a processing job
    python3 -m training.launch spark       # the same over all hosts of a processing job with AWS's Spark image
    python3 -m training.launch evaluate    # a processing job

Checks the wheels, starts the program as a child, passes SIGTERM on to it, and
leaves the end of the true traceback where SageMaker looks for it:
``output/failure`` (training) or ``output/message`` (processing). Standard library
only, because the wheels are not there yet.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from contract import keys
from contract.frameworks import FRAMEWORKS, TENSORFLOW, TORCH
from contract.recipes import load_recipes
from training.cause import LOST_PEER, of_failure
from training.container import STOPPED, Container, Hosts, gpus
from training.packages import REQUIREMENTS, CannotInstall, install_missing

PROGRAMS = ("train", "prepare", "spark", "evaluate")
SPARK_SUBMIT = ("smspark-submit", str(Path(__file__).with_name("spark_main.py")))
"""How AWS's Spark image starts an application: on every host; the first one drives it, the others lend executors."""
FAILURE_LIMIT = 1000  # SageMaker shows the first 1,024 characters
TAIL_LINES = 60
RESOLVE_SECONDS = 120  # names of hosts appear a little after their containers
GRACE_SECONDS = 100  # of the 120 between SIGTERM and SIGKILL
CUDA_COMPAT = Path("/usr/local/bin/start_cuda_compat.sh")
"""Of AWS's images, for hosts whose driver is older than the image's CUDA; their own entry point is not run here."""
MORE_MEMORY = "raise train.accumulation, lower train.batch_size, or take a larger instance"
LOST_PEER_SECONDS = 5  # lets the host that really failed end, and be named, first
LOST_PEER_NOTE = "This host lost the others; the cause is the failure of another host."
FIRST_PORT, PORTS = 20_000, 10_000  # below the ports that systems hand out to clients


class CannotStart(Exception):
    """The job cannot begin; the message is its failure text."""


def main(arguments: list[str]) -> int:
    """Run one program; return the exit status for SageMaker."""
    if len(arguments) != 1 or arguments[0] not in PROGRAMS:
        print(f"usage: python3 -m training.launch {'|'.join(PROGRAMS)}", file=sys.stderr)
        return 2
    program, container = arguments[0], Container.here()
    try:
        if program == "train":
            _check_framework(container)
        environment = _environment(program, container)
        command = _command(program, container, environment)
    except (CannotStart, CannotInstall) as error:
        return _fail(container, program, str(error))
    _error_file(container).parent.mkdir(parents=True, exist_ok=True)
    child = Child(command, environment)
    status = child.wait()
    if child.stopped:
        return STOPPED
    if status:
        cause = of_failure(
            _error_file(container),
            child.tail,
            host=container.hosts().current if program == "train" else "this host",
            status=status,
            remedy=MORE_MEMORY if program == "train" else "take a larger instance",
        )
        return _fail(container, program, cause)
    if program == "train" and container.hosts().rank == 0 and not (container.model / keys.MODEL_WEIGHTS).exists():
        return _fail(container, program, f"training ended without writing {container.model / keys.MODEL_WEIGHTS}")
    return 0


def _stop_at_once(number: int, frame: FrameType | None) -> None:
    """Stop before there is a program that could write a checkpoint."""
    sys.exit(STOPPED)


class Child:
    """The program's process: its output is passed on, its end remembered.

    Args:
        command: what to run.
        environment: all of its variables.
    """

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        self.stopped = False
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        signal.signal(signal.SIGTERM, self._stop)
        self._process = subprocess.Popen(
            command,
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopped = True
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Pass output on until the program ends; return its status, negative for a signal."""
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                sys.stdout.write(line)
                sys.stdout.flush()
                self.tail.append(line.rstrip("\n"))
        return self._process.wait()


def _environment(program: str, container: Container) -> dict[str, str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TORCHELASTIC_ERROR_FILE": str(_error_file(container))}
    inputs = container.channel if program == "train" else container.processing_input
    packages = container.base / "packages"
    lists = (
        REQUIREMENTS,
        *([f"{TENSORFLOW}.txt"] if program == "train" and _framework(container) == TENSORFLOW else []),
    )
    if inputs("wheels").exists() and install_missing(inputs("wheels"), packages, lists):
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(packages), os.environ.get("PYTHONPATH", "")]))
    cores = len(os.sched_getaffinity(0))
    environment.setdefault("OMP_NUM_THREADS", str(max(1, cores // _devices())))
    environment.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic matrix products on GPUs
    return environment


def _framework(container: Container) -> str:
    """Return what the job's recipe is written in; a recipe that there is not is the trainer's to refuse."""
    recipe = load_recipes().get(container.hyperparameters().get("recipe", ""))
    return recipe.framework if recipe else TORCH


def _command(program: str, container: Container, environment: dict[str, str]) -> list[str]:
    """Return what runs a program on this host; ``environment`` gains what it needs."""
    if program == "train":
        return _trainer(container, environment)
    if program == "spark":
        code = str(Path(__file__).parents[1])
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [code, environment.get("PYTHONPATH", "")]))
        return list(SPARK_SUBMIT)
    return _python(f"training.{program}")


def _check_framework(container: Container) -> None:
    if _framework(container) == TENSORFLOW and importlib.util.find_spec(TENSORFLOW) is None:
        raise CannotStart(
            "this recipe needs TensorFlow, which this machine's Python lacks: take AWS's TensorFlow image, or start "
            "the laptop cloud from an environment in which "
            "`pip install --constraint requirements.lock -e '.[tensorflow]'` was run"
        )


def _python(program: str) -> list[str]:
    return [sys.executable, "-m", program]


def _trainer(container: Container, environment: dict[str, str]) -> list[str]:
    """Return the command that trains on this host; ``environment`` gains what the hosts need to meet."""
    hosts = container.hosts()
    return _tensorflow(hosts, environment) if _framework(container) == TENSORFLOW else _torchrun(hosts, environment)


def _tensorflow(hosts: Hosts, environment: dict[str, str]) -> list[str]:
    """Return the command of one process for all of this host's devices; several hosts meet by ``TF_CONFIG``."""
    environment |= {"KERAS_BACKEND": TENSORFLOW}
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors; its news of each start are not the job's
    if len(hosts.all) > 1:
        for host in hosts.all:
            _wait_for_name(host, RESOLVE_SECONDS)
        # A port each, because hosts of a laptop are one machine, and a server listens on all its addresses.
        workers = [f"{host}:{_port(environment) + number}" for number, host in enumerate(hosts.all)]
        task = {"type": "worker", "index": hosts.rank}
        environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": workers}, "task": task})
    return [*_suiting_driver(), *_python(FRAMEWORKS[TENSORFLOW].program)]


def _torchrun(hosts: Hosts, environment: dict[str, str]) -> list[str]:
    """Return the command that starts this host's ranks; ``environment`` gains what the hosts need to meet."""
    if len(hosts.all) == _devices() == 1:  # a rank alone needs nobody who starts it, which would load torch once more
        return [*_suiting_driver(), *_python(FRAMEWORKS[TORCH].program)]
    command = [
        *_suiting_driver(), *_python("torch.distributed.run"),
        f"--nproc-per-node={_devices()}", f"--shutdown-timeout={GRACE_SECONDS}", "--max-restarts=0",
    ]  # fmt: skip
    if len(hosts.all) == 1:
        command += ["--standalone"]
    else:
        _wait_for_name(hosts.leader, RESOLVE_SECONDS)
        if hosts.interface in {name for _, name in socket.if_nameindex()}:
            environment |= {"GLOO_SOCKET_IFNAME": hosts.interface, "NCCL_SOCKET_IFNAME": hosts.interface}
        command += [
            f"--nnodes={len(hosts.all)}", f"--node-rank={hosts.rank}",
            f"--master-addr={hosts.leader}", f"--master-port={_port(environment)}",
        ]  # fmt: skip
    return [*command, "-m", FRAMEWORKS[TORCH].program]


def _suiting_driver() -> list[str]:
    """Return what starts a command with libraries for the host's driver: nothing without GPUs or AWS's script."""
    return ["bash", "-c", 'source "$0" >&2; exec "$@"', str(CUDA_COMPAT)] if gpus() and CUDA_COMPAT.exists() else []


def _devices() -> int:
    """Return how many ranks this host runs: one a GPU, or one."""
    return max(1, gpus())


def _port(environment: Mapping[str, str]) -> int:
    """Return the port where the ranks meet: the same on all hosts of a job, another one for another job."""
    job = environment.get("TRAINING_JOB_NAME", "")
    return FIRST_PORT + int.from_bytes(hashlib.sha256(job.encode()).digest()[:4], "big") % PORTS


def _wait_for_name(host: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.getaddrinfo(host, None)
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise CannotStart(f"the host {host!r} has no address after {seconds:g} s ({error})") from error
            time.sleep(1)


def _error_file(container: Container) -> Path:
    """Return where torchrun leaves the failing rank's error, as torch's ``record`` decorator wrote it."""
    return container.base / "output/error.json"


def _fail(container: Container, program: str, text: str) -> int:
    """Leave the end of ``text`` where SageMaker looks for it; return the exit status."""
    print(text, file=sys.stderr, flush=True)
    if any(sign in text for sign in LOST_PEER):
        time.sleep(LOST_PEER_SECONDS)
        text = f"{LOST_PEER_NOTE}\n{ending(text, FAILURE_LIMIT - len(LOST_PEER_NOTE) - 1)}"
    path = container.failure if program == "train" else container.message
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(ending(text, FAILURE_LIMIT))
    return 1


def ending(text: str, limit: int) -> str:
    """Return the last ``limit`` characters of ``text``, from the start of a line where that leaves something."""
    if len(text) <= limit:
        return text
    kept = text[-limit:]
    _, newline, rest = kept.partition("\n")
    return rest if newline and rest else kept


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop_at_once)  # a container's first process is deaf to signals it does not handle
    sys.exit(main(sys.argv[1:]))
