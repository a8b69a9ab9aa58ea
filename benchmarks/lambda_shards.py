"""How much faster unequal hosts train when each gets the share of a batch that it can compute.

    python -m benchmarks.lambda_shards

Two real ranks (gloo) run the product's own trainer. One of them is 2, 3, 4 times slower, by a fixed delay for every
sample that it takes: real work would drown the answer in the noise of other work on the machine. In turns:
equal shares; lambda as it should be; lambda as the trainer measures it. What is timed of the last one is its third
epoch; the column ``measuring`` is its first, which begins with equal shares. The fastest of ROUNDS counts, because
other work on the machine can only slow one down.

The ideal speed-up over equal shares is sum(s) / (n min s), for speeds s of n ranks: a batch then takes as long as
all of them together need for it, in place of what the slowest needs for its n-th part.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.side_by_side import Goal, report
from contract import keys, names
from contract.manifest import Feature, Schema, Tensor
from contract.parsing import to_dict
from training.cluster import Cluster
from training.config import TrainConfig
from training.container import Container
from training.data import LABEL, ROW, Writer
from training.train import Trainer

SLOWER = (2, 3, 4)
ROWS, BATCH, FEATURES = 1200, 120, 8
DELAY = 0.004  # seconds a sample of the fast rank
ROUNDS = 2
WAYS = ("equal", "weighted", "measured")
GOALS = {"weighted": Goal(at_least=0.95), "measured": Goal(at_least=0.90)}


def write_data(base: Path) -> Container:
    """Write a small table, as preparation leaves it, into a training job's folders."""
    container, source = Container(base=base), np.random.default_rng(0)
    for split, rows in (("train", ROWS), ("validation", BATCH)):
        writer = Writer(container.channel(split), shard_bytes=2**26)
        numbers = source.normal(size=(rows, FEATURES)).astype(np.float32)
        labels = (numbers.sum(axis=1) > 0).astype(np.int64)
        writer.add({"numeric": numbers, LABEL: labels, ROW: np.arange(rows)})
        writer.close()
    statistics = {"mean": 0.0, "std": 1.0, "min": -4.0, "max": 4.0, "missing": 0.0}
    schema = Schema(
        task="classification",
        inputs=(Tensor(name="numeric", dtype="float32", shape=(-1, FEATURES)),),
        features=tuple(Feature(name=f"x{i}", kind="number", statistics=statistics) for i in range(FEATURES)),
        labels=("no", "yes"),
        target="sum",
        metric="accuracy",
    )
    container.channel("schema").mkdir(parents=True)
    (container.channel("schema") / Path(keys.DATASET_SCHEMA).name).write_text(json.dumps(to_dict(schema)))
    (base / "input/config").mkdir(parents=True)
    resources = json.dumps({"current_host": "algo-1", "hosts": ["algo-1", "algo-2"]})
    (base / "input/config/resourceconfig.json").write_text(resources)
    return container


def rank(container: Container) -> None:
    """Train in every way as one rank; rank 0 prints the seconds of each epoch, a line of JSON a way."""
    cluster = Cluster()
    with cluster.joined():
        for slower in SLOWER:
            for way in WAYS:
                config = TrainConfig(
                    recipe="tabular", epochs=3 if way == "measured" else 1, batch_size=BATCH, hosts=2,
                    shares=(float(slower), 1.0) if way == "weighted" else (), rebalance=way == "measured",
                )  # fmt: skip
                trainer = Trainer(config, container, cluster)
                slow_down(trainer, DELAY * (slower if cluster.rank else 1))
                trainer.run()
                seconds = [line["seconds"] for line in trainer.progress.history]
                if cluster.leads:
                    print(json.dumps({"slower": slower, "way": way, "seconds": seconds}), flush=True)
                    for path in container.checkpoints.glob("*"):
                        path.unlink()
                cluster.sum(0.0)  # the next way begins without a checkpoint


def slow_down(trainer: Trainer, delay: float) -> None:
    """Make this rank need ``delay`` seconds a training sample."""
    take = trainer.train_rows.take

    def taking(rows: NDArray[np.int64]) -> dict[str, NDArray]:
        arrays = take(rows)
        time.sleep(delay * len(rows))
        return arrays

    trainer.train_rows.take = taking  # type: ignore[method-assign]


def measure(base: Path) -> list[dict[str, Any]]:
    """Start two ranks; return what rank 0 printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_RANK": "0"}
    environment = {**os.environ, **meeting, names.BASE_DIR: str(base), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.lambda_shards", "rank"]
    ranks = [
        subprocess.Popen(command, env={**environment, "RANK": str(number)}, stdout=subprocess.PIPE, text=True)
        for number in range(2)
    ]
    outputs = [process.communicate()[0] for process in ranks]
    if any(process.returncode for process in ranks):
        raise RuntimeError(f"a rank failed: {[process.returncode for process in ranks]}")
    return [json.loads(line) for line in outputs[0].splitlines() if line.startswith("{")]


def fastest(lines: list[dict[str, Any]], key: tuple[int, str]) -> list[float]:
    """Return the seconds of each epoch of one way, each the best of all rounds."""
    rounds = [line["seconds"] for line in lines if (line["slower"], line["way"]) == key]
    return [min(seconds) for seconds in zip(*rounds, strict=True)]


def main() -> int:
    """Measure, and compare with the ideal."""
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder))
        lines = [line for _ in range(ROUNDS) for line in measure(Path(folder))]
    found = {key: fastest(lines, key) for key in product(SLOWER, WAYS)}
    rows: list[dict[str, Any]] = []
    ratios: dict[str, float] = {}
    for slower in SLOWER:
        ideal = (1 + 1 / slower) / (2 / slower)
        speedup = {way: found[slower, "equal"][-1] / found[slower, way][-1] for way in WAYS}
        rows.append({
            "slower": f"{slower}x", "equal s": found[slower, "equal"][-1], "weighted s": found[slower, "weighted"][-1],
            "measured s": found[slower, "measured"][-1], "measuring s": found[slower, "measured"][0],
            "ideal": ideal, "weighted": speedup["weighted"], "measured": speedup["measured"],
        })  # fmt: skip
        ratios |= {f"{way}-{slower}x": speedup[way] / ideal for way in GOALS}
    return report("lambda_shards", rows, ratios=ratios, goals={key: GOALS[key.split("-")[0]] for key in ratios})


if __name__ == "__main__":
    if sys.argv[1:] == ["rank"]:
        rank(Container.here())
    else:
        sys.exit(main())
