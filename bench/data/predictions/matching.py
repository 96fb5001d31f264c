"""Finds which file is the prediction of which image, which images have none, and which files belong to no image."""

from __future__ import annotations

import difflib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from bench.data.formats.file_names import files_under, same_text
from bench.data.predictions.requested import Requested
from bench.errors import BenchError, few
from bench.records import Flag, Size
from bench.records.predictions import Prediction

NAMED = 5
"""This many of the missing or superfluous are named."""
named = partial(few, most=NAMED)


class Reader(ABC):
    """Predictions of a split, matched with its images when the reader is made."""

    _flags: list[Flag]

    def flags(self) -> list[Flag]:
        """Return what is missing, superfluous or converted."""
        return self._flags

    @abstractmethod
    def read(self, image_id: str, size: Size) -> Prediction:
        """Return the prediction of an image; raises `BenchError` if it is none, and for another size or range."""


@dataclass(frozen=True)
class Matched:
    """Files by image.

    Attributes:
        files: Image id -> its file.
        missing: Images that are asked for and have none.
        elsewhere: Files of images that the data set has, but that are not scored.
        strange: Files of no image of the data set.
    """

    files: Mapping[str, Path]
    missing: tuple[str, ...]
    elsewhere: tuple[str, ...]
    strange: tuple[str, ...]

    def flags(self, *, missing_are: str = "counted as predictions of nothing") -> list[Flag]:
        """Return what a report says of them."""
        total = len(self.missing) + len(self.files)
        return flags_of(self.missing, self.elsewhere, self.strange, total, missing_are=missing_are)


def flags_of(
    missing: Sequence[str], elsewhere: Sequence[str], strange: Sequence[str], total: int, *, missing_are: str
) -> list[Flag]:
    """Return the counts and names of what did not match, as flags of a job."""
    flags = []
    if missing:
        seen = f"{len(missing)} of {total} images have no prediction and are {missing_are}: {named(missing)}"
        advice = "make them, or leave the images out of the split"
        flags.append(Flag(name="missing_predictions", seen=seen, advice=advice))
    if strange:
        seen = f"{len(strange)} predictions belong to no image of the data set and are left out: {named(strange)}"
        flags.append(Flag(name="superfluous_predictions", seen=seen, advice="check that they are of this data set"))
    if elsewhere:
        seen = f"{len(elsewhere)} predictions are of images that are not scored and are left out: {named(elsewhere)}"
        advice = "that is as it should be if they are of other splits"
        flags.append(Flag(name="unscored_predictions", seen=seen, advice=advice))
    return flags


def match_files(root: Path, pattern: str | None, suffixes: Sequence[str], asked: Requested) -> Matched:
    """Match files below a folder with images.

    Args:
        pattern: Path of a file below it, with `{id}`; None takes every file with one of the suffixes.
        suffixes: Suffixes in lower case, with their dots; `.nii.gz` is one.
        asked: Images that predictions are wanted of, with their names.

    Raises:
        BenchError: If no file fits any image, or two fit one.
    """
    found = _ids_of_files(root, pattern, suffixes)
    if not found:
        what = f"files that fit the pattern {pattern}" if pattern else f"files ending in {', '.join(suffixes)}"
        raise BenchError(f"{root} holds no {what}; correct the option root, pattern or format")
    files: dict[str, Path] = {}
    elsewhere, strange = [], []
    for name, path in found:
        image_id = asked.id_of(name) or asked.id_of(PurePosixPath(name).name)
        if image_id is None:
            strange.append(path.relative_to(root).as_posix())
        elif image_id in asked.others:
            elsewhere.append(path.relative_to(root).as_posix())
        elif image_id in files:
            raise BenchError(
                f"{root}: both {files[image_id].relative_to(root)} and {path.relative_to(root)} would be the "
                f"prediction of image {image_id!r}. Say which by a pattern, for example pattern: '{{id}}{path.suffix}'"
            )
        else:
            files[image_id] = path
    missing = tuple(image_id for image_id in asked.ids if image_id not in files)
    if not files:
        raise _nothing_fits(root, [name for name, _ in found], asked)
    return Matched(files, missing, tuple(elsewhere), tuple(strange))


def _ids_of_files(root: Path, pattern: str | None, suffixes: Sequence[str]) -> list[tuple[str, Path]]:
    """(id as the path has it, file); in the order of the paths."""
    name = PurePosixPath(pattern or "")
    ends = (name.suffix.lower(),) if name.suffix else (".gz", *suffixes) if ".nii.gz" in suffixes else tuple(suffixes)
    paths = [(same_text(path.relative_to(root).as_posix()), path) for path in files_under(root, ends)]
    if pattern is None:
        return [(text[: -len(end)], path) for text, path in paths for end in suffixes if text.lower().endswith(end)]
    parts = [re.escape(part).replace(r"\*", "[^/]*") for part in pattern.split("{id}")]
    wanted = re.compile("(?P<id>.+)".join(parts))
    return [(fits["id"], path) for text, path in paths if (fits := wanted.fullmatch(text)) is not None]


def _nothing_fits(root: Path, names: Sequence[str], asked: Requested) -> BenchError:
    first = asked.ids[0] if asked.ids else ""
    near = difflib.get_close_matches(first, names, n=1, cutoff=0.3) or list(names[:1])
    within = [name for name in names if first and first in name]
    hint = f" Perhaps pattern: '{within[0].replace(first, '{id}', 1)}.*'." if within else ""
    if any(first.startswith(f"{name}__z") for name in names):
        hint = f" The images are slices of volumes: save each slice as a file of its own, such as {first}.png."
    return BenchError(
        f"{root}: none of its {len(names)} files is named after an image that is scored. The files are called "
        f"{named(names)}; the images {named(asked.ids)}; the nearest to {first!r} is {near[0]!r}.{hint} Say where the "
        "id stands in the path by the option pattern, for example pattern: '{id}_pred.png', or choose another data "
        "set or split"
    )


def refuse_missing(root: Path, missing: Sequence[str], total: int) -> BenchError:
    """Return the error for images without a prediction, of a format that has one for each."""
    return BenchError(
        f"{root}: {len(missing)} of {total} images have no prediction: {named(missing)}. Make them, leave the images "
        "out of the split (max_images, or the data set's options), or count them as predictions of nothing by "
        "missing: empty"
    )
