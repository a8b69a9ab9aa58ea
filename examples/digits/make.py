"""Makes digits.zip and held_out/ from the scans that scikit-learn carries.

    pip install scikit-learn==1.9.1
    python examples/digits/make.py

The data: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
Learning Repository, 1998, https://doi.org/10.24432/C50P49, licensed CC BY 4.0. scikit-learn has the
1,797 scans of its test set, 8 x 8 pixels with values from 0 to 16; here they are 8-bit PNGs. Nothing
else was changed. Both outputs are the same bytes each time (for one version of Pillow).
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

HERE = Path(__file__).parent
LARGEST = 16  # value of a black pixel in the scans
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold


def png(scan: np.ndarray) -> bytes:
    """Return a scan, [8, 8] from 0 to 16, as an 8-bit grey PNG."""
    file = io.BytesIO()
    Image.fromarray(np.rint(scan * 255 / LARGEST).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def clearest(scans: np.ndarray, labels: np.ndarray, digit: int) -> int:
    """Return the number of the scan that is nearest to the mean of its digit."""
    members = np.flatnonzero(labels == digit)
    distances = np.linalg.norm(scans[members] - scans[members].mean(axis=0), axis=(1, 2))
    return int(members[distances.argmin()])


def make(folder: Path) -> None:
    """Write ``digits.zip`` (class folders) and ``held_out/<digit>.png``, one clear scan of each, into ``folder``."""
    digits = load_digits()
    held_out = {clearest(digits.images, digits.target, digit): digit for digit in range(10)}
    (folder / "held_out").mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "digits.zip", "w") as archive:
        for number, (scan, label) in enumerate(zip(digits.images, digits.target, strict=True)):
            if number in held_out:
                (folder / "held_out" / f"{label}.png").write_bytes(png(scan))
            else:
                entry = zipfile.ZipInfo(f"{label}/{number:04}.png", EPOCH)
                entry.external_attr = 0o644 << 16  # anybody may read the file, once it is unpacked
                archive.writestr(entry, png(scan))


if __name__ == "__main__":
    make(HERE)
