"""Finds which mask belongs to which image of a folder, and files that are not read, so that none is passed over."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from bench.data.formats.file_names import FilesBelow, by_stem, files_below, files_under, is_hidden, same_text, stem_of
from bench.data.formats.image_files import IMAGE_SUFFIXES, LOSSY_SUFFIXES, MASK_SUFFIXES
from bench.data.formats.on_disk import OnDisk
from bench.errors import DatasetError

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
    """Find the mask of each image, names in NFC; raises `DatasetError` if images have none, or seem to have several.

    Args:
        images: The images, with all other files of their folder.
        suffix: Text that follows the image's name in the name of its mask.
        lossy: True if JPEG masks count, because they are cut at a threshold.
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


SYSTEM_FILES = {"Thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Leftover:
    """Files of one kind that are not read.

    Attributes:
        folder: Folder that they lie in, or below.
        suffix: Suffix in lower case; '' if they have none.
        hidden: True if their names, or those of their folders, are hidden ones, which are never read.
        files: Paths of the files, sorted.
    """

    folder: Path
    suffix: str
    hidden: bool
    files: tuple[Path, ...]

    def describe(self) -> str:
        """Return one sentence: how many, of which kind, where, and one of them."""
        what = f"hidden {self.suffix} file" if self.hidden else f"{self.suffix or 'nameless'} file"
        one, first = len(self.files) == 1, self.files[0].relative_to(self.folder)
        counted = f"{len(self.files)} {what}{'' if one else 's'} in {self.folder} {'is' if one else 'are'} not read"
        why = " (hidden files and folders are never read)" if self.hidden else ""
        return f"{counted}{why}, for example {first}"


def leftovers(listings: Iterable[FilesBelow]) -> list[Leftover]:
    """Find the files in some folders, or below them, that are none of those that were asked for.

    Args:
        listings: Files below the folders of a data set, with all others; what one has is no leftover of another one.
    """
    listings, seen = list(listings), set[str]()
    groups: dict[tuple[Path, str, bool], list[str]] = defaultdict(list)
    for listing in listings:
        for name in listing.others:
            path, last = f"{listing.folder}/{name}", name.rpartition("/")[2]
            hidden, suffix = any(map(is_hidden, name.split("/"))), Path(last).suffix.lower()
            # .DS_Store and the like are no part of anybody's data.
            if last in SYSTEM_FILES or (hidden and not suffix) or path in seen or _asked_for(path, listing, listings):
                continue
            seen.add(path)
            groups[listing.folder, suffix, hidden].append(name)
    return [Leftover(*kind, tuple(kind[0] / name for name in names)) for kind, names in sorted(groups.items())]


def _asked_for(path: str, own: FilesBelow, listings: Sequence[FilesBelow]) -> bool:
    """Return whether a file is among those of another listing, of a folder that lies within this one or around it."""
    for other in listings:
        base = f"{other.folder}/"
        if other is not own and path.startswith(base):
            name = path.removeprefix(base)
            position = bisect_left(other.names, name)
            if other.names[position : position + 1] == [name]:
                return True
    return False


ARRAYS = {".npz", ".dcm", ".nii", ".gz", ".nrrd", ".psd", ".svg", ".raw", ".dng"}
PICTURES = {*IMAGE_SUFFIXES, *MASK_SUFFIXES, *ARRAYS}


def unread(dataset: OnDisk) -> list[Leftover]:
    """Return pictures and arrays in the very folders from which a data set reads, that no split of it reads.

    Args:
        dataset: All of its splits are listed; if one cannot be, which is told elsewhere, nothing is known.
    """
    images, masks = set[Path](), set[Path]()
    for split in dataset.splits():
        try:
            entries = [dataset.entry(image_id) for image_id in dataset.ids(split)]
        except DatasetError:
            return []
        images.update(path for entry in entries for path in (entry.image, *entry.parts))
        masks.update(path for entry in entries for path in entry.ground_truths)
    folders = {path.parent for path in (*images, *(m for m in masks if m.suffix.lower() in PICTURES))}
    known = {os.path.normpath(path) for path in (*images, *masks)}
    found = []
    for folder in sorted(folders):
        groups: dict[tuple[str, bool], list[Path]] = defaultdict(list)
        for path in folder.iterdir() if folder.is_dir() else ():
            meant = any(fnmatch(path.name, pattern) for pattern in dataset.description.companions)
            if path.suffix.lower() in PICTURES and os.path.normpath(path) not in known and not meant:
                groups[path.suffix.lower(), is_hidden(path.name)].append(path)
        found += [Leftover(folder, *kind, tuple(sorted(paths))) for kind, paths in sorted(groups.items())]
    return found
