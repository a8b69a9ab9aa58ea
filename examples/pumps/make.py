"""Makes pumps.csv and held_out.csv: sensors of pumps, and whether one failed within a day.

    python examples/pumps/make.py

The data is generated: no plant is behind it. About 1 row in 20 is a failure, by one of three
mechanisms that a real pump has too: a worn bearing (vibration that is high for the
hours since service), cavitation (little suction pressure at high speed) and overheating (a
hot motor under load). Sensors are noisy, some readings are missing, and some failures come
from nothing that is measured, so no model can find them all.
"""

from __future__ import annotations

import csv
import math
import random
from pathlib import Path

HERE = Path(__file__).parent
HEADER = (
    "site",
    "model",
    "hours_since_service",
    "speed_rpm",
    "vibration_mm_s",
    "suction_bar",
    "motor_celsius",
    "load_percent",
    "failed_within_a_day",
)
ROWS, HELD_OUT = 6000, 12
MISSING, UNEXPLAINED = 0.03, 0.004


def make(folder: Path) -> None:
    """Write both files into ``folder``; held_out.csv has as many failures as other rows, to see both."""
    source = random.Random(2026)
    rows = [row(source) for _ in range(ROWS + 600)]
    late = rows[ROWS:]
    asked = [r for r in late if r[-1] == "yes"][: HELD_OUT // 2] + [r for r in late if r[-1] == "no"][: HELD_OUT // 2]
    for name, content in (("pumps.csv", rows[:ROWS]), ("held_out.csv", asked)):
        with (folder / name).open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([HEADER, *content])


def row(source: random.Random) -> list[str]:
    """Return one reading of one pump."""
    site, model = source.choice(("harbour", "mill", "quarry", "works")), source.choice(("P10", "P20", "P35"))
    hours = source.uniform(0, 4000)
    speed = source.gauss({"P10": 1450, "P20": 2900, "P35": 2900}[model], 60)
    load = min(100.0, max(5.0, source.gauss(60, 20)))
    vibration = 1.2 + hours / 2500 + 0.3 * (site == "quarry") + source.expovariate(2.0)
    suction = max(0.05, source.gauss(0.9, 0.25))
    celsius = 35 + 0.35 * load + source.gauss(0, 6) + 5 * (site == "mill")
    wear = 2.4 * (vibration - 4.6 + (hours - 2000) / 2500)
    cavitation = 9 * (0.45 - suction) + (speed - 2500) / 300
    heat = 0.45 * (celsius - 76) + 0.05 * (load - 80)
    risk = max(chance(wear - 1.2), chance(cavitation - 2.2), chance(heat - 0.5))
    failed = source.random() < max(risk, UNEXPLAINED)
    numbers = [f"{hours:.0f}", f"{speed:.0f}", f"{vibration:.2f}", f"{suction:.2f}", f"{celsius:.1f}", f"{load:.0f}"]
    numbers = ["" if source.random() < MISSING else number for number in numbers]
    return [site, model, *numbers, "yes" if failed else "no"]


def chance(logit: float) -> float:
    """Return the logistic function, sharpened so that most pumps are clearly well."""
    return 1 / (1 + math.exp(-2.5 * logit))


if __name__ == "__main__":
    make(HERE)
