"""Slices of volumes as the images of an `OnDisk`: which way they are cut, which values become grey, where they lie.

Slices are shown as radiologists see them: the patient's right on the left of an axial and a coronal one, the front on
the left of a sagittal one and on top of an axial one, the head on top of the other two. Slice numbers rise towards
the head, the back and the patient's left.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.formats.bands import BandReading, as_bytes
from bench.data.formats.dicom_labels import label_kind, read_labels
from bench.data.formats.dicom_series import read_series
from bench.data.formats.documents import whole_number
from bench.data.formats.label_tables import map_values
from bench.data.formats.on_disk import Entry, Pictures
from bench.data.formats.rasters import painted, stacked
from bench.data.formats.volume_arrays import READERS, Reader, Volume, as_lps, suffix_of
from bench.data.formats.volume_places import Case
from bench.dataset import GroundTruth, Place, Spacing
from bench.errors import DatasetError
from bench.records import Size
from bench.records.predictions import RgbImage, SemanticMap
from bench.records.store.files import file_state

Axis = Literal["axial", "coronal", "sagittal", "stored"]
Window = tuple[float, float]
CACHE_MIB = "BENCH_VOLUME_CACHE_MIB"
"""Variable: memory for volumes that a process keeps, in MiB; 1024 unless it is set."""
SAME_PLACE = 0.1
"""Share of a voxel by which a mask's corners may lie elsewhere than those of its image."""


@dataclass(frozen=True)
class Grey:
    """Hold what becomes black and white.

    Attributes:
        windows: A channel each; one alone makes a grey image. Empty where `percentiles` are measured.
        percentiles: Percentiles that are measured for each volume and channel, and become black and white.
        exact: True if scaled values stay floats.
    """

    windows: tuple[Window, ...] = ()
    percentiles: tuple[float, float] | None = None
    exact: bool = False

    def describe(self) -> str:
        """Return one sentence, for the record."""
        if self.percentiles is not None:
            low, high = self.percentiles
            return f"values are scaled from the percentiles {low:g} to {high:g} of each volume to 0 to 255"
        shown = ", ".join(f"{low:g} to {high:g}" for low, high in self.windows)
        return f"values are cut to {shown} and scaled to 0 to 255" if shown else "values of 8 bits are taken as stored"


def read_volume(path: Path) -> Volume:
    """Read a volume in its anatomical axes, see `volume_arrays`; the last ones read are kept in memory."""
    return _kept("volume", path, lambda: as_lps(_reader(path)(path, pixels=True), path))


def outline(path: Path) -> Volume:
    """Return the size and place of a volume from its header, in its anatomical axes; its values are a stand-in."""
    return _outline(path, _state(path))


def _state(path: Path) -> tuple[int, ...]:
    """Return what changes when a file does."""
    found = file_state(path)
    if found is None:
        raise DatasetError(f"{path} cannot be read: there is no such file.", kind="image")
    return found


@lru_cache(maxsize=1 << 16)
def _outline(path: Path, state: tuple[int, ...]) -> Volume:  # noqa: ARG001 - it is part of the key
    return as_lps(_reader(path)(path, pixels=False), path)


def _reader(path: Path) -> Reader:
    return read_series if path.is_dir() else READERS.get(suffix_of(path.name), read_series)


_memory: OrderedDict[tuple[str, Path, tuple[int, ...]], Volume] = OrderedDict()


def _kept(kind: str, path: Path, read: Callable[[], Volume]) -> Volume:
    """Return what was read last of a file, for as long as memory for volumes reaches; least recently used ones go."""
    key = kind, path, _state(path)
    if key in _memory:
        _memory.move_to_end(key)
        return _memory[key]
    volume = read()
    _memory[key] = volume
    asked = os.environ.get(CACHE_MIB) or "1024"
    if whole_number(asked) is None:
        raise DatasetError(f"{CACHE_MIB}={asked}: expected a whole number of MiB of volumes that are kept in memory")
    most = float(asked) * 2**20
    while len(_memory) > 1 and sum(kept.values.nbytes for kept in _memory.values()) > most:
        _memory.popitem(last=False)
    return volume


def cut(volume: Volume, axis: Axis, number: int) -> NDArray[Any]:
    """Return the slice of a volume as shown, (H, W) or (H, W, C)."""
    if axis == "coronal":
        return np.asarray(volume.values[:, number].swapaxes(0, 1)[::-1])
    if axis == "sagittal":
        return np.asarray(volume.values[number].swapaxes(0, 1)[::-1])
    return np.asarray(volume.values[:, :, number].swapaxes(0, 1))


def slices_of(volume: Volume, axis: Axis) -> int:
    """Return how many slices a volume has along an axis."""
    return int(volume.values.shape[{"sagittal": 0, "coronal": 1}.get(axis, 2)])


def spacing_of(volume: Volume, axis: Axis) -> Spacing | None:
    """Return distances of a slice's pixels; the distance of slices is left out where they are uneven."""
    if volume.spacing is None:
        return None
    x, y, z = volume.spacing
    row, column, depth = {"coronal": (z, x, y), "sagittal": (z, y, x)}.get(axis, (y, x, z))
    return Spacing(row, column, None if "apart" in volume.note else depth)


class Slices(Pictures):
    """Images of entries: `key` is the number of the slice, `image` the first file of the volume."""

    def __init__(self, axis: Axis, grey: Grey, case_of: Mapping[Path, Case]) -> None:
        """Keep the axis, what becomes black and white, and `image` of an entry -> its volumes."""
        self._axis, self._grey, self._case_of = axis, grey, case_of
        self._ranges: dict[Path, tuple[Window, ...]] = {}

    def image(self, entry: Entry) -> RgbImage:
        """Return the slice, uint8 or exact float32: (H, W, 3) of one or three channels, (H, W, C) of others."""
        planes: list[NDArray[Any]] = []
        for path in self._case_of[entry.image].images:
            volume = read_volume(path)
            if not 0 <= int(entry.key) < slices_of(volume, self._axis):
                raise DatasetError(f"{path} has no slice {entry.key}; its channels differ in size.", kind="size")
            stored = cut(volume, self._axis, int(entry.key))
            bands = stored[..., None] if stored.ndim == 2 else stored
            planes += self._planes(bands, path, volume)
        if len({plane.shape for plane in planes}) > 1:
            raise DatasetError(f"{entry.image}: its channels differ in size.", kind="size")
        planes = planes * 3 if len(planes) == 1 else planes
        return np.ascontiguousarray(np.stack(planes, axis=-1))

    def _planes(self, bands: NDArray[Any], path: Path, volume: Volume) -> list[NDArray[Any]]:
        windows = self._windows(path, volume)
        if len(windows) > bands.shape[2] == 1:
            bands = np.repeat(bands, len(windows), axis=2)
        if windows and len(windows) not in (1, bands.shape[2]):
            raise DatasetError(f"{path} has {bands.shape[2]} channels, but there are {len(windows)} windows.")
        planes: list[NDArray[Any]] = [np.asarray(plane) for plane in np.moveaxis(bands, 2, 0)]
        if windows:
            pairs = zip(planes, cycle(windows), strict=False)
            planes = [scaled(plane, window, exact=self._grey.exact) for plane, window in pairs]
        return [np.asarray(255 - plane, dtype=plane.dtype) for plane in planes] if volume.inverted else planes

    def _windows(self, path: Path, volume: Volume) -> tuple[Window, ...]:
        if self._grey.percentiles is None:
            if not self._grey.windows and volume.values.dtype != np.uint8:
                raise undeclared_values(path, volume)
            return self._grey.windows
        if path not in self._ranges:
            values = volume.values if volume.values.ndim == 4 else volume.values[..., None]
            measured = [percentiles_of(values[..., c], self._grey.percentiles) for c in range(values.shape[3])]
            self._ranges[path] = tuple(measured)
        return self._ranges[path]

    def size(self, entry: Entry) -> Size:
        """Return rows and columns of the slice."""
        x, y, z = outline(self._case_of[entry.image].images[0]).values.shape[:3]
        return {"coronal": Size(z, x), "sagittal": Size(z, y)}.get(self._axis, Size(y, x))

    def encoded(self, entry: Entry) -> bytes:
        """Return a PNG of the slice."""
        return cv2.imencode(".png", as_bytes(self.image(entry)[..., ::-1]))[1].tobytes()

    def spacing(self, entry: Entry) -> Spacing | None:
        """Return the spacing in millimetres, from the header of the volume."""
        return spacing_of(outline(self._case_of[entry.image].images[0]), self._axis)

    def place(self, entry: Entry) -> Place:
        """Return the name of the volume and number of the slice."""
        return Place(self._case_of[entry.image].name, int(entry.key))


def scaled(values: NDArray[Any], window: Window, *, exact: bool = False) -> NDArray[Any]:
    """Return values as uint8, or `exact` as float32: 0 below the window, 255 above it, and 0 for no number."""
    low, high = window
    grey = (np.nan_to_num(values.astype(np.float32)) - np.float32(low)) * np.float32(255 / (high - low))
    cut_off = np.clip(grey, 0, 255)
    return cut_off if exact else as_bytes(cut_off)


def percentiles_of(values: NDArray[Any], wanted: tuple[float, float]) -> Window:
    """Return percentiles of a volume, of each `step`-th voxel so that about a million count."""
    flat = values.reshape(-1)[:: max(1, values.size >> 20)]
    low, high = np.percentile(np.nan_to_num(flat.astype(np.float32)), wanted).tolist()
    return (low, high) if high > low else (low, low + 1.0)


def undeclared_values(path: Path, volume: Volume) -> DatasetError:
    """Return the error for values that no window is declared for, with what was seen."""
    low, high = percentiles_of(volume.values, (0.5, 99.5))
    said = f", and its header proposes {volume.window[0]:g} to {volume.window[1]:g}" if volume.window else ""
    proposed = volume.window or (-160.0, 240.0)
    return DatasetError(
        f"{path} holds {volume.values.dtype} from {np.nanmin(volume.values):g} to {np.nanmax(volume.values):g}, of "
        f"which 99 % lie within {low:g} and {high:g}{said}; which of them are black and white is not declared. For CT "
        f"write the option window: [{proposed[0]:g}, {proposed[1]:g}] (Hounsfield units); for MR, whose values are "
        "arbitrary, window: {percentiles: [0.5, 99.5]}, measured for each volume.",
        kind="image",
    )


@dataclass(frozen=True)
class LabelRule:
    """State how label volumes become the ground truth of slices.

    Attributes:
        axis: Axis along which volumes are cut.
        case_of: `image` of an entry -> its volumes.
        class_of: Value -> class id, or void.
        known: Values that there are, for messages.
        as_stored: Take mask and image voxel by voxel, whatever the mask's header says of its place.
        instances: True if values are numbers of objects of class 1.
        value_of: Name of a class -> its value, for masks that tell regions by name; those on top last.
    """

    axis: Axis
    case_of: Mapping[Path, Case]
    class_of: dict[int, int]
    known: str
    as_stored: bool
    instances: bool
    value_of: Mapping[str, int]

    def ground_truth(self, entry: Entry) -> GroundTruth:
        """Return the ground truth of a slice; raises `DatasetError` for a mask that lies otherwise than its image."""
        volume = self.mask(entry)
        pixels = cut(volume, self.axis, int(entry.key))
        if self.instances:
            values = [value for value in np.unique(pixels).tolist() if value]
            masks = [pixels == value for value in values]
            found = stacked(masks, [1] * len(masks), [False] * len(masks), Size(*pixels.shape))
            return GroundTruth(SemanticMap(painted(found, background=0)), found)
        labels = map_values(pixels, self.class_of, file=entry.ground_truths[0], known=self.known)
        return GroundTruth(SemanticMap(labels))

    def mask(self, entry: Entry) -> Volume:
        """Return the label volume of an entry, in the axes of its image."""
        case = self.case_of[entry.image]
        kind = f"mask of {case.images[0]}{self.as_stored}{list(self.value_of.items())}"
        return _kept(kind, case.mask, lambda: self._read(case.mask, case.images[0]))

    def _read(self, path: Path, image: Path) -> Volume:
        if label_kind(path):
            return as_lps(read_labels(path, _reader(image)(image, pixels=False), self.value_of), path)
        mask, of_image = _reader(path)(path, pixels=True), outline(image)
        if self.as_stored:
            original = _reader(image)(image, pixels=False)
            mask = Volume(mask.values, original.affine, original.spacing)
        mask = as_lps(mask, path)
        if mask.values.ndim == 4 and mask.values.shape[3] != 1:
            told = f"{path} has {mask.values.shape[3]} channels; a mask has one label a voxel."
            raise DatasetError(told, kind="mask")
        require_one_grid(mask, of_image, path, image)
        return Volume(whole_numbers(mask.values, path), mask.affine, mask.spacing)


def whole_numbers(values: NDArray[Any], path: Path) -> NDArray[np.uint16]:
    """Return labels as uint16; raises `DatasetError` for others than whole numbers from 0 to 65535."""
    values = values[..., 0] if values.ndim == 4 else values
    if values.dtype == np.bool_ or values.dtype == np.uint8:
        return np.asarray(values, dtype=np.uint8)
    if np.issubdtype(values.dtype, np.floating) and not (values == np.floor(values)).all():
        raise DatasetError(
            f"{path} holds fractions ({values.dtype}); a mask holds a label a voxel. It was probably resampled by "
            "interpolation, or holds probabilities: make it again with nearest neighbours, or cut it at 0.5.",
            kind="mask",
        )
    least, most = float(values.min()), float(values.max())
    if least < 0 or most > 65535:
        raise DatasetError(f"{path} holds values from {least:g} to {most:g}; labels are 0 to 65535.", kind="labels")
    return np.asarray(values, dtype=np.uint16)


def require_one_grid(mask: Volume, image: Volume, mask_path: Path, image_path: Path) -> None:
    """Raise `DatasetError` unless the voxels of a mask lie where those of its image do."""
    shape, expected = mask.values.shape[:3], image.values.shape[:3]
    if mask.affine is not None and image.affine is not None and shape == expected:
        far = np.array(np.meshgrid(*[(0, n - 1) for n in expected])).reshape(3, -1)
        corners = np.vstack([far, np.ones(far.shape[1])])
        off = np.linalg.norm(((mask.affine - image.affine) @ corners)[:3], axis=0).max()
        if off <= SAME_PLACE * min(image.spacing or (1.0,)):
            return
        what = f"its header places it {off:.3g} mm away from its image"
    elif shape == expected and mask.affine is None and image.affine is None:
        return
    elif shape == expected:
        which = "its image" if image.affine is None else "it"
        what = f"{which} does not say how it lies, the other does ({image.stored or mask.stored})"
    else:
        what = f"it has {shape} voxels, its image {expected} (in the axes of both)"
    raise DatasetError(
        f"{mask_path}: {what}, {image_path}. Make the mask again on the grid of the image; or, if voxels belong "
        "together as they are stored and the header of the mask is wrong, write the option mask_grid: stored.",
        kind="size",
    )


def band_reading(channels: int, rgb: Sequence[int] | None) -> BandReading | None:
    """Return how pictures are made of slices with other than one or three channels; None for these."""
    if channels in (1, 3):
        return None
    chosen = None if rgb is None else (rgb[0], rgb[1], rgb[2])
    return BandReading(tuple(range(1, channels + 1)), chosen)
