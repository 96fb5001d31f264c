"""Images of any number of bands and of 8 or 16 bits or more, by what the user declares of them.

    bands: [3, 2, 1]                    which bands, counted from 1, in this order
    range: [0, 4095]                    what becomes 0 and 255; values outside are cut off
    range: {percentiles: [2, 98]}       the same measured for each band on images of the training split
    rgb: [3, 2, 1]                      bands that pictures, and models that take RGB alone, are given

8-bit bands without a range are read as they are, uint8, (H, W, C). All others are scaled by the range: pictures, and
models that take bytes alone, get them rounded to 256 steps; models that take floats get float32 from 0 to 255, not
rounded, unless `depth: bytes` says otherwise. A model whose network is made for any number of bands gets all that are
declared; one that takes RGB alone gets the `rgb` bands. Its record says both. TIFF, in any planar configuration and
compression, is read by tifffile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from bench.data.formats.image_files import BY_PILLOW, read_image, turned, upright
from bench.data.formats.image_headers import (
    Unreadable,
    header_of,
    read_bytes,
    refuse_undeclared_bands,
    tiff_layout,
    undeclared_bands,
)
from bench.errors import DatasetError, in_one_line
from bench.records import Record
from bench.records.predictions import RgbImage

TIFF_SUFFIXES = (".tif", ".tiff")
Depth = Literal["bytes", "floats"]
"""This is what models are given of scaled values: whole numbers from 0 to 255, or floats."""
MEASURED = 64
"""Images, at most, on which percentiles are measured, at even distances over the training split."""

LOOKED_AT = 8
LOW = 2**14
"""16-bit images whose highest value is below this hold fewer bits than 16."""


class Percentiles(Record):
    """Range by percentiles of the pixels of the training split, each 0-100."""

    percentiles: tuple[float, float]

    @model_validator(mode="after")
    def _rises(self) -> Percentiles:
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise ValueError("percentiles must rise and lie within 0 to 100")
        return self


@dataclass(frozen=True)
class BandReading:
    """State how bands become an image.

    Attributes:
        bands: Numbers of the bands, counted from 1; None takes one band, three times, or three.
        rgb: Numbers of the bands that are red, green and blue; None if that is not said.
        ranges: Values that become 0 and 255, for each band, or one pair for all; empty leaves 8 bits as they are.
        exact: True if scaled values stay floats.
    """

    bands: tuple[int, ...] | None
    rgb: tuple[int, int, int] | None = None
    ranges: tuple[tuple[float, float], ...] = ()
    exact: bool = False

    @property
    def channels(self) -> int:
        """Channels of the image."""
        return 3 if self.bands is None else len(self.bands)

    def describe(self) -> str:
        """Return one sentence, for the record."""
        bands = "1 or 3 bands" if self.bands is None else f"bands {', '.join(map(str, self.bands))}"
        ranges = "; ".join(f"{low:g} to {high:g}" for low, high in self.ranges)
        rgb = f", red, green and blue are {', '.join(map(str, self.rgb))}" if self.rgb is not None else ""
        return f"images are read as {bands}" + (f", {ranges} scaled to 0 to 255" if ranges else "") + rgb

    def of_rgb(self) -> BandReading:
        """Return the reading of the bands alone that are red, green and blue."""
        picked = self.rgb_channels()
        if picked is None or self.bands is None:
            return self
        ranges = tuple(self.ranges[channel] for channel in picked) if len(self.ranges) > 1 else self.ranges
        return replace(self, bands=self.rgb, ranges=ranges)

    def image(self, path: Path) -> NDArray[Any]:
        """Read the declared bands, uint8, (H, W, C), or scaled float32; raises `DatasetError` if they do not fit."""
        stored = stored_bands(path)
        found = stored.shape[2]
        bands = self.bands
        if bands is None:
            if found not in (1, 3):
                raise undeclared_bands(path, found, str(stored.dtype))
            bands = (1, 1, 1) if found == 1 else (1, 2, 3)
        if max(bands) > found:
            raise DatasetError(
                f"{path} has {found} band{'s' if found != 1 else ''}, but the option bands asks for band {max(bands)}. "
                "Bands are counted from 1; correct the option, or remove the image."
            )
        return _scaled(stored[..., [band - 1 for band in bands]], self.ranges, path, exact=self.exact)

    def shown(self, image: NDArray[Any]) -> RgbImage:
        """Red, green and blue of an image, uint8, (H, W, 3), for pictures: those declared, else the first bands."""
        picked = self.rgb_channels() or ([0, 1, 2] if image.shape[2] >= 3 else [0, 0, 0])
        return as_bytes(image[..., picked])

    def rgb_channels(self) -> list[int] | None:
        """Return channels that are red, green and blue; None if the image has not three and `rgb` does not say."""
        if self.rgb is not None and self.bands is not None:
            return [self.bands.index(band) for band in self.rgb]
        return [0, 1, 2] if self.channels == 3 else None


def stored_bands(path: Path) -> NDArray[Any]:
    """Return all bands of an image as stored, (H, W, C), upright."""
    if path.suffix.lower() in TIFF_SUFFIXES:
        return _of_tiff(path)
    header = header_of(path)
    if header.form in BY_PILLOW:  # 8-bit RGB
        return read_image(path)
    as_stored = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(read_bytes(path), np.uint8), as_stored)
    if pixels is None:
        return read_image(path)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    elif pixels.shape[2] >= 3:
        pixels = pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]]
    return np.ascontiguousarray(upright(pixels, header))


def _of_tiff(path: Path) -> NDArray[Any]:
    try:
        import tifffile
    except ImportError:
        raise DatasetError(
            f"{path}: bands of TIFF files are read by tifffile, which is not installed; pip install tifffile "
            "imagecodecs"
        ) from None
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            pixels, axes = series.asarray(), series.axes
    except (OSError, ValueError, RuntimeError, KeyError, IndexError, tifffile.TiffFileError) as error:
        raise Unreadable(path, in_one_line(error)) from None
    channels = [at for at, axis in enumerate(axes) if axis in "SC" and pixels.shape[at] > 1]
    kept = [at for at, axis in enumerate(axes) if axis in "YX"]
    others = [at for at in range(pixels.ndim) if at not in kept and at not in channels and pixels.shape[at] > 1]
    if len(kept) != 2 or others or len(channels) > 1:
        raise DatasetError(
            f"{path} holds an array of shape {pixels.shape} with the axes {axes}, which is no single image of bands; "
            "split it into one file an image."
        )
    moved = np.moveaxis(pixels, [*kept, *channels], range(2 + len(channels)))
    bands = moved.reshape(*moved.shape[:2], -1)
    return np.ascontiguousarray(turned(bands, header_of(path).orientation))  # tifffile gives them as stored


def as_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return values from 0 to 255 as uint8, rounded where they are floats."""
    return np.ascontiguousarray(values if values.dtype == np.uint8 else np.rint(values).astype(np.uint8))


def _scaled(pixels: NDArray[Any], ranges: Sequence[tuple[float, float]], path: Path, *, exact: bool) -> NDArray[Any]:
    if not ranges:
        if pixels.dtype != np.uint8:
            full = full_range(int(np.nan_to_num(pixels).max(initial=0)))
            raise DatasetError(
                f"{path} holds {pixels.dtype} values up to {pixels.max(initial=0)}, and no range is declared. Write "
                f"the option range: [0, {full}], or range: {{percentiles: [2, 98]}}."
            )
        return np.ascontiguousarray(pixels)
    low = np.array([r[0] for r in ranges], dtype=np.float32)
    high = np.array([r[1] for r in ranges], dtype=np.float32)
    scaled = (pixels.astype(np.float32) - low) * (255 / (high - low))
    cut = np.clip(np.nan_to_num(scaled), 0, 255)
    return np.ascontiguousarray(cut, dtype=np.float32) if exact else as_bytes(cut)


def measured_ranges(reading: BandReading, images: Sequence[Path], wanted: Percentiles) -> BandReading:
    """Fill in the ranges by percentiles, per band, of at most `MEASURED` images.

    Args:
        reading: Without ranges.
        images: Images of the training split.

    Raises:
        DatasetError: If an image cannot be read, or all pixels of a band are alike.
    """
    chosen = [images[n * len(images) // MEASURED] for n in range(MEASURED)] if len(images) > MEASURED else images
    values: list[list[NDArray[Any]]] = []
    for path in chosen:
        stored = stored_bands(path)
        picked = reading.bands or tuple(range(1, stored.shape[2] + 1))
        if max(picked) > stored.shape[2]:
            raise undeclared_bands(path, stored.shape[2], str(stored.dtype))
        step = max(1, stored.shape[0] * stored.shape[1] // 65536)
        values.append([stored[..., band - 1].ravel()[::step] for band in picked])
    of_bands = [np.concatenate(band) for band in zip(*values, strict=True)]
    ranges = [(low, high) for low, high in np.percentile(of_bands, wanted.percentiles, axis=1).T.tolist()]
    if any(low >= high for low, high in ranges):
        raise DatasetError(f"the percentiles {wanted.percentiles} of a band are one value; widen them.")
    return replace(reading, ranges=tuple(ranges))


DARK = LOW // 257 + 1
"""Images of which no pixel is brighter when they are read by the full range of 16 bits may hold fewer."""


def is_of_16_bits(path: Path) -> bool:
    """Return whether a PNG or TIFF says that its values are of 16 bits; False of any other file."""
    suffix = path.suffix.lower()
    if suffix == ".png":
        return read_bytes(path)[24:25] == b"\x10"
    layout = tiff_layout(path) if suffix in TIFF_SUFFIXES else None
    return layout is not None and layout.dtype == "uint16"


def highest_value(path: Path) -> int:
    """Return the highest value of an image as stored; that of 16 bits where it cannot be decoded, which others tell."""
    try:
        return int(np.nan_to_num(stored_bands(path)).max(initial=0))
    except DatasetError:
        return 65535


def few_bits(path: Path) -> str | None:
    """Say that an image is of 16 bits and holds fewer, so that few greys would be left; None of any other."""
    highest = highest_value(path) if is_of_16_bits(path) else LOW
    if highest >= LOW:
        return None
    return (
        f"it is of 16 bits but holds values up to {highest} only; scaled by 255 / 65535 it would keep "
        f"{round(highest / 257) + 1} grey levels"
    )


def full_range(highest: int) -> int:
    """Return the highest value of so many bits as a value needs, at least 8."""
    return int(2 ** max(8, highest.bit_length()) - 1)


def all_of_few_bits(highest: Mapping[Path, int], looked_at: int) -> str | None:
    """Say that images of 16 bits hold fewer, where none of them needs more; None where one does, or there is none.

    Args:
        highest: Highest value of each image of 16 bits.
    """
    if not highest or max(highest.values()) >= LOW:
        return None
    example = max(highest, key=lambda path: highest[path])
    most = highest[example]
    return (
        f"the images are of 16 bits but hold values up to {most} only (of {looked_at} looked at, for example "
        f"{example}); scaled by 255 / 65535 they would keep {round(most / 257) + 1} grey levels. Write the data set's "
        f"option range: [0, {full_range(most)}], or range: {{percentiles: [2, 98]}}; range: [0, 65535] leaves them as "
        "dark as they are."
    )


def check_undeclared(files: Sequence[Path]) -> None:
    """Refuse images of other bands than grey or RGB, and 16-bit ones that of few bits, which would be left few greys.

    A few files are looked at, at even distances; those that cannot be read are told elsewhere.
    """
    chosen = [files[n * len(files) // LOOKED_AT] for n in range(LOOKED_AT)] if len(files) > LOOKED_AT else files
    highest: dict[Path, int] = {}
    for path in chosen:
        if path.suffix.lower() in (*TIFF_SUFFIXES, ".png"):
            refuse_undeclared_bands(path)
            if is_of_16_bits(path):
                highest[path] = highest_value(path)
    told = all_of_few_bits(highest, len(chosen))
    if told is not None:
        raise DatasetError(f"folder: {told}")


class BandOptions(Record):
    """The options of a data set that declare bands; see the module.

    Attributes:
        bands: Numbers of the bands, counted from 1.
        range: Range of the values, or percentiles.
        rgb: Numbers of the three bands that are red, green and blue.
        depth: Type of the scaled values that models are given; None gives floats to those that take them.
    """

    bands: tuple[int, ...] | None = Field(default=None, min_length=1)
    range: tuple[float, float] | Percentiles | None = None
    rgb: tuple[int, int, int] | None = None
    depth: Depth | None = None

    @model_validator(mode="after")
    def _fits(self) -> BandOptions:
        if self.bands is not None and (min(self.bands) < 1 or len(set(self.bands)) < len(self.bands)):
            raise ValueError("bands are counted from 1, each once")
        if isinstance(self.range, tuple) and self.range[0] >= self.range[1]:
            raise ValueError("the range must rise")
        if self.rgb is not None and not set(self.rgb) <= set(self.bands or ()):
            raise ValueError("rgb must name three of the bands")
        return self

    def reading(self) -> BandReading | None:
        """Return how bands are read, percentiles not measured yet; None if nothing is declared."""
        if self.bands is None and self.range is None:
            return None
        ranges = (self.range,) if isinstance(self.range, tuple) else ()
        return BandReading(self.bands, self.rgb, ranges, exact=self.depth == "floats")
