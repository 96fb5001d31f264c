"""Keeps the statistics that the scores of a case are computed from, in memory and on disk.

Two shapes: a stack has one row per image, (N, ...); a table has as many rows as an image has
objects, with the number of the image in its first column. Scores, intervals and comparisons are
functions of these; the predictions are not read again.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import StoreError
from bench.metric import Observed, Rows
from bench.records.array_files import packed_arrays
from bench.records.damage import ARRAY_DAMAGE
from bench.records.store.files import State, file_state, write_atomically

IMAGE_IDS = "image_ids"
TABLES = "tables"
GROUPS = "groups"
NO_STATISTICS = (IMAGE_IDS, TABLES, GROUPS)
"""Names of the arrays of ids, of table names and of groups in a statistics file; no statistic may be called so."""


@dataclass(frozen=True)
class Statistics:
    """Statistics that the scores of a case are computed from.

    Attributes:
        image_ids: Image number -> id.
        arrays: Statistic name -> stack, (images, ...), or table, (rows, 1 + columns).
        tables: Names of those that are tables.
        groups: Image number -> what the image belongs to, a patient, scene or film, its own id where it is alone;
            empty where the data set knows no groups.
    """

    image_ids: tuple[str, ...]
    arrays: dict[str, Observed]
    tables: frozenset[str] = frozenset()
    groups: tuple[str, ...] = ()

    def groups_of(self, image_ids: Sequence[str]) -> tuple[str, ...]:
        """Return the groups of images, in the order given; empty where every image stands for itself."""
        of_image = dict(zip(self.image_ids, self.groups, strict=True)) if self.groups else {}
        groups = tuple(of_image[image_id] for image_id in image_ids) if of_image else ()
        return groups if len(set(groups)) < len(groups) else ()

    def of_images(self, image_ids: Sequence[str]) -> Statistics:
        """Return the statistics of some of the images alone, in the order given."""
        arrays = {name: self.in_order_of(image_ids, name) for name in self.arrays}
        return Statistics(tuple(image_ids), arrays, self.tables, self.groups_of(image_ids))

    def in_order_of(self, image_ids: Sequence[str], name: str) -> Observed:
        """Return a statistic of some of the images, or of all in another order."""
        array = self.arrays[name]
        if tuple(image_ids) == self.image_ids:
            return array
        number_of = {image_id: number for number, image_id in enumerate(self.image_ids)}
        kept = np.array([number_of[image_id] for image_id in image_ids], dtype=np.int64)
        if name not in self.tables:
            return array[kept]
        place = np.full(len(self.image_ids), -1, dtype=np.int64)  # old number -> new number
        place[kept] = np.arange(len(kept))
        renumbered = array.copy()
        renumbered[:, 0] = place[array[:, 0].astype(np.int64)]
        rows = renumbered[renumbered[:, 0] >= 0]
        return rows[np.argsort(rows[:, 0], kind="stable")]


class _Table:
    """Rows that are added to the end; room for them is doubled where it is used up, and not touched before."""

    def __init__(self, columns: int) -> None:
        self._room, self._used = np.empty((0, columns)), 0

    def add(self, image: int, rows: NDArray[np.float64]) -> None:
        """Add rows, (R, columns - 1), behind the number of their image."""
        begin, self._used = self._used, self._used + len(rows)
        if self._used > len(self._room):
            room = np.empty((max(2 * len(self._room), self._used, 256), self._room.shape[1]))
            room[:begin] = self._room[:begin]
            self._room = room
        self._room[begin : self._used, 0], self._room[begin : self._used, 1:] = image, rows

    @property
    def rows(self) -> NDArray[np.float64]:
        return self._room[: self._used]


@dataclass
class Collector:
    """Puts the statistics of images together as they come."""

    images: int
    _stacks: dict[str, Observed] = field(default_factory=dict)
    _tables: dict[str, _Table] = field(default_factory=dict)

    def add(self, name: str, image: int, observed: Observed | Rows) -> None:
        """Keep what was observed on image number `image`; images come in order."""
        if isinstance(observed, Rows):
            if name not in self._tables:
                self._tables[name] = _Table(observed.table.shape[1] + 1)
            self._tables[name].add(image, observed.table)
            return
        if name not in self._stacks:  # one allocation: a stack of 150 classes and 2000 images has 362 MB
            self._stacks[name] = np.zeros((self.images, *observed.shape), dtype=observed.dtype)
        self._stacks[name][image] = observed

    def statistics(self, image_ids: Sequence[str], groups: Sequence[str] = ()) -> Statistics:
        """Return what was collected, with the groups of the images where they are known."""
        tables = {name: table.rows for name, table in self._tables.items()}
        return Statistics(tuple(image_ids), {**self._stacks, **tables}, frozenset(tables), tuple(groups))


def save_statistics(statistics: Statistics, path: Path) -> None:
    """Write statistics and image ids as one compressed `.npz`, atomically."""
    write_atomically(path, statistics_bytes(statistics))


def statistics_bytes(statistics: Statistics) -> bytes:
    """Return statistics and image ids as the content of a compressed `.npz`."""
    buffer = io.BytesIO()
    arrays: dict[str, NDArray[Any]] = {
        IMAGE_IDS: np.array(statistics.image_ids, dtype=np.str_),
        TABLES: np.array(sorted(statistics.tables), dtype=np.str_),
        **({GROUPS: np.array(statistics.groups, dtype=np.str_)} if statistics.groups else {}),
        **statistics.arrays,
    }
    # As `numpy.savez_compressed` does it, three times as fast: there may be hundreds of megabytes for each case.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return buffer.getvalue()


def load_statistics(path: Path) -> Statistics:
    """Read back what `save_statistics` wrote; raises `StoreError` if the file is damaged.

    The file that was read last is not read again: it is checked, compared and sliced one after the other.
    """
    return _last_read(path, file_state(path))


@lru_cache(maxsize=1)
def _last_read(path: Path, _: State | None) -> Statistics:
    return read_statistics(path, str(path))


def read_statistics(file: Path | io.BytesIO, name: str) -> Statistics:
    """Read statistics from a file or its content, which messages call `name`; raises as `load_statistics`."""
    try:
        with packed_arrays(file) as archive:
            arrays = {name: archive[name] for name in archive if name not in NO_STATISTICS}
            tables = frozenset(str(name) for name in archive[TABLES]) if TABLES in archive else frozenset()
            groups = tuple(str(name) for name in archive[GROUPS]) if GROUPS in archive else ()
            return Statistics(tuple(str(i) for i in archive[IMAGE_IDS]), arrays, tables, groups)
    except ARRAY_DAMAGE as error:
        raise StoreError(
            f"{name} is missing or damaged ({error}); score the run again with: bench score RUN"
        ) from error
