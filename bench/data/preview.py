"""`bench data preview`: images, their ground truth laid over them, and the ground truth alone, on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.labels.dataset import MappedDataset, on_disk
from bench.data.labels.mapping import map_ground_truth
from bench.data.scan import Listed
from bench.dataset import Dataset, GroundTruth
from bench.errors import DatasetError
from bench.records.predictions import RgbImage
from bench.report.draw.contact_sheet import PictureRow, Tile, overlay_with_void, painted_map, picture_sheet
from bench.report.draw.figure import draw
from bench.report.draw.tiles import outlines, shown_image

LOOKED_AT, TURNED = 500, 4
"""Images of a split whose headers are opened in search of some that EXIF turns, and how many of these are drawn."""
LONGEST = 640
"""Longer sides are shortened before drawing: a tile has fewer pixels, and rims stay visible."""


def preview(dataset: Dataset, splits: Sequence[str], path: Path, *, images: int) -> list[Listed]:
    """Draw a contact sheet and return the images on it, from top to bottom.

    Images are taken at even distances from the splits in turn, the same ones every time; after them come
    a few that EXIF turns, where there are any. Where nothing says what the labels of such an image fit, it is
    drawn twice: with its labels as they fit it as shown, and as stored. Void is striped; rims part objects.
    The legend has the classes that occur.

    Args:
        images: Images on the sheet, at most, but for those that EXIF turns.

    Raises:
        DatasetError: If the splits have no images, or one of those drawn cannot be read.
    """
    ids = {split: dataset.ids(split) for split in splits}
    chosen = spread(ids, images)
    if not chosen:
        raise DatasetError(f"there are no images in {', '.join(splits)}, so there is nothing to draw")
    chosen += [listed for listed in _turned(dataset, ids) if listed not in chosen]
    rows, present = [], set[int]()
    for listed in chosen:
        image = shown_image(dataset, listed.image_id)
        for what, ground_truth in _readings(dataset, listed.image_id).items():
            present.update(np.unique(ground_truth.semantic.labels).tolist())
            rows.append(PictureRow(f"{what}{listed.split}/{listed.image_id}", _pictures(image, ground_truth, dataset)))
    classes = [spec for index, spec in enumerate(dataset.classes) if index in present]
    titles = ["image", "ground truth over image", "truth"]
    draw(path, picture_sheet, rows, titles=titles, classes=classes, void="void")
    return chosen


def spread(ids: dict[str, Sequence[str]], count: int) -> list[Listed]:
    """Return up to `count` images, as many of each split as of the others, at even distances within it.

    >>> [image.image_id for image in spread({"train": list("abcdef"), "val": ["x"]}, 4)]
    ['a', 'c', 'e', 'x']
    """
    quotas = dict.fromkeys(ids, 0)
    for _ in range(count):
        open_splits = [split for split in ids if quotas[split] < len(ids[split])]
        if open_splits:
            quotas[min(open_splits, key=lambda split: quotas[split])] += 1
    return [
        Listed(split, ids[split][number * len(ids[split]) // quota])
        for split, quota in quotas.items()
        for number in range(quota)
    ]


def _readings(dataset: Dataset, image_id: str) -> dict[str, GroundTruth]:
    """Return the ground truth, or both of an image that EXIF turns, by the words that tell them apart."""
    try:
        return {"": dataset.target(image_id)}
    except DatasetError as error:
        files = on_disk(dataset)
        if error.kind != "orientation" or files is None:
            raise
        table = dataset.table if isinstance(dataset, MappedDataset) else None
        return {
            f"as {frame}: ": ground_truth if table is None else map_ground_truth(ground_truth, table)
            for frame, ground_truth in files.readings(image_id).items()
        }


def _turned(dataset: Dataset, ids: dict[str, Sequence[str]]) -> list[Listed]:
    """Return the first few images that EXIF turns, among the first of each split."""
    files = on_disk(dataset)
    if files is None:
        return []
    listed = [Listed(split, image_id) for split, of_split in ids.items() for image_id in of_split[:LOOKED_AT]]
    turned = (one for one in listed if files.exif_orientation(one.image_id) != 1)
    return list(islice(turned, TURNED))


def _pictures(image: RgbImage, ground_truth: GroundTruth, dataset: Dataset) -> list[NDArray[np.uint8]]:
    """Return the image, tinted with its ground truth, and the ground truth in the classes' colours; all of one size."""
    form = ground_truth.instances or ground_truth.panoptic
    tile = Tile(ground_truth.semantic.labels, None if form is None else outlines(form))
    factor = LONGEST / max(tile.labels.shape)
    if factor < 1:
        size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        tile = tile.shrunk(size)
    return [image, overlay_with_void(image, tile, dataset.classes), painted_map(tile, dataset.classes)]
