"""One look at every image: in several processes, with a bar, and remembered, so that it can be interrupted.

What was seen of an image is a line of JSON in a cache file. A line counts as long as the files of
that image are as they were, see `file_state`; others are seen again. The file is named
after everything else that decides what is seen: data set, options, reader, and kind of look.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import cv2
from pydantic import JsonValue
from rich.console import Console

from bench.data.formats.on_disk import OnDisk
from bench.data.labels.dataset import on_disk
from bench.data.opening import Choice, opened
from bench.data.progress import bar
from bench.dataset import Dataset
from bench.errors import DatasetError
from bench.measure.devices import allowed_cores
from bench.records import as_json_dict, digest
from bench.records.store.code import as_key_part, code_behind
from bench.records.store.files import file_state, opened_to_append, write_atomically
from bench.records.store.layout import plain_name

Row: TypeAlias = dict[str, Any]
"""This is what was seen of one image: JSON values."""

Look: TypeAlias = Callable[[Dataset, str], Row]
"""Looks at one image of a data set; a function of a module, so that another process can name it."""

CHUNK = 8
"""Images that a process is given at a time."""

FEW = 32
"""Most images that are inspected in this process alone: starting others would take longer."""


@dataclass(frozen=True)
class Listed:
    """An image and the split it is in."""

    split: str
    image_id: str


@dataclass(frozen=True)
class Finding:
    """One thing that a look at all images found.

    Attributes:
        kind: Key of `WRONG` or `NOTES` of `check.py`.
        image_id: Id of the image; '' for a split as a whole.
        message: The finding in a sentence, naming the file where there is one.
    """

    kind: str
    split: str
    image_id: str
    message: str


@dataclass(frozen=True)
class Pass:
    """Hold what a look at a data set needs.

    Attributes:
        kind: Purpose of the pass, in the bar and in the name of the file.
        choice, dataset: The data set, and how it was chosen.
        look: Function that is called for each image.
        version: Raised when `look` gives other rows for the same files.
        cache: Folder of the files that remember.
        jobs: Processes; None takes one for each core that may be used.
    """

    kind: str
    choice: Choice
    dataset: Dataset
    look: Look
    version: int
    cache: Path
    jobs: int | None = None

    @property
    def file(self) -> Path:
        """Return where the rows are remembered."""
        names: list[JsonValue] = [[c.name, c.is_thing] for c in self.dataset.classes]
        files, labels = on_disk(self.dataset), self.choice.labels
        decisive = None if files is None else files.description.decisive
        mapped = None if labels is None else as_json_dict(labels)
        reader = as_key_part(code_behind([f"bench.datasets.{self.choice.name}"]))
        key = digest([self.choice.name, self.choice.options, names, decisive, mapped, self.version, reader])
        return self.cache / f"{plain_name(self.choice.label)}-{self.kind}-{key[:16]}.jsonl"


class ScanResult(NamedTuple):
    """The rows of a pass by image id, in the order asked for, and how many of them came from the cache."""

    rows: dict[str, Row]
    remembered: int


def look_at_all(task: Pass, images: Sequence[Listed], console: Console) -> ScanResult:
    """Look at every image once, and remember each row as soon as it is there.

    Raises:
        DatasetError: If a process died while it read an image.
    """
    states = _states(task.dataset, images)
    rows = _remembered(task.file, states)
    remembered = len(rows)
    missing = [image for image in images if image.image_id not in rows]
    if missing:
        task.cache.mkdir(parents=True, exist_ok=True)
        said = f"{task.kind} {task.choice.label}"
        with (
            os.fdopen(opened_to_append(task.file), "a", encoding="utf-8") as file,
            bar(console, said, unit="images") as advance,
        ):
            for image_id, row in _looked_at(task, missing):
                rows[image_id] = row
                file.write(json.dumps([image_id, states[image_id], row]) + "\n")
                file.flush()
                advance(len(rows), len(images))
    return ScanResult({image.image_id: rows[image.image_id] for image in images}, remembered)


def rows_by_split(images: Sequence[Listed], rows: dict[str, Row]) -> dict[str, list[Row]]:
    """Return the rows of images by their splits, in the order of the images."""
    found: dict[str, list[Row]] = {}
    for image in images:
        found.setdefault(image.split, []).append(rows[image.image_id])
    return found


def _states(dataset: Dataset, images: Sequence[Listed]) -> dict[str, str]:
    """Return image id -> what changes when its files do."""
    files = on_disk(dataset)
    if files is not None:
        return {image.image_id: _file_state(files, image.image_id) for image in images}
    of_split = {split: dataset.fingerprint(split) for split in dict.fromkeys(image.split for image in images)}
    return {image.image_id: of_split[image.split] for image in images}


def _file_state(files: OnDisk, image_id: str) -> str:
    entry = files.entry(image_id)
    parts: list[Any] = [entry.key]
    for path in entry.files:
        parts.append([str(path.absolute()), *(file_state(path) or ())])
    return digest(parts)[:32]


def _remembered(file: Path, states: dict[str, str]) -> dict[str, Row]:
    """Return rows of an earlier pass that still hold; the file is rewritten if it has others."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, UnicodeDecodeError):
        return {}
    rows: dict[str, Row] = {}
    kept: dict[str, str] = {}
    for line in lines:
        try:
            image_id, state, row = json.loads(line)
        except (ValueError, TypeError, RecursionError):
            continue  # the last line of a process that was killed
        # An image of a split that is not looked at today may be wanted tomorrow.
        if image_id not in states:
            kept[image_id] = line
        elif states[image_id] == state:
            kept[image_id], rows[image_id] = line, row
    if len(kept) < len(lines):
        write_atomically(file, "".join(f"{line}\n" for line in kept.values()))
    return rows


def _looked_at(task: Pass, images: Sequence[Listed]) -> Iterator[tuple[str, Row]]:
    jobs = task.jobs or len(allowed_cores())
    if jobs == 1 or len(images) <= FEW:
        for image in images:
            yield image.image_id, task.look(task.dataset, image.image_id)
        return
    chunks = [images[start : start + CHUNK] for start in range(0, len(images), CHUNK)]
    with _processes(task, jobs) as pool:
        try:
            for future in as_completed([pool.submit(_look_at_chunk, chunk) for chunk in chunks]):
                yield from future.result()
        except BrokenProcessPool:
            raise DatasetError(
                f"{task.choice.label}: a process that was reading images died, from a lack of memory or a file that "
                "crashes the decoder. The same command goes on from here; with --jobs 1 it needs the least memory."
            ) from None


_shared: dict[str, Any] = {}
"""A process that inspects images keeps the data set, the inspection, and the splits that were listed."""


@contextmanager
def _processes(task: Pass, jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes with the data set open.

    On Linux they are forks that share its index, which for COCO is gigabytes; elsewhere each opens
    it. OpenCV's own threads are off while there are forks: a fork has none of them and would wait.
    """
    forks = sys.platform == "linux"
    threads = cv2.getNumThreads()
    _shared.update(dataset=task.dataset, look=task.look, listed=set())
    if forks:
        cv2.setNumThreads(1)
    pool = ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context("fork" if forks else "spawn"),
        initializer=_prepared,
        initargs=(None if forks else task.choice, task.look),
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        cv2.setNumThreads(threads)
        _shared.clear()


def _prepared(choice: Choice | None, look: Look) -> None:
    """Set up a new process: leave Ctrl-C to the parent, end when it does, and open the data set unless it is shared."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if choice is not None:
        cv2.setNumThreads(1)
        _shared.update(dataset=opened(choice), look=look, listed=set())


def _end_with_parent() -> None:
    """Wait until the parent is gone, killed perhaps, and end this process, which would wait for work forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _look_at_chunk(images: Sequence[Listed]) -> list[tuple[str, Row]]:
    dataset, look, listed = _shared["dataset"], _shared["look"], _shared["listed"]
    for split in {image.split for image in images} - listed:
        dataset.ids(split)  # so that an image is looked for in its own split first
        listed.add(split)
    return [(image.image_id, look(dataset, image.image_id)) for image in images]
