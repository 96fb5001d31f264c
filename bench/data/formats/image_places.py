"""Finds the images that an annotation file names, when it was written on another machine.

A name is taken as it stands first. Where nothing lies there, backslashes become slashes, the name is
looked for below the root as well, folders in front of it are left out one by one, and letters are
compared in one Unicode form and without case. What was found in one of these ways is counted.
"""

# Paths are texts here: a hundred thousand of them as `Path` would cost more than the listing of their folders.
# ruff: noqa: PTH113, PTH118, PTH208

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path


class ImagePlaces:
    """Finds images below folders; each folder is listed once.

    Attributes:
        found_by: How names that were not found as they stand were found -> how many.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        """Keep the folders, in the order in which they are searched."""
        self._folders = [os.fspath(folder) for folder in folders]
        self._listed: dict[str, dict[str, str]] = {}
        self._spelt: dict[str, dict[str, str]] = {}
        self.found_by: Counter[str] = Counter()

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

    def _is_file(self, path: str) -> bool:
        folder, name = os.path.split(path)
        return name in self._names(folder)

    def _names(self, folder: str) -> dict[str, str]:
        if folder not in self._listed:
            try:
                self._listed[folder] = {entry: entry for entry in os.listdir(folder or ".")}
            except OSError:
                self._listed[folder] = {}
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
                    alike = Counter(_form(name) for name in names)
                    self._spelt[path] = {_form(name): name for name in names if alike[_form(name)] == 1}
                if _form(part) not in self._spelt[path]:
                    return None
                part = self._spelt[path][_form(part)]
            path = os.path.join(path, part)
        return path if os.path.isfile(path) else None


def _form(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _how(name: str, parts: Sequence[str], start: int, found: str) -> str:
    if start:
        return f"without the folders {'/'.join(parts[:start])}/ in front of their names"
    if "\\" in name:
        return "by reading backslashes as slashes"
    if not found.endswith("/".join(parts)):
        return "under a name whose letters are composed otherwise, or differ in case"
    return "below the root, not in the folder of the split"
