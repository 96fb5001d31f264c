"""Files below a folder, and what their names are to a data set.

Names are texts here, paths below a folder with slashes between their parts: as `Path` a hundred thousand of them
would cost more than the listing.

Images that an annotation file names may have been listed on another machine. A name is taken as it stands first. Where
nothing lies there, backslashes become slashes, the name is looked for below the root as well, folders in front of it
are left out one by one, and letters are compared in one Unicode form and without case. What was found in one of these
ways is counted.
"""

# ruff: noqa: PTH113, PTH118, PTH208

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from bench.data.formats.image_files import IMAGE_SUFFIXES
from bench.data.formats.image_headers import named_in_text
from bench.errors import DatasetError


def id_of(relative: PurePath) -> str:
    """Return the id of an image from its path below the images: without suffix, folders joined by two underscores.

    >>> id_of(PurePath("train/Köln 1/a.b.png"))
    'train__Köln 1__a.b'
    """
    return "__".join(relative.with_suffix("").parts)


def stem_of(name: str) -> str:
    """Return a name below a folder without its suffix, as `Path.with_suffix("")` does.

    >>> stem_of("train/a.b.png"), stem_of("a.b/c"), stem_of(".png"), stem_of("a.")
    ('train/a.b', 'a.b/c', '.png', 'a.')
    """
    dot = name.rfind(".")
    return name[:dot] if name.rfind("/") + 1 < dot < len(name) - 1 else name


def id_of_name(name: str) -> str:
    """Return the id of a name below a folder, as `id_of` does of a path, at a fraction of the cost.

    >>> id_of_name("train/Köln 1/a.b.png")
    'train__Köln 1__a.b'
    """
    return stem_of(name).replace("/", "__")


def ids_of_names(names: Sequence[str]) -> list[str]:
    """Return ids of images from their names below a folder, with suffix where these alone would not be unique."""
    plain = [name.replace("\\", "/") for name in names]
    ids = [id_of(PurePath(name)) if "/" in name else stem_of(name) for name in plain]
    return ids if len(set(ids)) == len(ids) else ["__".join(PurePath(name).parts) for name in plain]


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is none of the user's: its name begins with a dot, or a system made it.

    >>> [name for name in (".ipynb_checkpoints", "._a.png", "__MACOSX", "@eaDir", "a.png") if is_hidden(name)]
    ['.ipynb_checkpoints', '._a.png', '__MACOSX', '@eaDir']
    """
    return name.startswith(".") or name in ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information")


def one_spelling(name: str) -> str:
    """Return a name in composed form and without case, for comparing names that were written on different systems."""
    return same_text(name).casefold()


def spelt_otherwise(names: Iterable[str]) -> dict[str, str]:
    """Return the one spelling of each name -> the name; of names that are alike in it none."""
    found: dict[str, str] = {}
    alike = set[str]()
    for name in names:
        spelling = one_spelling(name)
        if found.setdefault(spelling, name) != name:
            alike.add(spelling)
    return {spelling: name for spelling, name in found.items() if spelling not in alike}


def same_text(name: str) -> str:
    """Return a name in Unicode's composed form (NFC): macOS writes names decomposed, which look the same and differ."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


@dataclass(frozen=True)
class FilesBelow:
    """Files below a folder.

    Attributes:
        names: Names of those with one of the suffixes asked for, sorted.
        others: Names of all others, hidden ones too where they were asked for, sorted.
    """

    folder: Path
    names: list[str]
    others: list[str]

    def paths(self) -> list[Path]:
        """Return the paths of those asked for, in the order of their names."""
        base = os.fspath(self.folder)
        return [Path(f"{base}/{name}") for name in self.names]

    def describe_others(self) -> str:
        """Return how many files of other suffixes lie there, as a sentence and a space; nothing where none does."""
        counted = Counter(Path(name).suffix.lower() for name in self.others if not _below_hidden(name))
        shown = ", ".join(f"{count} {suffix or 'nameless'}" for suffix, count in counted.most_common(4))
        return f"It holds {shown} files, which are not read. " if shown else ""


def files_below(folder: Path, suffixes: Iterable[str] = IMAGE_SUFFIXES, *, others: bool = False) -> FilesBelow:
    """List the files below a folder by their suffixes, in any case; hidden files and folders are left out.

    Linked folders are entered, each real folder once.

    Args:
        folder: Folder to search; nothing is found if it is no folder.
        suffixes: Suffixes of the files that are asked for.
        others: True if all other files are noted too, those in hidden folders and hidden ones among them.

    Raises:
        DatasetError: If one of those asked for has a name that is not text in UTF-8.
    """
    wanted = {suffix.lower() for suffix in suffixes}
    found: list[str] = []
    rest: list[str] = []
    waiting, seen = [""], set[str]()
    while waiting:
        below = waiting.pop()
        place = os.path.join(folder, below)
        try:
            real = os.path.realpath(place)
        except OSError:  # it was removed just now
            continue
        if real in seen:
            continue
        seen.add(real)
        prefix, sound = f"{below}/" if below else "", place.isprintable()
        visible = not _below_hidden(below)
        entered: list[str] = []
        for name, kind in _listed(place):
            dot = name.rfind(".")
            if kind == "folder":
                if others or not is_hidden(name):
                    entered.append(prefix + name)
            elif dot > 0 and kind == "file" and visible and name[dot:].lower() in wanted and name[0] != ".":
                if not (sound and name.isascii() and name.isprintable()):
                    named_in_text(Path(place, name))
                found.append(prefix + name)
            elif others:
                rest.append(prefix + name)
        waiting += sorted((one for one in entered if not _below_hidden(one)), reverse=True)
        waiting[:0] = filter(_below_hidden, entered)  # last, so that no link in one goes before its folder
    return FilesBelow(folder, sorted(found), sorted(rest))


def _below_hidden(name: str) -> bool:
    return any(map(is_hidden, name.split("/")))


def _listed(place: str) -> Iterator[tuple[str, str]]:
    """Yield name and kind, file, folder or other, of what lies in a folder; nothing if it may not be read."""
    try:
        with os.scandir(place) as items:
            for item in items:
                try:
                    kind = "file" if item.is_file() else "folder" if item.is_dir() else "other"
                except OSError:  # links in a circle
                    kind = "other"
                yield item.name, kind
    except OSError:
        return


def files_under(folder: Path, suffixes: Iterable[str] = IMAGE_SUFFIXES) -> list[Path]:
    """Return files below a folder with one of the suffixes, sorted by path; see `files_below`."""
    return files_below(folder, suffixes).paths()


def by_stem(files: FilesBelow) -> dict[str, str]:
    """Return the name of each file by itself without suffix, in NFC; raises `DatasetError` if two have one."""
    found: dict[str, str] = {}
    for name in files.names:
        first = found.setdefault(same_text(stem_of(name)), name)
        if first is not name:
            raise DatasetError(
                f"{files.folder / name} and {files.folder / first} are masks of one image; remove one of them."
            )
    return found


def names_in(folder: str | Path) -> frozenset[str]:
    """Return what lies in a folder, by name; nothing if there is no such folder."""
    try:
        return frozenset(os.listdir(folder or "."))
    except OSError:
        return frozenset()


class ImagePlaces:
    """Finds images below folders, each listed once; `found_by` counts names found otherwise than as they stand."""

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
        """Return the path below a folder, each part compared in one form; None if one is missing, or two are alike."""
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
