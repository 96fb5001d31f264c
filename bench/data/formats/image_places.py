"""Finds the images that an annotation file names, when it was written on another machine.

A name is taken as it stands first. Where nothing lies there, backslashes become slashes, the name is
looked for below the root as well, folders in front of it are left out one by one, and letters are
compared in one Unicode form and without case. What was found in one of these ways is counted.
"""

# Paths are texts here: a hundred thousand of them as `Path` would cost more than the listing of their folders.
# ruff: noqa: PTH113, PTH118

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.data.formats.file_names import names_in, one_spelling, spelt_otherwise
from bench.errors import DatasetError


class ImagePlaces:
    """Finds images below folders; each folder is listed once.

    Attributes:
        found_by: Way in which names that were not found as they stand were found -> how many.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        """Keep the folders, in the order in which they are searched."""
        self._folders = [os.fspath(folder) for folder in folders]
        self._listed: dict[str, frozenset[str]] = {}
        self._spelt: dict[str, dict[str, str]] = {}
        self.found_by: Counter[str] = Counter()

    def has(self, name: str) -> bool:
        """Return whether an image lies in the first folder under the very name."""
        if "/" in name:
            return self._is_file(os.path.join(self._folders[0], name))
        return name in self._names(self._folders[0])

    def find(self, name: str) -> Path | None:
        """Return the file of an image, None if there is none."""
        plain = os.path.join(self._folders[0], name)
        if self._is_file(plain):
            return Path(plain)
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        for start in range(len(parts)):
            for folder in self._folders:
                found = self._spelt_like(folder, parts[start:])
                if found is not None:
                    self.found_by[_how(name, parts, start, found)] += 1
                    return Path(found)
        return None

    def notes(self, where: str) -> list[str]:
        """Return how names were found otherwise than as they stand, a sentence each, after where they stand."""
        return [f"{where}: {count} images were found {how}" for how, count in self.found_by.items()]

    def _is_file(self, path: str) -> bool:
        folder, name = os.path.split(path)
        return name in self._names(folder)

    def _names(self, folder: str) -> frozenset[str]:
        if folder not in self._listed:
            self._listed[folder] = names_in(folder)
        return self._listed[folder]

    def _spelt_like(self, folder: str, parts: Sequence[str]) -> str | None:
        """Return the path below a folder, each part compared in one form; None if a part is missing or two are
        alike.
        """
        path = folder
        for part in parts:
            names = self._names(path)
            if part not in names:
                if path not in self._spelt:
                    self._spelt[path] = spelt_otherwise(names)
                if one_spelling(part) not in self._spelt[path]:
                    return None
                part = self._spelt[path][one_spelling(part)]
            path = os.path.join(path, part)
        return path if os.path.isfile(path) else None


def _how(name: str, parts: Sequence[str], start: int, found: str) -> str:
    if start:
        return f"without the folders {'/'.join(parts[:start])}/ in front of their names"
    if "\\" in name:
        return "by reading backslashes as slashes"
    if not found.endswith("/".join(parts)):
        return "under a name whose letters are composed otherwise, or differ in case"
    return "below the root, not in the folder of the split"


def refuse_one_file_twice(found: Mapping[str, Path | str], where: str) -> None:
    """Raise `DatasetError` where two names lead to one file, so that one of the two images is another one's.

    Args:
        found: Name of an image in the annotations -> its file.
    """
    first: dict[Path | str, str] = {}
    twice = [(name, other, path) for name, path in found.items() if (other := first.setdefault(path, name)) != name]
    if twice:
        name, other, path = twice[0]
        raise DatasetError(
            f"{where}: {len(twice)} images are found at the file of another one, for example {name!r} and {other!r} "
            f"both at {path}. Put the images where the annotations say, or correct their names."
        )
