"""Makes ratings.csv and held_out.csv: stars that people give to films. The data is generated, nobody gave these stars.

    python examples/films/make.py

Ratings of real people that anyone may copy and use are hard to find (those of MovieLens may not be used commercially
without permission), so these are drawn from a model with a seed: what makes a rating, and how much chance is in it, is
known.

    stars = 3.4 + how good the film is + how generous the person is + how well their tastes match + chance

rounded to half stars from 0.5 to 5. Films differ in popularity (a few have most of the ratings, as anywhere), and
people choose films to their taste more often than not, so the ratings that there are do not show what they would give
to others.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SEED, PEOPLE, FILMS, RATINGS, TASTES = 7, 600, 300, 24_000, 4
QUALITY, GENEROSITY, TASTE, CHANCE = 0.35, 0.35, 0.65, 0.55  # standard deviations, in stars
ASKED = ("p0011", "p0222", "p0440")  # people whose other films held_out.csv asks for


def make(folder: Path) -> None:
    """Write both files into ``folder``."""
    source = np.random.default_rng(SEED)
    tastes, styles = source.normal(size=(PEOPLE, TASTES)), source.normal(size=(FILMS, TASTES))
    match = TASTE * tastes @ styles.T / np.sqrt(TASTES)
    liked = 3.4 + match + source.normal(0, QUALITY, FILMS) + source.normal(0, GENEROSITY, (PEOPLE, 1))
    popularity = source.permutation(1 / np.arange(5, FILMS + 5))
    activity = source.lognormal(0, 0.8, (PEOPLE, 1))
    chances = (activity * popularity * np.exp(0.7 * match)).ravel()
    seen = source.choice(PEOPLE * FILMS, RATINGS, replace=False, p=chances / chances.sum())
    given = np.clip(np.round(2 * (liked.ravel()[seen] + source.normal(0, CHANCE, RATINGS))) / 2, 0.5, 5.0)
    people, films = np.divmod(seen, FILMS)
    write(
        folder / "ratings.csv",
        ["person", "film", "stars"],
        (
            [f"p{person:04}", f"f{film:03}", f"{stars:g}"]
            for person, film, stars in zip(people, films, given, strict=True)
        ),
    )
    known = {(int(person), int(film)) for person, film in zip(people, films, strict=True)}
    others = ((name, film) for name in ASKED for film in range(FILMS) if (int(name[1:]), film) not in known)
    write(folder / "held_out.csv", ["person", "film"], ([name, f"f{film:03}"] for name, film in others))


def write(path: Path, header: list[str], rows: Iterable[list[str]]) -> None:
    """Write a CSV file."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    make(HERE)
