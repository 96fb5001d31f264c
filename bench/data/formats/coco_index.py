"""Holds a COCO annotation file as tables: 16 bytes for each annotation, some fifty for each image.

The annotations themselves stay in the file. The index says where those of an image begin and how
long they are, so that a ground truth is read at the cost of its own bytes; no process holds the file.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.coco_documents import (
    ANNOTATION,
    CATEGORY,
    IMAGE,
    CocoAnnotation,
    CocoCategory,
    CocoImage,
    as_row,
    is_usual,
)
from bench.data.formats.coco_rows import CROWD, ID_AGAIN, OddValue, file_name_of, flags_of, flags_of_mask, shown
from bench.data.formats.index_cache import Tables, column_of, remembered
from bench.data.formats.json_stream import FileState, JsonStream, Placed
from bench.errors import DatasetError
from bench.records import Size

KIND = "coco_3"
"""Raise the number when the tables change."""
LOOKED_THROUGH = ("neg_category_ids", "not_exhaustive_category_ids", "pos_category_ids")
"""This is what LVIS and Open Images say of an image: for which categories it was looked through."""
LISTS = ("images", "annotations", "categories")
SHOWN = 3
"""This many faulty rows of a file are told; the others are counted."""


@dataclass(frozen=True)
class CocoIndex:
    """An annotation file: I images, sorted by the length of their id and then by id, and A annotations by image.

    Attributes:
        categories: Categories as the file has them, in its order.
        keys: Ids of the images in UTF-8, right-justified; bytes, (I,).
        names: Their file names in UTF-8; bytes, (I,).
        sizes: Their height and width, 0 where the file does not say; int64, (I, 2).
        maps: The file name in the first annotation of each image, empty where it has none; bytes, (I,).
        first: Image i has the annotations first[i] up to first[i + 1]; int64, (I + 1,).
        category: Position of the category of each annotation, -1 for none of them; int32, (A,).
        offset, length: Place of each annotation in the file, bytes; int64 and int32, (A,).
        flags: Bits of each annotation, see `_coco_rows.flags_of`; uint8, (A,).
        row_offset, row_length: Place of the row that says for which categories an image was looked through, as LVIS has
            it; -1 and 0 for other images; int64 and int32, (I,).
    """

    state: FileState
    categories: tuple[CocoCategory, ...]
    keys: NDArray[np.bytes_]
    names: NDArray[np.bytes_]
    sizes: NDArray[np.int64]
    maps: NDArray[np.bytes_]
    first: NDArray[np.int64]
    category: NDArray[np.int32]
    offset: NDArray[np.int64]
    length: NDArray[np.int32]
    flags: NDArray[np.uint8]
    row_offset: NDArray[np.int64]
    row_length: NDArray[np.int32]

    @property
    def names_of_categories(self) -> dict[str, str]:
        """Id of each category in its one form -> its name, in the order of the file."""
        return {row["id"]: row["name"] for row in self.categories}

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.keys)

    def key(self, image: int) -> str:
        """Return the id of an image as text."""
        return str(self.keys[image].decode()).lstrip()

    def position(self, key: str) -> int:
        """Return which image has this id."""
        return int(np.searchsorted(self.keys, key.encode().rjust(self.keys.dtype.itemsize)))

    def size(self, image: int) -> Size | None:
        """Return the size of an image, None if the file does not say it."""
        height, width = self.sizes[image].tolist()
        return Size(height, width) if height and width else None

    def counts(self) -> NDArray[np.int64]:
        """Return annotations of each image, int64, (I,)."""
        return np.diff(self.first)

    def row(self, image: int) -> CocoImage | None:
        """Return the row of an image that says for which categories it was looked through; None for another."""
        if self.row_offset[image] < 0:
            return None
        found = self.state.rows(self.row_offset[[image]], self.row_length[[image]])[0]
        return as_row(IMAGE, found, f"image {self.key(image)}", self.state.file)

    def first_with(self, chosen: NDArray[np.bool_]) -> str:
        """Return the first of the chosen annotations, bool, (A,), in words: its id and its image."""
        at = int(np.flatnonzero(chosen)[0])
        row = self.state.rows(self.offset[[at]], self.length[[at]])[0]
        image = int(np.searchsorted(self.first, at, side="right")) - 1
        return f"annotation {row.get('id')} of image {self.names[image].decode()}"

    def part(self, image: int) -> slice:
        """Return which annotations are those of an image."""
        return slice(int(self.first[image]), int(self.first[image + 1]))

    def annotations(self, key: str) -> list[CocoAnnotation]:
        """Return annotations of an image, read from the file; raises `DatasetError` if it has changed."""
        return [_annotation(row, self.state.file) for row in self.rows(self.part(self.position(key)))]

    def rows(self, part: slice) -> list[Any]:
        """Return some annotations as they are written; raises `DatasetError` if the file has changed."""
        return self.state.rows(self.offset[part], self.length[part])


def coco_index(file: Path) -> CocoIndex:
    """Return the index of an annotation file, from the cache of the user's if it is there.

    Raises:
        DatasetError: If it is not in COCO's format, lists an image twice, or has annotations of images
            that it does not list.
    """
    state = FileState.of(file)
    tables = remembered(state, KIND, lambda: _read(state))
    categories = json.loads(tables.pop("categories").tobytes())
    return CocoIndex(state, tuple(categories), **tables)


@dataclass
class _Rows:
    """Hold what was met so far; images and categories have numbers in the order in which they are met."""

    number_of_image: dict[str, int] = field(default_factory=dict)
    number_of_category: dict[str, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    maps: dict[int, str] = field(default_factory=dict)
    categories: list[CocoCategory] = field(default_factory=list)
    image: array[int] = field(default_factory=lambda: array("i"))
    category: array[int] = field(default_factory=lambda: array("i"))
    offset: array[int] = field(default_factory=lambda: array("q"))
    length: array[int] = field(default_factory=lambda: array("i"))
    flags: array[int] = field(default_factory=lambda: array("B"))
    ids: array[int] = field(default_factory=lambda: array("q"))
    rows: dict[int, tuple[int, int]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    faulty: int = 0

    def add(self, member: str, placed: Placed, file: Path) -> None:
        """Note one row of one of the lists; what is wrong with it is told once all were seen, see `require_sound`."""
        row = placed.value
        if not isinstance(row, dict):
            raise _not_coco(file)
        try:
            if member == "categories":
                what = f"category {shown(row.get('name') or row.get('id'))}"
                self.categories.append(as_row(CATEGORY, row, what, file))
            elif member == "images":
                self._add_image(row, placed, file)
            else:
                self._add_annotation(row, placed, file)
        except DatasetError as error:
            self.faulty += 1
            if len(self.faults) < SHOWN:
                self.faults.append(str(error))

    def require_sound(self) -> None:
        """Raise `DatasetError` with the first rows that are not as the format has them, and the number of all."""
        if self.faulty:
            more = f" (and {self.faulty - SHOWN} further rows)" if self.faulty > SHOWN else ""
            raise DatasetError(f"{' '.join(self.faults)}{more}", kind="labels")

    def _add_image(self, row: dict[str, Any], placed: Placed, file: Path) -> None:
        what = "an image" if row.get("id") is None else f"image {shown(row['id'])}"
        image = as_row(IMAGE, row, what, file)
        number = self._image(image["id"])
        if number in self.names:
            raise DatasetError(f"{file} lists image {row['id']} twice. Remove one of its rows.")
        if image.get("file_name") is None and image.get("coco_url") is None:
            raise DatasetError(f"{file}: {what} has no file_name, which COCO's format requires. Fix the file.")
        try:
            self.names[number] = file_name_of(image)
        except OddValue as error:
            raise DatasetError(f"{file}: coco_url of {what} {error}. Fix the file.") from None
        self.sizes[number] = (image.get("height", 0), image.get("width", 0))
        if any(key in row for key in LOOKED_THROUGH):
            self.rows[number] = (placed.offset, placed.length)

    def _add_annotation(self, row: dict[str, Any], placed: Placed, file: Path) -> None:
        if is_usual(row):  # to check a million of them would cost as much as to read them
            image_id, name, category = str(row["image_id"]), "", str(row["category_id"])
            flags = CROWD * row.get("iscrowd", 0) | flags_of_mask(row.get("segmentation"))
        else:
            annotation = as_row(ANNOTATION, row, _annotation_in_words(row), file)
            # A map of segments has no category of its own.
            category = annotation.get("category_id") or ""
            image_id, name, flags = annotation["image_id"], annotation.get("file_name") or "", flags_of(row)
        number = self._image(image_id)
        if name:
            self.maps.setdefault(number, name)
        self.image.append(number)
        self.category.append(self.number_of_category.setdefault(category, len(self.number_of_category)))
        self.offset.append(placed.offset)
        self.length.append(placed.length)
        self.flags.append(flags)
        self.ids.append(self._id_number(row.get("id")))

    def _id_number(self, value: object) -> int:
        """Return a number that two annotations share if their ids are the same; of one without an id, its own."""
        if isinstance(value, int) and 0 <= value < 1 << 62:
            return value
        return -1 - len(self.ids) if value is None else hash(str(value)) >> 1 | 1 << 62

    def _image(self, key: str) -> int:
        return self.number_of_image.setdefault(key, len(self.number_of_image))


def _read(state: FileState) -> Tables:
    """Read the file once, a row at a time."""
    file, rows, lists = state.file, _Rows(), set()
    with JsonStream(file) as stream:
        if stream.peek() == "[":
            raise DatasetError(f"{file} holds a list where an object is expected.")
        for member in stream.members():
            if member not in LISTS or stream.peek() != "[":
                stream.skip()
                continue
            if member in lists:
                raise DatasetError(f"{file} has the list {member} twice. Join the two.", kind="labels")
            lists.add(member)
            for placed in stream.elements():
                rows.add(member, placed, file)
    if lists != set(LISTS):
        raise _not_coco(file)
    rows.require_sound()
    return _tables(rows, state)


def _tables(rows: _Rows, state: FileState) -> Tables:
    keys = [key.encode() for key in rows.number_of_image]  # by number
    width = max(map(len, keys), default=1)
    justified = np.array([key.rjust(width) for key in keys], dtype=f"S{width}")
    owner, length = (np.frombuffer(column, dtype=np.int32) for column in (rows.image, rows.length))
    offset = np.frombuffer(rows.offset, dtype=np.int64)
    _require_listed(rows, state, owner, offset, length)
    order = np.argsort(justified)
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    placed = rank[owner]
    by_image = np.argsort(placed, kind="stable")
    position = {row["id"]: index for index, row in enumerate(rows.categories)}
    category = np.array([position.get(key, -1) for key in rows.number_of_category], dtype=np.int32)
    flags = np.frombuffer(rows.flags, dtype=np.uint8).copy()
    flags[_again(np.frombuffer(rows.ids, dtype=np.int64))] |= ID_AGAIN
    row_offset, row_length = np.full(len(keys), -1, dtype=np.int64), np.zeros(len(keys), dtype=np.int32)
    for number, (start, size) in rows.rows.items():
        row_offset[rank[number]], row_length[rank[number]] = start, size
    return {
        "categories": np.frombuffer(json.dumps(rows.categories).encode(), dtype=np.uint8),
        "keys": justified[order],
        "names": _column(rows.names, order),
        "sizes": np.array([rows.sizes[number] for number in order.tolist()], dtype=np.int64).reshape(-1, 2),
        "maps": _column(rows.maps, order),
        "first": np.append(0, np.cumsum(np.bincount(placed, minlength=len(keys)))).astype(np.int64),
        "category": category[np.frombuffer(rows.category, dtype=np.int32)[by_image]],
        "offset": offset[by_image],
        "length": length[by_image],
        "flags": flags[by_image],
        "row_offset": row_offset,
        "row_length": row_length,
    }


def _require_listed(
    rows: _Rows, state: FileState, owner: NDArray[np.int32], offset: NDArray[np.int64], length: NDArray[np.int32]
) -> None:
    listed = np.array([number in rows.names for number in range(len(rows.number_of_image))], dtype=np.bool_)
    unknown = np.flatnonzero(~listed[owner])
    if len(unknown):
        first = state.rows(offset[unknown[:1]], length[unknown[:1]])[0]
        raise DatasetError(
            f"{state.file}: {len(unknown)} of {len(owner)} annotations belong to no image in its list, the first being "
            f"annotation {first.get('id')} of image {first['image_id']}. Add the images to the list, or remove the "
            "annotations."
        )


def _again(ids: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the positions of ids that an earlier position has too."""
    ordered = np.sort(ids)
    if not (ordered[1:] == ordered[:-1]).any():  # as it should be, at half the memory
        return np.zeros(0, dtype=np.intp)
    return np.setdiff1d(np.arange(len(ids)), np.unique(ids, return_index=True)[1])


def _column(texts: Mapping[int, str], order: NDArray[np.intp]) -> NDArray[np.bytes_]:
    """Return texts of the images in an order, in UTF-8; empty where there is none."""
    return column_of([texts.get(number, "").encode() for number in order.tolist()])


def _annotation(row: dict[str, Any], file: Path) -> CocoAnnotation:
    """Return a row as an annotation, without a look at each value where it is written as COCO's own."""
    if not is_usual(row):
        return as_row(ANNOTATION, row, _annotation_in_words(row), file)
    found: CocoAnnotation = {**row, "image_id": str(row["image_id"]), "category_id": str(row["category_id"])}  # type: ignore[typeddict-item]
    return found


def _annotation_in_words(row: Mapping[str, Any]) -> str:
    return f"annotation {shown(row.get('id'))}"


def _not_coco(file: Path) -> DatasetError:
    return DatasetError(
        f"{file} is not in COCO's format: it needs the lists images, annotations and categories. Results of a "
        "detector are a list alone; the annotations are wanted here."
    )
