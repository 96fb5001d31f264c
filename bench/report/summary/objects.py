"""The single objects of a case, as the metrics of objects matched them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.metrics import object_f1
from bench.records.store.statistics import load_statistics
from bench.records.store.views import CaseView


def objects_of_case(view: CaseView) -> Iterator[dict[str, Any]]:
    """Yield a row for each object of the ground truth and of the prediction; nothing where none were matched.

    A suite has them if any of its metrics matches objects one to one: `object_f1`, `aji`, `seg`, `dsb_score` and the
    like.
    """
    if view.scores is None or view.statistics is None:
        return
    statistics = load_statistics(view.statistics)
    rows = statistics.arrays.get(object_f1.METRIC.statistic)
    if rows is None:
        return
    for number, found in object_f1.objects(rows, view.task.classes):
        yield {"case": view.case.id, "image": statistics.image_ids[number], **found}
