"""Contact sheets: image, ground truth and every model's prediction, or copies of an image, one image a row.

Tiles are placed by the inch, not by a layout engine: images of any shape keep theirs, and columns
stay aligned.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.formats.tint import mixed, palette_of
from bench.records import ClassSpec, label_dtype
from bench.records.colours import object_colours
from bench.report.draw.figure import GREY, columns_that_fit, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MARGIN, GAP, SIDE = 0.12, 0.06, 0.26
LINE, ENTRY = 0.145, 0.2
TALLEST = 2.0
"""Largest height of a tile as a multiple of its width; taller images become narrower instead."""

WIDEST = 400
"""Columns of pixels that are drawn of an image, a half more than its tile has."""

MOST_LISTED = 24
"""Classes up to which all are listed, whether they occur or not: more would take more room than the pictures."""

OUTLINE = (25, 25, 25)


@dataclass(frozen=True)
class Tile:
    """A ground truth or a prediction as it is shown.

    Attributes:
        labels: Class ids, uint8, (H, W); 255 = void or no class.
        outlines: Rims of instances or segments, bool, (H, W), drawn dark; None for a label map.
        objects: Number of the object on each pixel, (H, W), from 1; 0 = none. None for a label map.
        class_of: Class id of object n at n - 1, (N,); each has a shade of that class's colour.
    """

    labels: NDArray[Any]
    outlines: NDArray[np.bool_] | None = None
    objects: NDArray[np.int32] | None = None
    class_of: NDArray[np.int64] | None = None

    def coloured(self, palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return each pixel in the colour of its class, or its object's shade of it, uint8, (H, W, 3).

        Args:
            palette: Colours of the classes and of void, RGB, uint8, (K + 1 or more, 3).
        """
        painted = palette[self.labels]
        if self.objects is not None and self.class_of is not None:
            shades = object_colours(self.objects, self.class_of, palette)
            painted = np.where((self.objects > 0)[..., None], shades[self.objects], painted)
        return np.asarray(painted, dtype=np.uint8)

    def shrunk(self, size: tuple[int, int]) -> Tile:
        """Return the tile at a smaller size, (width, height): of labels the nearest pixels, and rims still seen."""
        width, height = size
        rows, columns = (np.arange(n) * of // n for n, of in zip((height, width), self.labels.shape, strict=True))
        nearest = rows[:, None], columns[None]
        outlines, objects = self.outlines, self.objects
        if outlines is not None:  # one pixel of a rim is enough of a pixel there
            shares = cv2.resize(outlines.astype(np.float32), size, interpolation=cv2.INTER_AREA)
            outlines = np.asarray(shares >= min(0.5, width / outlines.shape[1]))
        return Tile(self.labels[nearest], outlines, None if objects is None else objects[nearest], self.class_of)


@dataclass(frozen=True)
class SheetRow:
    """One image of the sheet.

    Attributes:
        image_id: Id of the image, written beside it.
        image: uint8, (H, W, 3), RGB.
        ground_truth: Ground truth in the form that is compared.
        predictions: (model, tile of the same size or None), the same models in every row.
    """

    image_id: str
    image: NDArray[np.uint8]
    ground_truth: Tile
    predictions: Sequence[tuple[str, Tile | None]]

    def shrunk(self) -> SheetRow:
        """Return the row with no more pixels than are drawn of it, which may be a thousandth of those of the image."""
        height, width = self.image.shape[:2]
        factor = min(WIDEST / width, TALLEST * WIDEST / height)
        if factor >= 1:
            return self
        size = max(1, round(width * factor)), max(1, round(height * factor))
        image = np.asarray(cv2.resize(self.image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        tiles = [(label, None if tile is None else tile.shrunk(size)) for label, tile in self.predictions]
        return SheetRow(self.image_id, image, self.ground_truth.shrunk(size), tiles)


@dataclass(frozen=True)
class PictureRow:
    """One row of any sheet.

    Attributes:
        name: Name of the row, written beside it.
        pictures: uint8, (H, W, 3), RGB, all of one size; None where there is no prediction.
    """

    name: str
    pictures: Sequence[NDArray[np.uint8] | None]


def contact_sheet(rows: Sequence[SheetRow], *, classes: Sequence[ClassSpec]) -> Figure:
    """Return a grid of image, ground truth and predictions, a row each, with the colours of the label space below.

    Of more than `MOST_LISTED` classes those are listed that occur in the sheet. Label maps are scaled by nearest
    neighbour; pixels that name no class are white with grey stripes; a missing prediction is told as such.
    """
    models = [label for label, _ in rows[0].predictions] if rows else []
    painted = [
        PictureRow(
            row.image_id,
            [
                row.image,
                painted_map(row.ground_truth, classes),
                *(None if tile is None else painted_map(tile, classes) for _, tile in row.predictions),
            ],
        )
        for row in rows
    ]
    titles = ["image", "ground truth", *models]
    listed = classes if len(classes) <= MOST_LISTED else _occurring(rows, classes)
    return picture_sheet(painted, titles=titles, classes=listed, void="void, no class", smooth=1)


def _occurring(rows: Sequence[SheetRow], classes: Sequence[ClassSpec]) -> list[ClassSpec]:
    tiles = [tile for row in rows for tile in (row.ground_truth, *(one for _, one in row.predictions)) if tile]
    present = {label for tile in tiles for label in np.unique(tile.labels).tolist()}
    return [spec for label, spec in enumerate(classes) if label in present]


def picture_sheet(
    rows: Sequence[PictureRow],
    *,
    titles: Sequence[str],
    classes: Sequence[ClassSpec],
    void: str,
    smooth: int | None = None,
) -> Figure:
    """Return a grid of pictures, a row each, with the colours of the label space below.

    Args:
        rows: Rows from top to bottom.
        titles: Titles of the columns, one each.
        classes: The label space.
        void: Name of the striped pixels in the legend.
        smooth: Columns that are scaled smoothly, the others by nearest neighbour; None is all.
    """
    from matplotlib.figure import Figure

    tile = 1.75 if len(titles) <= 6 else 1.35
    wrapped = [_wrapped(label, int(tile / 0.083)) for label in titles]
    heights = [tile * min(TALLEST, _tallness(row)) for row in rows]
    width = MARGIN + SIDE + len(wrapped) * (tile + GAP) + MARGIN
    head = MARGIN + LINE * max(label.count("\n") + 1 for label in wrapped) + 0.05
    columns = columns_that_fit([*(spec.name for spec in classes), void], width - 2 * MARGIN)
    foot = 0.16 + ENTRY * -(-(len(classes) + 1) // columns)
    height = head + sum(heights) + GAP * len(rows) + foot
    figure = Figure(figsize=(width, height))

    top = height - head
    for number, (row, tall) in enumerate(zip(rows, heights, strict=True)):
        top -= tall
        for column, pixels in enumerate(row.pictures):
            left = MARGIN + SIDE + column * (tile + GAP)
            axes = figure.add_axes((left / width, top / height, tile / width, tall / height))
            _show(axes, pixels, smooth=smooth is None or column < smooth)
            if number == 0:
                axes.annotate(
                    wrapped[column], (0.5, 1), xytext=(0, 4), xycoords="axes fraction",
                    textcoords="offset points", ha="center", va="bottom", fontsize=8,
                )  # fmt: skip
        y = (top + tall / 2) / height
        name = shortened(row.name, max(6, int(tall / 0.072)))
        figure.text((MARGIN + SIDE / 2) / width, y, name, rotation=90, ha="center", va="center", fontsize=7.5)
        top -= GAP
    _class_legend(figure, classes, columns, void)
    return figure


def _tallness(row: PictureRow) -> float:
    height, width = next(pixels.shape[:2] for pixels in row.pictures if pixels is not None)
    return float(height / width)


def _wrapped(label: str, longest: int) -> str:
    """Return the label in lines of at most `longest` characters, broken after signs where it can be; its own breaks
    stay.

    >>> _wrapped("unet/transposed_big", 10), _wrapped("ours\\ncpu b1", 10)
    ('unet/\\ntransposed\\n_big', 'ours\\ncpu b1')
    """
    lines: list[str] = []
    for own in label.splitlines():
        lines.append("")
        for part in re.findall(r"[^\s/_·-]*[\s/_·-]?", own):
            for piece in (part[i : i + longest] for i in range(0, len(part), longest)):
                if len(lines[-1]) + len(piece.rstrip()) > longest:
                    lines.append("")
                lines[-1] += piece
    return "\n".join(one.strip() for one in lines if one.strip())


def painted_map(tile: Tile, classes: Sequence[ClassSpec]) -> NDArray[np.uint8]:
    """Return the map in the classes' colours, (H, W, 3); white with diagonal stripes where it names no class."""
    labels = tile.labels
    painted = striped(tile.coloured(palette_of(classes)), labels >= len(classes))
    if tile.outlines is not None:
        painted[tile.outlines] = OUTLINE
    return painted


def striped(picture: NDArray[np.uint8], where: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return a copy of a picture, (H, W, 3), with grey diagonal stripes in a region, (H, W)."""
    stripe = max(2, max(where.shape) // 24)
    rows, columns = np.indices(where.shape)
    copy = np.array(picture, dtype=np.uint8)
    copy[((rows + columns) % stripe < stripe / 3) & where] = 150
    return copy


def _show(axes: Axes, pixels: NDArray[np.uint8] | None, *, smooth: bool) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(visible=True, linewidth=0.5, color="#AAAAAA")
    if pixels is None:
        axes.text(
            0.5, 0.5, "no\nprediction", ha="center", va="center", fontsize=8, color=GREY, transform=axes.transAxes
        )
    else:
        axes.imshow(pixels, interpolation="antialiased" if smooth else "nearest")
        axes.grid(visible=False)


def _class_legend(figure: Figure, classes: Sequence[ClassSpec], columns: int, void_name: str) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(facecolor="#{:02x}{:02x}{:02x}".format(*spec.colour), edgecolor="#888888", linewidth=0.5, label=spec.name)
        for spec in classes
    ]
    void = Patch(facecolor="white", edgecolor="#888888", hatch="////", linewidth=0.5, label=void_name)
    figure.legend(handles=[*patches, void], loc="lower center", ncols=columns, borderaxespad=0.3, handleheight=1.1)


def overlay(image: NDArray[np.uint8], tile: Tile, classes: tuple[ClassSpec, ...]) -> NDArray[np.uint8]:
    """Return the image tinted with its classes' colours, (H, W, 3); pixels of no class keep their own."""
    painted = mixed(image, tile.coloured(palette_of(classes)), tile.labels < len(classes))
    if tile.outlines is not None:
        painted[tile.outlines] = 0
    return painted


def overlay_with_void(image: NDArray[np.uint8], tile: Tile, classes: tuple[ClassSpec, ...]) -> NDArray[np.uint8]:
    """Return the image as `overlay` does, with white and grey stripes where no class is named."""
    void = tile.labels >= len(classes)
    named = np.where(void, len(classes), tile.labels).astype(label_dtype(len(classes) + 1))
    white = ClassSpec(name="void", colour=(255, 255, 255))
    return striped(overlay(image, Tile(named, tile.outlines), (*classes, white)), void)
