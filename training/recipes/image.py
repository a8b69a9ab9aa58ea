"""Classifies images with a convolutional network, from a small one to ResNet-18.

An upload is a zip of class folders (``cat/1.png``, ``dog/2.jpg``): the folder right
above a file names its class. Any size, grey or colour.
"""

from __future__ import annotations

import statistics
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contract.manifest import Feature, Schema, Tensor
from contract.parsing import setting
from contract.recipes import Search, Throughput
from training import pixels, zips
from training.data import LABEL, ROW
from training.recipes import Chunk, Preparation, Recipe
from training.rejection import Rejected
from training.split import TEST, TRAIN

if TYPE_CHECKING:
    from torch import nn

IMAGE = "image"
SMALLEST, LARGEST = 8, 64  # what image_size = 0 chooses from
CHUNK_BYTES = 8 * 2**20
RANGES: dict[str, dict[str, Any]] = {
    "learning_rate": {"min": 1e-3, "max": 1e-2, "scale": "log"},
    "batch_size": {"choices": [16, 32, 64]},
    "weight_decay": {"min": 1e-4, "max": 1e-1, "scale": "log"},
}
DAMAGED = (*pixels.BROKEN, zipfile.BadZipFile, NotImplementedError)


@dataclass(frozen=True, kw_only=True)
class Options:
    """The recipe's own settings."""

    image_size: int = setting(
        "Side of the square that images are resized to; 0 takes the median side of the upload, from 8 to 64.",
        default=0, minimum=0, maximum=512,
    )  # fmt: skip
    colours: str = setting(
        "What the network sees; auto is grey where every image is grey.",
        default="auto", choices=("auto", "grey", "rgb"),
    )  # fmt: skip
    network: str = setting(
        "small: two blocks of convolution and pooling, and a hidden layer of 128; deep: as many blocks as the image's "
        "size allows; resnet18: for thousands of images, wants a GPU.",
        default="deep", choices=("small", "deep", "resnet18"),
    )  # fmt: skip
    width: int = setting(
        "Filters of the first block; further ones have more. 0 is the network's own: 32, or 64 of resnet18.",
        default=0, minimum=0, maximum=512,
    )  # fmt: skip


class Image(Recipe):
    """The recipe."""

    summary = "Classifies images with a convolutional network, from a small one to ResNet-18."
    when = "Pictures that belong to one class each, and at least a few dozen of each class."
    examples = "digits"
    reader = "images"
    accepts = (".zip",)
    default_for: tuple[str, ...] = accepts
    options: type = Options
    read_options = ("image_size", "colours")
    searches: Mapping[str, Search] = {
        "deep": Search(options={"network": "deep"}, ranges=RANGES | {"options.width": {"choices": [16, 32, 64]}}),
        "small": Search(options={"network": "small"}, ranges=RANGES | {"options.width": {"choices": [16, 32, 64]}}),
        # It is for thousands of images, which are many updates in batches of 128 too.
        "resnet18": Search(
            options={"network": "resnet18"}, ranges=RANGES | {"batch_size": {"choices": [16, 32, 64, 128]}}
        ),
    }
    narrows: tuple[str, ...] = ("width",)
    prunes = True
    branched: tuple[str, ...] = ("resnet18",)
    defaults = {"train": {"epochs": 15, "batch_size": 32, "learning_rate": 0.003, "weight_decay": 0.01}}
    throughput = Throughput(
        samples_per_second=9500.0, machine="2 x86_64 cores, 1 thread a process", measured="2026-11-21"
    )

    def read(self, files: Sequence[Path], work: Preparation) -> ImageFolders:
        """Open zips of class folders."""
        return ImageFolders(files, work, self.parse_options(work.request.recipe.options))

    def network(self, schema: Schema, options: Options) -> nn.Module:
        """Return the chosen one of training.vision, normalised pixels first."""
        from torch import nn

        from training import layers, vision

        _, side, _, channels = schema.inputs[0].shape
        statistics = schema.features[0].statistics
        make, width = vision.NETWORKS[options.network]
        network = make(side=side, channels=channels, classes=len(schema.labels), width=options.width or width)
        return nn.Sequential(layers.Pixels(mean=statistics["mean"], std=statistics["std"]), *network)

    def narrower(self, options: Options, share: float) -> Options:
        """Return options of fewer filters; 0 stands for the network's own number."""
        from training import vision

        return super().narrower(replace(options, width=options.width or vision.NETWORKS[options.network][1]), share)

    def instance(self, arrays: Mapping[str, NDArray], schema: Schema) -> Any:
        """Return ``{"image": "<base64 PNG>"}``."""
        return {IMAGE: pixels.to_png(arrays[IMAGE])}

    def encode(self, originals: Sequence[bytes], schema: Schema) -> dict[str, NDArray]:
        """Return image files as pixels, in the schema's size and colours."""
        _, height, width, channels = schema.inputs[0].shape
        flat = (pixels.flatten(pixels.open_image(original)) for original in originals)
        return {IMAGE: np.stack([pixels.to_array(f, height=height, width=width, channels=channels) for f in flat])}


@dataclass(frozen=True, kw_only=True)
class _Picture:
    archive: Path
    file: str
    row: int  # in its archive, from 1
    member: zips.Member


class _Row(NamedTuple):
    image: NDArray[np.uint8]
    label: int
    number: int
    digest: bytes
    split: int
    original: bytes  # of test rows only


class ImageFolders:
    """The pictures of an upload's zips.

    Args:
        files: the zips.
        work: what preparation lends.
        options: the recipe's options.

    Raises:
        Rejected: when no class can be told.
    """

    def __init__(self, files: Sequence[Path], work: Preparation, options: Options) -> None:
        self.notes: list[str] = []
        self.anonymised: dict[str, str] = {}
        self._work = work
        self._pictures = [picture for path in files for picture in _pictures(path)]
        self._classes = sorted({picture.member.folder for picture in self._pictures} - {""})
        if not self._classes:
            raise Rejected("there are no class folders; put each image into a folder named after its class")
        self._side, self._channels = self._survey(options)
        self._moments = _Moments()

    def _survey(self, options: Options) -> tuple[int, int]:
        """Choose the size and the channels from the headers of all images."""
        sides: list[int] = []
        modes: Counter[bool] = Counter()
        for _, content in self._contents(self._pictures, report=False):
            try:
                header = pixels.open_image(content)
            except DAMAGED:
                continue  # it is reported when its pixels are read
            sides.append(max(header.size))
            modes[header.mode in pixels.GREY_MODES] += 1
        if not sides:
            raise Rejected("no file in a class folder is an image; expected " + ", ".join(pixels.FORMATS))
        side = options.image_size or min(LARGEST, max(SMALLEST, round(statistics.median(sides))))
        grey = options.colours == "grey" or (options.colours == "auto" and not modes[False])
        return side, 1 if grey else 3

    def chunks(self) -> Iterator[Chunk]:
        """Yield the pictures that can be read."""
        limit = max(1, CHUNK_BYTES // (self._side * self._side * self._channels))
        codes = {name: code for code, name in enumerate(self._classes)}
        rows: list[_Row] = []
        for number, (picture, content) in enumerate(self._contents(self._pictures, report=True)):
            try:
                flat = pixels.flatten(pixels.open_image(content))
            except DAMAGED as error:
                self._set_aside(picture, f"cannot be read as an image ({error})", content)
                continue
            array = pixels.to_array(flat, height=self._side, width=self._side, channels=self._channels)
            digest = self._work.splitter.digest(f"{flat.mode}{flat.size}".encode() + flat.tobytes())
            split = self._work.splitter.split(digest)
            original = content if split == TEST else b""
            rows.append(_Row(array, codes[picture.member.folder], number, digest, split, original))
            if len(rows) == limit:
                yield self._chunk(rows)
                rows = []
        if rows:
            yield self._chunk(rows)

    def _chunk(self, rows: list[_Row]) -> Chunk:
        split = np.array([row.split for row in rows], np.int8)
        stacked = np.stack([row.image for row in rows])
        self._moments.add(stacked[split == TRAIN])
        labels, numbers = (
            np.array(values, np.int64) for values in zip(*((r.label, r.number) for r in rows), strict=True)
        )
        return Chunk(
            arrays={IMAGE: stacked, LABEL: labels, ROW: numbers},
            content=[row.digest for row in rows],
            split=split,
            originals=[row.original for row in rows if row.split == TEST],
        )

    def schema(self) -> Schema:
        """Return the signature: one image."""
        shape = (-1, self._side, self._side, self._channels)
        return Schema(
            task="classification",
            inputs=(Tensor(name=IMAGE, dtype="uint8", shape=shape),),
            features=(Feature(name=IMAGE, kind="image", statistics=self._moments.statistics()),),
            labels=tuple(self._classes),
            target=LABEL,
        )

    def _contents(self, pictures: Sequence[_Picture], *, report: bool) -> Iterator[tuple[_Picture, bytes]]:
        """Yield each picture's file; report those that the zip cannot give, or that are in no class folder."""
        archives: dict[Path, zipfile.ZipFile] = {}
        try:
            for picture in pictures:
                if picture.archive not in archives:
                    archives[picture.archive] = zipfile.ZipFile(picture.archive)
                try:
                    content = zips.read(archives[picture.archive], picture.member)
                except DAMAGED as error:
                    if report:
                        self._set_aside(picture, f"cannot be unzipped ({error})", b"")
                    continue
                if picture.member.folder:
                    yield picture, content
                elif report:
                    self._set_aside(picture, "is in no class folder", content)
        finally:
            for archive in archives.values():
                archive.close()

    def _set_aside(self, picture: _Picture, reason: str, content: bytes) -> None:
        self._work.quarantine.file(
            file=picture.file, row=picture.row, name=picture.member.name, reason=reason, content=content
        )


def _pictures(path: Path) -> list[_Picture]:
    return [
        _Picture(archive=path, file=path.name, row=row, member=member)
        for row, member in enumerate(zips.members(path, path.name), start=1)
    ]


class _Moments:
    """Mean and standard deviation of all samples of the training images, from exact integer sums."""

    def __init__(self) -> None:
        self._counts = np.zeros(256, np.int64)

    def add(self, images: NDArray[np.uint8]) -> None:
        self._counts += np.bincount(images.reshape(-1), minlength=256)

    def statistics(self) -> dict[str, float]:
        total, values = int(self._counts.sum()), np.arange(256)
        if not total:
            return {"mean": 0.0, "std": 0.0, "min": 0.0, "max": 0.0, "missing": 0.0}
        mean = float((self._counts * values).sum() / total)
        std = float(np.sqrt((self._counts * (values - mean) ** 2).sum() / total))
        seen = np.flatnonzero(self._counts)
        return {"mean": mean, "std": std, "min": float(seen[0]), "max": float(seen[-1]), "missing": 0.0}


RECIPE = Image()
