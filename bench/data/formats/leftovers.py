"""Files in the folders of a data set that are not read: counted and named, so that none is passed over in silence."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from bench.data.formats.file_names import FilesBelow, is_hidden
from bench.data.formats.image_files import IMAGE_SUFFIXES, MASK_SUFFIXES
from bench.data.formats.on_disk import OnDisk
from bench.errors import DatasetError

SYSTEM_FILES = {"Thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Leftover:
    """Files of one kind that are not read.

    Attributes:
        folder: Folder that they lie in, or below.
        suffix: Suffix in lower case; '' if they have none.
        files: Paths of the files, sorted.
        hidden: True if their names, or those of their folders, are hidden ones, which are never read.
    """

    folder: Path
    suffix: str
    files: tuple[Path, ...]
    hidden: bool

    def describe(self) -> str:
        """Return one sentence: how many, of which kind, where, and one of them."""
        what = f"hidden {self.suffix} file" if self.hidden else f"{self.suffix or 'nameless'} file"
        counted = f"{len(self.files)} {what}{'s' if len(self.files) != 1 else ''}"
        why = " (hidden files and folders are never read)" if self.hidden else ""
        return (
            f"{counted} in {self.folder} {'are' if len(self.files) != 1 else 'is'} not read{why}, for example "
            + str(self.files[0].relative_to(self.folder))
        )


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
    return [
        Leftover(folder, suffix, tuple(folder / name for name in names), hidden)
        for (folder, suffix, hidden), names in sorted(groups.items())
    ]


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


PICTURES = {
    *IMAGE_SUFFIXES,
    *MASK_SUFFIXES,
    ".npy",
    ".npz",
    ".dcm",
    ".nii",
    ".gz",
    ".nrrd",
    ".psd",
    ".svg",
    ".raw",
    ".dng",
}


def unread(dataset: OnDisk) -> list[Leftover]:
    """Return pictures and arrays, in the very folders from which a data set reads images and masks, that no split
    reads.

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
        found += [
            Leftover(folder, suffix, tuple(sorted(paths)), hidden) for (suffix, hidden), paths in sorted(groups.items())
        ]
    return found
