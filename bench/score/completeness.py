"""For which tasks the ground truth of a data set is complete, and which metrics need more than it has.

A data set of objects alone says nothing about the pixels outside them. A map painted from its objects is
void there, so that a semantic metric would forgive every false positive that lies in no true object.
Such a metric is refused unless the data set says what outside is.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.dataset import Dataset
from bench.metric import Metric
from bench.records import TaskKind
from bench.score.reduce import reaches


def scored_as(metric: Metric, native: TaskKind) -> TaskKind | None:
    """Return the form a native prediction is scored in: its own, else the first of the metric's it can be reduced
    to.
    """
    if native in metric.tasks:
        return native
    return next((kind for kind in metric.tasks if reaches(native, kind)), None)


def is_complete(dataset: Dataset, kind: TaskKind) -> bool:
    """Return whether a data set's ground truth is complete in a form; masks of prompts need its objects."""
    return ("instance" if kind == "prompted" else kind) in dataset.tasks


def incomplete(metrics: Sequence[Metric], native: TaskKind, dataset: Dataset) -> dict[TaskKind, list[str]]:
    """Return form -> names of the metrics that would be computed in it, where the ground truth is not complete in
    it.
    """
    found: dict[TaskKind, list[str]] = {}
    for metric in metrics:
        kind = scored_as(metric, native)
        if kind is not None and kind != native and not is_complete(dataset, kind):
            found.setdefault(kind, []).append(metric.name)
    return found
