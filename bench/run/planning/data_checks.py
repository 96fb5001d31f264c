"""Checks data before anything is trained on them: by a sampled read, and by when all of them were last checked.

Completely they are checked by `bench data check`, which leaves a note in `segbench/checked` in
`$XDG_CACHE_HOME`, named by a fingerprint of the split: its options, classes, and the path, size, inode and times
of change of each of its files.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from bench.data.formats.bands import DARK, LOW, all_of_few_bits, highest_value, is_of_16_bits
from bench.data.formats.contents import alike_names, classes_in, dropped_alpha, many_unseen, unseen_objects
from bench.data.formats.doubts import REFUSED, Doubt, together
from bench.data.formats.entries import decisive_files
from bench.data.formats.on_disk import OnDisk
from bench.data.formats.orientation import Frame, better_pose, contradicted, pose_contrasts
from bench.data.labels.dataset import on_disk
from bench.dataset import Dataset, GroundTruth
from bench.errors import DatasetError
from bench.records import Record, digest, void_of
from bench.records.store.cache import cache_folder
from bench.records.store.code import as_key_part, code_behind
from bench.records.store.files import file_state, write_record

SAMPLE = 12
"""Images of a split that a check of a suite reads."""
SAMPLE_S = 2.0
"""Seconds after which it reads no further image of a data set."""
HEADERS, HEADERS_S, TURNED = 1000, 0.3, 4
"""Headers opened in search of images that EXIF turns, seconds for it, and how many images of that kind are read."""


@dataclass(frozen=True)
class Sampled:
    """Hold what a sampled read of a data set has found, a sentence each: what is wrong, and what may be meant."""

    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def sampled(dataset: Dataset, splits: Sequence[str]) -> Sampled:
    """Read a few images of each split, spread over it, with their ground truth, and tell what is wrong.

    A data set that is made is not read. The split that is trained on comes first.
    """
    if on_disk(dataset) is None:
        return Sampled()
    end = time.monotonic() + SAMPLE_S
    seen = {split: _seen_of(dataset, split, end) for split in dict.fromkeys(splits)}
    faults = [fault for one in seen.values() for fault in one.faults()]
    notes = [note for one in seen.values() for note in one.notes()]
    return Sampled(tuple(faults), (*notes, *_absent(dataset, list(seen.values())), *alike_names(dataset.classes)))


def _seen_of(dataset: Dataset, split: str, end: float) -> _Seen:
    ids = dataset.ids(split)
    seen = _Seen(dataset, split, len(ids))
    for image_id in dict.fromkeys([*_spread(ids, SAMPLE), *_turned(dataset, ids)]) if ids else ():
        if seen.looked_at and time.monotonic() > end:
            break
        seen.look(image_id)
    return seen


def _absent(dataset: Dataset, seen: Sequence[_Seen]) -> list[str]:
    """Return classes of other splits that no image of the first has, where all of its images were read."""
    first, others = seen[0], seen[1:]
    if first.looked_at < first.total or not others:
        return []
    ids = {class_id for one in others for class_id in one.classes} - first.classes
    names = ", ".join(spec.name for index, spec in enumerate(dataset.classes) if index in ids)
    return [f"{first.split}: none of its {first.total} images has {names}; other splits do"] if names else []


def _spread(ids: Sequence[str], count: int) -> list[str]:
    """Return at most `count` ids, at even distances, the first and the last among them."""
    return list(dict.fromkeys(ids[round(k * (len(ids) - 1) / max(count - 1, 1))] for k in range(count)))


def _turned(dataset: Dataset, ids: Sequence[str]) -> list[str]:
    """Return a few of the images that EXIF turns, by the headers of as many as can be opened in `HEADERS_S`."""
    files, found = on_disk(dataset), list[str]()
    assert files is not None
    end = time.monotonic() + HEADERS_S
    for image_id in _spread(ids, HEADERS):
        if len(found) == TURNED or time.monotonic() > end:
            break
        with suppress(DatasetError):  # the sample tells of files that cannot be read
            if files.exif_orientation(image_id) != 1:
                found.append(image_id)
    return found


class _Seen:
    """Hold what a sampled read of a split has seen."""

    def __init__(self, dataset: Dataset, split: str, total: int) -> None:
        self.split, self.total, self.looked_at = split, total, 0
        self.classes: set[int] = set()
        self._dataset, self._silent = dataset, 0
        self._objects, self._unseen = 0, 0
        self._faults: list[str] = []
        self._alpha: list[str] = []
        self._sixteen: dict[Path, int] = {}
        self._contrasts: list[dict[Frame, float | None]] = []
        self._doubts: list[Doubt] = []
        self._poses: list[dict[str, float]] = []

    def look(self, image_id: str) -> None:
        """Read an image and its ground truth."""
        self.looked_at += 1
        files = on_disk(self._dataset)
        assert files is not None
        try:
            image = self._dataset.image(image_id)
            ground_truth = self._dataset.target(image_id)
            self.classes.update(classes_in(self._dataset, ground_truth))
            self._silent += _says_nothing(self._dataset, ground_truth)
            self._objects += 0 if ground_truth.instances is None else len(ground_truth.instances.masks)
            self._unseen += unseen_objects(ground_truth)
            self._doubts += files.doubts(image_id)
            self._poses.append(pose_contrasts(image.mean(axis=2).astype(np.uint8), ground_truth.semantic.labels))
            if files.pictures is None and files.bands is None:
                file = files.entry(image_id).image
                self._alpha += dropped_alpha(file)
                if is_of_16_bits(file):
                    self._sixteen[file] = highest_value(file) if image.max(initial=0) <= DARK else LOW
            if files.orientation is not None and files.exif_orientation(image_id) != 1:
                self._contrasts.append(files.contrasts(image_id, files.readings(image_id)))
        except DatasetError as error:
            self._faults.append(str(error))

    @property
    def _scope(self) -> str:
        if self.looked_at == self.total:
            return f"its {self.total} images"
        return f"the {self.looked_at} images of {self.total} that were read"

    @property
    def _what(self) -> str:
        return "labelled pixel" if "semantic" in self._dataset.tasks else "object"

    def faults(self) -> list[str]:
        """Return a sentence for each thing that is wrong."""
        if not self.total:
            return [f"split {self.split!r} has no image."]
        if self._faults:
            more = f" So it is with {len(self._faults)} of them." if len(self._faults) > 1 else ""
            seen = f"{self.looked_at} of {self.total} images of split {self.split!r} were read"
            scope = f" ({seen}; bench data check reads all.)" if self.looked_at < self.total else ""
            return [f"{self._faults[0]}{more}{scope}"]
        files = on_disk(self._dataset)
        against = contradicted(None if files is None else files.orientation, self._contrasts)
        if against is not None:
            return [against]
        wrong = [one for one in self._together() if one.kind in REFUSED and 2 * one.count > self._objects]
        if wrong:
            return [
                f"split {self.split!r}: in {self._scope} {one.describe()}. All of it: bench data check."
                for one in wrong
            ]
        few = all_of_few_bits(self._sixteen, self.looked_at)
        if few is not None:
            return [few]
        lost = many_unseen(self._unseen, self._objects)
        if lost is not None:
            return [f"split {self.split!r}: in {self._scope} {lost}."]
        if self._silent == self.looked_at > 1:
            none = f"none of {self._scope} has any {self._what}"
            return [f"split {self.split!r}: {none}. Look at them with bench data preview."]
        return []

    def _together(self) -> list[Doubt]:
        return together(self._doubts, self._objects)

    def notes(self) -> list[str]:
        """Return a sentence for each thing that may be meant."""
        notes = [f"{self.split}: in {self._scope} {one.describe()}" for one in self._together()]
        pose = better_pose(self._poses)
        notes += [] if pose is None else [f"{self.split}: {pose}. Look at them with bench data preview"]
        if 0 < self._silent < self.looked_at and not self._faults:
            notes.append(f"{self.split}: {self._silent} of {self._scope} have no {self._what}")
        if self._alpha:
            notes.append(
                f"{self.split}: {len(self._alpha)} of {self._scope} have transparency that is lost; {self._alpha[0]}"
            )
        return notes


def _says_nothing(dataset: Dataset, ground_truth: GroundTruth) -> bool:
    if "semantic" in dataset.tasks:
        return bool((ground_truth.semantic.labels == void_of(ground_truth.semantic.labels)).all())
    return ground_truth.instances is not None and not len(ground_truth.instances.masks)


class Remembered(Record):
    """Hold what a complete check of a split has found.

    Attributes:
        checked_at: When, in ISO 8601.
        wrong: Number of things that were wrong.
        example: The first of them; empty where nothing was wrong.
        absent: A sentence for each set of classes that the split lacks.
    """

    checked_at: str
    wrong: int = 0
    example: str = ""
    absent: tuple[str, ...] = ()


def remember(dataset: Dataset, split: str, *, wrong: Sequence[str], absent: Sequence[str] = ()) -> None:
    """Note that a split was checked completely now, and what was wrong; where that cannot be noted, do not.

    `wrong` has a sentence for each thing that was wrong, `absent` one for each set of classes that it lacks.
    """
    files = on_disk(dataset)
    if files is None:
        return
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    note = Remembered(checked_at=now, wrong=len(wrong), example=next(iter(wrong), ""), absent=tuple(absent))
    with suppress(OSError, DatasetError):
        write_record(_place(files, split), note)


def remembered(dataset: Dataset, split: str) -> Remembered | None:
    """Return what the last complete check of a split, as it is now, has found; None if there was none."""
    files = on_disk(dataset)
    try:
        return None if files is None else Remembered.from_json(_place(files, split).read_text(encoding="utf-8"))
    except (OSError, ValueError, DatasetError):
        return None


def check_notes(dataset: Dataset, splits: Sequence[str], source: Path) -> list[str]:
    """Return what complete checks have found of the splits of a data set of files, and which were never checked so."""
    if on_disk(dataset) is None:
        return []
    command = f"bench data check --suite {source}"
    found = {split: remembered(dataset, split) for split in dict.fromkeys(splits)}
    never = [split for split, check in found.items() if check is None]
    notes = []
    if never:
        notes.append(
            f"{', '.join(never)} never checked completely, only by a sample of at most {SAMPLE} images each. "
            f"Do it once before anything is trained: {command}"
        )
    for split, check in found.items():
        if check is None:
            continue
        notes += [f"{sentence} (checked completely at {check.checked_at})" for sentence in check.absent]
        if check.wrong:
            things = "1 thing was" if check.wrong == 1 else f"{check.wrong} things were"
            notes.append(
                f"when {split} was last checked completely, at {check.checked_at}, {things} wrong with it, "
                f"and its files have not changed since, for example: {check.example} All of it: {command}"
            )
    return notes


def _place(files: OnDisk, split: str) -> Path:
    return cache_folder() / "checked" / f"{_state(files, split)}.json"


def _state(files: OnDisk, split: str) -> str:
    """Return the fingerprint of a split by the states of its files, not their content."""
    states: dict[Path, JsonValue] = {}
    rows: list[JsonValue] = []
    for image_id, own in decisive_files(files.entry(image_id) for image_id in files.ids(split)):
        for path in own:
            if path not in states:
                states[path] = [str(path.absolute()), *(file_state(path) or ())]
                rows.append(states[path])
        rows.append(image_id)
    names: list[JsonValue] = [[spec.name, spec.is_thing] for spec in files.classes]
    return digest(
        [
            files.name,
            as_key_part(code_behind([f"bench.datasets.{files.name}"])),
            files.description.decisive,
            names,
            rows,
        ]
    )
