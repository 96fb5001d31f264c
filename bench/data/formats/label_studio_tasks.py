"""Tasks and regions of a JSON that Label Studio exported."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlparse

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.formats.documents import read_json
from bench.data.formats.doubts import Box, Doubt, are_shares, box_around, edge_doubts
from bench.data.formats.drawn_shapes import OPAQUE, Shape, brush_mask, decode_embedded
from bench.data.formats.image_files import IMAGE_SUFFIXES
from bench.data.formats.polygons import corners_of, polygon_masks
from bench.data.formats.typed import LABEL_STUDIO, as_typed
from bench.errors import DatasetError, in_one_line
from bench.records import Size

UPLOAD = re.compile(r"^[0-9a-f]{8}-(.+)$")
PNG = re.compile(r"^task-(\d+)-annotation-(\d+)-by-([^-]*)-(.+)-(\d+)$")
ELLIPSE_CORNERS = 360
PICTURES = {"rle", "imageDataURL"}
AREAS = {"points", "width", "radiusX"} | PICTURES
SHARES_FOR_PERCENT = "have coordinates from 0 to 1: they are shares of the size, where Label Studio has percent"


@dataclass(frozen=True)
class Region:
    """One region of an annotation.

    Attributes:
        value: Geometry, in percent, or run lengths.
        rotation: Rotation by which the image was turned on the screen, in degrees.
        stated: Size of the image, as the region has it; None without.
    """

    label: str
    value: Mapping[str, Any]
    rotation: int
    stated: Size | None


@dataclass(frozen=True)
class Task:
    """An image with the regions of the annotation that counts."""

    number: str
    image: str
    regions: tuple[Region, ...]


@dataclass(frozen=True)
class Listed:
    """The tasks of an export, and what of it was left out."""

    tasks: tuple[Task, ...]
    notes: tuple[str, ...]


def read_tasks(file: Path, which: Literal["first", "last"] | None) -> Listed:
    """Read an export; raises `DatasetError` for what is none, or tasks of several annotations without `which`."""
    document = read_json(file)
    if not isinstance(document, list) or not all(isinstance(row, dict) for row in document):
        raise DatasetError(f"{file} is no list of tasks; export the project from Label Studio as JSON.")
    tasks, several, cancelled, without = [], [], 0, 0
    for position, row in enumerate(document):
        number, results, out = _results(row, position)
        cancelled += out
        if not results:
            without += 1
            continue
        if len(results) > 1:
            several.append(number)
        image = _image_of(row, file, number)
        chosen = results[-1] if which == "last" else results[0]
        tasks.append(Task(number, image, tuple(_regions(chosen, f"{file}: task {number}"))))
    if several and which is None:
        raise DatasetError(
            f"{file}: {len(several)} of {len(document)} tasks have several annotations, for example task {several[0]}. "
            "Say which one counts: annotation: first or annotation: last."
        )
    if not tasks:
        raise DatasetError(f"{file}: none of its {len(document)} tasks has an annotation. Annotate, and export again.")
    notes = [f"{file.name}: {without} of {len(document)} tasks have no annotation and are left out"] if without else []
    notes += [f"{file.name}: {cancelled} annotations were cancelled and are left out"] if cancelled else []
    notes += [f"{file.name}: of {len(several)} tasks with several annotations the {which} counts"] if several else []
    return Listed(tuple(tasks), tuple(notes))


def _results(row: Mapping[str, Any], position: int) -> tuple[str, list[list[Mapping[str, Any]]], int]:
    """Return the number of a task, the results of each of its annotations, and how many were cancelled."""
    number = str(row.get("id", position))
    if "annotations" in row or "completions" in row:
        found = _listed(row.get("annotations") or row.get("completions"), f"task {number}: annotations")
        valid = [one for one in found if isinstance(one, dict) and not one.get("was_cancelled")]
        results = [_listed(one.get("result"), f"task {number}: result of an annotation") for one in valid]
        return number, results, len(found) - len(valid)
    # JSON-MIN: the regions of a tag are a list below its name, geometry and labels in one.
    lists = [value for value in row.values() if isinstance(value, list)]
    return number, [[_of_minimal(one) for value in lists for one in value if isinstance(one, dict)]], 0


def _listed(value: object, what: str) -> list[Any]:
    if value and not isinstance(value, list):
        told = f"label_studio: {what} is no list, but {value!r}. Export the project again from Label Studio."
        raise DatasetError(told)
    return value if isinstance(value, list) else []


def _of_minimal(row: Mapping[str, Any]) -> Mapping[str, Any]:
    outside = ("original_width", "original_height", "image_rotation")
    value = {key: item for key, item in row.items() if key not in outside}
    return {"value": value, **{key: row[key] for key in outside if key in row}}


def _image_of(row: Mapping[str, Any], file: Path, number: str) -> str:
    data = row.get("data")
    fields: Mapping[str, Any] = data if isinstance(data, dict) else row
    if isinstance(fields.get("image"), str):
        return str(fields["image"])
    texts = [value for value in fields.values() if isinstance(value, str)]
    named = [text for text in texts if PurePosixPath(urlparse(text).path).suffix.lower() in IMAGE_SUFFIXES]
    if len(named) != 1:
        raise DatasetError(f"{file}: task {number} has {len(named)} fields that name an image; one is expected.")
    return named[0]


def image_names(place: str) -> list[str]:
    """Return names under which an image may lie, the whole path first and the bare name last.

    >>> image_names("/data/upload/3/f5a6c1f2-cell%201.png")
    ['data/upload/3/f5a6c1f2-cell 1.png', 'f5a6c1f2-cell 1.png', 'cell 1.png']
    >>> image_names("/data/local-files/?d=set/a.png"), image_names("s3://bucket/x/a.png")
    (['set/a.png', 'a.png'], ['x/a.png', 'a.png'])
    """
    parsed = urlparse(place.replace("\\", "/"))
    inner = parse_qs(parsed.query).get("d")
    path = unquote(inner[0] if inner else parsed.path).lstrip("/")
    bare = PurePosixPath(path).name
    uploaded = UPLOAD.match(bare)
    return list(dict.fromkeys([path, bare, *([uploaded.group(1)] if uploaded else [])]))


def _regions(results: Sequence[Mapping[str, Any]], where: str) -> Iterator[Region]:
    """Yield regions with a label; geometry and label may stand in two results of one id."""
    as_typed(LABEL_STUDIO, list(results), where, "Export the project again from Label Studio.")
    by_id: dict[object, dict[str, Any]] = {}
    for position, row in enumerate(results):
        value = row.get("value")
        if not isinstance(value, dict):
            continue
        known = by_id.setdefault(row.get("id", position), {"labels": [], "value": {}, "row": row})
        for key, item in value.items():
            if key.endswith("labels") and isinstance(item, list):
                known["labels"] += [label for label in item if label not in known["labels"]]
            else:
                known["value"][key] = item
    for known in by_id.values():
        if not known["labels"] and not AREAS & set(known["value"]):
            continue  # a choice or a text about the whole image
        if len(known["labels"]) != 1:
            said = ", ".join(map(str, known["labels"])) or "none"
            raise DatasetError(f"{where}: a region has {len(known['labels'])} labels ({said}); one is expected.")
        if not str(known["labels"][0]).strip():
            raise DatasetError(f"{where}: a region has a label without a letter. Give it one in Label Studio.")
        row = known["row"]
        height, width = row.get("original_height"), row.get("original_width")
        stated = Size(int(height), int(width)) if height and width else None
        yield Region(str(known["labels"][0]), known["value"], int(row.get("image_rotation") or 0) % 360, stated)


def region_shapes(
    regions: Iterable[Region], size: Size, where: str, rotated: Literal["stored", "shown"] | None
) -> Iterator[Shape]:
    """Draw the regions of an image; raises `DatasetError` for one without an area or of another image's size."""
    for region in regions:
        what = f"{where}: {region.label}"
        if region.rotation and rotated is None:
            raise DatasetError(
                f"{what}: it was drawn on an image turned by {region.rotation} degrees on the screen, and versions of "
                "Label Studio differ in what its coordinates fit. Look at it with bench data preview, and say so by "
                "the option rotated: stored or rotated: shown."
            )
        if region.stated is not None and region.stated != size:
            drawn = f"it was drawn on an image of {tuple(region.stated)}, this one has {tuple(size)} (height, width)"
            raise DatasetError(f"{what}: {drawn}.", kind="size")
        turns = region.rotation // 90 if rotated == "shown" else 0
        canvas = Size(size.width, size.height) if turns % 2 else size
        try:
            mask = drawn_region(region.value, canvas)
        except (KeyError, TypeError, ValueError) as error:
            told = f"it cannot be drawn: {in_one_line(error)}. Correct it, or leave its label out by ignore_labels."
            raise DatasetError(f"{what}: {told}", kind="mask") from None
        # The screen turned it clockwise, np.rot90 turns against the clock.
        yield Shape(region.label, np.ascontiguousarray(np.rot90(mask, turns)))


def region_doubts(regions: Iterable[Region], size: Size, image: str) -> list[Doubt]:
    """Return regions, of those that can be drawn, that reach beyond their image, or are shares and no percent."""
    percent = Size(100, 100)
    outlines: list[tuple[str, Box | None]] = []
    for number, region in enumerate(regions, start=1):
        box = None
        if not PICTURES & region.value.keys():
            corners = _corners(region.value, size) / [size.width, size.height] * 100
            box = box_around(map(tuple, corners.tolist()))
        outlines.append((f"region {number}, {region.label},", box))
    named = [(name, box) for name, box in outlines if box is not None]
    shares = [name for name, box in named if are_shares(box, percent)]
    doubts = edge_doubts([(name, None if name in shares else box) for name, box in outlines], percent, image)
    if shares and len(shares) == len(named):  # a region may be that small, all of them are not
        doubts.append(Doubt("scale", len(shares), len(outlines), SHARES_FOR_PERCENT, f"{shares[0]} of image {image}"))
    return doubts


def drawn_region(value: Mapping[str, Any], size: Size) -> NDArray[np.bool_]:
    """Return the mask of a region, bool, `size`; raises `ValueError` for one without an area."""
    if "rle" in value:
        return brush_mask(value["rle"], size)
    if "imageDataURL" in value:
        return _of_picture(str(value["imageDataURL"]), size)
    return np.asarray(polygon_masks([[corners_of(_corners(value, size).ravel().tolist())]], size)[0])


def _of_picture(address: str, size: Size) -> NDArray[np.bool_]:
    """Return the mask of a picture in base64, as the tool BitMask writes it: what is not transparent, or not black."""
    _, comma, text = address.partition(";base64,")
    if not comma:
        raise ValueError("its picture is no text in base64")
    pixels = decode_embedded(base64.b64decode(text), size, cv2.IMREAD_UNCHANGED)
    if Size(*pixels.shape[:2]) != size:
        raise ValueError(f"its picture has {pixels.shape[:2]} pixels, its image {tuple(size)} (height, width)")
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        return np.asarray(pixels[..., 3] >= OPAQUE)
    return np.asarray(pixels > 0 if pixels.ndim == 2 else pixels.any(axis=2))


def _corners(value: Mapping[str, Any], size: Size) -> NDArray[np.float64]:
    """Return the corners of a region in pixels, float64, (P, 2); raises `ValueError` for one without an area."""
    scale = np.array([size.width, size.height]) / 100
    if "points" in value:
        return np.asarray(np.asarray(value["points"], dtype=np.float64) * scale)
    if "radiusX" in value:
        angles = np.linspace(0, 2 * math.pi, ELLIPSE_CORNERS, endpoint=False)
        radii = np.array([float(value["radiusX"]), float(value["radiusY"])]) * scale
        offsets = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii
    elif "width" in value:
        offsets = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * [float(value["width"]), float(value["height"])] * scale
    else:
        raise ValueError("it has no area")
    angle = math.radians(float(value.get("rotation") or 0))  # clockwise
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.asarray(np.array([float(value["x"]), float(value["y"])]) * scale + offsets @ turn.T)


@dataclass(frozen=True)
class PngName:
    """Hold what the name of an exported PNG says."""

    file: Path
    task: str
    annotation: str
    label: str


def png_name(path: Path, tag: str | None) -> PngName:
    """Read the name of a PNG; raises `DatasetError` if it is none of Label Studio's.

    >>> png_name(Path("task-12-annotation-3-by-1-tag-cell-wall-0.png"), None).label
    'cell-wall'
    """
    found = PNG.match(path.stem)
    if found is None or (tag is not None and not found.group(4).startswith(f"{tag}-")):
        raise DatasetError(
            f"{path}: a name such as task-1-annotation-2-by-3-tag-cell-0.png is expected, in which tag is the name of "
            "the brush in the labelling configuration (option tag). Move other files away."
        )
    rest = found.group(4)
    label = rest[len(tag) + 1 :] if tag is not None else rest.partition("-")[2]
    return PngName(path, found.group(1), found.group(2), label)
