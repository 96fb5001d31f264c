"""Predictions that are in memory, scored as those of a run are: `bench.score(predictions, dataset, metrics)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from bench.data.labels.dataset import open_labelled
from bench.dataset import Dataset
from bench.errors import BenchError, ShapeError, did_you_mean
from bench.metric import load_metric
from bench.records import DatasetSpec, Score, Size, TaskKind, TaskSpec, label_dtype
from bench.records.predictions import FORMS, Prediction, SemanticMap
from bench.records.probabilities import ClassProbabilities, quantised
from bench.score.scoring import observe_all, score_metric

Predicted: TypeAlias = Prediction | ClassProbabilities | NDArray[Any]
"""A prediction, a label map as an array of class ids, (H, W), whose void is 255 or, of many classes, 65535, or
probabilities as an array of floats, (K, H, W), of which the highest names the class."""

_KIND_OF: dict[type[Prediction], TaskKind] = {form: kind for kind, form in FORMS.items()}

_USUAL: dict[TaskKind, tuple[str, ...]] = {
    "semantic": ("mean_iou", "pixel_accuracy"),
    "instance": ("mask_ap",),
    "panoptic": ("panoptic_quality",),
    "prompted": ("prompted_iou",),
}


def score(
    predictions: Mapping[str, Predicted],
    dataset: str | Dataset,
    metrics: Sequence[str] = (),
    *,
    split: str = "test",
    options: Mapping[str, JsonValue] | None = None,
    seed: int = 0,
) -> dict[str, Score]:
    """Score predictions against the ground truth of a data set, as `bench run` scores those of a model.

    Args:
        predictions: Image id -> prediction at the original size of the image: a label map as an array, (H, W),
            probabilities as an array, (K, H, W), or one of the types of `bench.records.predictions`. All are of one
            form.
        dataset: Name of a data set, for example `shapes`, or one that is open.
        metrics: Names of metrics (see: bench list metrics); the usual ones of the form if empty.
        split: Split whose images are scored; each needs a prediction.
        options: Options of the data set, as in a suite, where it is given by its name.
        seed: Seed of the bootstrap behind the intervals.

    Returns:
        Metric name -> score with its 95 % interval, value per class, and the definition.

    Raises:
        BenchError: If an image has no prediction, or there is none of the images, metrics or data set.
        ShapeError: Naming the image, if a prediction does not fit its ground truth.
    """
    if isinstance(dataset, str):
        dataset = open_labelled(DatasetSpec(name=dataset, label=dataset, options=dict(options or {}), test=split))
    ids = _asked(predictions, dataset, split)
    sure = {image_id: _as_probabilities(predictions[image_id], image_id, len(dataset.classes)) for image_id in ids}
    known = {image_id: one for image_id, one in sure.items() if one is not None}
    forms = {image_id: _as_prediction(predictions[image_id], image_id, len(dataset.classes)) for image_id in ids}
    kinds = {next(kind for form, kind in _KIND_OF.items() if isinstance(one, form)) for one in forms.values()}
    if len(kinds) > 1:
        raise BenchError(f"predictions are of several forms: {', '.join(sorted(kinds))}; score each by itself")
    kind = kinds.pop()
    loaded = [load_metric(name) for name in metrics or _USUAL[kind]]
    task = TaskSpec(kind=kind, classes=dataset.classes)
    probabilities = known.__getitem__ if len(known) == len(ids) else None
    observed = observe_all(loaded, task, dataset, ids, forms.__getitem__, probabilities)
    return {metric.name: score_metric(metric, task, observed, len(ids), seed) for metric in loaded}


def _asked(predictions: Mapping[str, Predicted], dataset: Dataset, split: str) -> tuple[str, ...]:
    """Return ids of the split; every one of them must be predicted, and nothing else."""
    if split not in dataset.splits():
        raise BenchError(
            f"there is no split {split!r}.{did_you_mean(split, dataset.splits())} It has: {', '.join(dataset.splits())}"
        )
    ids = tuple(dataset.ids(split))
    if not ids:
        raise BenchError(f"split {split!r} has no images to score")
    missing = [image_id for image_id in ids if image_id not in predictions]
    strange = [image_id for image_id in predictions if image_id not in set(ids)]
    if missing:
        near = did_you_mean(missing[0], strange) if strange else ""
        raise BenchError(
            f"{len(missing)} of {len(ids)} images of split {split!r} have no prediction, for example {missing[0]!r}."
            f"{near} An image without a prediction would be one that the model did not have to answer."
        )
    if strange:
        raise BenchError(f"{len(strange)} predictions are of no image of split {split!r}, for example {strange[0]!r}")
    return ids


def _maps(predicted: Predicted) -> NDArray[Any] | None:
    """Return the map of each class of an image that is predicted by probabilities, (K, H, W); None of other forms."""
    if isinstance(predicted, ClassProbabilities):
        return predicted.levels
    if isinstance(predicted, np.ndarray) and predicted.ndim == 3 and np.issubdtype(predicted.dtype, np.floating):
        return predicted
    return None


def _as_probabilities(predicted: Predicted, image_id: str, classes: int) -> ClassProbabilities | None:
    """Return the probabilities of an image, None where it is predicted without."""
    if isinstance(predicted, ClassProbabilities):
        return predicted
    maps = _maps(predicted)
    if maps is None:
        return None
    return quantised(maps, num_classes=classes, size=Size(*maps.shape[1:]), image_id=image_id, model="score()")


def _as_prediction(predicted: Predicted, image_id: str, classes: int) -> Prediction:
    maps = _maps(predicted)
    labels = predicted if maps is None else maps.argmax(axis=0)
    if not isinstance(labels, np.ndarray):
        if not isinstance(labels, Prediction):
            raise ShapeError(
                f"image {image_id!r}: a prediction is a label map as a NumPy array, or one of "
                f"{', '.join(kind.__name__ for kind in _KIND_OF)}, not {type(labels).__name__}"
            )
        return labels
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
        raise ShapeError(
            f"image {image_id!r}: a label map has shape (H, W) and whole numbers, not {labels.shape} and {labels.dtype}"
        )
    dtype = label_dtype(classes)
    void = np.iinfo(dtype).max
    known = (labels >= 0) & (labels < classes)
    if not (known | (labels == void)).all():
        wrong = int(labels[~known & (labels != void)][0])
        raise ShapeError(
            f"image {image_id!r}: class id {wrong}; valid ids are 0..{classes - 1} and {void} for no class"
        )
    return SemanticMap(labels.astype(dtype))
