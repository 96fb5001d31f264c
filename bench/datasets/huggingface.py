"""Hugging Face `datasets` on disk: local parquet files, or a folder that `save_to_disk` has written; no network.

    root/…/train-00000-of-00002.parquet     the split is in the name, or that of a folder
    root/dataset_dict.json, root/<split>/   written by `save_to_disk`
    root/id2label.json                      optional: value -> name of each class

The features say what the columns are. The image is the feature `Image` called `image`, or the only one that is no
mask. The ground truth is

    a mask     an Image, an Array2D (or Array3D of one channel) or a list of lists of class ids, called mask, label,
               annotation, … (option `mask`)
    objects    a list of structures, or a structure of lists, with a ClassLabel and either `segmentation` (polygons as
               COCO's) or masks (Image) of one object each (option `objects`)

Classes are, in this order, the option `classes`, the ClassLabel of the column, id2label.json; a mask without any of
them is refused. Masks hold values of classes; `void` is not scored. Where objects are read, pixels in none are
`background`, and smaller objects lie on top. Ids are split and number of the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue

from bench.data.formats.documents import read_json
from bench.data.formats.hf_tables import Tables, class_names, find_tables, item_of, kind_of, read_row
from bench.data.formats.image_files import decode_image, decode_mask
from bench.data.formats.image_headers import encoded_size, read_bytes
from bench.data.formats.label_tables import MAX_CLASSES, map_values, named_classes
from bench.data.formats.on_disk import Description, Entry, OnDisk, Pictures, require_folder, root_of
from bench.data.formats.rasters import SegmentationError, painted, segmentation_masks, stacked
from bench.data.formats.splits import in_usual_order
from bench.data.formats.typed import ID2LABEL, as_typed
from bench.dataset import GroundTruth
from bench.errors import DatasetError, did_you_mean
from bench.records import IGNORE_LABEL, ClassSpec, Record, Size, TaskKind
from bench.records.predictions import RgbImage, SemanticMap

SOURCE = "Hugging Face datasets on disk, https://huggingface.co/docs/datasets"
LICENCE = "its own"
TASKS: tuple[TaskKind, ...] = ("semantic", "instance")
OBTAIN = "Download its parquet files, or write it there with dataset.save_to_disk."
MASK_NAMES = (
    "mask", "masks", "label", "labels", "annotation", "annotations", "segmentation", "seg", "semantic_mask", "gt",
    "ground_truth", "label_map", "pixel_values_mask", "segmentation_mask", "semantic_segmentation", "target",
)  # fmt: skip
LOOKED_AT = 4


class Options(Record):
    """Options that a suite may set.

    Attributes:
        root: Folder with the files.
        image: Column of the image; None finds it.
        mask: Column of the mask; None finds it.
        objects: Column of the objects; None finds it where there is no mask.
        classes: Names in the order of their values, or name -> value.
        void: Value in masks that is not scored.
        background: Class of pixels in no object, where there are objects; None makes them void.
    """

    root: str = "data/huggingface"
    image: str | None = None
    mask: str | None = None
    objects: str | None = None
    classes: tuple[str, ...] | dict[str, int] | None = None
    void: int | None = Field(default=None, ge=0, le=65535)
    background: str | None = "background"


@dataclass(frozen=True)
class _Columns:
    """State which columns are read: the image, and a mask or objects."""

    image: str
    mask: str | None
    objects: str | None


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; reads headers; raises `DatasetError` without files, or for unclear columns or classes."""
    root = require_folder("huggingface", root_of(options.root), "parquet files", OBTAIN)
    tables = find_tables(root)
    columns = _columns(tables.features, options, root)
    entries: dict[str, list[Entry]] = {}
    for table in tables.tables:
        listed = entries.setdefault(table.split, [])
        for part, rows in enumerate(table.parts):
            for row in range(rows):
                image_id = f"{table.split}__{len(listed):06d}"
                listed.append(Entry(image_id, table.file, (table.file,), key=f"{part}:{row}"))
    named = _named(tables, columns, options, root)
    classes, class_of = _label_space(named, columns, options)
    ground_truth: Callable[[Entry], GroundTruth] = _Objects(columns, tables, classes, class_of, root).ground_truth
    what, tasks = f"objects of the column {columns.objects}", TASKS
    if columns.mask is not None:
        ground_truth = partial(_of_mask, columns.mask, class_of, root)
        what, tasks = f"masks of the column {columns.mask}", TASKS[:1]
    values: JsonValue = [[value, class_id] for value, class_id in class_of.items()]
    description = Description(
        "huggingface",
        classes,
        tasks,
        f"Hugging Face data set in the folder {root.name}",
        LICENCE,
        in_usual_order(entries),
        decisive=[columns.image, columns.mask, columns.objects, values, options.background],
        inferred=(f"images are the column {columns.image}, ground truth the {what}",),
    )
    return OnDisk(description, lambda split: entries[split], ground_truth, pictures=_Rows(columns.image, root))


def _columns(features: Mapping[str, Any], options: Options, root: Path) -> _Columns:
    """Find the columns; raises `DatasetError` with all of them where it is not clear which are meant."""
    for option in (options.image, options.mask, options.objects):
        if option is not None and option not in features:
            near = did_you_mean(option, features)
            raise DatasetError(f"huggingface: {root} has no column {option!r}.{near} It has: {_describe(features)}")
    masks = [options.mask] if options.mask else [n for n in MASK_NAMES if n in features and _may_be_mask(features[n])]
    images = [name for name, feature in features.items() if kind_of(feature) == "Image" and name not in masks]
    image = options.image or ("image" if "image" in images else images[0] if len(images) == 1 else None)
    if image is None:
        raise _unclear(root, "which column is the image? Set the option image", features)
    objects = [name for name, feature in features.items() if class_names(feature) and _object_parts(feature)]
    if options.objects is not None:
        return _Columns(image, None, options.objects)
    if not masks and not objects:
        others = [name for name in images if name != image]
        if len(others) == 1:
            return _Columns(image, others[0], None)
        raise _unclear(root, "which column is the mask? Set the option mask, or objects", features)
    return _Columns(image, masks[0], None) if masks else _Columns(image, None, objects[0])


def _unclear(root: Path, question: str, features: Mapping[str, Any]) -> DatasetError:
    return DatasetError(f"huggingface: {root}: {question}. It has: {_describe(features)}")


def _describe(features: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} ({kind_of(feature)})" for name, feature in features.items())


def _may_be_mask(feature: Any) -> bool:
    inner = item_of(item_of(feature))
    return kind_of(feature) in ("Image", "Array2D", "Array3D") or kind_of(inner) in ("Value", "ClassLabel")


def _object_parts(feature: Any) -> tuple[str, str] | None:
    """Return names of the fields of the class and of the geometry of a list of objects; None where it is none."""
    item = item_of(feature)
    fields = feature if item is None else item
    if kind_of(fields) != "struct":
        return None
    label = next((name for name, one in fields.items() if class_names(one)), None)
    geometry = next((n for n in ("segmentation", "segmentations", "polygons", "polygon") if n in fields), None)
    images = (name for name, one in fields.items() if "Image" in (kind_of(one), kind_of(item_of(one))))
    geometry = geometry or next(images, None)
    return None if label is None or geometry is None else (label, geometry)


def _named(tables: Tables, columns: _Columns, options: Options, root: Path) -> dict[str, int]:
    """Return name -> value of the classes."""
    if isinstance(options.classes, dict):
        return dict(options.classes)
    names = options.classes
    if names is None:
        names = class_names(tables.features[columns.mask or columns.objects or ""]) or None
    if names is not None:
        return {name: value for value, name in enumerate(names)}
    file = root / "id2label.json"
    if file.is_file():
        named = as_typed(ID2LABEL, read_json(file), str(file), 'Expected {"0": "name", …}.')
        return {str(name): value for value, name in named.items()}
    seen: set[int] = set()
    first, mask = tables.tables[0], columns.mask or ""
    rows = [(part, row) for part, count in enumerate(first.parts) for row in range(count)][:LOOKED_AT]
    for part, row in rows:
        found = read_row(first.file, part, row, (mask,))[mask]
        seen.update(np.unique(mask_pixels(found, first.file, root)).tolist())
    shown = ", ".join(f"{'background' if v == 0 else f'class {v}'}: {v}" for v in sorted(seen)[:20])
    raise DatasetError(
        f"huggingface: the column {columns.mask} has no names of classes, and there is no id2label.json. The "
        f"first {len(rows)} masks hold {', '.join(map(str, sorted(seen)[:20]))}{' …' if len(seen) > 20 else ''}. Name "
        f"them, for example classes: {{{shown}}}, and the value that is not scored by void."
    )


def _label_space(
    named: Mapping[str, int], columns: _Columns, options: Options
) -> tuple[tuple[ClassSpec, ...], dict[int, int]]:
    """Return classes, and class id or void of each value."""
    names = [name for name, value in sorted(named.items(), key=lambda row: row[1]) if value != options.void]
    background = options.background if columns.mask is None else None
    if background is not None and background not in names:
        names.insert(0, background)
    if not names or len(names) > MAX_CLASSES:
        raise DatasetError(f"huggingface: {len(names)} classes; expected 1 to {MAX_CLASSES}.")
    stuff = names if columns.mask is not None else [background]
    classes = named_classes(names, things={*names} - {*stuff})
    class_of = {named[name]: index for index, name in enumerate(names) if name in named}
    return classes, class_of if options.void is None else {**class_of, options.void: IGNORE_LABEL}


class _Rows(Pictures):
    """Images in a column of a table."""

    def __init__(self, column: str, root: Path) -> None:
        self._column, self._root = column, root

    def encoded(self, entry: Entry) -> bytes:
        return content_of(_cell(entry, self._column), entry.image, self._root)

    def image(self, entry: Entry) -> RgbImage:
        """Return the image, uint8, (H, W, 3)."""
        return decode_image(self.encoded(entry), _where(entry))

    def size(self, entry: Entry) -> Size:
        """Return the size from the header of the image."""
        return encoded_size(self.encoded(entry), _where(entry))


def _where(entry: Entry) -> Path:
    return entry.image / f"row {entry.key}"


def _cell(entry: Entry, column: str) -> Any:
    part, _, row = entry.key.partition(":")
    return read_row(entry.image, int(part), int(row), (column,))[column]


def content_of(cell: Any, file: Path, root: Path) -> bytes:
    """Return an image in a table: its bytes, or the file that its path names; raises `DatasetError` for neither."""
    if isinstance(cell, dict) and cell.get("bytes"):
        return bytes(cell["bytes"])
    path = str(cell.get("path") or "") if isinstance(cell, dict) else ""
    tried = [Path(path), file.parent / path, root / path, file.parent / PurePosixPath(path).name] if path else []
    if there := [one for one in tried if one.is_file()]:
        return read_bytes(there[0])
    told = f"names {path}, which is not there" if path else "holds no image"
    raise DatasetError(f"{file}: a row {told}. Save the data set with its images: dataset.save_to_disk.", kind="image")


def mask_pixels(cell: Any, file: Path, root: Path) -> NDArray[Any]:
    """Return values of a mask, (H, W): of an Image as stored, or of lists of numbers."""
    if isinstance(cell, dict):
        stored = decode_mask(content_of(cell, file, root), file)
        if stored.pixels.ndim == 3:
            if (stored.pixels == stored.pixels[..., :1]).all():
                return np.ascontiguousarray(stored.pixels[..., 0])
            raise DatasetError(f"{file} holds masks of colours; values of classes are expected.", kind="colours")
        return stored.pixels
    pixels = np.asarray(cell)
    if pixels.ndim == 3 and 1 in (pixels.shape[0], pixels.shape[2]):
        pixels = pixels[0] if pixels.shape[0] == 1 else pixels[..., 0]
    if pixels.ndim != 2 or not np.issubdtype(pixels.dtype, np.integer) or pixels.min(initial=0) < 0:
        raise DatasetError(f"{file}: a mask is {pixels.dtype} of shape {pixels.shape}; whole numbers, (H, W), from 0.")
    return pixels


def _of_mask(column: str, class_of: Mapping[int, int], root: Path, entry: Entry) -> GroundTruth:
    pixels = mask_pixels(_cell(entry, column), entry.image, root)
    known = f"The classes have {', '.join(map(str, list(class_of)[:20]))}. Set the options classes and void."
    return GroundTruth(SemanticMap(map_values(pixels, class_of, file=_where(entry), known=known)))


@dataclass(frozen=True)
class _Objects:
    columns: _Columns
    tables: Tables
    classes: Sequence[ClassSpec]
    class_of: Mapping[int, int]
    root: Path

    def ground_truth(self, entry: Entry) -> GroundTruth:
        """Return objects, and classes painted from them."""
        column = self.columns.objects or ""
        part, _, row = entry.key.partition(":")
        cells = read_row(entry.image, int(part), int(row), (self.columns.image, column))
        size = encoded_size(content_of(cells[self.columns.image], entry.image, self.root), _where(entry))
        found = _object_parts(self.tables.features[column])
        if found is None:
            raise DatasetError(f"huggingface: the column {column} holds no objects with a ClassLabel and a geometry.")
        rows = list(_rows_of(cells[column], *found))
        masks = self._masks([geometry for _, geometry in rows], size, entry)
        class_ids = [self.class_of[int(label)] for label, _ in rows]
        kept = [n for n, class_id in enumerate(class_ids) if class_id != IGNORE_LABEL]
        instances = stacked([masks[n] for n in kept], [class_ids[n] for n in kept], [False] * len(kept), size)
        background = next((n for n, spec in enumerate(self.classes) if not spec.is_thing), None)
        labels = painted(instances, background=background, num_classes=len(self.classes))
        return GroundTruth(SemanticMap(labels), instances)

    def _masks(self, geometries: Sequence[Any], size: Size, entry: Entry) -> Sequence[NDArray[np.bool_]]:
        if any(isinstance(one, dict) and ("bytes" in one or "path" in one) for one in geometries):
            masks = [mask_pixels(one, entry.image, self.root) != 0 for one in geometries]
            odd = next((mask for mask in masks if Size(*mask.shape) != size), None)
            if odd is not None:
                raise DatasetError(f"{_where(entry)}: a mask is {odd.shape}, its image {tuple(size)}.", kind="size")
            return masks
        try:
            return list(segmentation_masks(list(geometries), size))
        except SegmentationError as error:
            told = f"{_where(entry)}: object {error.position} cannot be drawn: {error}."
            raise DatasetError(told, kind="mask") from None


def _rows_of(cell: Any, label: str, geometry: str) -> Iterator[tuple[int, Any]]:
    """Yield label and geometry of each object, of a list of structures or a structure of lists."""
    if isinstance(cell, dict):
        yield from zip(cell.get(label) or [], cell.get(geometry) or [], strict=True)
    else:
        yield from ((row[label], row[geometry]) for row in cell or [])
