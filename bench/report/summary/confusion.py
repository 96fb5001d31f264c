"""Counts which classes are taken for which, and finds the images that feed each confusion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metric import CONFUSION
from bench.records import Record
from bench.report.summary.per_image import CaseImages, largest

MOST_CLASSES = 40
"""Most classes of a table, those with the most pixels; all others are one row and one column."""

LISTED, IMAGES = 12, 5
"""Confusions that are listed of a model, and images of each cell."""

NO_CLASS, OTHERS = "no class", "other classes"


class ConfusedPair(Record):
    """Pixels of one class that are taken for another.

    Attributes:
        true, predicted: Names of the classes; `predicted` may be `NO_CLASS`.
        pixels: Number of such pixels.
        share: Share of all pixels that are truly of the class.
        images: (Id, pixels) of the images with the most of them, at most `IMAGES`.
    """

    true: str
    predicted: str
    pixels: int
    share: float
    images: tuple[tuple[str, int], ...]


class ConfusionTable(Record):
    """The confusion matrix of one case.

    Attributes:
        case_id: Id of the case.
        rows: Names of the true classes.
        columns: Names of the predicted classes, then `NO_CLASS`.
        counts: Pixels by true and predicted class, all images together.
        cells: Images with the most pixels of each cell that has any: "row,column" -> indices of images.
        pairs: The confusions with the most pixels, falling.
    """

    case_id: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    cells: dict[str, tuple[int, ...]]
    pairs: tuple[ConfusedPair, ...]


def confusion_of(case: CaseImages) -> ConfusionTable | None:
    """Return the confusion matrix of a case; None where pixels were not counted by class."""
    found = case.statistics.arrays.get(CONFUSION)
    names = [spec.name for spec in case.view.task.classes]
    if found is None or found.ndim != 3 or found.shape[1:] != (len(names), len(names) + 1):
        return None
    counts, labels = _folded(found, names)
    pooled = counts.sum(axis=0)
    return ConfusionTable(
        case_id=case.case_id,
        rows=tuple(labels),
        columns=(*labels, NO_CLASS),
        counts=tuple(tuple(int(value) for value in row) for row in pooled),
        cells=_cells(counts, pooled),
        pairs=tuple(_pairs(found, names, case.image_ids)),
    )


def _folded(counts: NDArray[np.int64], names: Sequence[str]) -> tuple[NDArray[np.int64], list[str]]:
    """Return the counts with all but the largest classes put together, and the names of what is left."""
    if len(names) <= MOST_CLASSES:
        return counts, list(names)
    largest = np.sort(np.argsort(-counts.sum(axis=(0, 2)), kind="stable")[: MOST_CLASSES - 1])
    place = np.full(len(names) + 1, len(largest))
    place[largest], place[-1] = np.arange(len(largest)), len(largest) + 1
    gathered = np.zeros((len(counts), len(largest) + 1, len(largest) + 2), dtype=np.int64)
    for row in range(len(names)):
        for column in range(len(names) + 1):
            gathered[:, place[row], place[column]] += counts[:, row, column]
    return gathered, [*(names[i] for i in largest), OTHERS]


def _cells(counts: NDArray[np.int64], pooled: NDArray[np.int64]) -> dict[str, tuple[int, ...]]:
    """Return images of every cell off the diagonal that has pixels."""
    found = {}
    for row, column in zip(*np.nonzero(pooled), strict=True):
        if row != column:
            found[f"{row},{column}"] = tuple(largest(counts[:, row, column], IMAGES, above=0))
    return found


def _pairs(counts: NDArray[np.int64], names: Sequence[str], image_ids: Sequence[str]) -> list[ConfusedPair]:
    pooled = counts.sum(axis=0)
    wrong = pooled.copy()
    np.fill_diagonal(wrong, 0)  # the last column, of no class, stays
    true = pooled.sum(axis=1)
    listed = np.argsort(-wrong, axis=None, kind="stable")[:LISTED]
    found = []
    for row, column in zip(*np.unravel_index(listed, wrong.shape), strict=True):
        if not wrong[row, column]:
            break
        of_images = counts[:, row, column]
        found.append(
            ConfusedPair(
                true=names[row],
                predicted=NO_CLASS if column == len(names) else names[column],
                pixels=int(wrong[row, column]),
                share=float(wrong[row, column] / max(1, true[row])),
                images=tuple((image_ids[i], int(of_images[i])) for i in largest(of_images, IMAGES, above=0)),
            )
        )
    return found
