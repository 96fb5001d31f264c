"""Counts the pixels that two predictions of one model put into different classes."""

from __future__ import annotations

import numpy as np

from bench.records import TaskKind
from bench.records.predictions import SemanticMap
from bench.records.store import layout
from bench.records.store.prediction_index import load_verified, read_index
from bench.records.store.views import JobView
from bench.score.reduce import reaches, reduced


def changed_pixels(one: JobView, other: JobView) -> dict[str, tuple[int, int]]:
    """Return image -> (pixels, pixels of another class), over the label maps that the predictions of both jobs come to.

    The classes are those that the model itself tells apart: whether both are one network does not
    depend on which of them a suite merges. Empty for a task that does not come to label maps.

    Raises:
        BenchError, OSError: If a stored prediction is damaged or gone.
    """
    kind: TaskKind = "semantic"
    task = one.job.task
    if not reaches(task.kind, kind):
        return {}
    folders = [job.folder / layout.PREDICTIONS for job in (one, other)]
    hashes = [read_index(folder) for folder in folders]
    counted = {}
    for image_id in sorted({*hashes[0]} & {*hashes[1]}):
        maps = [
            reduced(load_verified(task.kind, folder, image_id, index), kind, task.classes)
            for folder, index in zip(folders, hashes, strict=True)
        ]
        first, second = (found.labels for found in maps if isinstance(found, SemanticMap))
        counted[image_id] = (first.size, int(np.count_nonzero(first != second)))
    return counted
