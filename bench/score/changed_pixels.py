"""How many pixels two predictions of one model put into another class."""

from __future__ import annotations

import json

import numpy as np

from bench.records import TaskKind
from bench.records.predictions import SemanticMap, load_prediction
from bench.records.store import layout
from bench.records.store.views import JobView
from bench.score.reduce import reaches, reduced


def changed_pixels(one: JobView, other: JobView) -> dict[str, tuple[int, int]]:
    """Image -> (pixels, pixels of another class), over the label maps that the predictions of both jobs come to.

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
    hashes = [json.loads((folder / layout.PREDICTION_INDEX).read_text(encoding="utf-8")) for folder in folders]
    counted = {}
    for image_id in sorted({*hashes[0]} & {*hashes[1]}):
        maps = [reduced(load_prediction(task.kind, folder, image_id), kind, task.classes) for folder in folders]
        first, second = (found.labels for found in maps if isinstance(found, SemanticMap))
        counted[image_id] = (first.size, int(np.count_nonzero(first != second)))
    return counted
