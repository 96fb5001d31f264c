"""`bench data stats`: which classes there are and how often, how large objects and images are.

Only ground truth are read, not images. Shares of pixels are of labelled ones: void is told apart. An
object's area is its visible pixels; crowds are not counted. Small is below 32² pixels and large
from 96² upwards, as in the COCO evaluation.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from tabulate import tabulate

from bench.data.formats.label_tables import runs_of
from bench.data.opening import Choice
from bench.data.scan import Listed, Pass, Row, look_at_all
from bench.dataset import Dataset, GroundTruth
from bench.errors import DatasetError
from bench.records import ClassSpec, Size, void_id
from bench.report.draw.figure import COLOURS, GREY, drawing, save, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COUNT_VERSION = 1
"""Raised when `count` gives other rows for the same files."""

LIMITS = (32, 96)
"""Sides of squares that part small, medium and large objects, in pixels."""
SMALL, LARGE = (side**2 for side in LIMITS)

MOST_CLASSES = 40
WIDTH, ROW, PANEL = 7.6, 0.19, 2.6
"""Inches: of the figure, of a class, and the height of a panel below the classes."""


@dataclass
class ClassCount:
    """Hold what there is of one class.

    Attributes:
        pixels: Labelled with it.
        images: Images with at least one such pixel or object.
        areas: Pixels of each object, crowds left out.
    """

    pixels: int = 0
    images: int = 0
    areas: list[int] = field(default_factory=list)


@dataclass
class SplitCount:
    """Hold what there is in one split.

    Attributes:
        images: Number of images that could be counted.
        sizes: Size -> images.
        labelled, void: Numbers of pixels with and without a class.
        objects: Number of objects, crowds left out.
        unreadable: Images whose ground truth could not be read.
    """

    images: int = 0
    sizes: Counter[Size] = field(default_factory=Counter)
    labelled: int = 0
    void: int = 0
    objects: int = 0
    unreadable: int = 0


@dataclass(frozen=True)
class Counted:
    """Hold what is in a data set.

    Attributes:
        by_class: One for each class, in its order.
        by_split: One for each split that was counted.
        has_objects: True if its ground truth has instances or segments.
    """

    label: str
    classes: tuple[ClassSpec, ...]
    by_class: tuple[ClassCount, ...]
    by_split: dict[str, SplitCount]
    has_objects: bool


def measure(
    choice: Choice, dataset: Dataset, splits: Sequence[str], *, cache: Path, jobs: int | None, console: Console
) -> Counted:
    """Count classes, objects and sizes over some splits; see `check` for the arguments.

    Raises:
        DatasetError: If a split cannot be listed, or no ground truth can be read.
    """
    images = [Listed(split, image_id) for split in splits for image_id in dataset.ids(split)]
    seen = look_at_all(Pass("stats", choice, dataset, count, COUNT_VERSION, cache, jobs), images, console)
    by_class = tuple(ClassCount() for _ in dataset.classes)
    by_split = {split: SplitCount() for split in splits}
    for image in images:
        _add(seen.rows[image.image_id], by_class, by_split[image.split])
    if not any(split.images for split in by_split.values()):
        raise DatasetError(
            f"{choice.label}: none of {len(images)} ground truth can be read. See why with: bench data check "
            f"{choice.name}"
        )
    has_objects = bool({"instance", "panoptic"} & set(dataset.tasks))
    return Counted(choice.label, dataset.classes, by_class, by_split, has_objects)


def count(dataset: Dataset, image_id: str) -> Row:
    """Count one image.

    Returns:
        `size`: height, width; `pixels`: class id or void -> pixels; `areas`: class id -> areas of its
        objects (keys are text, as JSON has them). Or `error`, if its ground truth cannot be read.
    """
    try:
        ground_truth = dataset.target(image_id)
    except DatasetError as error:
        return {"error": str(error)}
    occurring = np.bincount(ground_truth.semantic.labels.ravel(), minlength=max(256, len(dataset.classes)))
    areas: dict[str, list[int]] = defaultdict(list)
    for class_id, area in _objects(ground_truth, dataset.classes):
        areas[str(class_id)].append(area)
    return {
        "size": list(ground_truth.semantic.size),
        "pixels": {str(value): int(occurring[value]) for value in np.flatnonzero(occurring)},
        "areas": areas,
    }


def _objects(ground_truth: GroundTruth, classes: Sequence[ClassSpec]) -> list[tuple[int, int]]:
    if ground_truth.instances is not None:
        instances = ground_truth.instances
        areas = [cv2.countNonZero(mask) for mask in instances.masks.view(np.uint8)]
        rows = zip(instances.class_ids.tolist(), areas, instances.crowd.tolist(), strict=True)
        return [(class_id, area) for class_id, area, crowd in rows if not crowd]
    if ground_truth.panoptic is None:
        return []
    runs = runs_of(ground_truth.panoptic.segment_ids)
    values, which = np.unique(runs.values, return_inverse=True)
    counts = np.bincount(which, weights=runs.lengths).astype(np.int64)
    area_of = dict(zip(values.tolist(), counts.tolist(), strict=True))
    things = [s for s in ground_truth.panoptic.segments if classes[s.class_id].is_thing and not s.crowd]
    return [(s.class_id, area_of.get(s.id, 0)) for s in things]


def _add(row: Row, by_class: Sequence[ClassCount], split: SplitCount) -> None:
    if "error" in row:
        split.unreadable += 1
        return
    split.images += 1
    split.sizes[Size(*row["size"])] += 1
    void = str(void_id(len(by_class)))
    for text, pixels in row["pixels"].items():
        if text == void:
            split.void += pixels
        else:
            split.labelled += pixels
            by_class[int(text)].pixels += pixels
    for text in {*row["pixels"], *row["areas"]} - {void}:
        by_class[int(text)].images += 1
    for text, areas in row["areas"].items():
        split.objects += len(areas)
        by_class[int(text)].areas += areas


def table(counted: Counted) -> str:
    """Return the counts as text: a row for each split, a row for each class, and what the columns mean."""
    parts = [_split_table(counted), _class_table(counted)]
    notes = ["pixels %: share of labelled pixels. images %: share of images with the class."]
    if counted.has_objects:
        notes.append("Objects are without crowds; small: below 32² pixels, large: 96² and more.")
    absent = [spec.name for spec, found in zip(counted.classes, counted.by_class, strict=True) if not found.images]
    if absent:
        notes.append(f"In no image: {', '.join(absent)}.")
    unreadable = sum(split.unreadable for split in counted.by_split.values())
    if unreadable:
        notes.append(f"Left out: {unreadable} images whose ground truth cannot be read; see bench data check.")
    return "\n\n".join([*parts, "\n".join(notes)])


def _split_table(counted: Counted) -> str:
    rows = []
    for name, split in counted.by_split.items():
        sizes = sorted(split.sizes, key=lambda size: (size.height * size.width, size))
        extent = [""] * 3
        if sizes:
            usual = max(split.sizes, key=lambda size: (split.sizes[size], size))
            extent = [f"{s.height} × {s.width}" for s in (sizes[0], usual, sizes[-1])]
        row = [name, str(split.images), str(len(sizes)), *extent, _percent(split.void, split.void + split.labelled)]
        rows.append([*row, *([str(split.objects), _ratio(split.objects, split.images)] if counted.has_objects else [])])
    headers = ["split", "images", "sizes", "smallest", "most frequent", "largest", "void\npixels %"]
    headers += ["objects", "objects\nper image"] if counted.has_objects else []
    return _aligned(rows, headers, words=1)


def _class_table(counted: Counted) -> str:
    images = sum(split.images for split in counted.by_split.values())
    labelled = sum(split.labelled for split in counted.by_split.values())
    rows = []
    for spec, found in zip(counted.classes, counted.by_class, strict=True):
        kind = "thing" if spec.is_thing else "stuff"
        row = [spec.name, kind, _percent(found.pixels, labelled), str(found.images), _percent(found.images, images)]
        rows.append([*row, *(_object_cells(found.areas, spec) if counted.has_objects else [])])
    headers = ["class", "kind", "pixels %", "images", "images %"]
    headers += ["objects", "area px\nmedian", "small\n%", "medium\n%", "large\n%"] if counted.has_objects else []
    return _aligned(rows, headers, words=2)


def _object_cells(areas: Sequence[int], spec: ClassSpec) -> list[str]:
    if not areas:
        return ["0" if spec.is_thing else "", "", "", "", ""]
    small, large = sum(a < SMALL for a in areas), sum(a >= LARGE for a in areas)
    shares = [_percent(part, len(areas)) for part in (small, len(areas) - small - large, large)]
    return [str(len(areas)), f"{median(areas):.0f}", *shares]


def _aligned(rows: Sequence[Sequence[str]], headers: Sequence[str], *, words: int) -> str:
    """Return a table whose first columns are words and the others numbers, as they are written."""
    alignment = ["left"] * words + ["right"] * (len(headers) - words)
    return tabulate(rows, headers=headers, tablefmt="simple", disable_numparse=True, colalign=alignment)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f}" if whole else ""


def _ratio(part: int, whole: int) -> str:
    return f"{part / whole:.1f}" if whole else ""


def plot(counted: Counted, path: Path) -> Path:
    """Draw classes by pixels and images, sizes of objects and of images, as a PNG; returns its path."""
    classes = counted.classes
    pixels, images = [one.pixels for one in counted.by_class], [one.images for one in counted.by_class]
    areas = [area for one in counted.by_class for area in one.areas] if counted.has_objects else None
    sizes = sum((split.sizes for split in counted.by_split.values()), Counter[Size]())
    with drawing():
        from matplotlib.figure import Figure

        shown = sorted(range(len(classes)), key=lambda i: (-pixels[i], -images[i], i))[:MOST_CLASSES]
        tall = 0.75 + ROW * len(shown)
        figure = Figure(figsize=(WIDTH, tall + PANEL), layout="constrained")
        grid = figure.add_gridspec(2, 2, height_ratios=(tall, PANEL))
        by_pixels = figure.add_subplot(grid[0, 0])
        by_images = figure.add_subplot(grid[0, 1], sharey=by_pixels)
        total, of_images = max(1, sum(pixels)), sum(sizes.values())
        _bars(by_pixels, [classes[i] for i in shown], [100 * pixels[i] / total for i in shown])
        _bars(by_images, [classes[i] for i in shown], [100 * images[i] / max(1, of_images) for i in shown])
        few = f" (the {MOST_CLASSES} most frequent of {len(classes)})" if len(classes) > MOST_CLASSES else ""
        by_pixels.set(xlabel=f"labelled pixels of the class (%){few}")
        by_images.set(xlabel="images with the class (%)", xlim=(0, 108))
        by_images.tick_params(labelleft=False)
        if areas:
            _object_sizes(figure.add_subplot(grid[1, 0]), np.array(areas))
            _image_sizes(figure.add_subplot(grid[1, 1]), sizes)
        else:
            _image_sizes(figure.add_subplot(grid[1, :]), sizes)
        save(figure, path)
    return path


def _bars(axes: Axes, classes: Sequence[ClassSpec], shares: Sequence[float]) -> None:
    """Horizontal bars in the classes' colours with their values, the first on top."""
    places = range(len(classes))
    faces = ["#{:02x}{:02x}{:02x}".format(*spec.colour) for spec in classes]
    axes.barh(places, shares, color=faces, edgecolor="#555555", linewidth=0.5, height=0.75)
    for place, share in zip(places, shares, strict=True):
        axes.annotate(_short(share), (share, place), xytext=(3, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set_yticks(places, [shortened(spec.name, 24) for spec in classes])
    axes.set_ylim(len(classes) - 0.4, -0.6)
    axes.set_xlim(0, 1.16 * max([*shares, 1e-9]))
    axes.grid(visible=False, axis="y")


def _short(share: float) -> str:
    """Return a share in percent with as many digits as tell it from nothing."""
    if share == 0:
        return "0"
    return f"{share:.1f}" if share >= 1 else f"{share:.2g}" if share >= 0.01 else "< 0.01"


def _object_sizes(axes: Axes, areas: NDArray[np.int64]) -> None:
    sides = np.sqrt(np.maximum(areas, 1))
    edges = np.geomspace(1, max(300.0, float(sides.max()) * 1.01), 41)
    axes.hist(sides, bins=list(edges), color=COLOURS[0], edgecolor="white", linewidth=0.4)
    axes.set_xscale("log")
    axes.set_xticks([1, 3, 10, 32, 96, 300, 1000], ["1", "3", "10", "32", "96", "300", "1000"])
    axes.set_xticks([], minor=True)
    axes.set_xlim(edges[0], edges[-1])
    axes.margins(y=0.15)
    for limit in LIMITS:
        axes.axvline(limit, color=GREY, linewidth=0.8, linestyle=(0, (4, 2)))
    centres = ((edges[0] * 32) ** 0.5, (32 * 96) ** 0.5, (96 * edges[-1]) ** 0.5)
    for name, centre in zip(("small", "medium", "large"), centres, strict=True):
        axes.text(
            centre, 0.98, name, transform=axes.get_xaxis_transform(), ha="center", va="top", fontsize=7, color=GREY
        )
    axes.set(xlabel="root of an object's area (pixels)", ylabel="objects")


def _image_sizes(axes: Axes, sizes: Mapping[Size, int]) -> None:
    """A disc for each size, its area in proportion to the number of images."""
    counts = np.array(list(sizes.values()), dtype=np.float64)
    widths, heights = [size.width for size in sizes], [size.height for size in sizes]
    axes.scatter(
        widths, heights, s=np.maximum(4, 260 * counts / counts.max()), color=COLOURS[1], alpha=0.55, linewidths=0
    )
    axes.text(0.03, 0.97, _describe(sizes), transform=axes.transAxes, ha="left", va="top", fontsize=7, color=GREY)
    axes.set(
        xlabel="width of an image (pixels)",
        ylabel="height (pixels)",
        xlim=(0, 1.15 * max(widths)),
        ylim=(0, 1.35 * max(heights)),
    )


def _describe(sizes: Mapping[Size, int]) -> str:
    if len(sizes) > 1:
        return f"{len(sizes)} sizes; area of a disc: number of images"
    (size,) = sizes
    return f"all {sizes[size]} images: {size.height} × {size.width} (height × width)"
