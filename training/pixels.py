"""Image files to arrays, as ``contract.manifest.Feature`` tells; the server does the same."""

from __future__ import annotations

import base64
import io
import struct
import warnings
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from contract import images

FORMATS = tuple(images.FORMATS.values())
GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L")
BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow raises for files that are no (whole) image, depending on where the damage is."""


def open_image(content: bytes) -> Image.Image:
    """Return an image whose header has been read, its pixels not yet.

    Raises:
        one of BROKEN: when it is no image, or has more than 50 million pixels.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(content), formats=FORMATS)
        except Image.DecompressionBombWarning as error:
            raise ValueError(str(error)) from error
        except UnidentifiedImageError as error:
            raise ValueError(f"it is none of {', '.join(FORMATS)}, or its first bytes are damaged") from error
    if image.width * image.height > images.MAX_PIXELS:
        raise ValueError(f"{image.width} x {image.height} pixels; at most {images.MAX_PIXELS:,} are read")
    return image


def flatten(image: Image.Image) -> Image.Image:
    """Return the image as ``L`` or ``RGB``: upright, on white, 8 bits a sample.

    Raises:
        one of BROKEN: when its pixels cannot be read.
    """
    grey = image.mode in GREY_MODES
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):
        return Image.fromarray((np.clip(np.asarray(upright), 0, 65535) // 257).astype(np.uint8))
    if upright.mode == "F":
        raise ValueError("its samples are floating-point numbers; save it with 8 bits a sample")
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return upright.convert("L" if grey else "RGB")


def to_array(image: Image.Image, *, height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """Return a flattened image in the model's size, uint8 [height, width, channels]."""
    converted = image.convert("L" if channels == 1 else "RGB")
    if converted.size != (width, height):
        converted = converted.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(converted).reshape(height, width, channels)


def to_png(array: NDArray[np.uint8]) -> str:
    """Return uint8 [height, width, channels] as a PNG in base64, without loss."""
    buffer = io.BytesIO()
    Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
