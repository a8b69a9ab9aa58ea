"""Small honest datasets: learnable, and made again from a seed."""

from __future__ import annotations

import csv
import datetime
import io
import math
import random
import zipfile

from PIL import Image


def table(rows: int = 240, *, seed: int = 0, age_counts: bool = True) -> bytes:
    """Return a CSV: two numbers, a category with gaps, and ``risk`` (low, high), which they decide.

    Where ``age_counts`` is false, age decides nothing: a model of such rows knows less than one of the others.
    """
    source, text = random.Random(seed), io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["income", "age", "region", "risk"])
    for _ in range(rows):
        income, age = source.gauss(0, 1), source.uniform(18, 90)
        region = source.choice(["north", "south", "east", ""])
        older = (age - 54) / 20 if age_counts else 0.0
        high = income + older + (0.5 if region == "south" else 0.0) > 0
        writer.writerow([f"{income:.4f}", f"{age:.1f}", region, "high" if high else "low"])
    return text.getvalue().encode()


def fares(rows: int = 500, *, seed: int = 0) -> str:
    """Return a table whose ``fare`` depends on distance, on the hour and on one of 150 drivers, many of them rare."""
    source, text = random.Random(seed), io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["pickup", "driver", "km", "fare"])
    for _ in range(rows):
        time = datetime.datetime(2026, 1, 1) + datetime.timedelta(minutes=source.randrange(60 * 24 * 90))
        driver, km = min(int(source.expovariate(0.03)), 149), source.uniform(1, 20)
        night = 1 + math.cos(time.hour * math.pi / 12)
        fare = 3 + 1.5 * km + 4 * night + (driver % 5) + source.gauss(0, 0.5)
        when = "" if source.random() < 0.02 else time.isoformat(timespec="minutes")
        writer.writerow([when, f"driver-{driver}", f"{km:.2f}", f"{fare:.2f}"])
    return text.getvalue()


def images(rows: int = 120, *, size: int = 8, seed: int = 0, extra: dict[str, bytes] | None = None) -> bytes:
    """Return a zip of class folders: bright on the left, bright on the right; ``extra`` adds files."""
    source, packed = random.Random(seed), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(rows):
            left = number % 2 == 0
            image = Image.new("L", (size, size))
            for x in range(size):
                for y in range(size):
                    bright = (x < size // 2) == left
                    image.putpixel((x, y), source.randint(140, 255) if bright else source.randint(0, 110))
            png = io.BytesIO()
            image.save(png, "PNG")
            archive.writestr(f"{'left' if left else 'right'}/{number:04}.png", png.getvalue())
        for name, body in (extra or {}).items():
            archive.writestr(name, body)
    return packed.getvalue()


TABLE_TOML = """
recipe = "tabular"
[prepare]
target = "risk"
[train]
epochs = {epochs}
batch_size = 32
learning_rate = {learning_rate}
spot = {spot}
hosts = 1
instance = "ml.m5.xlarge"
max_minutes = 10
{more}
"""


def table_toml(*, epochs: int = 20, learning_rate: float = 0.02, spot: bool = False, more: str = "") -> str:
    """Return a project.toml that learns :func:`table` in a second; ``more`` adds sections."""
    return TABLE_TOML.format(epochs=epochs, learning_rate=learning_rate, spot=str(spot).lower(), more=more)
