"""What is known of data before anything is trained on them: a sampled read, and when all of them were last checked.

Completely they are checked by `bench data check`, which leaves a note in `segbench/checked` in
`$XDG_CACHE_HOME`, named by a fingerprint of the split: its options, classes, and the path, size and time
of change of each of its files.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from pydantic import JsonValue

from bench.data.formats.on_disk import OnDisk, decisive_files
from bench.data.formats.orientation import Frame, contradicted
from bench.data.labels.dataset import MappedDataset
from bench.dataset import Dataset, GroundTruth
from bench.errors import DatasetError
from bench.records import digest, void_of
from bench.records.store.cache import cache_folder
from bench.records.store.code import as_key_part, code_behind
from bench.records.store.files import write_atomically

SAMPLE = 12
"""Images of a split that a check of a suite reads."""
SAMPLE_S = 2.0
"""Seconds after which it reads no further image of a data set."""
HEADERS, HEADERS_S, TURNED = 1000, 0.3, 4
"""Headers opened in search of images that EXIF turns, seconds for it, and how many images of that kind are read."""


def on_disk(dataset: Dataset) -> OnDisk | None:
    """The data set of files behind a data set; None for one that is made."""
    inner = dataset.unmapped if isinstance(dataset, MappedDataset) else dataset
    return inner if isinstance(inner, OnDisk) else None


def sampled_faults(dataset: Dataset, splits: Sequence[str]) -> list[str]:
    """Read a few images of each split, spread over it, with their ground truth, and tell what is wrong.

    Args:
        dataset: Opened; one that is made is not read.
        splits: Those that are used.

    Returns:
        A sentence for each split in which something is wrong, which says how many images were looked at.
    """
    if on_disk(dataset) is None:
        return []
    end = time.monotonic() + SAMPLE_S
    return [fault for split in dict.fromkeys(splits) for fault in _of_split(dataset, split, end)]


def _of_split(dataset: Dataset, split: str, end: float) -> list[str]:
    ids = dataset.ids(split)
    if not ids:
        return [f"split {split!r} has no image."]
    chosen = dict.fromkeys([*_spread(ids, SAMPLE), *_turned(dataset, ids)])
    seen = _Seen()
    for image_id in chosen:
        if seen.looked_at and time.monotonic() > end:
            break
        seen.look(dataset, image_id)
    return seen.told(dataset, split, len(ids))


def _spread(ids: Sequence[str], count: int) -> list[str]:
    """At most so many, at even distances, the first and the last among them."""
    return list(dict.fromkeys(ids[round(k * (len(ids) - 1) / max(count - 1, 1))] for k in range(count)))


def _turned(dataset: Dataset, ids: Sequence[str]) -> list[str]:
    """A few of the images that EXIF turns, by the headers of as many as can be opened in `HEADERS_S`."""
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
    """What a sampled read of a split has seen."""

    def __init__(self) -> None:
        self.looked_at, self._silent = 0, 0
        self._faults: list[str] = []
        self._contrasts: list[dict[Frame, float | None]] = []

    def look(self, dataset: Dataset, image_id: str) -> None:
        """Read an image and its ground truth."""
        self.looked_at += 1
        files = on_disk(dataset)
        assert files is not None
        try:
            dataset.image(image_id)
            self._silent += _says_nothing(dataset, dataset.target(image_id))
            if files.orientation is not None and files.exif_orientation(image_id) != 1:
                self._contrasts.append(files.contrasts(image_id, files.readings(image_id)))
        except DatasetError as error:
            self._faults.append(str(error))

    def told(self, dataset: Dataset, split: str, total: int) -> list[str]:
        """A sentence for each thing that is wrong, with the number of images that were read."""
        files, faults = on_disk(dataset), self._faults
        against = contradicted(None if files is None else files.orientation, self._contrasts)
        seen = f"{self.looked_at} of {total} images of split {split!r} were read" if self.looked_at < total else ""
        if faults:
            more = f" So it is with {len(faults)} of them." if len(faults) > 1 else ""
            return [f"{faults[0]}{more}{f' ({seen}; bench data check reads all.)' if seen else ''}"]
        if against is not None:
            return [against]
        if self._silent == self.looked_at and self.looked_at > 1:
            what = "labelled pixel" if "semantic" in dataset.tasks else "object"
            scope = f"none of its {total} images"
            if seen:
                scope = f"none of the {self.looked_at} images that were read, of {total},"
            return [f"split {split!r}: {scope} has any {what}. Look at them with bench data preview."]
        return []


def _says_nothing(dataset: Dataset, truth: GroundTruth) -> bool:
    if "semantic" in dataset.tasks:
        return bool((truth.semantic.labels == void_of(truth.semantic.labels)).all())
    return truth.instances is not None and not len(truth.instances.masks)


def remember(dataset: Dataset, splits: Sequence[str], *, wrong: int) -> None:
    """Note that splits were checked completely now, and how many things were wrong; where that cannot be, do not."""
    files = on_disk(dataset)
    if files is None:
        return
    for split in splits:
        note = {"checked_at": datetime.now(timezone.utc).isoformat(timespec="seconds"), "wrong": wrong}
        try:
            place = _place(files, split)
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(place, json.dumps(note))
        except (OSError, DatasetError):
            continue


def checked_at(dataset: Dataset, split: str) -> str | None:
    """When a split was last checked completely, as it is now; None if never."""
    files = on_disk(dataset)
    try:
        return str(json.loads(_place(files, split).read_text(encoding="utf-8"))["checked_at"]) if files else None
    except (OSError, ValueError, KeyError, TypeError, DatasetError):
        return None


def unchecked_note(dataset: Dataset, label: str, splits: Sequence[str], source: Path) -> str | None:
    """What to say of a data set of files whose splits were not all checked completely; None if they were."""
    never = [split for split in dict.fromkeys(splits) if checked_at(dataset, split) is None]
    if on_disk(dataset) is None or not never:
        return None
    return (
        f"{label}: {', '.join(never)} never checked completely, only by a sample of {SAMPLE} images each. Do it once "
        f"before anything is trained: bench data check --suite {source}"
    )


def _place(files: OnDisk, split: str) -> Path:
    return cache_folder() / "checked" / f"{_state(files, split)}.json"


def _state(files: OnDisk, split: str) -> str:
    """Fingerprint of a split by the states of its files, not their content."""
    states: dict[Path, JsonValue] = {}
    rows: list[JsonValue] = []
    for image_id, own in decisive_files(files.entry(image_id) for image_id in files.ids(split)):
        for path in own:
            if path not in states:
                try:
                    found = path.stat()
                    states[path] = [str(path.absolute()), found.st_size, found.st_mtime_ns]
                except OSError:
                    states[path] = [str(path.absolute())]
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
