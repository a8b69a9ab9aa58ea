"""How fast our training loop is, against a bare DDP loop, Lightning Fabric and Hugging Face Accelerate.

    python -m benchmarks.ddp_step [ROUNDS]

Two ranks of one torchrun train the same network from the same weights on the same batches, in turns: some updates
by each loop, then the next, in another order every round. A loop's data comes from the same memory-mapped rows, and all
optimise by AdamW in float32 with PyTorch's deterministic algorithms, so what differs is the loop alone: each peer's is
as its own documentation writes it, with its defaults. A ratio is a peer's time over ours, the median of the rounds;
at least 1 means that no peer is faster. Ours also sums the loss over the ranks, checks it, seeds the update and sets
the learning rate, which theirs do not.

Where ours is faster, it is so by what it sets unasked: AdamW in one pass, gradients that stay in DDP's buckets, buffers
that are not sent, the channels of an image side by side in memory. ``bare DDP, tuned`` is a loop by somebody who knows
all that. No goal applies to it; its ratio is the price of what our loop does besides.

Two ranks share this machine's memory and caches, so they cannot be twice as fast as one. ``scaling`` is therefore the
rows a second of our two ranks over those of two processes that train on their own at the same time.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.ddp_loops import LOOPS, OURS, TUNED, UPDATES, write_job
from benchmarks.side_by_side import Goal, need, report

ROUNDS = 25
Rounds = Sequence[dict[str, float]]  # seconds of each loop, a round each


def main() -> int:
    """Measure, and print the table."""
    need(["lightning_fabric", "accelerate"])
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    rows, ratios = [], {}
    for side, updates in UPDATES.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            write_job(folder, side)
            together = _result(_start(folder, rounds, updates, ranks=2, loops=list(LOOPS)))
            alone = _alone(folder, rounds, updates)
        for name in LOOPS:
            seconds = [each[name] / updates for each in together]
            ratios[f"{side}x{side} {name}"] = statistics.median(each[name] / each[OURS] for each in together)
            rows.append({"images": f"{side}x{side}", "loop": name, "ms an update": statistics.median(seconds) * 1000,
                         "fastest": min(seconds) * 1000, "over ours": ratios[f"{side}x{side} {name}"]})  # fmt: skip
        ours = statistics.median(each[OURS] for each in together)
        ratios[f"{side}x{side} scaling"] = statistics.median(alone) / ours / 2
    peers = LOOPS.keys() - {OURS, TUNED}
    ratios["best peer"] = min(ratios[f"{side}x{side} {name}"] for side in UPDATES for name in peers)
    return report("ddp_step", rows, ratios=ratios, goals={"best peer": Goal(at_least=1.0)})


def _alone(folder: Path, rounds: int, updates: int) -> list[float]:
    """Return our loop's seconds of each round in one of two processes that each train on their own, all batches."""
    processes = [_start(folder, rounds, updates, ranks=1, loops=[OURS]) for _ in range(2)]
    return [each[OURS] for process in processes for each in _result(process)]


def _start(folder: Path, rounds: int, updates: int, *, ranks: int, loops: Sequence[str]) -> subprocess.Popen[str]:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}",
        "-m", "benchmarks.ddp_loops", str(folder), str(rounds), str(updates), *loops,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def _result(process: subprocess.Popen[str]) -> Rounds:
    output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"the ranks ended with status {process.returncode}:\n{output}")
    result: Rounds = json.loads(output.splitlines()[-1])
    return result


if __name__ == "__main__":
    sys.exit(main())
