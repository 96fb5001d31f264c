"""Axial slices of the MNI152 T1 brain template with tissue labels: real input that ships in a Python wheel.

Images: the ICBM 2009a nonlinear symmetric T1 average, 1 mm voxels, skull removed, as nilearn ships
it, one axial slice each, 197 × 233 pixels, grey repeated to RGB.

Labels, from the template's own probability maps of grey and white matter (0-255):
white or grey matter, whichever is larger, where the larger is at least 128; else "other" (mostly
cerebrospinal fluid) where the T1 is at least 30; else background. All slices in which grey and
white matter cover at least 2 % are used: 140 of 189.

Splits: neighbouring slices are near-duplicates, so splits are contiguous blocks with three slices
dropped between them. Going up the brain, twice: 40 train, 9 val, 12 test.

Files: nilearn's `datasets/data/mni_icbm152_{t1,gm,wm}_tal_nlin_sym_09a_converted.nii.gz`
(Fonov et al., NeuroImage 54, 2011; Collins et al., 1999).
Notice: copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological
Institute, McGill University; its notice permits use, copying, modification and distribution for any
purpose without fee if the notice is kept. nilearn's description of the atlas says "unknown".
"""

from __future__ import annotations

import hashlib
import importlib.util
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.dataset import GroundTruth, Place, Spacing
from bench.errors import DatasetError
from bench.records import ClassSpec, Record, Size, TaskKind, digest
from bench.records.predictions import RgbImage, SemanticMap

SOURCE = "MNI152 (ICBM 2009a nonlinear symmetric) T1 template and tissue maps, as shipped with nilearn"
LICENCE = "McConnell Brain Imaging Centre: any purpose, without fee, with its notice; nilearn says unknown"
TASKS: tuple[TaskKind, ...] = ("semantic",)
FIX = 'pip install -c constraints.txt ".[brain]"'
OBTAIN = f"It comes with nilearn: {FIX}"
RULE_VERSION = 1
MAPS = ("t1", "gm", "wm")
FILE = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
SHAPE = (197, 233, 189)
MIN_PROBABILITY, MIN_T1 = 128, 30
PATTERN = (("train", 40), ("gap", 3), ("val", 9), ("gap", 3), ("test", 12), ("gap", 3))


class Options(Record):
    """Options that a suite may set.

    Attributes:
        min_tissue: Least share of grey and white matter in a slice that is used.
    """

    min_tissue: float = Field(default=0.02, ge=0, lt=1)


def open_dataset(options: Options) -> Brain:
    """Return the data set; finds its files, reads none; raises `DatasetError` with how to install what is missing."""
    if importlib.util.find_spec("nibabel") is None:
        raise DatasetError(f"brain: needs nibabel to read NIfTI files. Install it with: {FIX}")
    found = importlib.util.find_spec("nilearn")
    if found is None or not found.submodule_search_locations:
        raise DatasetError(f"brain: needs the template that ships with nilearn. Install it with: {FIX}")
    # Only the folder is wanted: importing nilearn takes seconds and pulls in scikit-learn.
    folder = Path(next(iter(found.submodule_search_locations))) / "datasets" / "data"
    missing = [FILE.format(name) for name in MAPS if not (folder / FILE.format(name)).is_file()]
    if missing:
        raise DatasetError(f"brain: this nilearn ships no {missing[0]}. Install the pinned one with: {FIX}")
    return Brain(folder, options)


class Brain:
    """The data set; see the module's docstring. Holds about 26 MB once a slice was asked for."""

    classes = (
        ClassSpec(name="background", colour=(0, 0, 0)),
        ClassSpec(name="other", colour=(86, 110, 200)),
        ClassSpec(name="grey matter", colour=(120, 170, 120)),
        ClassSpec(name="white matter", colour=(240, 235, 200)),
    )
    tasks = TASKS
    source = SOURCE
    licence = LICENCE

    def __init__(self, folder: Path, options: Options) -> None:
        """Remember where the files are."""
        self._folder, self._options = folder, options

    def splits(self) -> tuple[str, ...]:
        """`train`, `val`, `test`."""
        return ("train", "val", "test")

    def ids(self, split: str) -> tuple[str, ...]:
        """`brain-<split>-z<slice>`, from the bottom of the head to the top."""
        order = [name for name, count in PATTERN for _ in range(count)]
        used = self._used_slices
        return tuple(
            f"brain-{split}-z{z:03d}" for position, z in enumerate(used) if order[position % len(order)] == split
        )

    def image(self, image_id: str) -> RgbImage:
        """Return the T1 slice, uint8, (197, 233, 3)."""
        grey = self._volumes[0][:, :, _slice(image_id)]
        return np.repeat(grey[:, :, None], 3, axis=2)

    def target(self, image_id: str) -> GroundTruth:
        """Tissue of every pixel, by the rule in the module's docstring."""
        t1, gm, wm = (volume[:, :, _slice(image_id)] for volume in self._volumes)
        tissue = np.where(wm > gm, 3, 2)
        other = np.where(t1 >= MIN_T1, 1, 0)
        return GroundTruth(SemanticMap(np.where(np.maximum(gm, wm) >= MIN_PROBABILITY, tissue, other).astype(np.uint8)))

    def size(self, image_id: str) -> Size:  # noqa: ARG002 - all slices have one size
        """197 × 233."""
        return Size(*SHAPE[:2])

    def spacing(self, image_id: str) -> Spacing:  # noqa: ARG002 - all voxels are cubes
        """Return one millimetre in every direction."""
        return Spacing(1.0, 1.0, 1.0)

    def place(self, image_id: str) -> Place:
        """Return the slice in the one volume."""
        return Place("mni152", _slice(image_id))

    def fingerprint(self, split: str) -> str:
        """Return the hash of the files' content, the label rule and the split."""
        files = [hashlib.sha256((self._folder / FILE.format(name)).read_bytes()).hexdigest() for name in MAPS]
        return digest(["brain", RULE_VERSION, self._options.min_tissue, split, *files])

    @cached_property
    def _volumes(self) -> tuple[NDArray[np.uint8], ...]:
        import nibabel

        volumes = tuple(
            np.asarray(nibabel.Nifti1Image.from_filename(self._folder / FILE.format(name)).dataobj) for name in MAPS
        )
        for name, volume in zip(MAPS, volumes, strict=True):
            if volume.shape != SHAPE or volume.dtype != np.uint8:
                raise DatasetError(
                    f"brain: {FILE.format(name)} holds {volume.dtype} {volume.shape}, expected uint8 {SHAPE}; "
                    "install the pinned nilearn"
                )
        return volumes

    @cached_property
    def _used_slices(self) -> tuple[int, ...]:
        _, gm, wm = self._volumes
        share = (np.maximum(gm, wm) >= MIN_PROBABILITY).mean(axis=(0, 1))
        return tuple(int(z) for z in np.flatnonzero(share >= self._options.min_tissue))


def _slice(image_id: str) -> int:
    return int(image_id.rpartition("z")[2])
