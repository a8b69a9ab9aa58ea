"""Makes penguins.csv and held_out.csv from the palmerpenguins package.

    pip install --no-deps palmerpenguins==0.1.6
    python examples/penguins/make.py

The data: K. B. Gorman, T. D. Williams, W. R. Fraser, "Ecological Sexual Dimorphism and Environmental
Variability within a Community of Antarctic Penguins", PLoS ONE 9(3), 2014,
https://doi.org/10.1371/journal.pone.0090081; dedicated to the public domain (CC0 1.0).
Rows are unchanged; twelve are taken out, to predict.
"""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
HELD_OUT = {"Adelie": (3, 60, 100, 150), "Chinstrap": (280, 300, 320, 340), "Gentoo": (160, 200, 240, 271)}
"""Rows of each species, counted from 0; 3 and 271 have hardly any value."""


def source() -> Path:
    """Return the package's CSV file, without importing the package (which would need pandas)."""
    spec = find_spec("palmerpenguins")
    if spec is None or spec.origin is None:
        raise SystemExit("palmerpenguins is not installed; pip install --no-deps palmerpenguins==0.1.6")
    return Path(spec.origin).parent / "data" / "penguins.csv"


def make(folder: Path) -> None:
    """Write both files into ``folder``; ``held_out.csv`` lacks the column that project.toml excludes."""
    with source().open(newline="") as file:
        header, *rows = csv.reader(file)
    held_out = {number for numbers in HELD_OUT.values() for number in numbers}
    write(folder / "penguins.csv", [header, *(row for number, row in enumerate(rows) if number not in held_out)])
    year = header.index("year")
    asked = [header, *(rows[number] for number in sorted(held_out))]
    write(folder / "held_out.csv", [row[:year] + row[year + 1 :] for row in asked])


def write(path: Path, rows: list[list[str]]) -> None:
    """Write a CSV file."""
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    make(HERE)
