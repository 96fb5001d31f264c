"""Files in the folders of a data set that are not read: counted and named, so that none is passed over in silence."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from bench.data.formats.file_names import is_hidden
from bench.data.formats.image_files import IMAGE_SUFFIXES, MASK_SUFFIXES
from bench.data.formats.on_disk import OnDisk
from bench.errors import DatasetError

SYSTEM_FILES = {"Thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Leftover:
    """Files of one kind that are not read.

    Attributes:
        folder: Where they lie, or below.
        suffix: Suffix in lower case; '' if they have none.
        files: Sorted by path.
        hidden: Whether their names, or those of their folders, are hidden ones, which are never read.
    """

    folder: Path
    suffix: str
    files: tuple[Path, ...]
    hidden: bool

    def told(self) -> str:
        """Return one sentence: how many, of which kind, where, and one of them."""
        what = f"hidden {self.suffix} file" if self.hidden else f"{self.suffix or 'nameless'} file"
        counted = f"{len(self.files)} {what}{'s' if len(self.files) != 1 else ''}"
        why = " (hidden files and folders are never read)" if self.hidden else ""
        return (
            f"{counted} in {self.folder} {'are' if len(self.files) != 1 else 'is'} not read{why}, for example "
            + str(self.files[0].relative_to(self.folder))
        )


def leftovers(folders: Iterable[Path], used: Iterable[Path]) -> list[Leftover]:
    """Find the files in some folders, or below them, that are none of those used.

    Args:
        folders: Folders that belong to the data set; one within another is looked through once.
        used: Files that are read.
    """
    known = {os.path.normpath(path) for path in used}
    seen: set[str] = set()
    groups: dict[tuple[Path, str, bool], list[Path]] = defaultdict(list)
    for folder in folders:
        for base, below, names in os.walk(folder, followlinks=True):
            real = os.path.realpath(base)
            if real in seen:
                below.clear()
                continue
            seen.add(real)
            inside = any(is_hidden(part) for part in Path(base).relative_to(folder).parts)
            for name in names:
                path = Path(base) / name
                if os.path.normpath(path) in known or name in SYSTEM_FILES:
                    continue
                hidden = inside or is_hidden(name)
                if hidden and not path.suffix:
                    continue  # .DS_Store and the like are no part of anybody's data
                groups[folder, path.suffix.lower(), hidden].append(path)
    return [
        Leftover(folder, suffix, tuple(sorted(files)), hidden)
        for (folder, suffix, hidden), files in sorted(groups.items())
    ]


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
