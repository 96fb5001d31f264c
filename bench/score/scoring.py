"""From stored predictions to scores: one code path for every framework.

Images are read one at a time and turned into sufficient statistics at once; only those are kept, as
int64 stacks with one row per image, and everything else is computed from them.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from bench.datasets import Dataset
from bench.errors import BenchError, ShapeError, StoreError
from bench.metrics import Metric
from bench.plugins import load_metric
from bench.predictions import Prediction, load_prediction
from bench.records import Case, CaseScores, ClassSpec, Score, TaskKind, TaskSpec
from bench.score.reduce import RULES, semantic_from
from bench.store.files import write_atomically

Progress = Callable[[int, int], None]
"""Called after each image with the number of images done and their total."""

IMAGE_IDS = "image_ids"
"""Name of the array of ids in a statistics file; no statistic may be called so."""


@dataclass(frozen=True)
class Statistics:
    """What the scores of a case are computed from.

    Attributes:
        image_ids: In the order of the rows.
        stacks: Statistic name -> int64, shape (images, ...).
    """

    image_ids: tuple[str, ...]
    stacks: dict[str, NDArray[np.int64]]


@dataclass(frozen=True)
class ScoredCase:
    """The scores of a case and what they were computed from.

    Attributes:
        scores: What is stored and reported.
        statistics: Statistic name -> int64, shape (images, ...).
        image_ids: In the order of the rows.
    """

    scores: CaseScores
    statistics: dict[str, NDArray[np.int64]]
    image_ids: tuple[str, ...]


def score_case(
    case: Case,
    task: TaskSpec,
    dataset: Dataset,
    predictions_folder: Path,
    metric_names: Sequence[str],
    *,
    predict_key: str,
    seed: int,
    progress: Progress | None = None,
) -> ScoredCase:
    """Score the stored predictions of a case.

    Args:
        case: Says which split and how many of its images.
        task: Form of the stored predictions and their label space.
        dataset: Of the case, opened.
        predictions_folder: What `save_prediction` wrote, one stem per image id.
        metric_names: In the order of the scores.
        predict_key: Content key of the predictions.
        seed: Of the bootstrap.
        progress: Called after each image.

    Raises:
        BenchError: If predictions are missing or the label spaces differ.
        ShapeError: Naming the image, if a prediction does not fit its target.
    """
    _check_label_space(task, dataset)
    image_ids = tuple(dataset.ids(case.dataset.test))[: case.dataset.max_images]
    _check_predictions(task.kind, predictions_folder, image_ids, case)
    metrics = [load_metric(name) for name in metric_names]
    statistics = _observe_all(metrics, task, dataset, predictions_folder, image_ids, progress)
    scores = CaseScores(
        case_id=case.id,
        predict_key=predict_key,
        scored_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        scores=tuple(_score(metric, task, statistics, len(image_ids), seed) for metric in metrics),
    )
    return ScoredCase(scores=scores, statistics=statistics, image_ids=image_ids)


def _check_label_space(task: TaskSpec, dataset: Dataset) -> None:
    predicted, true = [c.name for c in task.classes], [c.name for c in dataset.classes]
    if predicted != true:
        unmapped = sorted(set(predicted) ^ set(true))
        raise BenchError(
            "the predictions and the data set do not share a label space"
            + (f": {', '.join(map(repr, unmapped[:5]))} in one only" if unmapped else ": the order of classes differs")
            + ". Run the suite again, so that the model predicts the data set's classes."
        )


def _check_predictions(kind: TaskKind, folder: Path, image_ids: Sequence[str], case: Case) -> None:
    if not image_ids:
        raise BenchError(f"split {case.dataset.test!r} of data set {case.dataset.label!r} has no images to score")
    suffix = ".png" if kind == "semantic" else ".json"
    missing = [image_id for image_id in image_ids if not (folder / f"{image_id}{suffix}").is_file()]
    if missing:
        raise BenchError(
            f"{len(missing)} of {len(image_ids)} predictions of {case.id} are missing in {folder}, for example that of "
            f"image {missing[0]!r}. Delete the folder {folder.parent} and run the suite again with: bench run SUITE"
        )


def _observe_all(
    metrics: Sequence[Metric],
    task: TaskSpec,
    dataset: Dataset,
    folder: Path,
    image_ids: Sequence[str],
    progress: Progress | None,
) -> dict[str, NDArray[np.int64]]:
    """One pass over the images; metrics with the same statistic share what the first observes."""
    observers = {m.statistic: m for m in reversed(metrics) if _scored_as(m, task.kind) is not None}
    stacks: dict[str, NDArray[np.int64]] = {}
    for row, image_id in enumerate(image_ids):
        truth, native = dataset.target(image_id), load_prediction(task.kind, folder, image_id)
        forms: dict[TaskKind, Prediction] = {task.kind: native}
        for statistic, metric in observers.items():
            kind = _scored_as(metric, task.kind) or task.kind
            target = truth.of(kind)
            if target is None:
                raise BenchError(f"metric {metric.name!r} needs {kind} truths; image {image_id!r} has none")
            if kind not in forms:
                forms[kind] = semantic_from(native, task.classes)
            observed = _observe(metric, target, forms[kind], task.classes, image_id)
            if row == 0:  # one allocation: a stack of 150 classes and 2000 images has 362 MB
                stacks[statistic] = np.zeros((len(image_ids), *observed.shape), dtype=np.int64)
            stacks[statistic][row] = observed
        if progress is not None:
            progress(row + 1, len(image_ids))
    return stacks


def _observe(
    metric: Metric, target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec], image_id: str
) -> NDArray[np.int64]:
    try:
        return metric.observe(target, predicted, classes)
    except ShapeError as error:
        raise ShapeError(f"image {image_id!r}: {error}") from error


def _scored_as(metric: Metric, kind: TaskKind) -> TaskKind | None:
    """The form a native prediction is scored in: its own, else its reduction to a semantic map."""
    if kind in metric.tasks:
        return kind
    return "semantic" if "semantic" in metric.tasks else None


def _score(metric: Metric, task: TaskSpec, statistics: dict[str, NDArray[np.int64]], images: int, seed: int) -> Score:
    kind = _scored_as(metric, task.kind)
    if kind is None:
        return Score(
            metric=metric.name,
            version=metric.version,
            value=None,
            undefined_because=f"{metric.name} scores {' and '.join(metric.tasks)} predictions, not {task.kind} ones",
            images=images,
            definition=metric.definition,
        )
    score = metric.score(statistics[metric.statistic], task.classes, seed=seed)
    if kind == task.kind:
        return score
    return score.model_copy(update={"definition": f"{score.definition}; {RULES[task.kind]}"})


# --------------------------------------------------------------------------- statistics on disk


def save_statistics(scored: ScoredCase, path: Path) -> None:
    """Write statistics and image ids as one compressed `.npz`, atomically."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {IMAGE_IDS: np.array(scored.image_ids, dtype=np.str_), **scored.statistics}
    np.savez_compressed(buffer, **arrays)
    write_atomically(path, buffer.getvalue())


def load_statistics(path: Path) -> Statistics:
    """Read back what `save_statistics` wrote; raises `StoreError` if the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            stacks = {name: archive[name] for name in archive.files if name != IMAGE_IDS}
            return Statistics(tuple(str(i) for i in archive[IMAGE_IDS]), stacks)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise StoreError(
            f"{path} is missing or damaged ({error}); score the run again with: bench score RUN"
        ) from error
