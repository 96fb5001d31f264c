"""The picture of a data set's contents: classes by pixels and images, sizes of objects and of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.records import ClassSpec, Size
from bench.report.draw.figure import COLOURS, GREY, drawing, save, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CLASSES = 40
WIDTH, ROW, PANEL = 7.6, 0.19, 2.6
"""Inches: of the figure, of a class, and the height of a panel below the classes."""

LIMITS = (32, 96)
"""Sides of squares that part small, medium and large objects."""


def draw(
    path: Path,
    *,
    classes: Sequence[ClassSpec],
    pixels: Sequence[int],
    images: Sequence[int],
    areas: Sequence[int] | None,
    sizes: Mapping[Size, int],
) -> None:
    """Write the picture as a PNG.

    Args:
        pixels, images: Pixels and images of each class.
        areas: Pixels of each object; None where the ground truth has no objects.
        sizes: Size -> number of images.
    """
    with drawing():
        save(_figure(classes, pixels, images, areas, sizes), path)


def _figure(
    classes: Sequence[ClassSpec],
    pixels: Sequence[int],
    images: Sequence[int],
    areas: Sequence[int] | None,
    sizes: Mapping[Size, int],
) -> Figure:
    from matplotlib.figure import Figure

    shown = sorted(range(len(classes)), key=lambda i: (-pixels[i], -images[i], i))[:MOST_CLASSES]
    tall = 0.75 + ROW * len(shown)
    figure = Figure(figsize=(WIDTH, tall + PANEL), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(tall, PANEL))
    by_pixels = figure.add_subplot(grid[0, 0])
    by_images = figure.add_subplot(grid[0, 1], sharey=by_pixels)
    total, counted = max(1, sum(pixels)), sum(sizes.values())
    _bars(by_pixels, [classes[i] for i in shown], [100 * pixels[i] / total for i in shown])
    _bars(by_images, [classes[i] for i in shown], [100 * images[i] / max(1, counted) for i in shown])
    few = f" (the {MOST_CLASSES} most frequent of {len(classes)})" if len(classes) > MOST_CLASSES else ""
    by_pixels.set(xlabel=f"labelled pixels of the class (%){few}")
    by_images.set(xlabel="images with the class (%)", xlim=(0, 108))
    by_images.tick_params(labelleft=False)
    if areas:
        _object_sizes(figure.add_subplot(grid[1, 0]), np.array(areas))
        _image_sizes(figure.add_subplot(grid[1, 1]), sizes)
    else:
        _image_sizes(figure.add_subplot(grid[1, :]), sizes)
    return figure


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
