"""What a check sees of one image: whether it can be read, whether its truth fits, and how to recognise it again.

A reader that refuses a truth says why in words. Which kind of fault it is, is found by looking at
the files once more, which only faulty ones cost.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data._passes import Row
from bench.data._signatures import content_key, thumbnail
from bench.datasets import Dataset, Truth
from bench.datasets._files import MASK_SUFFIXES, image_size, read_mask
from bench.datasets._on_disk import Entry, OnDisk
from bench.errors import DatasetError
from bench.records import IGNORE_LABEL, Size

INSPECTION_VERSION = 1
"""Raised when `inspect` gives other rows for the same files."""

PALETTE_ENTRIES = 32
"""So many colours of a palette are compared with those of the other masks."""

JPEG_SUFFIXES = (".jpg", ".jpeg")


def inspect(dataset: Dataset, image_id: str) -> Row:
    """Look at one image and its truth.

    Returns:
        `found`: list of [kind of finding, message]; `content` and `thumbnail`: see `_signatures`,
        missing if the image cannot be read; `stored`: how each mask file is stored.
    """
    entry = dataset.entry(image_id) if isinstance(dataset, OnDisk) else None
    row: Row = {"found": [], "stored": [] if entry is None else [_stored(path) for path in mask_files(entry)]}
    size: Size | None = None
    try:
        image = dataset.image(image_id)
        size = Size(*image.shape[:2])
        row["content"] = content_key(image, None if entry is None else entry.image)
        row["thumbnail"] = thumbnail(image).tobytes().hex()
    except DatasetError as error:
        row["found"].append(["image", str(error)])
    try:
        truth = dataset.target(image_id)
        row["found"] += _of_truth(dataset, truth, size)
    except DatasetError as error:
        kind = "truth" if entry is None else kind_of_fault(entry)
        # Where the image cannot be read, its size is not known, and the reader has only that to say again.
        if size is not None or kind == "mask":
            row["found"].append([kind, str(error)])
    return row


def kind_of_fault(entry: Entry) -> str:
    """Kind of finding behind a refused truth: `mask`, `size`, `colours`, `labels`, or `truth` where no mask is."""
    masks = mask_files(entry)
    stored = []
    for path in masks:
        try:
            stored.append(read_mask(path))
        except DatasetError:
            return "mask"
    try:
        expected = image_size(entry.image)
    except DatasetError:
        return "truth"
    if any(Size(*mask.pixels.shape[:2]) != expected for mask in stored):
        return "size"
    if any(mask.colours == "rgb" for mask in stored):
        return "colours"
    return "labels" if masks else "truth"


def _of_truth(dataset: Dataset, truth: Truth, size: Size | None) -> list[list[str]]:
    """Findings about a truth that could be read."""
    found = []
    if size is not None and truth.semantic.size != size:
        found.append(["size", f"the truth is {tuple(truth.semantic.size)}, the image {tuple(size)} (height, width)"])
    present = _present(truth.semantic.labels)
    outside = present[(present >= len(dataset.classes)) & (present != IGNORE_LABEL)]
    if len(outside):
        found.append(["labels", f"class ids {', '.join(map(str, outside.tolist()))} of {len(dataset.classes)} classes"])
    if truth.instances is not None and len(truth.instances.masks):
        unseen = int((~truth.instances.masks.any(axis=(1, 2))).sum())
        if unseen:
            found.append(["unseen", f"{unseen} of {len(truth.instances.masks)} objects cover no pixel"])
    empty = _emptiness(dataset, truth, present)
    return [*found, *([["empty", empty]] if empty else [])]


def _present(labels: NDArray[np.uint8]) -> NDArray[np.intp]:
    """The values that occur, rising."""
    return np.flatnonzero(cv2.calcHist([labels], [0], None, [256], [0, 256]).ravel())


def _emptiness(dataset: Dataset, truth: Truth, present: NDArray[np.intp]) -> str:
    """How a truth says nothing; '' if it says something."""
    if "semantic" not in dataset.tasks:
        return "no object" if truth.instances is None or not len(truth.instances.masks) else ""
    if set(present.tolist()) <= {IGNORE_LABEL}:
        return "all void"
    names = [dataset.classes[i].name if i < len(dataset.classes) else "void" for i in present.tolist()]
    only_background = all(name in ("background", "void") for name in names)
    return "only background" if only_background else ""


def mask_files(entry: Entry) -> list[Path]:
    """Those of its truths that are pictures."""
    return [path for path in entry.truths if path.suffix.lower() in (*MASK_SUFFIXES, *JPEG_SUFFIXES)]


def _stored(path: Path) -> list[str]:
    """Mode of a mask, and the first colours of its palette in hex; an empty mode if it cannot be read."""
    try:
        with Image.open(path) as image:  # reads the header, which has the palette, and no pixels
            palette = b"" if image.palette is None else bytes(image.palette.palette)
            return [image.mode, palette[: 3 * PALETTE_ENTRIES].hex()]
    except (OSError, ValueError, SyntaxError):
        return ["", ""]
