"""Rows of contact sheets and a renderer, which the tests of pictures share."""

from __future__ import annotations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bench.records import ClassSpec
from bench.report.draw.contact_sheet import SheetRow, Tile

CLASSES = tuple(ClassSpec(name=f"class {i}", colour=(40 * i, 250 - 40 * i, 90)) for i in range(5))


def sheet_row(image_id, height, width, models, name="model"):
    rows, columns = np.indices((height, width))
    ground_truth = ((rows // 9 + columns // 7) % 5).astype(np.uint8)
    ground_truth[:4] = 255
    image = np.dstack([ground_truth * 40, rows.astype(np.uint8), columns.astype(np.uint8)])
    tiles = [(f"{name}_{m}", Tile(np.roll(ground_truth, m, 1))) for m in range(models)]
    return SheetRow(image_id, image, Tile(ground_truth), tiles)


def sheet_rows(models, name="model"):
    sizes = {"wide": (60, 130), "tall": (220, 60), "square": (64, 64)}
    return [sheet_row(image_id, *size, models, name) for image_id, size in sizes.items()]


def drawn(figure):
    """The renderer after the figure was drawn as it is saved."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return canvas.get_renderer()
