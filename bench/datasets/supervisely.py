"""A Supervisely project: objects as bitmaps or polygons, in one JSON file for each image.

    root/meta.json                     classes: title, shape, color
    root/<dataset>/img/a.png           images; data sets may lie within data sets
    root/<dataset>/ann/a.png.json      size, and objects with classTitle and a bitmap or points

Older exports name the second file `a.json`; that is found too. A bitmap is a PNG in zlib in base64, at
its `origin`. Polygons are drawn as Supervisely draws them, by OpenCV's fillPoly: corners and edges
belong to the polygon, and to the holes in it (`interior`). Objects lie in their order, the last one
on top. Objects of one `instance` are parts of one object. An object with the tag `crowd` is a crowd.
Boxes, lines, points and key points have no mask and are refused: leave their classes out by `classes`.

Splits are the data sets called train, val, valid, validation or test if all are; otherwise those
that `splits` makes of data sets, for example `splits: {train: [ds1, ds2], test: [ds3]}`, or else
`fractions` of all images.

The Supervisely Person data set (5,711 images, 6,884 people) has the classes person_bmp, person_poly
and neutral. `void: [neutral]` leaves the last out, and `labels:` in a suite joins the two others.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.formats.coco_classes import background_spec
from bench.data.formats.documents import read_json_object
from bench.data.formats.doubts import Box, Doubt, box_around, edge_doubts
from bench.data.formats.drawn_shapes import Shape, ShapeClasses, decode_embedded, unpacked
from bench.data.formats.file_names import files_below, files_under, id_of, same_text, stem_of
from bench.data.formats.label_tables import MAX_CLASSES, palette_colour
from bench.data.formats.on_disk import Description, Entry, OnDisk, missing, require_files, root_of
from bench.data.formats.splits import USUAL_ORDER, FractionOptions, by_fraction, group_keys, in_usual_order
from bench.data.formats.typed import SUPERVISELY, as_typed
from bench.dataset import GroundTruth
from bench.errors import DatasetError, did_you_mean, in_one_line
from bench.records import IGNORE_LABEL, ClassSpec, Size, TaskKind

TASKS: tuple[TaskKind, ...] = ("semantic", "instance")
SOURCE = "a project in Supervisely's format, https://docs.supervisely.com"
LICENCE = "your own"
CROWD = "crowd"
LOOKED_AT = 200
"""Annotations that are looked at for their classes where meta.json is missing."""
OBTAIN = "Export the project from Supervisely as images and annotations in its own JSON format, and unpack it there."


class Options(FractionOptions):
    """Options that a suite may set, beside those by which images are dealt out where data sets are no splits.

    Attributes:
        root: The project's folder.
        classes: Use only these classes, in this order; objects of others are left out. None takes all.
        void: Classes whose pixels are not scored.
        stuff: Classes without countable objects.
        background: Class of pixels in no object, one of the project's or an additional one; None
            makes them void.
        splits: Split -> its data sets.
    """

    root: str = "data/supervisely"
    classes: tuple[str, ...] | None = None
    void: tuple[str, ...] = ()
    stuff: tuple[str, ...] = ()
    background: str | None = "background"
    splits: dict[str, tuple[str, ...]] = {}


@dataclass(frozen=True)
class Project(ShapeClasses):
    """Hold what meta.json and options say, with the shape of each class; titles that are not used have none."""

    shape_of: Mapping[str, str]


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; reads meta.json; raises `DatasetError` if files, or what options name, are missing."""
    root = root_of(options.root)
    if not (root / "meta.json").is_file():
        expected = "meta.json with the classes, and data sets with the folders img/ and ann/"
        raise missing("supervisely", root / "meta.json", expected, OBTAIN + _meta_to_write(root))
    project = _project(root / "meta.json", options)
    datasets = _datasets(root)
    splits = _splits(root, datasets, options)
    description = Description(
        "supervisely",
        project.classes,
        TASKS,
        f"Supervisely project {root.name}",
        LICENCE,
        tuple(splits),
        decisive=[list(options.void), options.background],
    )
    notes: dict[str, list[str]] = {}
    return OnDisk(
        description,
        lambda split: _entries(root, splits[split], notes.setdefault(split, [])),
        partial(_ground_truth, project),
        lambda split: notes.get(split, ()),
        doubts=partial(_doubts, project),
    )


def _meta_to_write(root: Path) -> str:
    """Return a meta.json to write for a project that lacks it, with the classes of some annotations; else nothing."""
    titles: set[str] = set()
    for path in [path for path in sorted(root.rglob("*.json")) if path.parent.name == "ann"][:LOOKED_AT]:
        with suppress(DatasetError):
            rows = read_json_object(path).get("objects")
            titles |= {str(row["classTitle"]) for row in rows or () if isinstance(row, dict) and row.get("classTitle")}
    if not titles:
        return ""
    listed = ", ".join(json.dumps({"title": title, "shape": "any"}, ensure_ascii=False) for title in sorted(titles))
    return f' Without it, write one with the classes, by the annotations looked at: {{"classes": [{listed}]}}.'


def _project(file: Path, options: Options) -> Project:
    rows = read_json_object(file).get("classes")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) and row.get("title") for row in rows):
        raise DatasetError(f"{file} needs the list classes, each with a title. {OBTAIN}")
    colours = {str(row["title"]): _colour(index, row) for index, row in enumerate(rows)}
    asked = (*(options.classes or ()), *options.void, *options.stuff)
    unknown = [title for title in asked if title not in colours]
    if len(colours) != len(rows) or len(colours) >= MAX_CLASSES or unknown:
        if unknown:
            known = f"{did_you_mean(unknown[0], colours)} It has: {', '.join(colours)}"
            raise DatasetError(f"supervisely: {file} has no class {unknown[0]!r}.{known}")
        raise DatasetError(f"{file} has two classes of one title, or {MAX_CLASSES} or more. Rename or merge them.")
    used = [title for title in options.classes or tuple(colours) if title not in options.void]
    stuff = {*options.stuff, options.background}
    classes = [
        ClassSpec(name=t, is_thing=t not in stuff, colour=colours[t], is_background=t == options.background)
        for t in used
    ]
    class_of = {title: index for index, title in enumerate(used)}
    if options.background is not None and options.background not in class_of:
        class_of[options.background] = len(classes)
        classes.append(background_spec(options.background))
    background = IGNORE_LABEL if options.background is None else class_of[options.background]
    shape_of = {str(row["title"]): str(row.get("shape", "any")) for row in rows}
    return Project(tuple(classes), {**class_of, **dict.fromkeys(options.void, IGNORE_LABEL)}, background, shape_of)


def _colour(index: int, row: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return the colour of a class, written as #RRGGBB."""
    try:
        red, green, blue = bytes.fromhex(str(row.get("color", "")).removeprefix("#"))
    except ValueError:
        return palette_colour(index + 1)
    return red, green, blue


def _datasets(root: Path) -> list[str]:
    found = []
    for base, folders, _ in os.walk(root, followlinks=True):
        if {"img", "ann"} <= set(folders):
            found.append(Path(base).relative_to(root).as_posix())
        folders[:] = [name for name in folders if name not in ("img", "ann")]
    if not found:
        raise missing("supervisely", root / "<dataset>" / "img", "data sets with the folders img/ and ann/", OBTAIN)
    return sorted(found)


Images = Sequence[tuple[str, Path]]
"""Data set and file of each image."""


def _splits(root: Path, datasets: Sequence[str], options: Options) -> dict[str, Images | Sequence[str]]:
    """Return split -> its data sets, or its images where data sets are no splits."""
    for dataset in (name for names in options.splits.values() for name in names):
        if dataset not in datasets:
            raise DatasetError(
                f"supervisely: {root} has no data set {dataset!r}, which the option splits names."
                f"{did_you_mean(dataset, datasets)} It has: {', '.join(datasets)}"
            )
    if options.splits:
        return dict(options.splits)
    if set(datasets) <= set(USUAL_ORDER):
        return {name: (name,) for name in in_usual_order(datasets)}
    images = _images(root, datasets)
    keys = group_keys([f"{dataset}/{path.name}" for dataset, path in images], options.group, where="supervisely")
    splits = by_fraction(keys, options.fractions, seed=options.seed, where="supervisely")
    dealt = list(zip(splits, images, strict=True))
    return {split: [image for other, image in dealt if other == split] for split in options.fractions}


def _images(root: Path, datasets: Sequence[str]) -> Images:
    images = [(dataset, path) for dataset in datasets for path in files_under(root / dataset / "img")]
    if not images:
        raise missing("supervisely", root / datasets[0] / "img", "images", OBTAIN)
    return images


def _entries(root: Path, members: Images | Sequence[str], notes: list[str]) -> list[Entry]:
    """Return images with their annotations; notes those of no image."""
    datasets = [member for member in members if isinstance(member, str)]
    images = _images(root, datasets) if datasets else [member for member in members if not isinstance(member, str)]
    annotations = {
        same_text(path.as_posix()): path
        for name in {name for name, _ in images}
        for path in files_under(root / name / "ann", (".json",))
    }
    entries = []
    for dataset, image in images:
        relative = image.relative_to(root / dataset / "img")
        named = root / dataset / "ann" / relative.with_name(relative.name + ".json")
        older = named.with_name(relative.stem + ".json")
        known = [annotations.get(same_text(path.as_posix())) for path in (named, older)]
        annotation = known[0] or known[1] or named
        entries.append(Entry(id_of(PurePath(*PurePath(dataset).parts, relative)), image, (annotation,)))
    orphans = _of_no_image(root, annotations, sorted({name for name, _ in images}))
    if not orphans:
        return require_files("supervisely", entries, "an annotation", OBTAIN)
    misnamed = f" {len(orphans)} annotations fit no image, for example {orphans[0]}: they may be misnamed."
    notes.append(f"{len(orphans)} annotations fit no image and are left out, for example {orphans[0]}")
    return require_files("supervisely", entries, "an annotation", OBTAIN + misnamed)


def _of_no_image(root: Path, annotations: Mapping[str, Path], datasets: Sequence[str]) -> list[Path]:
    """Return annotations that are those of no image, by their names; of two for one image the older form."""
    wanted: set[str] = set()
    for dataset in datasets:
        for name in files_below(root / dataset / "img").names:
            base = same_text((root / dataset / "ann" / name).as_posix())
            wanted.add(f"{base}.json" if f"{base}.json" in annotations else f"{stem_of(base)}.json")
    return sorted(path for text, path in annotations.items() if text not in wanted)


def _ground_truth(project: Project, entry: Entry) -> GroundTruth:
    file = entry.ground_truths[0]
    document = read_json_object(file)
    stated = document.get("size")
    if not isinstance(stated, dict) or not isinstance(document.get("objects"), list):
        raise DatasetError(f"{file} is no annotation of Supervisely's: it needs size and objects. {OBTAIN}")
    typed = as_typed(SUPERVISELY, document, str(file), OBTAIN)
    size = Size(typed["size"]["height"], typed["size"]["width"])
    shapes = []
    for number, row in enumerate(document["objects"], start=1):
        title = str(row.get("classTitle"))
        if title not in project.shape_of:
            raise DatasetError(
                f"{file}: object {number} is of the class {title!r}, which is not in meta.json."
                f"{did_you_mean(title, project.shape_of)} It has: {', '.join(project.shape_of)}",
                kind="labels",
            )
        if title in project.class_of:
            mask = _mask(row, project.shape_of[title], size, f"{file}: object {number}, {title}")
            crowd = any(tag.get("name") == CROWD for tag in row.get("tags") or ())
            shapes.append(Shape(title, mask, row.get("instance") or None, crowd))
    return project.ground_truth(shapes, size, unseen=True)


def _doubts(project: Project, entry: Entry) -> list[Doubt]:
    """Objects that reach beyond their image, or whose coordinates are no pixels."""
    document = as_typed(SUPERVISELY, read_json_object(entry.ground_truths[0]), str(entry.ground_truths[0]), OBTAIN)
    size = Size(document["size"]["height"], document["size"]["width"])
    outlines: list[tuple[str, Box | None]] = []
    for number, row in enumerate(document["objects"], start=1):
        title = str(row.get("classTitle"))
        if title in project.class_of:
            outlines.append((f"object {number}, {title},", _box(row, size)))
    return edge_doubts(outlines, size, entry.image.name)


def _box(row: Mapping[str, Any], size: Size) -> Box | None:
    """Return the box around an object that could be drawn."""
    points, bitmap = row.get("points"), row.get("bitmap")
    if isinstance(points, dict):
        return box_around([(float(x), float(y)) for x, y in points["exterior"]])
    if not isinstance(bitmap, dict):
        return None
    (left, top), (height, width) = bitmap["origin"], _decoded(str(bitmap["data"]), size).shape
    return Box(left, top, left + width, top + height)


def _mask(row: Mapping[str, Any], shape: str, size: Size, where: str) -> NDArray[np.bool_]:
    """Return the mask of an object, bool, `size`."""
    kind = row.get("geometryType") or ("bitmap" if isinstance(row.get("bitmap"), dict) else shape)
    points = row.get("points")
    if kind == "any" and isinstance(points, dict):
        kind = "polygon"
    try:
        if kind == "bitmap":
            return _placed(_decoded(str(row["bitmap"]["data"]), size), row["bitmap"]["origin"], size)
        if kind == "polygon" and isinstance(points, dict):
            return _filled(points["exterior"], points.get("interior") or [], size)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        told = f"{where}: its {kind} cannot be decoded: {in_one_line(error)}. Export the project again."
        raise DatasetError(told, kind="mask") from None
    raise DatasetError(
        f"{where}, is a {kind} and has no mask; bitmaps and polygons have. Convert it in Supervisely, or leave its "
        "class out by the option classes."
    )


def _decoded(data: str, size: Size) -> NDArray[np.bool_]:
    """Return pixels of a bitmap: those that are not transparent, or not black where there is no transparency."""
    pixels = decode_embedded(unpacked(base64.b64decode(data, validate=True)), size, cv2.IMREAD_UNCHANGED)
    if pixels.ndim == 2:
        return np.asarray(pixels > 0)
    return np.asarray(pixels[..., 3] > 0 if pixels.shape[2] == 4 else pixels.any(axis=2))


def _placed(bitmap: NDArray[np.bool_], origin: Sequence[int], size: Size) -> NDArray[np.bool_]:
    """Return a bitmap, (h, w), at its origin (x, y) in the image; what lies outside is cut off."""
    left, top = (int(number) for number in origin)
    first_row, first_column = max(top, 0), max(left, 0)
    last_row, last_column = min(top + bitmap.shape[0], size.height), min(left + bitmap.shape[1], size.width)
    mask = np.zeros(size, dtype=np.bool_)
    if first_row < last_row and first_column < last_column:
        inside = bitmap[first_row - top : last_row - top, first_column - left : last_column - left]
        mask[first_row:last_row, first_column:last_column] = inside
    return mask


def _filled(
    exterior: Sequence[Sequence[float]], interior: Sequence[Sequence[Sequence[float]]], size: Size
) -> NDArray[np.bool_]:
    """Return a polygon and its holes, drawn as Supervisely's SDK does (`geometry/polygon.py`)."""
    canvas = np.zeros(size, dtype=np.uint8)
    for corners, value in ((exterior, 1), *((hole, 0) for hole in interior)):
        points = np.rint(np.array(corners, dtype=np.float64)).astype(np.int32)
        if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3:
            raise ValueError("a polygon needs three or more pairs of numbers")
        cv2.fillPoly(canvas, [points], value)
    return canvas.astype(np.bool_)
