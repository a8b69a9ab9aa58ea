"""Images: every kind of PNG and JPEG becomes the right pixels; what is no image is refused."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from contract.images import MAX_PIXELS
from serving.errors import Refused
from serving.image_inputs import ImageReader
from tests.serving import archives
from tests.serving.client import Client

GREY = ImageReader(archives.image_schema())
COLOUR = ImageReader(archives.image_schema(channels=3))
PIXELS = np.arange(12, dtype=np.uint8).reshape(4, 3) * 20


def file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def read(data: bytes, reader: ImageReader = GREY) -> npt.NDArray[np.uint8]:
    array = reader.from_file(data)["image"]
    assert array.dtype == np.uint8
    assert array.shape[:3] == (1, 4, 3)
    return array[0, :, :, 0] if array.shape[3] == 1 else array[0]


def test_a_grey_png_keeps_its_pixels() -> None:
    np.testing.assert_array_equal(read(file(Image.fromarray(PIXELS))), PIXELS)


def test_a_grey_file_fills_three_equal_channels_of_a_colour_model() -> None:
    np.testing.assert_array_equal(read(file(Image.fromarray(PIXELS)), COLOUR), np.stack([PIXELS] * 3, axis=2))


def test_colours_become_grey_by_their_luma() -> None:
    red = Image.new("RGB", (3, 4), (255, 0, 0))
    assert set(read(file(red)).flat) == {76}  # 0.299 x 255, ITU-R BT.601


def test_a_palette_is_looked_up() -> None:
    image = Image.fromarray(PIXELS).convert("P")
    np.testing.assert_array_equal(read(file(image)), PIXELS)


def test_sixteen_bits_are_scaled_not_cut() -> None:
    image = Image.fromarray(PIXELS.astype(np.uint16) * 257)
    assert Image.open(io.BytesIO(file(image))).mode == "I;16"
    np.testing.assert_array_equal(read(file(image)), PIXELS)


def test_one_bit_is_black_and_white() -> None:
    image = Image.fromarray(PIXELS > 100)
    np.testing.assert_array_equal(read(file(image)), np.where(PIXELS > 100, 255, 0))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_is_blended_onto_white(mode: str) -> None:
    image = Image.fromarray(PIXELS).convert(mode)
    image.putalpha(0)
    assert set(read(file(image)).flat) == {255}
    image.putalpha(128)
    assert abs(int(read(file(image))[0, 0]) - 127) <= 1


def test_a_transparent_colour_of_a_palette_is_white() -> None:
    image = Image.new("P", (3, 4), 1)
    image.putpalette([10, 10, 10, 20, 20, 20])
    assert set(read(file(image, transparency=1)).flat) == {255}
    assert set(read(file(image)).flat) == {20}


def test_a_photo_is_turned_as_its_exif_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter: width and height change places
    sideways = Image.fromarray(np.rot90(PIXELS))
    np.testing.assert_array_equal(read(file(sideways, exif=exif)), PIXELS)


def test_print_colours_are_converted() -> None:
    white = file(Image.new("CMYK", (3, 4), (0, 0, 0, 0)), "JPEG")
    assert set(read(white).flat) == {255}


def test_a_larger_image_is_resized_smoothly() -> None:
    large = Image.fromarray(np.kron(PIXELS, np.ones((8, 8), np.uint8)))
    np.testing.assert_array_equal(read(file(large)), np.asarray(large.resize((3, 4), Image.Resampling.BILINEAR)))


def test_all_ways_to_send_an_image_agree(image: Client) -> None:
    png = file(Image.fromarray(PIXELS))
    stream = io.BytesIO()
    np.save(stream, PIXELS[np.newaxis])
    answers = [
        image.invoke(png, "image/png"),
        image.instances({"image": b64(png)}),
        image.instances({"image": PIXELS.tolist()}),
        image.instances({"image": PIXELS[..., np.newaxis].tolist()}),
        image.invoke(stream.getvalue(), "application/x-npy"),
    ]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1


def test_a_jpeg_is_read(image: Client) -> None:
    assert image.invoke(file(Image.fromarray(PIXELS), "JPEG"), "image/jpeg").status_code == 200


def test_colour_pixels_are_read_as_lists_and_as_an_array() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 3, 3), dtype=np.uint8)
    body = '{"instances": [' + ",".join(f'{{"image": {each.tolist()}}}' for each in pixels) + "]}"
    np.testing.assert_array_equal(COLOUR.from_json(body.encode())["image"], pixels)
    stream = io.BytesIO()
    np.save(stream, np.asfortranarray(pixels))
    np.testing.assert_array_equal(COLOUR.from_npy(stream.getvalue())["image"], pixels)


ROWS = PIXELS.tolist()


@pytest.mark.parametrize(
    ("value", "path", "words"),
    [
        (None, "instances[0].image", "None is not allowed; expected an image file in base64, or lists"),
        (5, "instances[0].image", "5 is not allowed"),
        ("%%%", "instances[0].image", "'%%%' is not base64"),
        ("data:image/png;base64,AAAA", "instances[0].image", "leave out the 'data:"),
        ("AAAA", "instances[0].image", "cannot be read"),
        ("", "instances[0].image", "cannot be read"),
        (ROWS[:3], "instances[0].image", "a list of 3; expected 4 rows: an image is [4, 3, 1]"),
        ([*ROWS[:3], [1, 2]], "instances[0].image[3]", "a list of 2; expected 3 pixels"),
        ([*ROWS[:3], 7], "instances[0].image[3]", "found 7; expected 3 pixels"),
        ([*ROWS[:3], [1, 2, 256]], "instances[0].image[3]", "256 is not allowed; expected integers from 0 to 255"),
        ([*ROWS[:3], [1, -2, 25]], "instances[0].image[3]", "-2 is not allowed"),
        ([*ROWS[:3], [1, 0.5, 25]], "instances[0].image[3]", "0.5 is not allowed"),
        ([*ROWS[:3], [1, True, 25]], "instances[0].image[3]", "True is not allowed"),
        ([*ROWS[:3], [1, "2", 25]], "instances[0].image[3]", "'2' is not allowed"),
        ([*ROWS[:3], [1, {}, 25]], "instances[0].image[3]", "{} is not allowed"),
        ([*ROWS[:3], [[1], [2, 2], [3]]], "instances[0].image[3][1]", "a list of 2; expected 1 channels"),
    ],
)
def test_a_wrong_image_is_refused_by_its_path(image: Client, value: Any, path: str, words: str) -> None:
    error = image.refusal({"image": value})
    assert error["path"] == path
    assert words in error["message"]


def test_another_key_than_image_is_refused(image: Client) -> None:
    error = image.refusal({"img": b64(file(Image.fromarray(PIXELS)))})
    assert error["path"] == "instances[0]"
    assert "'img' is not known; expected 'image'. Did you mean 'image'?" in error["message"]


@pytest.mark.parametrize(
    "array",
    [PIXELS, PIXELS[np.newaxis].astype(np.float32), np.zeros((1, 3, 4), np.uint8), np.zeros((1, 4, 3, 3), np.uint8)],
    ids=str,
)
def test_an_array_of_another_type_or_shape_is_refused(image: Client, array: npt.NDArray) -> None:
    stream = io.BytesIO()
    np.save(stream, array)
    response = image.invoke(stream.getvalue(), "application/x-npy")
    assert response.status_code == 400
    assert "expected uint8 [images, 4, 3, 1]" in response.json()["error"]["message"]


def test_a_truncated_file_is_refused_wherever_it_ends() -> None:
    for kind in ("PNG", "JPEG"):
        whole = file(Image.effect_noise((40, 30), 50), kind)
        for end in range(0, len(whole) - 20, 7):
            with pytest.raises(Refused, match="cannot be read"):
                GREY.from_file(whole[:end])


def test_damaged_bytes_are_read_or_refused_but_never_crash() -> None:
    random = np.random.default_rng(0)
    originals = [file(Image.effect_noise((20, 20), 50).convert("P"), "PNG"), file(Image.new("CMYK", (9, 9)), "JPEG")]
    refused = 0
    for original in originals * 150:
        damaged = bytearray(original)
        for position in random.integers(0, len(damaged), 3):
            damaged[position] = random.integers(0, 256)
        try:
            GREY.from_file(bytes(damaged))
        except Refused:
            refused += 1
    assert refused > 100


def test_a_decompression_bomb_is_refused_before_it_is_unpacked() -> None:
    side = int(MAX_PIXELS**0.5) + 1
    with pytest.raises(Refused, match=f"{side} x {side} pixels; at most {MAX_PIXELS:,}"):
        GREY.from_file(bomb(side))


def test_other_formats_are_refused() -> None:
    for kind in ("ICO", "PPM", "TGA"):
        with pytest.raises(Refused, match="expected a whole PNG, JPEG, GIF, BMP, WEBP or TIFF"):
            GREY.from_file(file(Image.fromarray(PIXELS), kind))


def bomb(side: int) -> bytes:
    """A PNG that claims ``side`` x ``side`` pixels and holds a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )
