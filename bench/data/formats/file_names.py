"""Files below a folder, and what their names are to a data set."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
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


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is none of the user's: its name begins with a dot, or a system made it.

    >>> [name for name in (".ipynb_checkpoints", "._a.png", "__MACOSX", "@eaDir", "a.png") if is_hidden(name)]
    ['.ipynb_checkpoints', '._a.png', '__MACOSX', '@eaDir']
    """
    return name.startswith(".") or name in ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information")


def same_text(name: str) -> str:
    """Return a name in Unicode's composed form (NFC): macOS writes names decomposed, which look the same and differ."""
    return unicodedata.normalize("NFC", name)


def files_under(folder: Path, suffixes: Iterable[str] = IMAGE_SUFFIXES) -> list[Path]:
    """Return files below a folder with one of the suffixes, in any case, sorted by path; hidden files and folders left
    out.

    Linked folders are entered, each real folder once.

    Raises:
        DatasetError: If one has a name that is not text in UTF-8.
    """
    wanted, seen = {suffix.lower() for suffix in suffixes}, set()
    found: list[Path] = []
    for base, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(base)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not is_hidden(name)]
        found += [Path(base) / n for n in names if Path(n).suffix.lower() in wanted and not is_hidden(n)]
    return sorted((named_in_text(path) for path in found if path.is_file()), key=lambda path: path.as_posix())


def masks_by_stem(folder: Path, suffixes: Iterable[str]) -> dict[str, Path]:
    """Return path below `folder` without suffix, in NFC -> mask; raises `DatasetError` if two masks have one name."""
    found: dict[str, Path] = {}
    for path in files_under(folder, suffixes):
        stem = same_text(path.relative_to(folder).with_suffix("").as_posix())
        if stem in found:
            raise DatasetError(f"{path} and {found[stem]} are masks of one image; remove one of them.")
        found[stem] = path
    return found
