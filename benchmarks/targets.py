"""One version of a model served everywhere: how fast, how soon from nothing, how much it costs, side by side.

    python -m benchmarks.targets

A laptop cloud is started, the demo's digits are trained once, and each place (benchmarks/places) serves that version
in turn. Every answer must equal ONNX Runtime's own. Then one caller asks for one row at a time; each request is
followed by one to the exported container's server, with nothing in between, so that other work on the machine slows
both: ``times`` is the median of the ratios of such pairs. ``rows/s`` are what four callers get in requests of 32 rows;
a batch is one file of FILE rows. ``cold s`` is the time from nothing running to the first answer. The best of ROUNDS
counts, as other work can only slow one down.

Clients, the emulated AWS and the servers share the machine: what is measured is our part, and the laptop cloud's in
between, which AWS's own replaces. Dollars are contract/prices.json's: a request pays for the median that the server
takes by itself (a batch for its share at the rate of the server), for its bytes, and what is paid by the request.
The ratios say how much of TOLERANCE the answers use up.
"""

from __future__ import annotations

import io
import math
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from benchmarks.places import PLACES, TOLERANCE, Place
from benchmarks.places.version import Send, Version, eventually
from benchmarks.side_by_side import Goal, report
from cli import laptop, ledger, tenants
from cli.aws import Account
from cli.children import Child
from cli.commands.submit import send as submit
from contract.config import Deploy
from contract.prices import load_prices
from contract.run import RUNNING

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples/digits"
DIRECT = "docker"
"""The place that is asked with nothing in between."""
REQUESTS, SECONDS, LEAST = 100, 5.0, 2  # of a round: so many requests, or as many as this time allows, but some
CALLERS, MANY, FILE, ROUNDS = 4, 32, 5_000, 5
BURST = 2.0  # seconds of asking for a rate
MONTH = 730  # hours


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a place costs.

    Args:
        second: dollars for a second that a request takes.
        hour: dollars for an hour of the machine that takes it.
        kept: machines that are there without requests.
        request: dollars for a request, however long.
        gb: dollars for a GB of requests and answers.
        tick: what a second is billed in, in seconds.
    """

    second: float = 0.0
    hour: float = 0.0
    kept: int = 0
    request: float = 0.0
    gb: float = 0.0
    tick: float = 0.0

    def million(self, seconds: float, size: int) -> float:
        """Return dollars for a million requests of ``size`` bytes, answers included, which take ``seconds`` each."""
        billed = math.ceil(seconds / self.tick) * self.tick if self.tick else seconds
        return 1e6 * (billed * (self.second + self.hour / 3600) + self.request + size / 1e9 * self.gb)

    @property
    def idle(self) -> float:
        """Dollars for a month without requests."""
        return self.hour * self.kept * MONTH


def prices() -> dict[str, Price]:
    """Return what the places in AWS cost, with the settings that a project has by default."""
    table, deploy = load_prices(), Deploy()
    gigabytes, fees, hour = deploy.memory_mb / 1024, table.fees, table.hosting[deploy.instance]
    return {
        "serverless": Price(second=gigabytes * table.serverless_gb_second, gb=fees["hosting_gb"], tick=0.001),
        "lambda": Price(second=gigabytes * table.lambda_gb_second, request=fees["lambda_request"], tick=0.001),
        "realtime": Price(hour=hour, kept=1, gb=fees["hosting_gb"]),
        "async": Price(hour=hour, kept=1, request=2 * (fees["s3_put"] + fees["s3_get"]), gb=fees["hosting_gb"]),
        "batch": Price(hour=table.transform[deploy.batch_instance]),
    }


@contextmanager
def trained(folder: Path) -> Iterator[Version]:
    """Start a laptop cloud, deploy the application into it, and train the demo's model."""
    with laptop.running(folder / "cloud", port=0, clock_scale=0.02) as cloud:
        laptop.use(cloud.environment)
        with Child("infra.apply", "--no-wheels", log=folder / "deploy.log") as child:
            child.wait()
        account = Account()
        tenants.add(account, "acme")
        run = submit(account, EXAMPLE / "digits.zip", "acme", "digits", EXAMPLE / "project.toml")

        def settled() -> Any:
            row = ledger.find_run(account, run)
            return row if row and row.status != RUNNING else None

        eventually(settled, 0.5)
        champion = ledger.champion(account, "acme", "digits")
        assert champion, run
        yield Version(
            account=account, tenant="acme", project="digits", package_arn=champion["package_arn"], folder=folder
        )


def scans(count: int) -> NDArray[np.uint8]:
    """Return so many of the demo's scans, again from the first after the last: [count, height, width]."""
    with zipfile.ZipFile(EXAMPLE / "digits.zip") as packed:
        files = [name for name in sorted(packed.namelist()) if name.endswith(".png")]
        found = np.stack([np.asarray(Image.open(io.BytesIO(packed.read(name)))) for name in files])
    return found[np.arange(count) % len(found)]


def timed(send: Send, body: bytes) -> float:
    """Return how many seconds an answer takes."""
    started = time.perf_counter()
    send(body)
    return time.perf_counter() - started


def in_turns(one: Callable[[], float], other: Callable[[], float]) -> tuple[NDArray, NDArray]:
    """Return the seconds of both in a round, in which they take turns."""
    pairs: list[tuple[float, float]] = []
    end = time.monotonic() + SECONDS
    while len(pairs) < LEAST or (len(pairs) < REQUESTS and time.monotonic() < end):
        pairs.append((one(), other()))
    ones, others = np.array(pairs).T
    return ones, others


def quickest(rounds: Sequence[NDArray]) -> NDArray:
    """Return the round with the lowest median: other work can only slow one down."""
    return min(rounds, key=lambda seconds: float(np.median(seconds)))


def rate(send: Send, body: bytes, rows: int) -> float:
    """Return how many rows a second CALLERS get, each with one request at a time."""
    end, started = time.monotonic() + BURST, time.monotonic()

    def ask() -> int:
        done = 0
        while time.monotonic() < end:
            send(body)
            done += 1
        return done

    with ThreadPoolExecutor(CALLERS) as pool:
        done = sum(pool.map(lambda _: ask(), range(CALLERS)))
    return done * rows / (time.monotonic() - started)


def from_nothing(again: Callable[[], AbstractContextManager[Send]], body: bytes) -> float:
    """Return the seconds until what did not run gives its first answer."""
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        with again() as send:
            send(body)
            seconds.append(time.perf_counter() - started)
    return min(seconds)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was found of a place: seconds, rows a second, bytes, probabilities."""

    latency: NDArray
    direct: NDArray
    times: float
    rows: float
    cold: float
    size: int
    apart: float


def measure(place: Place, version: Version, direct: Send, expected: NDArray, labels: tuple[str, ...]) -> Measured:
    """Have a place serve the version, compare its answers, and take its times."""
    row, many, file = (place.encode(scans(count)) for count in (1, MANY, FILE))
    plain = PLACES[DIRECT].encode(scans(1))
    with place.open(version, place.settings) as served:
        answer = served.send(many)
        apart = float(np.abs(place.decode(answer, labels) - expected).max())
        rounds = [in_turns(lambda: timed(served.send, row), lambda: timed(direct, plain)) for _ in range(ROUNDS)]
        latency = quickest([ours for ours, _ in rounds])
        if served.again:
            best, cold = max(rate(served.send, many, MANY) for _ in range(ROUNDS)), from_nothing(served.again, row)
        else:
            best, cold = FILE / min(timed(served.send, file) for _ in range(LEAST)), float(latency.min())
        return Measured(
            latency=latency, times=float(np.median(np.concatenate([ours / theirs for ours, theirs in rounds]))),
            direct=quickest([theirs for _, theirs in rounds]), rows=best, cold=cold, apart=apart,
            size=len(row) + len(served.send(row)),
        )  # fmt: skip


def line(name: str, found: Measured, busy: float, cost: Price | None) -> dict[str, object]:
    """Return a line of the table; ``busy`` are the seconds that a request keeps the server busy."""
    return {
        "place": name, "p50 ms": np.median(found.latency) * 1000, "p99 ms": np.percentile(found.latency, 99) * 1000,
        "times": found.times, "rows/s": found.rows, "cold s": found.cold,
        "USD/million": cost.million(busy, found.size) if cost else 0.0,
        "USD/month idle": cost.idle if cost else 0.0, "apart": f"{found.apart:.0e}",
    }  # fmt: skip


def main() -> int:
    """Measure every place, and compare the answers."""
    found: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        version = stack.enter_context(trained(Path(folder)))
        manifest, onnx = version.files()
        given = {"image": scans(MANY)[..., np.newaxis]}
        expected: Any = onnxruntime.InferenceSession(onnx).run([manifest.schema.output], given)[0]
        direct = stack.enter_context(PLACES[DIRECT].open(version, {})).send
        for name, place in PLACES.items():
            print(name, file=sys.stderr, flush=True)
            found[name] = measure(place, version, direct, expected, manifest.schema.labels)
    busy = min(float(np.median(each.direct)) for each in found.values())
    shares = {"batch": 1 / found[DIRECT].rows}
    table = [line(name, each, shares.get(name, busy), prices().get(name)) for name, each in found.items()]
    ratios = {name: each.apart / TOLERANCE for name, each in found.items()}
    return report("targets", table, ratios=ratios, goals=dict.fromkeys(ratios, Goal(at_most=1.0)))


if __name__ == "__main__":
    sys.exit(main())
