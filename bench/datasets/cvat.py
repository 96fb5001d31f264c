"""CVAT for images 1.1: polygons, masks and boxes of all images in one annotations.xml.

    root/annotations.xml               image: name, width, height, subset; polygon, mask, box: label, group_id, z_order
    root/images/<name>                 or root/images/<subset>/<name>, or root/<name>

Polygons are drawn by pycocotools' rule (pixel centres), masks are run lengths along rows within their box,
beginning with what is not in the mask. Shapes of one label and one `group_id` (0 is none) are one object; where shapes
overlap, the one with the larger `z_order`, then the later one, lies on top. Polylines, points and other shapes have
no area, and boxes are no masks: they are refused unless `ignore_labels` leaves their labels out. Tags of whole
images say nothing about pixels.

Classes are the labels in the order of the task; pixels in no shape are `background`. Splits are the subsets, or else
`fractions` by way of `split_by: fraction`.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.doubts import Doubt, box_around, edge_doubts
from bench.data.formats.drawn_shapes import Shape, ShapeClasses, ShapeOptions, shape_classes
from bench.data.formats.file_names import ImagePlaces, id_of, refuse_one_file_twice
from bench.data.formats.on_disk import Description, Entry, OnDisk, require_file, root_of
from bench.data.formats.polygons import polygon_mask
from bench.data.formats.typed import CVAT_IMAGE, CVAT_SHAPE, CvatImage, CvatShape, as_typed
from bench.dataset import GroundTruth
from bench.errors import DatasetError
from bench.records import Size, TaskKind

SOURCE = "annotations of CVAT, https://www.cvat.ai"
LICENCE = "your own"
TASKS: tuple[TaskKind, ...] = ("semantic", "instance")
OBTAIN = "Export the task from CVAT as 'CVAT for images 1.1', with its images, and unpack it there."


class Options(ShapeOptions):
    """Options that a suite may set, beside those that every data set of shapes has.

    Attributes:
        root: Folder with the XML and the images.
        file: Name of the XML.
    """

    root: str = "data/cvat"
    file: str = "annotations.xml"


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; reads the XML; raises `DatasetError` if it or images are missing."""
    root = root_of(options.root)
    file = require_file("cvat", root / options.file, "annotations.xml", OBTAIN)
    try:
        tree = ElementTree.parse(file).getroot()
    except (ElementTree.ParseError, OSError, ValueError, LookupError, RecursionError) as error:
        raise DatasetError(f"{file} cannot be read as XML: {error}. {OBTAIN}") from None
    space = _label_space(tree, file, options)
    entries: dict[str, list[Entry]] = {}
    rows: dict[str, _Row] = {}
    places = ImagePlaces([root / "images", root])
    for number, element in enumerate(tree.iter("image"), start=1):
        row = _typed_row(element, f"{file}: image {number}")
        name = row.image["name"].replace("\\", "/")
        subset = row.image.get("subset") or "all"
        image = _image_of(root, places, name, subset, file)
        image_id = id_of(PurePosixPath(subset) / name if row.image.get("subset") else PurePosixPath(name))
        if image_id in rows:
            raise DatasetError(f"{file}: it has the image {name!r} twice. Remove one of the two.", kind="labels")
        rows[image_id] = row
        entries.setdefault(subset.lower(), []).append(Entry(image_id, image, (file,), key=image_id))
    if not entries:
        video = " It is 'CVAT for video 1.1', whose tracks name no image files."
        raise DatasetError(f"{file} names no images.{'' if tree.find('track') is None else video} {OBTAIN}")
    refuse_one_file_twice({entry.key: entry.image for listed in entries.values() for entry in listed}, str(file))
    source, notes = f"CVAT annotations in the folder {root.name}", tuple(places.notes(file.name))
    description = Description(
        "cvat", space.classes, TASKS, source, LICENCE, tuple(entries), decisive=options.decisive, notes=notes
    )
    ground_truth, doubts = partial(_ground_truth, options, space, rows), partial(_doubts, options, rows)
    return OnDisk(description, lambda split: entries[split], ground_truth, doubts=doubts)


def _label_space(tree: ElementTree.Element, file: Path, options: Options) -> ShapeClasses:
    """Return the labels of the task in their order, then those that only shapes have."""
    listed = [str(label.findtext("name")) for label in tree.iterfind("./meta//labels/label")]
    used = sorted({str(shape.get("label")) for row in tree.iter("image") for shape in row if shape.get("label")})
    names = [name for name in (*listed, *used) if name != options.background]
    return shape_classes(names, options, str(file))


def _image_of(root: Path, places: ImagePlaces, name: str, subset: str, file: Path) -> Path:
    found = places.find(f"{subset}/{name}" if places.has(f"{subset}/{name}") else name)
    if found is not None:
        return found
    tried = [root / "images" / name, root / name]
    raise DatasetError(f"{file}: its image {name!r} is not there; looked for {tried[0]} and {tried[1]}. {OBTAIN}")


def _ground_truth(options: Options, space: ShapeClasses, rows: Mapping[str, _Row], entry: Entry) -> GroundTruth:
    row, where = rows[entry.key], f"{entry.ground_truths[0]}: image {entry.image.name}"
    size = Size(row.image["height"], row.image["width"])
    shapes = []
    for tag, shape in sorted(row.shapes, key=lambda one: one[1].get("z_order", 0)):
        label, group = shape["label"], shape.get("group_id")
        if label not in options.ignore_labels:
            mask = shape_mask(tag, shape, size, f"{where}: {tag} of {label}")
            shapes.append(Shape(label, mask, None if group in ("", "0") else group))  # 0 is of no group, as some write
    return space.ground_truth(shapes, size)


class _Row(NamedTuple):
    """An image, and its shapes with the kind of each; tags of whole images are none."""

    image: CvatImage
    shapes: list[tuple[str, CvatShape]]


def _typed_row(element: ElementTree.Element, where: str) -> _Row:
    advice = "Correct it in CVAT and export again."
    image = as_typed(CVAT_IMAGE, element.attrib, where, advice)
    shapes = [
        (shape.tag, as_typed(CVAT_SHAPE, shape.attrib, f"{where}, {image['name']}: a {shape.tag}", advice))
        for shape in element
        if shape.tag != "tag"
    ]
    return _Row(image, shapes)


def _doubts(options: Options, rows: Mapping[str, _Row], entry: Entry) -> list[Doubt]:
    row = rows[entry.key]
    size = Size(row.image["height"], row.image["width"])
    shapes = [one for kind, one in row.shapes if kind == "polygon" and one.get("label") not in options.ignore_labels]
    outlines = [(f"a polygon of {shape.get('label')}", box_around(_corners(shape))) for shape in shapes]
    return edge_doubts(outlines, size, entry.image.name)


def _corners(polygon: CvatShape) -> list[tuple[float, float]]:
    pairs = [pair.split(",") for pair in polygon.get("points", "").split(";")]
    return [(float(x), float(y)) for x, y in pairs]


def shape_mask(kind: str, shape: CvatShape, size: Size, where: str) -> NDArray[np.bool_]:
    """Return the mask of a shape, bool, `size`; raises `DatasetError` for one that is no mask."""
    try:
        if kind == "polygon":
            return polygon_mask([number for corner in _corners(shape) for number in corner], size)
        if kind == "mask":
            return _of_run_lengths(shape, size)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DatasetError(f"{where} cannot be drawn: {error}. Correct it in CVAT and export again.") from None
    raise DatasetError(
        f"{where} is no mask; polygons and masks are. Convert it in CVAT, or leave its label out by ignore_labels."
    )


def _of_run_lengths(shape: CvatShape, size: Size) -> NDArray[np.bool_]:
    left, top, width, height = int(shape["left"]), int(shape["top"]), int(shape["width"]), int(shape["height"])
    counts = [int(text) for text in shape["rle"].split(",")]
    total = sum(counts)  # before anything of that size is made
    if total != width * height or left < 0 or top < 0 or left + width > size.width or top + height > size.height:
        raise ValueError(f"its run lengths give {total} pixels for a box of {height} × {width} in {tuple(size)}")
    pixels = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    mask = np.zeros(size, dtype=np.bool_)
    mask[top : top + height, left : left + width] = pixels.reshape(height, width)
    return mask
