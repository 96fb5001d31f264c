"""Finding the images and masks of a folder by patterns of their paths.

A pattern is a path below the root, with `/` between folders, in which

    {id}       is what an image is called, sub-folders included
    {split}    is the name of its split
    {group}    is what must stay together: patient, scene, film
    {class}    is the class of a mask (masks only)
    {n}        is a number that tells the masks of an image apart (masks only)
    *          is anything within one name

A placeholder that occurs again, in the same pattern or in that of the masks, stands for the same text.
Hidden files and folders are never read.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bench.data.formats.image_files import IMAGE_SUFFIXES, LOSSY_SUFFIXES, MASK_SUFFIXES
from bench.data.formats.image_headers import named_in_text
from bench.errors import DatasetError, did_you_mean

PLACES = {"id": r".+?", "split": r"[^/]+?", "group": r"[^/]+?", "class": r"[^/]+?", "n": r"\d+"}
TOKEN = re.compile(r"\{(\w*)\}|\*")
SHARED = ("split", "group", "id")
"""Placeholders that tie a mask to its image."""


def is_pattern(text: str) -> bool:
    """Return whether an option is a pattern and not the name of a folder."""
    return "{" in text or "*" in text


@dataclass(frozen=True)
class ImageWithMasks:
    """An image with its masks.

    Attributes:
        values: Placeholder -> text in the path of the image.
        masks: Their files, in the order of their paths.
        classes: Class of each mask, or `""` without `{class}`.
    """

    image: Path
    values: Mapping[str, str]
    masks: tuple[Path, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Matches:
    """Hold what lies in a folder, by two patterns.

    Attributes:
        found: Images with masks, in the order of their paths.
        alone: Images without a mask.
        orphans: Masks without an image.
        others: Other files that could be images, masks or arrays.
    """

    found: tuple[ImageWithMasks, ...]
    alone: tuple[Path, ...]
    orphans: tuple[Path, ...]
    others: tuple[Path, ...]


def match_folder(root: Path, images: str, masks: str, *, lossy: bool = False) -> Matches:
    """Match all files below a folder, reading none, JPEG masks if `lossy`; raises `DatasetError` for a bad pattern."""
    check_pattern(images, "images", allowed=SHARED)
    check_pattern(masks, "masks", allowed=tuple(PLACES))
    return match_paths(visible_files(root), root, images, masks, lossy=lossy)


def check_pattern(pattern: str, option: str, *, allowed: Sequence[str]) -> None:
    """Raise `DatasetError` for a pattern that cannot tell images apart."""
    names = re.findall(r"\{(\w*)\}", pattern)
    strange = [name for name in names if name not in allowed]
    if strange or "id" not in names:
        what = "does not say where the name of the image is."
        if strange:
            what = f"has the placeholder {{{strange[0]}}}.{did_you_mean(strange[0], allowed)}"
        raise DatasetError(
            f"folder: option {option}: {pattern!r} {what} It takes {', '.join('{' + name + '}' for name in allowed)} "
            'and *, and needs {id}, for example images: "{split}/images/{id}.*" and masks: "{split}/masks/{id}.png".'
        )


def visible_files(root: Path) -> list[str]:
    """Return paths below a folder, sorted, without what is hidden; each real folder once."""
    found, seen = [], set()
    for base, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(base)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        found += [(Path(base) / name).relative_to(root).as_posix() for name in names if not name.startswith(".")]
    return sorted(found)


def match_paths(paths: Sequence[str], root: Path, images: str, masks: str, *, lossy: bool = False) -> Matches:
    """Match paths below `root`; a file that fits both patterns is a mask if the image it would belong to is there."""
    pictures = {path: values_of(images, path) for path in paths if _suffix(path) in IMAGE_SUFFIXES}
    candidates = {path: values for path, values in pictures.items() if values is not None}
    matcher = _MaskMatcher(images, masks, candidates)
    of_image: dict[str, list[tuple[str, str]]] = defaultdict(list)
    orphans, others = [], []
    for path in paths:
        is_mask = _suffix(path) in ((*MASK_SUFFIXES, *LOSSY_SUFFIXES) if lossy else MASK_SUFFIXES)
        owner = matcher.owner(path) if is_mask else None
        if owner is not None and owner[0] != path:
            of_image[owner[0]].append((path, owner[1]))
        elif is_mask and path not in candidates and values_of(masks, path) is not None:
            orphans.append(path)
        elif path not in candidates and _suffix(path) in (*IMAGE_SUFFIXES, *MASK_SUFFIXES, ".npz"):
            others.append(path)
    taken = {path for rows in of_image.values() for path, _ in rows}
    found = []
    for path, values in candidates.items():
        if path in of_image and path not in taken:
            rows = sorted(of_image[path])
            masks_of = tuple(root / mask for mask, _ in rows)
            found.append(ImageWithMasks(named_in_text(root / path), values, masks_of, tuple(c for _, c in rows)))
    alone = candidates.keys() - of_image.keys() - taken
    # A mask may claim another mask as its image, where the pattern of images fits both.
    orphans += [mask for path in taken for mask, _ in of_image.get(path, ())]
    rest = [tuple(root / path for path in kind) for kind in (sorted(alone), sorted(orphans), others)]
    return Matches(tuple(found), *rest)


class _MaskMatcher:
    def __init__(self, images: str, masks: str, candidates: Mapping[str, Mapping[str, str]]) -> None:
        self._masks = masks
        placed = set(re.findall(r"\{(\w*)\}", images)) & set(re.findall(r"\{(\w*)\}", masks))
        self._shared = [name for name in SHARED if name in placed]
        self._by_key: dict[tuple[str, ...], str] = {}
        self._ids: set[str] = set()
        for path, values in candidates.items():
            key = self._key(values)
            # Of two images of one name the one without a lossless suffix is the photograph.
            if key not in self._by_key or _suffix(path) in (".jpg", ".jpeg"):
                self._by_key[key] = path
            self._ids.add(values["id"])

    def owner(self, path: str) -> tuple[str, str] | None:
        """Return the path of the image of a mask, and the class of the mask; None if there is none."""
        values = values_of(self._masks, path)
        if values is None:
            return None
        found = self._by_key.get(self._key(values))
        if found is not None:
            return found, values.get("class", "")
        # The id could end elsewhere: `a_1` and `a_1_mask_2` both fit {id}_*.
        start = path.rfind(values["id"][:1]) if not values["id"] else path.find(values["id"])
        for end in range(len(path), start, -1):
            if path[start:end] in self._ids:
                again = values_of(self._masks, path, id=path[start:end])
                if again is not None and self._key(again) in self._by_key:
                    return self._by_key[self._key(again)], again.get("class", "")
        return None

    def _key(self, values: Mapping[str, str]) -> tuple[str, ...]:
        # macOS writes names decomposed, which look the same and differ.
        return tuple(unicodedata.normalize("NFC", values[name]) for name in self._shared)


def values_of(pattern: str, path: str, **fixed: str) -> dict[str, str] | None:
    """Return the text of each placeholder in a path; None if it does not fit.

    >>> values_of("{split}/images/{id}.*", "train/images/a/b.png")
    {'split': 'train', 'id': 'a/b'}
    >>> values_of("{id}_mask*.png", "benign (1)_mask_2.png")
    {'id': 'benign (1)'}
    """
    match = _compiled(pattern, tuple(sorted(fixed.items()))).fullmatch(path)
    return None if match is None else match.groupdict()


@lru_cache(maxsize=4096)
def _compiled(pattern: str, fixed: tuple[tuple[str, str], ...]) -> re.Pattern[str]:
    known, parts, seen, position = dict(fixed), [], set(), 0
    for token in TOKEN.finditer(pattern):
        parts.append(re.escape(pattern[position : token.start()]))
        position, name = token.end(), token.group(1)
        if token.group() == "*":
            # The suffix `.*` is one suffix: of `a.b.png` the name is `a.b`.
            parts.append(r"[^/.]*" if pattern[: token.start()].endswith(".") else r"[^/]*")
        elif name in seen:
            parts.append(f"(?P={name})")
        else:
            seen.add(name)
            parts.append(f"(?P<{name}>{re.escape(known[name]) if name in known else PLACES[name]})")
    parts.append(re.escape(pattern[position:]))
    return re.compile("".join(parts))


def _suffix(path: str) -> str:
    dot = path.rfind(".")
    return path[dot:].lower() if dot > path.rfind("/") else ""
