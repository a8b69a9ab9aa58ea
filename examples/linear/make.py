"""Makes line.csv and held_out.csv: points that scatter around a straight line.

    python examples/linear/make.py

No measurement is claimed: x is drawn evenly from 0 to 20, y = 2.5 x - 4 plus normal noise of deviation 1.5, all from
one seed, so that what is learned can be held against the truth. The same bytes are written each time.
"""

from __future__ import annotations

import random
from pathlib import Path

HERE = Path(__file__).parent
SLOPE, INTERCEPT, NOISE = 2.5, -4.0, 1.5
ROWS, HELD_OUT, SEED = 400, 10, 7


def make(folder: Path) -> None:
    """Write both files into ``folder``."""
    source = random.Random(SEED)
    points = [(x, SLOPE * x + INTERCEPT + source.gauss(0, NOISE)) for x in (source.uniform(0, 20) for _ in range(ROWS))]
    write(folder / "line.csv", points[HELD_OUT:])
    write(folder / "held_out.csv", points[:HELD_OUT])


def write(path: Path, points: list[tuple[float, float]]) -> None:
    """Write a CSV file."""
    path.write_text("x,y\n" + "".join(f"{x:.3f},{y:.3f}\n" for x, y in points))


if __name__ == "__main__":
    make(HERE)
