"""What a COCO annotation file holds, as tables: 16 bytes for each annotation, some fifty for each image.

The annotations themselves stay in the file. The index says where those of an image begin and how
long they are, so that a ground truth is read at the cost of its own bytes; no process holds the file.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.coco_rows import OddValue, checked_text, colour, file_name_of, flags_of, id_text, shown, side
from bench.data.formats.index_cache import Tables, remembered
from bench.data.formats.json_stream import FileState, JsonStream, Placed
from bench.errors import DatasetError
from bench.records import Size

KIND = "coco_2"
"""Raise the number when the tables change."""
LOOKED_THROUGH = ("neg_category_ids", "not_exhaustive_category_ids", "pos_category_ids")
"""What LVIS and Open Images say of an image: for which categories it was looked through."""
LISTS = ("images", "annotations", "categories")


@dataclass(frozen=True)
class CocoIndex:
    """An annotation file: I images, sorted by the length of their id and then by id, and A annotations by image.

    Attributes:
        state: The file.
        categories: As the file has them, in its order.
        keys: Ids of the images in UTF-8, right-justified; bytes, (I,).
        names: Their file names in UTF-8; bytes, (I,).
        sizes: Their height and width, 0 where the file does not say; int64, (I, 2).
        maps: The file name in the first annotation of each image, empty where it has none; bytes, (I,).
        first: Image i has the annotations first[i] up to first[i + 1]; int64, (I + 1,).
        category: Position of the category of each annotation, -1 for none of them; int32, (A,).
        offset, length: Where each annotation lies in the file, bytes; int64 and int32, (A,).
        flags: Bits of each annotation, see `_coco_rows.flags_of`; uint8, (A,).
        row_offset, row_length: Where the row of an image lies that says for which categories it was
            looked through, as LVIS does; -1 and 0 for other images; int64 and int32, (I,).
    """

    state: FileState
    categories: tuple[dict[str, Any], ...]
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
        return {id_text(row["id"]): str(row["name"]) for row in self.categories}

    def __len__(self) -> int:
        """Number of images."""
        return len(self.keys)

    def key(self, image: int) -> str:
        """Id of an image as text."""
        return str(self.keys[image].decode()).lstrip()

    def position(self, key: str) -> int:
        """Which image has this id."""
        return int(np.searchsorted(self.keys, key.encode().rjust(self.keys.dtype.itemsize)))

    def size(self, image: int) -> Size | None:
        """Size of an image, None if the file does not say it."""
        height, width = self.sizes[image].tolist()
        return Size(height, width) if height and width else None

    def counts(self) -> NDArray[np.int64]:
        """Annotations of each image, int64, (I,)."""
        return np.diff(self.first)

    def row(self, key: str) -> dict[str, Any] | None:
        """Row of an image that says for which categories it was looked through; None for another."""
        image = self.position(key)
        if self.row_offset[image] < 0:
            return None
        found: dict[str, Any] = self.state.rows(self.row_offset[[image]], self.row_length[[image]])[0]
        return found

    def first_with(self, chosen: NDArray[np.bool_]) -> str:
        """The first of the chosen annotations, bool, (A,), in words: its id and its image."""
        at = int(np.flatnonzero(chosen)[0])
        row = self.state.rows(self.offset[[at]], self.length[[at]])[0]
        image = int(np.searchsorted(self.first, at, side="right")) - 1
        return f"annotation {row.get('id')} of image {self.names[image].decode()}"

    def annotations(self, key: str) -> list[dict[str, Any]]:
        """Annotations of an image, read from the file; raises `DatasetError` if it has changed."""
        image = self.position(key)
        part = slice(int(self.first[image]), int(self.first[image + 1]))
        return self.state.rows(self.offset[part], self.length[part])


def coco_index(file: Path) -> CocoIndex:
    """Index of an annotation file, from the cache of the user's if it is there.

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
    """What was met so far; images and categories have numbers in the order in which they are met."""

    number_of_image: dict[str, int] = field(default_factory=dict)
    number_of_category: dict[str, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    maps: dict[int, str] = field(default_factory=dict)
    categories: list[dict[str, Any]] = field(default_factory=list)
    image: array[int] = field(default_factory=lambda: array("q"))
    category: array[int] = field(default_factory=lambda: array("q"))
    offset: array[int] = field(default_factory=lambda: array("q"))
    length: array[int] = field(default_factory=lambda: array("q"))
    flags: array[int] = field(default_factory=lambda: array("B"))
    rows: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, member: str, placed: Placed, file: Path) -> None:
        """Note one row of one of the lists."""
        row = placed.value
        if not isinstance(row, dict):
            raise _not_coco(file)
        if member == "categories":
            self._add_category(row, file)
        elif member == "images":
            self._add_image(row, placed, file)
        else:
            self._add_annotation(row, placed, file)

    def _add_category(self, row: dict[str, Any], file: Path) -> None:
        what = f"category {row.get('name') or row.get('id')}"
        _required(row, "id", what, file)
        _required(row, "name", what, file)
        with _naming(file, what, "id"):
            id_text(row["id"])
        with _naming(file, what, "name"):
            checked_text(row["name"] if isinstance(row["name"], str) else id_text(row["name"]))
        with _naming(file, what, "color"):
            colour(row.get("color"), (0, 0, 0))
        self.categories.append(row)

    def _add_image(self, row: dict[str, Any], placed: Placed, file: Path) -> None:
        key = _required(row, "id", "an image", file)
        what = f"image {shown(key)}"
        with _naming(file, what, "id"):
            number = self._image(id_text(key))
        if number in self.names:
            raise DatasetError(f"{file} lists image {row['id']} twice. Remove one of its rows.")
        if row.get("coco_url") is None:
            _required(row, "file_name", what, file)
        with _naming(file, what, "file_name"):
            self.names[number] = file_name_of(row)
        with _naming(file, what, "height or width"):
            self.sizes[number] = (side(row.get("height")), side(row.get("width")))
        if any(key in row for key in LOOKED_THROUGH):
            self.rows[number] = (placed.offset, placed.length)

    def _add_annotation(self, row: dict[str, Any], placed: Placed, file: Path) -> None:
        image_id = _required(row, "image_id", f"annotation {shown(row.get('id'))}", file)
        try:
            number = self._image(id_text(image_id))
            # A map of segments has no category of its own.
            category = id_text(row["category_id"]) if row.get("category_id") is not None else ""
            name = row.get("file_name")
            self.maps.setdefault(number, "" if name is None else checked_text(name))
            flags = flags_of(row)
        except OddValue as error:
            raise DatasetError(
                f"{file}: image_id, category_id, file_name or iscrowd of annotation {shown(row.get('id'))} {error}. "
                "Fix the file.",
                kind="labels",
            ) from None
        self.image.append(number)
        self.category.append(self.number_of_category.setdefault(category, len(self.number_of_category)))
        self.offset.append(placed.offset)
        self.length.append(placed.length)
        self.flags.append(flags)

    def _image(self, key: str) -> int:
        return self.number_of_image.setdefault(key, len(self.number_of_image))


@contextmanager
def _naming(file: Path, what: str, name: str) -> Iterator[None]:
    """Turn an `OddValue` into an error that says where it is."""
    try:
        yield
    except OddValue as error:
        raise DatasetError(f"{file}: {name} of {what} {error}. Fix the file.") from None


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
            lists.add(member)
            for placed in stream.elements():
                rows.add(member, placed, file)
    if lists != set(LISTS):
        raise _not_coco(file)
    return _tables(rows, state)


def _tables(rows: _Rows, state: FileState) -> Tables:
    keys = [key.encode() for key in rows.number_of_image]  # by number
    width = max(map(len, keys), default=1)
    justified = np.array([key.rjust(width) for key in keys], dtype=f"S{width}")
    listed = np.array([number in rows.names for number in range(len(keys))], dtype=np.bool_)
    owner = np.frombuffer(rows.image, dtype=np.int64)
    offset, length = (np.frombuffer(column, dtype=np.int64) for column in (rows.offset, rows.length))
    unknown = np.flatnonzero(~listed[owner])
    if len(unknown):
        first = state.rows(offset[unknown[:1]], length[unknown[:1]])[0]
        raise DatasetError(
            f"{state.file}: {len(unknown)} of {len(owner)} annotations belong to no image in its list, the first being "
            f"annotation {first.get('id')} of image {first['image_id']}. Add the images to the list, or remove the "
            "annotations."
        )
    order = np.argsort(justified)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    by_image = np.argsort(rank[owner], kind="stable") if len(owner) else owner
    position = {id_text(row["id"]): index for index, row in enumerate(rows.categories)}
    category = np.array([position.get(key, -1) for key in rows.number_of_category], dtype=np.int32)
    numbers = np.frombuffer(rows.category, dtype=np.int64)
    return {
        "categories": np.frombuffer(json.dumps(rows.categories).encode(), dtype=np.uint8),
        "keys": justified[order],
        "names": _column(rows.names, order),
        "sizes": np.array([rows.sizes[number] for number in order.tolist()], dtype=np.int64).reshape(-1, 2),
        "maps": _column(rows.maps, order),
        "first": np.append(0, np.cumsum(np.bincount(rank[owner], minlength=len(keys)))).astype(np.int64),
        "category": category[numbers][by_image] if len(owner) else np.zeros(0, np.int32),
        "offset": offset[by_image],
        "length": length[by_image].astype(np.int32),
        "flags": np.frombuffer(rows.flags, dtype=np.uint8)[by_image] if len(owner) else np.zeros(0, np.uint8),
        "row_offset": np.array([rows.rows.get(number, (-1, 0))[0] for number in order.tolist()], dtype=np.int64),
        "row_length": np.array([rows.rows.get(number, (-1, 0))[1] for number in order.tolist()], dtype=np.int32),
    }


def _column(texts: Mapping[int, str], order: NDArray[np.intp]) -> NDArray[np.bytes_]:
    """Texts of the images in an order, in UTF-8; empty where there is none."""
    encoded = [texts.get(number, "").encode() for number in order.tolist()]
    return np.array(encoded, dtype=f"S{max(map(len, encoded), default=0) or 1}")


def _required(row: Mapping[str, Any], name: str, what: str, file: Path) -> Any:
    if row.get(name) is None:
        raise DatasetError(f"{file}: {what} has no {name}, which COCO's format requires. Fix the file.")
    return row[name]


def _not_coco(file: Path) -> DatasetError:
    return DatasetError(
        f"{file} is not in COCO's format: it needs the lists images, annotations and categories. Results of a "
        "detector are a list alone; the annotations are wanted here."
    )
