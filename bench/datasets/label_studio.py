"""Label Studio: brush strokes, polygons, rectangles and ellipses of an exported JSON.

    root/*.json                the export "JSON" or "JSON-MIN": tasks with data and annotations
    root/images/<name>         or root/<name>; the prefix that an upload gets (`f5a6c1f2-`) may be missing
    root/<pngs>/task-1-annotation-2-by-3-tag-cell-0.png     with `pngs`: the export "Brush labels to PNG"

Coordinates are percent of the image (or `coordinates: pixels`, as some converters write them); a rectangle and an
ellipse are turned by their `rotation`, a rectangle about its upper left corner. Brushes are run lengths of RGBA; a
pixel belongs to the mask from an alpha of 128 on. Polygons are drawn by pycocotools' rule (pixel centres). Every region
is an object; later ones lie on top. Other regions have no area and are refused unless `ignore_labels` leaves their
labels out.

Annotations that were cancelled, predictions and tasks without an annotation are left out and counted. Where a task
has several annotations, `annotation` says which one counts. Regions that were drawn while the image was turned on
the screen (`image_rotation`) are refused until `rotated` says what their coordinates fit: versions differ in that.
PNG files name tasks and not images, so that the JSON of the same project must lie beside them.

Classes are the labels in the order of their names; pixels in no region are `background`. Splits by `fractions`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from bench.data.formats.doubts import Doubt
from bench.data.formats.drawn_shapes import Shape, ShapeClasses, ShapeOptions, classes_in_use
from bench.data.formats.file_names import ImagePlaces, files_under, id_of
from bench.data.formats.image_files import read_mask
from bench.data.formats.image_headers import image_size
from bench.data.formats.label_studio_tasks import (
    PngName,
    Region,
    Task,
    image_names,
    png_name,
    read_tasks,
    region_doubts,
    region_shapes,
)
from bench.data.formats.label_studio_units import Units, in_percent, require_percent
from bench.data.formats.on_disk import Description, Entry, OnDisk, missing, require_file, require_folder, root_of
from bench.data.formats.splits import FractionOptions, by_fraction, group_keys
from bench.dataset import GroundTruth
from bench.errors import DatasetError
from bench.records import Size, TaskKind

SOURCE = "annotations of Label Studio, https://labelstud.io"
LICENCE = "your own"
TASKS: tuple[TaskKind, ...] = ("semantic", "instance")
OBTAIN = "Export the project from Label Studio as JSON, and put its images into images/."
SHOWN = 3


class Options(ShapeOptions, FractionOptions):
    """Options that a suite may set.

    Attributes:
        root: Folder with the JSON and the images.
        file: Name of the JSON; None takes the only one there.
        classes: Labels in use, in this order; None takes all.
        annotation: Annotation of a task that counts where it has several.
        rotated: Frame that regions fit which were drawn on a turned image: the image as `stored`, or as `shown` turned.
        pngs: Folder of an export "Brush labels to PNG", in place of the regions of the JSON.
        tag: Name of the brush tag in the labelling configuration, with `pngs`; None takes the text up to the first `-`.
    """

    root: str = "data/label_studio"
    file: str | None = None
    classes: tuple[str, ...] | None = None
    annotation: Literal["first", "last"] | None = None
    coordinates: Units | None = None
    rotated: Literal["stored", "shown"] | None = None
    pngs: str | None = None
    tag: str | None = None


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; reads the JSON; raises `DatasetError` if it is none, lacks images, or needs an option."""
    root = require_folder("label_studio", root_of(options.root), "a JSON and images", OBTAIN)
    file = _file(root, options)
    listed = read_tasks(file, options.annotation)
    pngs = {} if options.pngs is None else _pngs(root / options.pngs, listed.tasks, options)
    tasks = [task for task in listed.tasks if options.pngs is None or task.number in pngs]
    labels = {one.label for found in pngs.values() for one in found}
    labels |= {region.label for task in tasks for region in task.regions} if options.pngs is None else set()
    space = classes_in_use(dict.fromkeys(labels, file), options.classes, options, str(file))
    images = _images(tasks, root, file)
    note = "" if options.coordinates or pngs else require_percent(tasks, images, file)
    if options.coordinates == "pixels":
        tasks = [replace(task, regions=in_percent(task.regions, image_size(images[task.number]))) for task in tasks]
    names = [images[task.number].relative_to(root).as_posix() for task in tasks]
    keys = group_keys(names, options.group, where="label_studio")
    entries: dict[str, list[Entry]] = {split: [] for split in options.fractions}
    dealt = by_fraction(keys, options.fractions, seed=options.seed, where="label_studio")
    for task, split, key in zip(tasks, dealt, keys, strict=True):
        masks = tuple(one.file for one in pngs.get(task.number, ()))
        image, group = images[task.number], "" if options.group is None else key
        base = root / "images" if image.is_relative_to(root / "images") else root
        image_id = id_of(image.relative_to(base))
        entries[split].append(Entry(image_id, image, (file, *masks), key=task.number, group=group))
    units = ["pixels"] if options.coordinates == "pixels" else []
    description = Description(
        "label_studio",
        space.classes,
        TASKS,
        f"Label Studio annotations in the folder {root.name}",
        LICENCE,
        tuple(entries),
        decisive=[*options.decisive, options.annotation, options.rotated, *units],
        inferred=(*listed.notes, *filter(None, [note])),
    )
    if options.pngs is not None:
        return OnDisk(description, lambda split: entries[split], partial(_of_pngs, options, space))
    regions = {task.number: task.regions for task in tasks}
    ground_truth, doubts = partial(_ground_truth, options, space, regions), partial(_doubts, options, regions)
    return OnDisk(description, lambda split: entries[split], ground_truth, doubts=doubts)


def _file(root: Path, options: Options) -> Path:
    found = sorted(path for path in root.glob("*.json") if path.name != "export.json")
    if options.file is not None:
        found = [require_file("label_studio", root / options.file, "the exported JSON", OBTAIN)]
    if len(found) != 1:
        told = ", ".join(path.name for path in found[:5]) or "none"
        raise DatasetError(f"label_studio: {root} should hold one JSON, but holds {told}. Name it by the option file.")
    return found[0]


def _images(tasks: list[Task], root: Path, file: Path) -> dict[str, Path]:
    """Return image of each task; raises `DatasetError` where some are missing, or those of several tasks."""
    places = ImagePlaces([root / "images", root])
    found: dict[str, Path] = {}
    absent = []
    for task in tasks:
        image = next((path for name in image_names(task.image) if (path := places.find(name)) is not None), None)
        if image is None:
            absent.append(task.image)
        else:
            found[task.number] = image
    if absent:
        raise DatasetError(
            f"{file}: {len(absent)} of {len(tasks)} images are not there, for example {absent[0]}, looked for as "
            f"{PurePosixPath(image_names(absent[0])[-1]).name} below {root / 'images'} and {root}. Download them: an "
            "export of JSON has none."
        )
    twice = [path for path, times in Counter(found.values()).items() if times > 1]
    if twice:
        raise DatasetError(
            f"{file}: {len(twice)} images are those of several tasks, for example {twice[0].name}; an image may occur "
            "once. Remove the other tasks."
        )
    return found


def _pngs(folder: Path, tasks: tuple[Task, ...], options: Options) -> dict[str, list[PngName]]:
    """Return masks of each task; raises `DatasetError` for those of no task, or of several annotations of one."""
    found: dict[str, list[PngName]] = {}
    for path in files_under(folder, (".png",)):
        one = png_name(path, options.tag)
        found.setdefault(one.task, []).append(one)
    if not found:
        raise missing("label_studio", folder, "task-1-annotation-2-by-3-tag-label-0.png and so on", OBTAIN)
    strange = sorted(set(found) - {task.number for task in tasks})
    several = [task for task, rows in found.items() if len({row.annotation for row in rows}) > 1]
    if strange or several:
        why = "are not in the JSON" if strange else "have masks of several annotations; keep those of one"
        what = f"the tasks {', '.join((strange or several)[:SHOWN])} {why}"
        raise DatasetError(f"label_studio: {folder}: {what}. Export JSON and PNG of the same tasks.")
    return found


def _ground_truth(
    options: Options, space: ShapeClasses, regions: Mapping[str, tuple[Region, ...]], entry: Entry
) -> GroundTruth:
    size = image_size(entry.image)
    where = f"{entry.ground_truths[0]}: task {entry.key}, image {entry.image.name}"
    kept = [region for region in regions[entry.key] if region.label not in options.ignore_labels]
    return space.ground_truth(region_shapes(kept, size, where, options.rotated), size)


def _doubts(options: Options, regions: Mapping[str, tuple[Region, ...]], entry: Entry) -> list[Doubt]:
    """Regions that reach beyond their image, or whose coordinates are no percent."""
    size = image_size(entry.image)
    kept = [region for region in regions[entry.key] if region.label not in options.ignore_labels]
    return region_doubts(kept, size, f"{entry.image.name}, task {entry.key}")


def _of_pngs(options: Options, space: ShapeClasses, entry: Entry) -> GroundTruth:
    size = image_size(entry.image)
    shapes = []
    for path in entry.ground_truths[1:]:
        label, pixels = png_name(path, options.tag).label, read_mask(path).pixels
        if label in options.ignore_labels:
            continue
        if pixels.ndim != 2 or Size(*pixels.shape) != size:
            raise DatasetError(
                f"{path} has the shape {pixels.shape}, its image {entry.image.name} {tuple(size)}. Export them again.",
                kind="size",
            )
        shapes.append(Shape(label, pixels >= 128))
    return space.ground_truth(shapes, size)


def is_export(document: Any) -> bool:
    """Return whether a document is an export of Label Studio: a list of tasks, in full or as JSON-MIN."""
    rows = document[:1] if isinstance(document, list) else []
    return any(
        isinstance(row, dict) and ({"data", "annotations"} <= set(row) or {"annotation_id", "annotator"} <= set(row))
        for row in rows
    )
