"""LabelMe: polygons and other shapes in one JSON file for each image, beside it.

    root/…/a.jpg, root/…/a.json        version, shapes, imagePath, imageHeight, imageWidth, imageData

Polygons, rectangles (turned ones too), circles and masks are drawn as `labelme.utils.shape_to_mask` draws them: corners
and edges belong to the shape. Shapes of one label and one `group_id` are parts of one object. Points
and lines have no area and are refused, unless `ignore_labels` leaves their labels out. Later shapes lie
on top in the semantic form. The image is the file that `imagePath` names, looked for below the folder of
the JSON, then by its name alone, with `\\` as well as `/`; else the one with the name of the JSON.

Classes are the labels in the order of their names, or `classes`; pixels in no shape are `background`. A label
of the name of the background, or listed in `void`, is that. An image without a JSON was not annotated: it
is left out, counted in the source. Splits are the first folders if all are called train, val,
valid, validation or test, else `fractions`.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bench.data.formats.documents import read_json_object
from bench.data.formats.doubts import Doubt, box_around, edge_doubts
from bench.data.formats.drawn_shapes import Shape, ShapeClasses, ShapeOptions, classes_in_use, decode_embedded
from bench.data.formats.file_names import ImagePlaces, files_under, id_of
from bench.data.formats.image_files import IMAGE_SUFFIXES
from bench.data.formats.on_disk import Description, Entry, OnDisk, missing, require_folder, root_of
from bench.data.formats.patterns import visible_files
from bench.data.formats.splits import USUAL_ORDER, FractionOptions, by_fraction, group_keys, in_usual_order
from bench.data.formats.typed import LABELME, LabelMeDocument, as_typed
from bench.dataset import GroundTruth
from bench.errors import DatasetError, in_one_line
from bench.records import Size, TaskKind

SOURCE = "annotations of LabelMe, https://github.com/wkentaro/labelme"
LICENCE = "your own"
TASKS: tuple[TaskKind, ...] = ("semantic", "instance")
OBTAIN = "Save the annotations in LabelMe beside the images."


class Options(ShapeOptions, FractionOptions):
    """Options that a suite may set, beside those of shapes and of fractions.

    Attributes:
        root: Folder with images and JSON files.
        classes: Labels in use, in this order; None takes all. Others are refused, so that no typing error
            loses one.
        image_by: Rule for the image of a JSON file whose `imagePath` names another one than its own name does, if
            both are there: the `path` or the `name`; None refuses such files.
    """

    root: str = "data/labelme"
    classes: tuple[str, ...] | None = None
    image_by: Literal["path", "name"] | None = None


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; reads every JSON file; raises `DatasetError` for none, or an image or label not there."""
    root = require_folder("labelme", root_of(options.root), "images and JSON files", OBTAIN)
    files = files_under(root, (".json",))
    documents = {file: _typed(document, file) for file in files if "shapes" in (document := read_json_object(file))}
    if not documents:
        raise missing("labelme", root / "a.json", "JSON files with shapes", OBTAIN)
    space = _label_space(documents, options)
    places = {folder: _places(folder, root) for folder in {file.parent for file in documents}}
    images = {file: _image_of(file, document, places[file.parent]) for file, document in documents.items()}
    images = _by_name(images, options)
    _refuse_two_of_one(images)
    pictures = [path for path in visible_files(root) if PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES]
    unlabelled = len({root / path for path in pictures} - set(images.values()))
    left = f"; {unlabelled} images without a JSON file are left out" if unlabelled else ""
    splits = _splits(list(images.values()), root, options)
    entries: dict[str, list[Entry]] = {}
    for (file, image), (split, group) in zip(images.items(), splits, strict=True):
        image_id = id_of(file.relative_to(root))
        entries.setdefault(split, []).append(Entry(image_id, image, (file,), group=group))
    notes = [note for folder, one in places.items() for note in one.notes(str(folder))]
    description = Description(
        "labelme",
        space.classes,
        TASKS,
        f"LabelMe annotations in the folder {root.name}{left}",
        LICENCE,
        in_usual_order(entries),
        decisive=options.decisive,
        notes=(*notes, *_numbered([spec.name for spec in space.classes])),
    )
    ground_truth, doubts = partial(_ground_truth, options, space), partial(_doubts, options)
    return OnDisk(description, lambda split: entries[split], ground_truth, doubts=doubts)


def _typed(document: object, file: Path) -> LabelMeDocument:
    return as_typed(LABELME, document, str(file), "Correct the file, or save it again in LabelMe.")


def _label_space(documents: Mapping[Path, LabelMeDocument], options: Options) -> ShapeClasses:
    """Return the labels of all files by name, or those of `classes`."""
    seen: dict[str, Path] = {}
    for file, document in documents.items():
        for shape in document["shapes"]:
            seen.setdefault(str(shape.get("label")), file)
    return classes_in_use(seen, options.classes, options, "labelme: the data set")


def _numbered(names: Sequence[str]) -> list[str]:
    """Return a sentence for each group of labels that number objects of one class, as LabelMe's did before groups."""
    groups: dict[str, list[str]] = {}
    for name in names:
        base, dash, number = name.rpartition("-")
        if dash and base and number.isdigit():
            groups.setdefault(base, []).append(name)
    return [
        f"the labels {', '.join(group[:4])}{', …' if len(group) > 4 else ''} are a class each, and seem to number "
        f"objects of one; if so, write in the suite labels: {{merge: {{{base}: [{', '.join(group[:4])}]}}, rest: keep}}"
        for base, group in groups.items()
        if len(group) > 1
    ]


def _places(folder: Path, root: Path) -> ImagePlaces:
    """Return where images of JSON files in a folder may lie: beside them, or in a folder of images beside that."""
    beside = [parent / name for parent in (folder.parent, root) for name in ("images", "imgs", "img")]
    return ImagePlaces(list(dict.fromkeys([folder, *(one for one in beside if one.is_dir()), root])))


def _image_of(file: Path, document: LabelMeDocument, places: ImagePlaces) -> Path:
    """Return the image of a JSON file; raises `DatasetError` with all places that were looked at."""
    named = str(document.get("imagePath") or "")
    for name in (named, *(file.stem + suffix for suffix in IMAGE_SUFFIXES)):
        found = places.find(name) if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES else None
        if found is not None:
            return found
    as_text = " It holds the image as text (imageData); labelme_export_json writes it out."
    within = as_text if document.get("imageData") else ""
    looked_for = file.parent / PurePosixPath(named.replace("\\", "/")).name
    raise DatasetError(
        f"{file}: its image {named or 'without a name'} is not there; looked for {looked_for} and for images called "
        f"{file.stem}.{within} Put the image beside the JSON file, or remove the JSON file."
    )


def _by_name(images: Mapping[Path, Path], options: Options) -> dict[Path, Path]:
    """Return image of each JSON file; raises `DatasetError` where another has its name, unless an option tells."""
    own: dict[Path, Path] = {}
    for file, image in images.items():
        beside = [file.with_suffix(suffix) for suffix in IMAGE_SUFFIXES] if image.stem != file.stem else []
        named = next((path for path in beside if path.is_file()), None)
        if named is not None:
            own[file] = named
    if own and options.image_by is None:
        file, named = next(iter(own.items()))
        raise DatasetError(
            f"labelme: {len(own)} of {len(images)} JSON files name another image than the one of their own name beside "
            f"them: {file} names {images[file].name}, and {named.name} is there, too. One of the two was renamed. Say "
            "which counts by the data set's option image_by: path (what imagePath says) or image_by: name.",
            kind="labels",
        )
    return {**images, **own} if options.image_by == "name" else dict(images)


def _refuse_two_of_one(images: Mapping[Path, Path]) -> None:
    """Raise `DatasetError` if two JSON files name one image: each would lack the other's shapes."""
    first: dict[Path, Path] = {}
    twice = [(file, other) for file, image in images.items() if (other := first.setdefault(image, file)) != file]
    if twice:
        file, other = twice[0]
        raise DatasetError(
            f"labelme: {len(twice)} JSON files name an image that another one names, too: for example {file} and "
            f"{other} both name {images[file].name}. Put the shapes of an image into one file, and correct imagePath "
            "where it is that of another picture.",
            kind="labels",
        )


def _splits(images: Sequence[Path], root: Path, options: Options) -> list[tuple[str, str]]:
    names = [path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name for path in images]
    keys = group_keys(names, options.group, where="labelme")
    groups = [""] * len(names) if options.group is None else keys
    splits = [name.split("/")[0] if "/" in name else "" for name in names]
    if not set(splits) <= set(USUAL_ORDER):
        splits = by_fraction(keys, options.fractions, seed=options.seed, where="labelme")
    return list(zip(splits, groups, strict=True))


def _ground_truth(options: Options, space: ShapeClasses, entry: Entry) -> GroundTruth:
    file = entry.ground_truths[0]
    document = _typed(read_json_object(file), file)
    height, width = document.get("imageHeight"), document.get("imageWidth")
    if height is None or width is None:
        raise DatasetError(f"{file} has no imageHeight and imageWidth. Save it again in LabelMe.")
    size = Size(height, width)
    shapes = []
    for number, row in enumerate(document.get("shapes", []), start=1):
        label = str(row.get("label"))
        if label not in options.ignore_labels:
            mask = shape_mask(row, size, f"{file}: shape {number}, {label}")
            shapes.append(Shape(label, mask, row.get("group_id")))
    return space.ground_truth(shapes, size)


def _doubts(options: Options, entry: Entry) -> list[Doubt]:
    """Shapes that reach beyond their image; a circle's points do not say how far it reaches."""
    document = _typed(read_json_object(entry.ground_truths[0]), entry.ground_truths[0])
    size = Size(int(document.get("imageHeight") or 0), int(document.get("imageWidth") or 0))
    outlines = []
    for number, row in enumerate(document.get("shapes", []), start=1):
        if row.get("label") not in options.ignore_labels and row.get("shape_type") != "circle":
            corners = [(float(x), float(y)) for x, y in row.get("points", [])]
            outlines.append((f"shape {number}, {row.get('label')},", box_around(corners)))
    return edge_doubts(outlines, size, entry.image.name)


def shape_mask(shape: Mapping[str, Any], size: Size, where: str) -> NDArray[np.bool_]:
    """Return the mask of a shape, bool, `size`, as LabelMe draws it; raises `DatasetError` for one without an area."""
    kind = shape.get("shape_type") or "polygon"
    try:
        points = [(float(x), float(y)) for x, y in shape["points"]]
        if kind == "mask":
            return _pasted(str(shape["mask"]), points, size)
        canvas = Image.new("L", (size.width, size.height))
        draw = ImageDraw.Draw(canvas)
        if (kind == "polygon" and len(points) > 2) or (kind == "oriented_rectangle" and len(points) == 4):
            draw.polygon(points, outline=1, fill=1)
        elif kind == "rectangle" and len(points) == 2:
            (x1, y1), (x2, y2) = points
            draw.rectangle([min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)], outline=1, fill=1)
        elif kind == "circle" and len(points) == 2:
            (x, y), (px, py) = points
            radius = math.hypot(x - px, y - py)
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], outline=1, fill=1)
        else:
            raise ValueError(f"a {kind} of {len(points)} points has no area")
    except (KeyError, TypeError, ValueError, OverflowError, cv2.error) as error:
        raise DatasetError(
            f"{where}: it cannot be drawn: {in_one_line(error)}. Correct it in LabelMe, or leave its label "
            "out by ignore_labels.",
            kind="mask",
        ) from None
    return np.asarray(canvas).astype(np.bool_)


def _pasted(text: str, points: Sequence[tuple[float, float]], size: Size) -> NDArray[np.bool_]:
    """Return a mask shape: a PNG in base64 within the box of its two points, both included."""
    if len(points) != 2:
        raise ValueError("its mask is no picture in a box")
    pixels = decode_embedded(base64.b64decode(text), size, cv2.IMREAD_GRAYSCALE)
    left, top = (round(number) for number in points[0])
    mask = np.zeros(size, dtype=np.bool_)
    rows, columns = slice(max(top, 0), top + pixels.shape[0]), slice(max(left, 0), left + pixels.shape[1])
    target = mask[rows, columns]
    source = pixels[max(-top, 0) :, max(-left, 0) :][: target.shape[0], : target.shape[1]]
    mask[rows, columns] = source > 0
    return mask
