"""Images to the array ``image`` (see contract.manifest.Feature for the rules of conversion)."""

from __future__ import annotations

import base64
import binascii
import io
import itertools
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from contract import images
from contract.errors import InvalidModel, nearest
from contract.manifest import Schema
from serving.errors import Refused, show
from serving.inputs import Arrays
from serving.json_body import read_instances
from serving.npy_body import read_array

Image.MAX_IMAGE_PIXELS = None  # ours is checked instead, and refuses without a warning first

KEY = "image"
FORMATS = tuple(images.FORMATS.values())
EXPECTED = ", ".join(FORMATS[:-1]) + " or " + FORMATS[-1]
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, TypeError, struct.error, zlib.error)


class ImageReader:
    """Reads image files (alone, or in base64 in JSON), and pixels as JSON lists or as an array."""

    linear = False

    def __init__(self, schema: Schema) -> None:
        shapes = [tensor.shape[1:] for tensor in schema.inputs if (tensor.name, tensor.dtype) == (KEY, "uint8")]
        if (
            len(schema.features) != 1
            or len(schema.inputs) != 1
            or len(shapes) != 1
            or shapes[0][2:] not in {(1,), (3,)}
        ):
            raise InvalidModel(
                f"the manifest's inputs are {schema.inputs}; an image model has one, "
                "'image', uint8 [-1, height, width, 1 or 3], and one feature"
            )
        self._height, self._width, self._channels = shapes[0]
        self.decoders: dict[str, Callable[[bytes], Arrays]] = {
            "application/json": self.from_json,
            "application/x-npy": self.from_npy,
            **dict.fromkeys(images.FORMATS, self.from_file),
        }

    def from_json(self, body: bytes) -> Arrays:
        """Read ``{"instances": [{"image": <base64 file, or lists of pixels>}, ...]}``."""
        instances = read_instances(body)
        return {KEY: np.stack([self._instance(each, f"instances[{i}]") for i, each in enumerate(instances)])}

    def from_npy(self, body: bytes) -> Arrays:
        """Read uint8 [images, height, width] or [images, height, width, channels]."""
        array = read_array(body)
        if array.ndim == 3 and self._channels == 1:
            array = array[..., np.newaxis]
        if array.dtype != np.uint8 or array.shape[1:] != (self._height, self._width, self._channels):
            raise Refused(f"the array is {array.dtype} {list(array.shape)}; expected uint8 [images, {self._shape()}]")
        return {KEY: np.ascontiguousarray(array)}

    def from_file(self, body: bytes) -> Arrays:
        """Read one image file."""
        return {KEY: self._decode(body, "")[np.newaxis]}

    def example(self) -> dict[str, Any]:
        """Return a black image, as the base64 of a PNG file."""
        file = io.BytesIO()
        Image.new(self._mode(), (self._width, self._height)).save(file, "PNG")
        return {KEY: base64.b64encode(file.getvalue()).decode()}

    def _instance(self, instance: dict[str, Any], path: str) -> npt.NDArray[np.uint8]:
        for key in instance:
            if key != KEY:
                raise Refused(f"{show(key)} is not known; expected {KEY!r}. {nearest(key, [KEY])}".rstrip(), path)
        value, path = instance.get(KEY), f"{path}.{KEY}"
        if isinstance(value, str):
            return self._decode(_from_base64(value, path), path)
        if isinstance(value, list):
            return self._from_lists(value, path)
        raise Refused(f"{show(value)} is not allowed; expected an image file in base64, or lists of pixels", path)

    def _from_lists(self, rows: list[Any], path: str) -> npt.NDArray[np.uint8]:
        """Read [height][width] (grey) or [height][width][channels] of integers from 0 to 255."""
        pixels = _pixels_at_once(rows, (self._height, self._width, self._channels))
        if pixels is not None:
            return np.frombuffer(pixels, np.uint8).reshape(self._height, self._width, self._channels)
        self._check_length(rows, self._height, "rows", path)
        pixels = b"".join(self._row(row, f"{path}[{y}]") for y, row in enumerate(rows))
        return np.frombuffer(pixels, np.uint8).reshape(self._height, self._width, self._channels)

    def _row(self, row: Any, path: str) -> bytes:
        self._check_length(row, self._width, "pixels", path)
        if self._channels == 1 and not isinstance(row[0], list):
            return _to_bytes(row, path)
        for x, pixel in enumerate(row):
            self._check_length(pixel, self._channels, "channels", f"{path}[{x}]")
        return _to_bytes(list(itertools.chain.from_iterable(row)), path)

    def _check_length(self, value: Any, length: int, what: str, path: str) -> None:
        if not isinstance(value, list) or len(value) != length:
            found = f"a list of {len(value)}" if isinstance(value, list) else show(value)
            raise Refused(f"found {found}; expected {length} {what}: an image is [{self._shape()}]", path)

    def _decode(self, data: bytes, path: str) -> npt.NDArray[np.uint8]:
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:  # reads the header alone
                if image.width * image.height > images.MAX_PIXELS:
                    size = f"{image.width} x {image.height}"
                    raise Refused(f"the image has {size} pixels; at most {images.MAX_PIXELS:,} are read", path)
                return self._pixels(image)
        except Refused:
            raise
        except UNREADABLE as error:  # all that Pillow raises for damaged files
            raise Refused(f"the image cannot be read; expected a whole {EXPECTED} file", path) from error

    def _pixels(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        flat = _opaque(_eight_bit(ImageOps.exif_transpose(image)))
        if flat.mode not in ("1", "L", "LA"):
            flat = flat.convert("RGB")  # palettes and print colours have no direct way to grey
        flat = flat.convert(self._mode())
        if flat.size != (self._width, self._height):
            flat = flat.resize((self._width, self._height), Image.Resampling.BILINEAR)
        return np.asarray(flat, np.uint8).reshape(self._height, self._width, self._channels)

    def _mode(self) -> str:
        return "L" if self._channels == 1 else "RGB"

    def _shape(self) -> str:
        return f"{self._height}, {self._width}, {self._channels}"


def _from_base64(text: str, path: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        hint = "; leave out the 'data:...;base64,' in front" if text.startswith("data:") else ""
        raise Refused(f"{show(text)} is not base64{hint}", path) from error


def _pixels_at_once(rows: list[Any], shape: tuple[int, ...]) -> bytes | None:
    """Return the bytes of [height][width] or [height][width][channels]; None where something in it is not allowed."""
    height, width, channels = shape
    try:
        if len(rows) != height or set(map(len, rows)) != {width}:
            return None
        values = list(itertools.chain.from_iterable(rows))
        if channels > 1 or isinstance(values[0], list):
            if set(map(len, values)) != {channels}:
                return None
            values = list(itertools.chain.from_iterable(values))
        return bytes(values) if set(map(type, values)) == {int} else None
    except (TypeError, ValueError):  # something that is no list, or a number below 0 or above 255
        return None


def _to_bytes(values: Sequence[Any], path: str) -> bytes:
    if set(map(type, values)) == {int} and min(values) >= 0 and max(values) <= 255:
        return bytes(values)
    wrong = next(value for value in values if type(value) is not int or not 0 <= value <= 255)
    raise Refused(f"{show(wrong)} is not allowed; expected integers from 0 to 255", path)


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits; Pillow's own conversion would cut everything above 255."""
    if image.mode == "F":
        raise ValueError("its samples are floating-point numbers, which no model learned from")
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.clip(np.asarray(image), 0, 65535) // 257).astype(np.uint8))


def _opaque(image: Image.Image) -> Image.Image:
    """Blend transparency, of any kind that PNG knows, onto white."""
    if not image.has_transparency_data:
        return image
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
