"""Volumes drawn from a seed, nothing to download: patients with one or two scans each, as slices of known spacing.

A scan shows a body in which an organ of an irregular outline lies, up to three lesions in the organ, and vessels as
bright as the organ, under noise and a slow change of brightness. Pixels are 1.5 mm, slices 4 mm apart, so that what is
measured in millimetres differs from what is measured in voxels. Every second patient has a second scan, in which the
organ is the same and position, noise and brightness are others: slices of one patient are near-duplicates, and belong
into one split.

Splits: patients in their order, three of five to train, one to val, one to test; or folds, by the options of
`bench/data/formats/by_name.py`, which keep patients together.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.data.formats.image_headers import require_drawable
from bench.dataset import GroundTruth, Place, Spacing
from bench.records import ClassSpec, Record, Size, TaskKind, as_json_dict, digest
from bench.records.predictions import RgbImage, SemanticMap

SOURCE = "drawn from a seed by bench/datasets/phantoms.py"
LICENCE = "the images are free of rights, as is anything made with them"
TASKS: tuple[TaskKind, ...] = ("semantic",)
OBTAIN = "It is drawn when it is used: there is nothing to fetch."
GENERATOR_VERSION = 1
SPACING = Spacing(1.5, 1.5, 4.0)
SPLITS = {"train": (0, 1, 2), "val": (3,), "test": (4,)}
"""Split -> which of every five patients are in it."""

BACKGROUND, ORGAN, LESION = range(3)
MIN_SIDE, MIN_PATIENTS = 32, 5


class Options(Record):
    """Options that a suite may set.

    Attributes:
        patients: Number of patients, at least 5.
        slices: Number of slices of each scan.
        size: Size of each slice, (height, width), each at least 32.
        seed: Another seed draws other patients.
    """

    patients: int = Field(default=20, ge=MIN_PATIENTS, le=100_000)
    slices: int = Field(default=12, ge=3, le=10_000)
    size: Size = Size(96, 96)
    seed: int = Field(default=0, ge=0)


def open_dataset(options: Options) -> Phantoms:
    """Return the data set; draws nothing yet."""
    require_drawable("phantoms", options.size, MIN_SIDE, options.slices)
    return Phantoms(options)


class Scan(NamedTuple):
    """One volume.

    Attributes:
        grey: uint8, (S, H, W).
        labels: Class ids, uint8, (S, H, W).
    """

    grey: NDArray[np.uint8]
    labels: NDArray[np.uint8]


class Phantoms:
    """The data set; see the module's docstring."""

    name = "phantoms"
    classes = (
        ClassSpec(name="background", colour=(0, 0, 0)),
        ClassSpec(name="organ", colour=(86, 140, 210)),
        ClassSpec(name="lesion", colour=(230, 159, 0)),
    )
    tasks = TASKS
    source = SOURCE
    licence = LICENCE

    def __init__(self, options: Options) -> None:
        """Keep the options; scans are drawn when asked for."""
        self._options = options
        self._scan = lru_cache(maxsize=64)(self._drawn)

    def splits(self) -> tuple[str, ...]:
        """`train`, `val`, `test`."""
        return tuple(SPLITS)

    def ids(self, split: str) -> tuple[str, ...]:
        """`phantom-<patient>-<scan>-<slice>`, patient by patient from the lowest slice to the highest."""
        return tuple(
            f"phantom-{patient:03d}-{scan}-{level:02d}"
            for patient in range(self._options.patients)
            if patient % 5 in SPLITS[split]
            for scan in range(1 + patient % 2)
            for level in range(self._options.slices)
        )

    def image(self, image_id: str) -> RgbImage:
        """Return the slice, grey repeated to RGB, uint8, (H, W, 3)."""
        patient, scan, level = _parts(image_id)
        return np.repeat(self._scan(patient, scan).grey[level][:, :, None], 3, axis=2)

    def target(self, image_id: str) -> GroundTruth:
        """Class of every pixel."""
        patient, scan, level = _parts(image_id)
        return GroundTruth(SemanticMap(self._scan(patient, scan).labels[level].copy()))

    def size(self, image_id: str) -> Size:  # noqa: ARG002 - all slices have one size
        """Return the size of every slice."""
        return self._options.size

    def group(self, image_id: str) -> str:
        """Return the patient."""
        return f"patient {_parts(image_id)[0]:03d}"

    def spacing(self, image_id: str) -> Spacing:  # noqa: ARG002 - all scans have one
        """1.5 mm in a slice, 4 mm between slices."""
        return SPACING

    def place(self, image_id: str) -> Place:
        """Return the slice in its scan."""
        patient, scan, level = _parts(image_id)
        return Place(f"phantom-{patient:03d}-{scan}", level)

    def fingerprint(self, split: str) -> str:
        """Return the hash of the generator's version and of all that decides the split's pixels."""
        return digest(["phantoms", as_json_dict(self._options), split, GENERATOR_VERSION])

    def _drawn(self, patient: int, scan: int) -> Scan:
        shape = (self._options.slices, *self._options.size)
        anatomy = np.random.default_rng([self._options.seed, patient])
        acquisition = np.random.default_rng([self._options.seed, patient, 1 + scan])
        return draw_scan(shape, anatomy, acquisition)


def _parts(image_id: str) -> tuple[int, int, int]:
    """Return patient, scan and slice."""
    patient, scan, level = image_id.split("-")[1:]
    return int(patient), int(scan), int(level)


def draw_scan(shape: tuple[int, int, int], anatomy: np.random.Generator, acquisition: np.random.Generator) -> Scan:
    """Draw one volume.

    Args:
        shape: Slices, height, width.
        anatomy: Decides what the patient is like.
        acquisition: Decides position, brightness and noise.
    """
    # From -1 to 1 over the volume in each direction, after a small shift of the patient.
    shift = acquisition.uniform(-0.06, 0.06, 3)
    z, y, x = (
        axis - offset
        for axis, offset in zip(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"), shift, strict=True)
    )
    body = (x / 0.92) ** 2 + (y / 0.8) ** 2 < 1
    centre = np.array([0.0, -0.05, -0.25]) + anatomy.uniform(-0.1, 0.1, 3)
    organ = body & _blob((z, y, x), centre, anatomy.uniform([0.6, 0.32, 0.38], [0.85, 0.45, 0.52]), anatomy)
    lesions = np.zeros(shape, dtype=np.bool_)
    for _ in range(int(anatomy.integers(0, 4))):
        place = centre + anatomy.uniform(-0.25, 0.25, 3)
        lesions |= organ & _blob((z, y, x), place, anatomy.uniform(0.1, 0.22, 3) * (2, 1, 1), anatomy)
    grey = np.where(body, 95.0, 12.0)
    for _ in range(4):  # vessels run through all slices, and are as bright as the organ
        at = anatomy.uniform(-0.5, 0.5, 2) + anatomy.uniform(-0.2, 0.2, 2) * z[..., None]
        grey[body & ((y - at[..., 0]) ** 2 + (x - at[..., 1]) ** 2 < anatomy.uniform(0.04, 0.09) ** 2)] = 140.0
    grey[organ], grey[lesions] = 140.0, 112.0
    slope = acquisition.uniform(-0.12, 0.12, 3)
    grey = grey * (1 + slope[0] * z + slope[1] * y + slope[2] * x) + 12.0 * acquisition.standard_normal(shape)
    labels = np.where(lesions, LESION, np.where(organ, ORGAN, BACKGROUND)).astype(np.uint8)
    return Scan(np.clip(np.rint(grey), 0, 255).astype(np.uint8), labels)


def _blob(
    at: tuple[NDArray[np.float64], ...],
    centre: NDArray[np.float64],
    radii: NDArray[np.float64],
    random: np.random.Generator,
) -> NDArray[np.bool_]:
    """Return an ellipsoid with a wavy surface, bool, of the shape of each of `at`."""
    z, y, x = ((axis - c) / r for axis, c, r in zip(at, centre, radii, strict=True))
    angle, phase = np.arctan2(y, x), random.uniform(0, 2 * np.pi, 2)
    waves = 1 + 0.14 * np.sin(3 * angle + phase[0] + 2 * z) + 0.08 * np.sin(5 * angle + phase[1])
    return np.asarray(z**2 + y**2 + x**2 < waves**2)
