"""From stored predictions to scores: one code path for every framework.

Images are read one at a time and turned into sufficient statistics at once; only those are kept, and
everything else is computed from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.labels.mapping import ClassTable, map_prediction
from bench.data.labels.predictions import table_digest, table_for
from bench.dataset import Dataset, groups_of
from bench.errors import BenchError, ShapeError
from bench.metric import CONFUSION, FromProbabilities, Metric, Observed, Rows, VolumeMetric, load_metric
from bench.records import IGNORE_LABEL, Case, CaseScores, ClassSpec, Score, TaskKind, TaskSpec
from bench.records.predictions import Instances, Prediction, SemanticMap, load_prediction
from bench.records.probabilities import ClassProbabilities
from bench.records.run_kernels import read_many
from bench.records.store.layout import PREDICTION_INDEX
from bench.records.store.prediction_index import AlteredPrediction, load_verified, read_index
from bench.records.store.statistics import Collector, Statistics
from bench.score.probabilities import KeptProbabilities, add_probabilities
from bench.score.reduce import REDUCED_BY, RULES, is_complete, reduced, scored_as, semantic_from
from bench.score.stats.jackknife import left_out_together
from bench.score.thresholds import ThresholdCounts
from bench.score.unseen_classes import classes_in, few_images, unseen_flag
from bench.score.volumes import Volumes, places_of

FEDERATED = (
    "federated rule (LVIS, Open Images): {} of {} images were looked through for some classes each; there detections "
    "of the others count neither as right nor as wrong unless they fit an object"
)
"""Addition to the definition of a score on instances for such ground truth."""


@dataclass(frozen=True)
class ScoredCase:
    """The scores of a case and what they were computed from."""

    scores: CaseScores
    statistics: Statistics


def score_case(
    case: Case,
    task: TaskSpec,
    dataset: Dataset,
    predictions_folder: Path,
    metric_names: Sequence[str],
    *,
    predict_key: str,
    seed: int,
    validation: Path | None = None,
) -> ScoredCase:
    """Score the stored predictions of a case.

    Args:
        task: Form of the stored predictions, and the suite's classes. Predictions of a model with
            `trained_on` are mapped to these by name before anything else is done with them.
        predictions_folder: Folder with the predictions that `save_prediction` wrote, one stem per image id.
        metric_names: Names of the metrics, in the order of the scores.
        validation: Folder of the probabilities on which thresholds are chosen, where they are not beside the
            predictions.

    Raises:
        BenchError: If predictions are missing or the label spaces differ.
        ShapeError: Naming the image, if a prediction does not fit its target.
    """
    _check_label_space(task, dataset)
    image_ids = tuple(dataset.ids(case.dataset.test))[: case.dataset.max_images]
    _check_predictions(task.kind, predictions_folder, image_ids, case)
    metrics = [load_metric(name) for name in metric_names]
    table = table_for(case.model, dataset)
    kept = KeptProbabilities(case, task, dataset, predictions_folder.parent, table, validation)
    chosen = kept.with_thresholds(metrics)
    observed = observe_all(
        chosen.metrics, task, dataset, image_ids, _stored(task.kind, predictions_folder, table), kept.of_scored
    )
    scores = CaseScores(
        case_id=case.id,
        predict_key=predict_key,
        scored_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        scores=tuple(
            chosen.with_thresholds(
                metric, score_metric(metric, task, observed, len(image_ids), seed), observed.statistics
            )
            for metric in chosen.metrics
        ),
        mapping=table_digest(table),
        groups=len(set(observed.statistics.groups)) or None,
        federated=observed.federated,
        few_images=few_images(observed.statistics, task.classes),
    )
    return ScoredCase(scores=scores, statistics=observed.statistics)


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
        raise AlteredPrediction(
            f"{len(missing)} of {len(image_ids)} predictions of {case.id} are missing in {folder}, for example that of "
            f"image {missing[0]!r}. Delete the folder {folder.parent} and run the suite again with: bench run SUITE"
        )


@dataclass(frozen=True)
class ObservedCase:
    """Statistics of all images; for an instance model with semantic scores also those of every threshold.

    `federated` is the number of images that were looked through for some classes only; `shown` says which classes the
    ground truth of any image shows, bool, (K,), in each form that is scored and has classes.
    """

    statistics: Statistics
    thresholds: ThresholdCounts | None
    federated: int = 0
    shown: Mapping[TaskKind, NDArray[np.bool_]] = field(default_factory=dict)


def observe_all(
    metrics: Sequence[Metric],
    task: TaskSpec,
    dataset: Dataset,
    image_ids: Sequence[str],
    predicted: Callable[[str], Prediction],
    probabilities: Callable[[str], ClassProbabilities] | None = None,
) -> ObservedCase:
    """Observe every image once; metrics with the same statistic share what the first observes.

    Args:
        task: Form of the predictions, and the label space.
        dataset: Data set with the ground truth, in the same label space.
        image_ids: Ids of the images, in the order of the statistics.
        predicted: Function that returns the prediction of an image, in the label space of the task.
        probabilities: Function that returns those of an image, in the same label space; None where none were kept.

    Raises:
        BenchError: If a metric needs a form of ground truth that an image has not.
        ShapeError: Naming the image, if a prediction does not fit its target.
    """
    observers = {m.statistic: m for m in reversed(metrics) if _scored_on(m, task.kind, dataset) is not None}
    # For more than 255 classes the scores at all thresholds would be gigabytes.
    has_thresholds = task.kind == "instance" and len(task.classes) <= IGNORE_LABEL and CONFUSION in observers
    thresholds = ThresholdCounts(task.classes) if has_thresholds else None
    of_volumes = [m for m in observers.values() if isinstance(m, VolumeMetric) and m.by_volume]
    of_probabilities = [m for m in observers.values() if isinstance(m, FromProbabilities)]
    observers = {name: m for name, m in observers.items() if m not in of_volumes and m not in of_probabilities}
    volumes = Volumes(places_of(dataset, image_ids) if of_volumes else ())
    spacing_of = getattr(dataset, "spacing", lambda _: None)
    if task.kind == "instance":
        read_many(len(image_ids))
    collector, federated = Collector(len(image_ids)), 0
    kinds = {scored_as(m, task.kind) or task.kind for m in (*observers.values(), *of_volumes, *of_probabilities)}
    shown: dict[TaskKind, NDArray[np.bool_]] = {k: np.zeros(len(task.classes), np.bool_) for k in kinds - {"prompted"}}
    for number, image_id in enumerate(image_ids):
        ground_truth = dataset.target(image_id).spaced(spacing_of(image_id))
        federated += ground_truth.instances is not None and bool(ground_truth.instances.unchecked)
        for form, of_form in shown.items():
            of_form[classes_in(ground_truth, form, len(task.classes))] = True
        native = predicted(image_id)
        forms: dict[TaskKind, Prediction] = {task.kind: native}
        for statistic, metric in observers.items():
            kind = scored_as(metric, task.kind) or task.kind
            target = ground_truth.of(kind)
            if target is None:
                raise BenchError(f"metric {metric.name!r} needs {kind} ground truth; image {image_id!r} has none")
            if kind not in forms:
                forms[kind] = reduced(native, kind, task.classes)
            collector.add(statistic, number, _observe(metric, target, forms[kind], task.classes, image_id))
        if thresholds is not None and isinstance(native, Instances):
            thresholds.add(ground_truth.semantic, native)
        if of_probabilities:
            add_probabilities(
                collector, number, (ground_truth.semantic, native), of_probabilities, task, image_id, probabilities
            )
        if of_volumes:
            seen = semantic_from(native, task.classes)
            _add_to_volumes(volumes, number, (ground_truth.semantic, seen), of_volumes, task.classes, collector)
    return ObservedCase(collector.statistics(image_ids, groups_of(dataset, image_ids)), thresholds, federated, shown)


def _stored(kind: TaskKind, folder: Path, table: ClassTable | None) -> Callable[[str], Prediction]:
    """Gives stored predictions, mapped to the classes of the suite."""
    # Predictions that a run keeps have an index, see `Scoring.compute`; those of a test may have none.
    index = read_index(folder) if (folder / PREDICTION_INDEX).is_file() else None

    def predicted(image_id: str) -> Prediction:
        native = (
            load_prediction(kind, folder, image_id) if index is None else load_verified(kind, folder, image_id, index)
        )
        return native if table is None else map_prediction(native, table)

    return predicted


def _add_to_volumes(
    volumes: Volumes,
    number: int,
    maps: tuple[SemanticMap, SemanticMap],
    metrics: Sequence[VolumeMetric],
    classes: Sequence[ClassSpec],
    collector: Collector,
) -> None:
    """Put a slice to its volume, and observe the volume if it is complete."""
    volume = volumes.add(number, *maps)
    for metric in metrics:
        if volume is None:
            collector.add(metric.statistic, number, metric.empty(classes))
            continue
        try:
            observed = metric.observe_volume(volume.target, volume.predicted, classes)
        except ShapeError as error:
            raise ShapeError(f"volume {volume.name!r}: {error}") from error
        collector.add(metric.statistic, number, observed)


def _scored_on(metric: Metric, native: TaskKind, dataset: Dataset) -> TaskKind | None:
    """Return `scored_as`, but None where the ground truth of the data set is not complete in that form."""
    kind = scored_as(metric, native)
    return kind if kind is None or kind == native or is_complete(dataset, kind) else None


def _observe(
    metric: Metric, target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec], image_id: str
) -> Observed | Rows:
    try:
        return metric.observe(target, predicted, classes)
    except ShapeError as error:
        raise ShapeError(f"image {image_id!r}: {error}") from error


def score_metric(metric: Metric, task: TaskSpec, observed: ObservedCase, images: int, seed: int) -> Score:
    """Score what was observed by a metric, after the reduction that it needs."""
    kind = scored_as(metric, task.kind)
    if kind is None or metric.statistic not in observed.statistics.arrays:
        scores = f"{metric.name} scores {' and '.join(metric.tasks)} predictions, not {task.kind} ones"
        return Score(
            metric=metric.name,
            version=metric.version,
            value=None,
            undefined_because=scores if kind is None else f"the ground truth is not complete for {kind} scores",
            images=images,
            definition=metric.definition,
        )
    statistics = observed.statistics
    groups = statistics.groups_of(statistics.image_ids)
    with left_out_together(groups):
        score = metric.score(statistics.arrays[metric.statistic], task.classes, seed=seed)
    flag = unseen_flag(score, task.classes, observed.shown.get(kind))
    definition, oracle = score.definition, None
    if kind == "instance" and observed.federated:
        definition += f"; {FEDERATED.format(observed.federated, images)}"
    if kind != task.kind:
        definition += f"{REDUCED_BY}{RULES[task.kind, kind]}"
        if observed.thresholds is not None and metric.statistic == CONFUSION:
            oracle = observed.thresholds.best(metric)
    flags = score.flags if flag is None else (*score.flags, flag)
    known = {"groups": len(set(groups)) or None, "flags": flags, "definition": definition, "oracle": oracle}
    return score.model_copy(update=known)
