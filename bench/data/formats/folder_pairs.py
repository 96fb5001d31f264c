"""Finds which mask belongs to which image of a folder, and what lies there besides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data.formats.file_names import files_under, masks_by_stem, same_text
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
        mask_of: Image -> mask.
        notes: What lies in the folders and is not read, a sentence each.
    """

    mask_of: dict[Path, Path]
    notes: tuple[str, ...]


def paired(files: Sequence[Path], images: Path, masks: Path, suffix: str, *, lossy: bool) -> Pairs:
    """Find the mask of each image; names are compared in NFC.

    Args:
        files: The images.
        images, masks: The two folders.
        suffix: What follows the image's name in the name of its mask.
        lossy: Whether JPEG masks count, because they are cut at a threshold.

    Raises:
        DatasetError: If images have no mask, with their number, or some seem to have several.
    """
    found = masks_by_stem(masks, (*MASK_SUFFIXES, *LOSSY_SUFFIXES) if lossy else MASK_SUFFIXES)
    names = {path: same_text(path.relative_to(images).with_suffix("").as_posix()) + suffix for path in files}
    alone = [path for path in files if names[path] not in found]
    if alone:
        raise _without_mask(alone, files, masks, masks / names[alone[0]])
    wanted = set(names.values())
    spare = {stem: path for stem, path in found.items() if stem not in wanted}
    _refuse_further(spare, wanted, suffix)
    notes = []
    if spare:
        first = next(iter(spare.values()))
        notes.append(f"{len(spare)} of {len(found)} masks have no image and are not read, for example {first}")
    mask_of = {path: found[names[path]] for path in files}
    used = [*mask_of, *mask_of.values(), *spare.values()]
    notes += [left.told() for left in leftovers([images, masks], used)]
    return Pairs(mask_of, tuple(notes))


def _without_mask(alone: Sequence[Path], files: Sequence[Path], masks: Path, expected: Path) -> DatasetError:
    lossy, arrays = files_under(masks, LOSSY_SUFFIXES), files_under(masks, (".npy", ".npz", ".mat"))
    hint = (
        f" {masks} holds {len(lossy)} JPEG files: masks must be stored without loss, as PNG for example; of JPEG masks "
        "of two classes the option binary: {threshold: 128} makes the best."
        if lossy
        else ""
    )
    if arrays:
        hint += f" {masks} holds {len(arrays)} {arrays[0].suffix} files, which this data set does not read."
    return DatasetError(
        f"folder: {len(alone)} of {len(files)} images have no mask, for example {alone[0]}; expected "
        f"{expected}.png (or {', '.join(s[1:] for s in MASK_SUFFIXES[1:])}).{hint} Add the "
        "masks, move the images away, or set the option mask_suffix."
    )


def _refuse_further(spare: dict[str, Path], wanted: set[str], suffix: str) -> None:
    """Refuse masks whose names are that of an image and a number more: they are parts of its ground truth."""
    further = []
    for stem, path in spare.items():
        going_on = CONTINUED.search(stem)
        if going_on is None:
            continue
        start = stem[: going_on.start()]
        if start in wanted or start + suffix in wanted:
            further.append((path, start))
    if further:
        path, start = further[0]
        raise DatasetError(
            f"folder: {len(further)} masks seem to be further masks of images that have one already, for example "
            f"{path} beside that of {start!r}; one mask for each image is read, and the rest of the ground truth would "
            "be lost. Join the masks of each image into one, for example by the maximum, or move the others away."
        )
