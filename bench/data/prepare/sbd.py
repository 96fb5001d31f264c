"""VOC's augmented training set: masks of the Semantic Boundaries Dataset (SBD) beside those of VOC itself.

`trainaug.txt` lists the images of VOC's train and of SBD's train and val, without those of VOC's
val: 10,582. A mask is VOC's where VOC has one, because it marks borders, and otherwise SBD's. The
masks of val are VOC's.

Source: Hariharan et al., "Semantic contours from inverse detectors", ICCV 2011; the list as in
Chen et al., "Rethinking atrous convolution for semantic image segmentation" (2017), section 4.
"""

from __future__ import annotations

import importlib.util
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.documents import read_lines
from bench.data.formats.image_files import write_indexed
from bench.data.formats.label_tables import palette_colour
from bench.errors import BenchError
from bench.records.store.files import write_atomically

DATASET = Path("benchmark_RELEASE") / "dataset"
"""This says where SBD's archive holds lists and masks."""

PALETTE = [palette_colour(index) for index in range(256)]
INSTALL = 'pip install -c constraints.txt ".[sbd]"'


def require_reader() -> None:
    """Raise `BenchError` unless SBD's MATLAB files can be read here."""
    if importlib.util.find_spec("scipy") is None:
        raise BenchError(
            f"the masks of the Semantic Boundaries Dataset are MATLAB files, for which scipy is needed. "
            f"Install it with: {INSTALL}"
        )


def merge(folder: Path, root: Path, *, advance: Callable[[int, int | None], None]) -> None:
    """Write SegmentationClassAug and trainaug.txt; what is there already is left, the list comes last.

    Args:
        folder: Folder with SBD as its archive holds it.
        root: The folder VOC2012.
        advance: Is told masks done and masks in all.

    Raises:
        BenchError: If a list or mask is missing or damaged.
    """
    sets = root / "ImageSets" / "Segmentation"
    train, val = read_lines(sets / "train.txt"), read_lines(sets / "val.txt")
    further = {name for split in ("train", "val") for name in read_lines(folder / DATASET / f"{split}.txt")}
    augmented = sorted({*train, *further} - {*val})
    masks = root / "SegmentationClassAug"
    masks.mkdir(exist_ok=True)
    of_voc = {*train, *val}
    wanted = [*augmented, *val]
    for number, name in enumerate(wanted, start=1):
        target, temporary = masks / f"{name}.png", masks / f".{name}.png"
        if not target.is_file():
            if name in of_voc:
                shutil.copyfile(root / "SegmentationClass" / target.name, temporary)
            else:
                write_indexed(temporary, segmentation(folder / DATASET / "cls" / f"{name}.mat"), PALETTE)
            temporary.replace(target)
        advance(number, len(wanted))
    write_atomically(sets / "trainaug.txt", "".join(f"{name}\n" for name in augmented))


def segmentation(file: Path) -> NDArray[np.uint8]:
    """Return the class of each pixel of one of SBD's files, uint8, (H, W), 0-20; raises `BenchError` for damage."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        labels = loadmat(file)["GTcls"]["Segmentation"][0, 0]
    except (OSError, ValueError, KeyError, IndexError, TypeError, zlib.error, MatReadError) as error:
        raise BenchError(
            f"{file} cannot be read as a mask of the Semantic Boundaries Dataset: {error}. Delete it and give the same "
            "command again, which unpacks it anew."
        ) from None
    return np.ascontiguousarray(labels, dtype=np.uint8)
