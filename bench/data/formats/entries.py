"""The images of a split: each an entry, made when it is asked for where there may be a hundred thousand of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, overload

from bench.data.formats.image_headers import header_of
from bench.data.formats.orientation import Frame
from bench.records import Size

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a split.

    Attributes:
        image_id: Unique over all splits, without path separators.
        ground_truths: Files that hold its ground truth, a shared annotation file too; the format knows which is which.
        key: Name of the image in the format's annotation file.
        group: Patient, scene or film whose images must stay in one split; empty where it is not known.
        frame: Frame that its labels are read for: the image as shown, or its pixels as stored.
        parts: Further files that the image is made of, the same for all entries of one `image`.
    """

    image_id: str
    image: Path
    ground_truths: tuple[Path, ...] = ()
    key: str = ""
    group: str = ""
    frame: Frame = "shown"
    parts: tuple[Path, ...] = ()

    @property
    def size(self) -> Size:
        """Size of the image that its labels are read for, from its header."""
        header = header_of(self.image)
        return header.stored if self.frame == "stored" else header.size

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that it is read from."""
        return (self.image, *self.ground_truths, *self.parts)


class LazySequence(Sequence[T], Generic[T]):
    """A sequence whose items are made each time they are asked for.

    A `Path` takes ten times the memory of its name and longer to make than the name to list.
    """

    def __init__(self, count: int, make: Callable[[int], T]) -> None:
        """Keep how many there are, and what makes the one at a position, 0 to `count` - 1."""
        self._count, self._make = count, make

    def __len__(self) -> int:
        """Return how many there are."""
        return self._count

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        """Make one, or a list of some."""
        if isinstance(index, slice):
            return [self._make(position) for position in range(*index.indices(self._count))]
        return self._make(range(self._count)[index])


class EntryTable(LazySequence[Entry]):
    """Entries of a split, of which only the ids are held, in their order."""

    def __init__(self, ids: Sequence[str], make: Callable[[int], Entry]) -> None:
        """Keep the ids, and what makes the entry at a position."""
        super().__init__(len(ids), make)
        self.ids = ids


MOST_HELD = 20_000
"""Entries of a split that are held once they were made; of a larger one the last alone is."""


class SplitEntries(Mapping[str, Entry]):
    """Entries of a split by their ids, in their order; what was made of a small split is held."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        """Note where each id is; see `twice`."""
        ids = entries.ids if isinstance(entries, EntryTable) else [entry.image_id for entry in entries]
        self._entries = entries
        self._position = dict(zip(ids, range(len(ids)), strict=True))
        self._made: dict[str, Entry] = {}
        self.twice = [] if len(self._position) == len(ids) else [name for name, n in Counter(ids).items() if n > 1]
        """Ids that are those of several images."""

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._position)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the ids."""
        return iter(self._position)

    def __contains__(self, image_id: object) -> bool:
        """Return whether there is such an image."""
        return image_id in self._position

    def __getitem__(self, image_id: str) -> Entry:
        """Return the entry of an image; raises `KeyError` if there is none."""
        found = self._made.get(image_id)
        if found is None:
            found = self._entries[self._position[image_id]]
            if len(self._position) > MOST_HELD:
                self._made = {}  # another one, for another thread may ask for another entry
            self._made[image_id] = found
        return found

    def shared_with(self, other: SplitEntries) -> list[str]:
        """Return ids that another split has too, sorted."""
        return sorted(self._position.keys() & other._position.keys())


def decisive_files(entries: Iterable[Entry]) -> list[tuple[str, tuple[Path, ...]]]:
    """Return the id of each entry with its files, those of which an image is made with the first that has it alone."""
    seen: set[Path] = set()
    rows = []
    for entry in entries:
        rows.append((entry.image_id, (entry.image, *entry.ground_truths) if entry.image in seen else entry.files))
        if entry.parts:
            seen.add(entry.image)
    return rows
