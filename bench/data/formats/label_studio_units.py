"""Decides whether numbers of Label Studio's regions are percent of the image, as it writes them, or pixels.

On an image of more than a hundred pixels most pixels lie beyond 100 percent, which is told elsewhere. On a smaller one
both readings are possible where every region ends within the image in pixels, too. Then the images decide: outlines of
labels lie on their edges. Where they do not tell, and the numbers are whole or many, the option has to say it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from bench.data.formats.image_files import read_image
from bench.data.formats.image_headers import image_size
from bench.data.formats.label_studio_tasks import PICTURES, Region, Task, drawn_region
from bench.data.formats.orientation import CLEARLY, edge_contrast
from bench.errors import DatasetError
from bench.records import Size

Units = Literal["percent", "pixels"]
PERCENT = 100
LOOKED_AT = 8
"""Images that are read for their edges."""
FEW, MANY = 3, 10
"""Regions that do not all end within the pixels of a small image by accident, if their numbers are whole, or not."""
ACROSS, DOWN = ("x", "width", "radiusX"), ("y", "height", "radiusY")


class RegionExtent(NamedTuple):
    """Reach of a region to the right and down, in its own numbers, and whether these are whole."""

    right: float
    bottom: float
    whole: bool


def reach_of(value: Mapping[str, Any]) -> RegionExtent | None:
    """Return the reach of a region; None for a brush, or for one without numbers."""
    try:
        if "points" in value:
            points = np.asarray(value["points"], dtype=np.float64).reshape(-1, 2)
            right, bottom = points.max(axis=0).tolist()
            return RegionExtent(right, bottom, bool((points == np.rint(points)).all()))
        pairs = [(float(value["x"]), float(value[across])) for across in ACROSS[1:] if across in value]
        downs = [(float(value["y"]), float(value[down])) for down in DOWN[1:] if down in value]
        numbers = [*pairs[0], *downs[0]]
        return RegionExtent(sum(pairs[0]), sum(downs[0]), all(number.is_integer() for number in numbers))
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def require_percent(tasks: Sequence[Task], images: Mapping[str, Path], file: Path) -> str:
    """Return what to note of the units, if they are not certain; raises `DatasetError` if they are or may be pixels.

    Args:
        images: Number of a task -> its image.
    """
    count, whole = 0, True
    for task in tasks:
        size: Size | None = None
        for region in task.regions:
            reach = reach_of(region.value)
            if reach is None:
                continue
            size = size or region.stated or image_size(images[task.number])
            if min(size) >= PERCENT or not _fits(reach, size):
                return ""
            count, whole = count + 1, whole and reach.whole
    if not count:
        return ""
    better = _by_edges(tasks, images)
    if better == "percent":
        return ""
    first = image_size(images[tasks[0].number])
    sides = f"{first.width} × {first.height}, width × height"
    told = f"all {count} regions end within their images in pixels, too (the first has {sides})"
    if better is None and count < (FEW if whole else MANY):
        return f"coordinates are read as percent, though {told}"
    why = "; read as pixels their outlines lie on edges of the images, as percent they do not" if better else ""
    raise DatasetError(
        f"{file}: coordinates should be percent of the image, but may be pixels: {told}{why}. Look at them with bench "
        "data preview, then say which they are by the data set's option coordinates: pixels or coordinates: percent.",
        kind="labels",
    )


def _fits(reach: RegionExtent, size: Size) -> bool:
    """Return whether a region ends within a small image in pixels; a long side says nothing."""
    across = size.width >= PERCENT or reach.right <= size.width
    return across and (size.height >= PERCENT or reach.bottom <= size.height)


def _by_edges(tasks: Sequence[Task], images: Mapping[str, Path]) -> Units | None:
    """Return the reading whose outlines lie on edges of most images that tell; None if none does."""
    votes: list[Units] = []
    for task in tasks[:: max(1, len(tasks) // LOOKED_AT)][:LOOKED_AT]:
        try:
            image = read_image(images[task.number])
            contrasts = [edge_contrast(image, labels) for labels in _both_ways(task, Size(*image.shape[:2]))]
        except (DatasetError, ValueError, TypeError, KeyError):
            continue
        percent, pixels = (0.0 if one is None else one for one in contrasts)
        if max(percent, pixels) >= CLEARLY * min(percent, pixels) and percent != pixels:
            votes.append("percent" if percent > pixels else "pixels")
    return next((units for units in votes if 2 * votes.count(units) > len(votes)), None)


def _both_ways(task: Task, size: Size) -> Iterator[np.ndarray[Any, np.dtype[np.uint8]]]:
    """Yield the labels of a task read as percent, then as pixels, each region a value of its own, uint8, (H, W)."""
    for regions in (task.regions, in_percent(task.regions, size)):
        labels = np.zeros(size, dtype=np.uint8)
        for number, region in enumerate(regions):
            if not PICTURES & region.value.keys():
                labels[drawn_region(region.value, size)] = number % 250 + 1
        yield labels


def in_percent(regions: Sequence[Region], size: Size) -> tuple[Region, ...]:
    """Return regions whose numbers are pixels with percent in their place."""
    return tuple(replace(region, value=_scaled(region.value, size)) for region in regions)


def _scaled(value: Mapping[str, Any], size: Size) -> dict[str, Any]:
    found = dict(value)
    for keys, side in ((ACROSS, size.width), (DOWN, size.height)):
        found |= {key: float(value[key]) * PERCENT / side for key in keys if key in value}
    if "points" in value:
        points = np.asarray(value["points"], dtype=np.float64)
        found["points"] = (points * PERCENT / (size.width, size.height)).tolist()
    return found
