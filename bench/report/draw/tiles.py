"""An image as a picture shows it: the ground truth and each model's prediction in the colours of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.bands import as_bytes
from bench.data.formats.tint import rims
from bench.data.labels.mapping import map_prediction
from bench.data.labels.predictions import table_for
from bench.dataset import Dataset, GroundTruth, asked_for
from bench.errors import BenchError
from bench.metrics.mask_ap import METRIC as MASK_AP
from bench.metrics.mask_ap import best_threshold
from bench.records import TaskKind, background_class
from bench.records.predictions import (
    INSTANCE_SCORE,
    Instances,
    LabelMap,
    Panoptic,
    Prediction,
    PromptedMasks,
    RgbImage,
    SemanticMap,
    load_prediction,
)
from bench.records.store import layout
from bench.records.store.statistics import load_statistics
from bench.records.store.views import CaseView
from bench.report.draw.contact_sheet import Tile
from bench.score.reduce import semantic_from, semantic_from_instances


def drawn_from(view: CaseView) -> float:
    """Return the score from which objects of a case are drawn: the best of its semantic score, else of F1, else 0.5.

    Models differ in how sure they are, so that one score for all would leave columns empty. The best are picked
    with the ground truth, as the oracle beside the scores is; a picture ranks nobody.
    """
    oracles = [score.oracle for score in view.scores.scores] if view.scores is not None else []
    best = next((oracle.tau for oracle in oracles if oracle is not None), None)
    if best is None and view.statistics is not None:
        matches = load_statistics(view.statistics).arrays.get(MASK_AP.statistic)
        best = None if matches is None else best_threshold(matches)
    return INSTANCE_SCORE if best is None else best


def shown_image(dataset: Dataset, image_id: str) -> RgbImage:
    """Return the image as a picture shows it, of other bands than RGB those that stand for red, green and blue."""
    image, bands = dataset.image(image_id), getattr(dataset, "bands", None)
    return as_bytes(image) if bands is None else np.asarray(bands.shown(image), dtype=np.uint8)


def score_to_draw(view: CaseView, show_from: float | None = None) -> float | None:
    """Return the score from which objects are drawn; None of a model whose predictions have none."""
    if view.case.model.task != "instance":
        return None
    return drawn_from(view) if show_from is None else show_from


def finest(views: Sequence[CaseView]) -> TaskKind:
    """Return the most detailed form of prediction among cases."""
    kinds = {view.case.model.task for view in views}
    by_detail: tuple[TaskKind, ...] = ("panoptic", "instance", "prompted", "semantic")
    return next(kind for kind in by_detail if kind in kinds)


def ground_truth_tile(ground_truth: GroundTruth, kind: TaskKind) -> Tile:
    """Return the ground truth in classes' colours, outlined as the finest form that is compared."""
    form = ground_truth.of(kind)
    if form is None:
        return Tile(ground_truth.semantic.labels)
    return Tile(ground_truth.semantic.labels, outlines(form), *_objects(form))


def predicted_tile(view: CaseView, image_id: str, dataset: Dataset, drawn: float | None) -> Tile | None:
    """Return what a case predicts on an image, objects from the score `drawn` on; None where it cannot be read."""
    # A picture may miss a tile; that the file is damaged is the scores' to say.
    with suppress(OSError, BenchError):
        prediction = _shown(view, image_id, dataset, drawn)
        return Tile(_labels(view, prediction), outlines(prediction), *_objects(prediction))
    return None


def predicted_labels(view: CaseView, image_id: str, dataset: Dataset, drawn: float | None) -> LabelMap | None:
    """Return the labels of `predicted_tile` alone, for comparing many images."""
    with suppress(OSError, BenchError):
        return _labels(view, _shown(view, image_id, dataset, drawn))
    return None


def _shown(view: CaseView, image_id: str, dataset: Dataset, drawn: float | None) -> Prediction:
    """Return what is drawn of a stored prediction, in the classes of the task."""
    assert view.predict is not None
    prediction = load_prediction(view.case.model.task, view.predict.folder / layout.PREDICTIONS, image_id)
    table = table_for(view.case.model, dataset)
    prediction = prediction if table is None else map_prediction(prediction, table)
    if isinstance(prediction, Instances):  # models list hundreds of unsure objects for the sake of AP
        return prediction.chosen(prediction.scores >= (INSTANCE_SCORE if drawn is None else drawn))
    if isinstance(prediction, PromptedMasks):
        return _as_asked(prediction, dataset.target(image_id).instances)
    return prediction


def _labels(view: CaseView, prediction: Prediction) -> LabelMap:
    classes = view.task.classes
    if not isinstance(prediction, Instances):
        return semantic_from(prediction, classes).labels
    nothing = background_class(classes)
    return semantic_from_instances(prediction, tau=0.0, background=nothing, num_classes=len(classes)).labels


def _objects(prediction: Prediction) -> tuple[NDArray[np.int32], NDArray[np.int64]] | tuple[()]:
    """Return each pixel's object, from 1, the surest on top, and the class of each; nothing of a label map."""
    if isinstance(prediction, Panoptic):
        ids, numbers = np.unique(prediction.segment_ids, return_inverse=True)
        class_of = {segment.id: segment.class_id for segment in prediction.segments}
        listed = np.array([class_of.get(int(i), -1) for i in ids], dtype=np.int64)
        objects = np.where(listed >= 0, np.arange(1, len(ids) + 1), 0).astype(np.int32)
        return objects[numbers.reshape(prediction.segment_ids.shape)], np.maximum(listed, 0)
    if isinstance(prediction, Instances):
        objects = np.zeros(prediction.size, dtype=np.int32)
        for index in np.argsort(prediction.scores, kind="stable"):
            objects[prediction.masks[index]] = index + 1
        return objects, prediction.class_ids
    return ()


def _as_asked(predicted: PromptedMasks, ground_truth: Instances | None) -> Instances:
    """Return masks in the classes of the objects that were asked for: in a picture only, the model names none."""
    assert ground_truth is not None  # the prompts were made from it
    class_ids = ground_truth.class_ids[asked_for(ground_truth)]
    return Instances(predicted.masks, class_ids, np.ones(len(class_ids)), np.zeros(len(class_ids), dtype=np.bool_))


def outlines(prediction: Prediction) -> NDArray[np.bool_] | None:
    """Rims, one pixel wide, of instances or segments, bool, (H, W); None for a label map."""
    if isinstance(prediction, SemanticMap):
        return None
    if isinstance(prediction, Panoptic):
        return rims(prediction.segment_ids, thin=False)
    found = np.zeros(prediction.size, dtype=np.bool_)
    for mask in prediction.masks:
        found |= mask & rims(mask, thin=False)
    return found
