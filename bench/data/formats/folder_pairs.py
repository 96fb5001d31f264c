"""Finds which mask belongs to which image of a folder, and what lies there besides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data.formats.file_names import FilesBelow, by_stem, files_below, files_under, same_text, stem_of
from bench.data.formats.image_files import MASK_SUFFIXES
from bench.data.formats.leftovers import leftovers
from bench.errors import DatasetError

LOSSY_SUFFIXES = (".jpg", ".jpeg", ".jfif", ".jpe")
CONTINUED = re.compile(r"[ _.-]?(?:mask|seg|label|part|obj|object|instance)?[ _.-]?\(?\d+\)?$", re.IGNORECASE)
"""This says how the name of a second mask of an image goes on after that of its first."""


@dataclass(frozen=True)
class Pairs:
    """Images with their masks.

    Attributes:
        masks: Name of the mask of each image below the folder of the masks, in the order of the images.
        notes: Sentences on what lies in the folders and is not read.
    """

    masks: list[str]
    notes: tuple[str, ...]


def paired(images: FilesBelow, folder: Path, suffix: str, *, lossy: bool) -> Pairs:
    """Find the mask of each image; names are compared in NFC.

    Args:
        images: The images, with all other files of their folder.
        suffix: Text that follows the image's name in the name of its mask.
        lossy: True if JPEG masks count, because they are cut at a threshold.

    Raises:
        DatasetError: If images have no mask, with their number, or some seem to have several.
    """
    listed = files_below(folder, (*MASK_SUFFIXES, *LOSSY_SUFFIXES) if lossy else MASK_SUFFIXES, others=True)
    of_stem = by_stem(listed)
    masks = [of_stem.get(same_text(stem_of(name)) + suffix, "") for name in images.names]
    if not all(masks):
        alone = [name for name, mask in zip(images.names, masks, strict=True) if not mask]
        raise _without_mask(alone, images, listed, folder / (same_text(stem_of(alone[0])) + suffix))
    notes, used = [], set(masks)
    if len(used) < len(of_stem):
        spare = {stem: name for stem, name in of_stem.items() if name not in used}
        _refuse_further(spare, {same_text(stem_of(name)) + suffix for name in images.names}, suffix, folder)
        first = folder / next(iter(spare.values()))
        notes.append(f"{len(spare)} of {len(of_stem)} masks have no image and are not read, for example {first}")
    notes += [left.describe() for left in leftovers([images, listed])]
    return Pairs(masks, tuple(notes))


def _without_mask(alone: Sequence[str], images: FilesBelow, masks: FilesBelow, expected: Path) -> DatasetError:
    lossy = files_under(masks.folder, LOSSY_SUFFIXES)
    hint = (
        f" {masks.folder} holds {len(lossy)} JPEG files: masks must be stored without loss, as PNG for example; of "
        "JPEG masks of two classes the option binary: {threshold: 128} makes the best."
        if lossy
        else f" {masks.describe_others()}".rstrip()
    )
    return DatasetError(
        f"folder: {len(alone)} of {len(images.names)} images have no mask, for example {images.folder / alone[0]}; "
        f"expected {expected}.png (or {', '.join(s[1:] for s in MASK_SUFFIXES[1:])}).{hint} Add the "
        "masks, move the images away, or set the option mask_suffix."
    )


def _refuse_further(spare: dict[str, str], wanted: set[str], suffix: str, folder: Path) -> None:
    """Refuse masks whose names are that of an image and a number more: they are parts of its ground truth."""
    further = []
    for stem, name in spare.items():
        going_on = CONTINUED.search(stem)
        if going_on is None:
            continue
        start = stem[: going_on.start()]
        if start in wanted or start + suffix in wanted:
            further.append((folder / name, start))
    if further:
        path, start = further[0]
        raise DatasetError(
            f"folder: {len(further)} masks seem to be further masks of images that have one already, for example "
            f"{path} beside that of {start!r}; one mask for each image is read, and the rest of the ground truth would "
            "be lost. Join the masks of each image into one, for example by the maximum, or move the others away."
        )
