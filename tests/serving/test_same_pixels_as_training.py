"""Preparation and the server live in rooms that may not import each other, and must make the same pixels."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from serving.image_inputs import ImageReader
from tests.serving import archives
from training import pixels

NOISE = Image.effect_noise((37, 23), 80)
COLOURS = Image.merge("RGB", [Image.effect_noise((37, 23), 80) for _ in range(3)])
CASES: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
    "grey": (NOISE, "PNG", {}),
    "grey jpeg": (NOISE, "JPEG", {}),
    "colour": (COLOURS, "PNG", {}),
    "colour jpeg": (COLOURS, "JPEG", {"quality": 60}),
    "print colours": (COLOURS.convert("CMYK"), "JPEG", {}),
    "palette": (COLOURS.quantize(32), "PNG", {}),
    "palette with a transparent colour": (COLOURS.quantize(32), "PNG", {"transparency": 3}),
    "grey with a transparent value": (NOISE, "PNG", {"transparency": 100}),
    "grey and alpha": (Image.merge("LA", [NOISE, Image.effect_noise((37, 23), 80)]), "PNG", {}),
    "colour and alpha": (Image.merge("RGBA", [*COLOURS.split(), NOISE]), "PNG", {}),
    "one bit": (NOISE.convert("1"), "PNG", {}),
    "grey gif": (NOISE, "GIF", {}),
    "gif with a transparent colour": (COLOURS.quantize(32), "GIF", {"transparency": 3}),
    "bitmap": (COLOURS, "BMP", {}),
    "webp": (COLOURS, "WEBP", {}),
    "webp and alpha": (Image.merge("RGBA", [*COLOURS.split(), NOISE]), "WEBP", {"lossless": True}),
    "tiff": (COLOURS, "TIFF", {}),
    "packed tiff": (NOISE, "TIFF", {"compression": "tiff_lzw"}),
    "print colours in tiff": (COLOURS.convert("CMYK"), "TIFF", {}),
    "laboratory colours in tiff": (Image.frombytes("LAB", (37, 23), COLOURS.tobytes()), "TIFF", {}),
    "sixteen bits in tiff": (Image.fromarray(np.arange(851, dtype=np.uint16).reshape(23, 37) * 77), "TIFF", {}),
    "thirty-two bits in tiff": (Image.fromarray(np.arange(-99, 752, dtype=np.int32).reshape(23, 37) * 999), "TIFF", {}),
    "sixteen bits": (Image.fromarray(np.arange(851, dtype=np.uint16).reshape(23, 37) * 77), "PNG", {}),
}
for _orientation in range(2, 9):
    _exif = Image.Exif()
    _exif[0x0112] = _orientation
    CASES[f"orientation {_orientation}"] = (COLOURS, "JPEG", {"exif": _exif})


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_the_server_makes_the_pixels_that_the_model_was_trained_on(case: str, channels: int) -> None:
    image, kind, options = CASES[case]
    file = io.BytesIO()
    image.save(file, kind, **options)
    flat = pixels.flatten(pixels.open_image(file.getvalue()))
    trained = pixels.to_array(flat, height=12, width=10, channels=channels)
    served = ImageReader(archives.image_schema(12, 10, channels)).from_file(file.getvalue())["image"][0]
    np.testing.assert_array_equal(served, trained)
