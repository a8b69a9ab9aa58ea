"""Makes diabetes.csv and held_out.csv from the table that scikit-learn carries.

    pip install scikit-learn==1.9.1
    python examples/diabetes/make.py

The data: B. Efron, T. Hastie, I. Johnstone, R. Tibshirani, "Least Angle Regression", Annals of Statistics 32(2), 2004,
https://doi.org/10.1214/009053604000000067; in scikit-learn under its BSD 3-Clause licence. Values are unchanged (not
scaled); columns have longer names, and twelve rows are taken out, to predict.
"""

from __future__ import annotations

import csv
from pathlib import Path

from sklearn.datasets import load_diabetes

HERE = Path(__file__).parent
EVERY = 37  # each 37th row is held out
COLUMNS = (
    "age", "sex", "bmi", "blood_pressure", "cholesterol", "ldl", "hdl", "cholesterol_by_hdl", "log_triglycerides",
    "blood_sugar", "progression",
)  # fmt: skip


def make(folder: Path) -> None:
    """Write both files into ``folder``."""
    found = load_diabetes(scaled=False)
    rows = [[*map(number, values), number(target)] for values, target in zip(found.data, found.target, strict=True)]
    write(folder / "diabetes.csv", [row for place, row in enumerate(rows) if place % EVERY])
    write(folder / "held_out.csv", [row for place, row in enumerate(rows) if not place % EVERY])


def number(value: float) -> str:
    """Return a value as it is written in the original table."""
    return str(int(value)) if value == int(value) else repr(float(value))


def write(path: Path, rows: list[list[str]]) -> None:
    """Write a CSV file."""
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])


if __name__ == "__main__":
    make(HERE)
