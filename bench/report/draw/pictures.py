"""Which pictures a run gives, filled from its files; `plots.py` draws them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.tint import rims
from bench.data.labels.dataset import open_labelled
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
    Panoptic,
    Prediction,
    PromptedMasks,
    RgbImage,
    SemanticMap,
    load_prediction,
)
from bench.records.store import layout
from bench.records.store.statistics import load_statistics
from bench.records.store.views import CaseView, RunView
from bench.report.draw import stage_times as plots
from bench.report.draw.loads_of_summary import PICTURE, draw_loads
from bench.report.draw.stage_times import Tile
from bench.report.draw.training_pictures import draw_training, row_label
from bench.report.summary.rows import Row
from bench.report.summary.summarise import RunSummary
from bench.score.reduce import semantic_from, semantic_from_instances

SHEET = "contact_sheet"
SHEET_IMAGES = 5
SHEET_CANDIDATES = 40


@dataclass(frozen=True)
class Pictures:
    """What was drawn, and what could not be, with the reason."""

    drawn: tuple[Path, ...]
    left_out: tuple[str, ...]


def draw_pictures(run: RunView, summary: RunSummary, folder: Path, show_from: float | None = None) -> Pictures:
    """Draw every picture the run has data for.

    Args:
        run: With the files.
        summary: Of it.
        folder: Where pictures go.
        show_from: Score from which objects are drawn, of every model; by default `drawn_from` of each.

    A contact sheet is left out where its data set is not on this machine: all else in a report
    comes from the run's own files.
    """
    made = [
        _accuracy_latency(summary, folder / "accuracy_latency.png"),
        _stage_times(summary, folder / "stage_times.png"),
        draw_loads(summary, folder / PICTURE),
    ]
    made += draw_training(run, summary, folder)
    left_out = []
    for number, views in enumerate(_sheets(run)):
        label = views[0].case.dataset.label
        try:
            rows = sheet_rows(views, show_from)
        except BenchError as error:
            left_out.append(f"the contact sheet of {label}: {error}")
            continue
        path = folder / f"{SHEET}{f'@{layout.plain_name(label)}' if number else ''}.png"
        plots.contact_sheet(rows, path, classes=views[0].task.classes)
        made.append(path)
    return Pictures(tuple(path for path in made if path is not None), tuple(left_out))


def _accuracy_latency(summary: RunSummary, path: Path) -> Path | None:
    points = accuracy_points(summary)
    if not points:
        return None
    plots.accuracy_latency(
        points,
        path,
        score_label=f"{summary.headline} (0–1)",
        latency_label="end-to-end latency, median (ms per image)",
        higher_is_better=summary.higher_is_better,
    )
    return path


def accuracy_points(summary: RunSummary) -> list[plots.AccuracyPoint]:
    """One point for every row with a score and a latency; an invalid one is shown and called so."""
    points = []
    for row in summary.rows:
        timing = row.latency.end_to_end_at(50.0) if row.latency else None
        score = row.headline
        if timing is None or timing.ms_per_image is None or score is None or score.value is None:
            continue
        points.append(
            plots.AccuracyPoint(
                label=_label(summary, row),
                score=score.value,
                score_low=score.low,
                score_high=score.high,
                latency_ms=timing.ms_per_image,
                latency_low=timing.ms_per_image_low,
                latency_high=timing.ms_per_image_high,
                pareto_optimal=bool(row.pareto_optimal),
                group=f"{row.dataset} {row.target.split()[0]}",
            )
        )
    return points


def _stage_times(summary: RunSummary, path: Path) -> Path | None:
    bars = []
    for row in summary.rows:
        stages = {name: timing.ms_per_image for name, timing in row.latency.stages.items()} if row.latency else {}
        if row.latency is None or all(value is None for value in stages.values()):
            continue
        end_to_end = row.latency.end_to_end_at(50.0)
        bars.append(
            plots.StageBar(
                label=_label(summary, row),
                preprocess_ms=stages["preprocess"],
                infer_ms=stages["infer"],
                postprocess_ms=stages["postprocess"],
                end_to_end_ms=end_to_end.ms_per_image if end_to_end else None,
                decode_ms=stages.get("decode"),
            )
        )
    if not bars:
        return None
    plots.stage_times(bars, path)
    return path


def _label(summary: RunSummary, row: Row) -> str:
    invalid = row.verdict is not None and row.verdict.state == "invalid"
    return row_label(summary, row) + (" (invalid)" if invalid else "")


def _sheets(run: RunView) -> list[list[CaseView]]:
    """Cases with predictions, by data set."""
    found: dict[str, list[CaseView]] = {}
    for view in run.cases:
        if view.predict is not None and view.predict.ok:
            found.setdefault(view.case.dataset.label, []).append(view)
    return list(found.values())


def drawn_from(view: CaseView) -> float:
    """The score from which objects of a case are drawn: the best of its semantic score, else of F1, else 0.5.

    Models differ in how sure they are, so that one score for all would leave columns empty. The best are picked
    with the ground truth, as the oracle beside the scores is; a picture ranks nobody.
    """
    oracles = [score.oracle for score in view.scores.scores] if view.scores is not None else []
    best = next((oracle.tau for oracle in oracles if oracle is not None), None)
    if best is None and view.statistics is not None:
        matches = load_statistics(view.statistics).arrays.get(MASK_AP.statistic)
        best = None if matches is None else best_threshold(matches)
    return INSTANCE_SCORE if best is None else best


def sheet_rows(views: list[CaseView], show_from: float | None = None) -> list[plots.SheetRow]:
    """The images on which the models disagree most, with what each predicted.

    Args:
        views: Cases of one data set, each with predictions; with one alone, those it gets most wrong.
        show_from: Score from which objects are drawn; None = `drawn_from` of each case.

    Raises:
        DatasetError: If the data set cannot be opened.
    """
    first = views[0]
    dataset = open_labelled(first.case.dataset)
    ids = list(dataset.ids(first.case.dataset.test))[: first.case.dataset.max_images]
    # A fixed stride: the first images of a data set are often one scene.
    candidates = ids[:: max(1, len(ids) // SHEET_CANDIDATES)][:SHEET_CANDIDATES]
    scores = [_score_to_draw(view, show_from) for view in views]
    tiles = {
        image_id: [_predicted_tile(view, image_id, dataset, tau) for view, tau in zip(views, scores, strict=True)]
        for image_id in candidates
    }

    def told_apart(image_id: str) -> float:
        alone = len(views) == 1  # nobody to disagree with but the ground truth
        shown = tiles[image_id] + ([Tile(dataset.target(image_id).semantic.labels)] if alone else [])
        return _disagreement([tile.labels for tile in shown if tile is not None])

    chosen = sorted(candidates, key=lambda image_id: (-told_apart(image_id), image_id))[:SHEET_IMAGES]
    kinds = {view.case.model.task for view in views}
    by_detail: tuple[TaskKind, ...] = ("panoptic", "instance", "prompted", "semantic")
    finest = next(kind for kind in by_detail if kind in kinds)
    return [
        plots.SheetRow(
            image_id=image_id,
            image=_rgb(dataset, image_id),
            truth=_truth_tile(dataset.target(image_id), finest),
            predictions=tuple(
                (_sheet_label(view, views, tau), predicted)
                for view, tau, predicted in zip(views, scores, tiles[image_id], strict=True)
            ),
        )
        for image_id in chosen
    ]


def _rgb(dataset: Dataset, image_id: str) -> RgbImage:
    """The image as a picture shows it, of other bands than RGB those that stand for red, green and blue."""
    image, bands = dataset.image(image_id), getattr(dataset, "bands", None)
    return image if bands is None else np.asarray(bands.shown(image), dtype=np.uint8)


def _score_to_draw(view: CaseView, show_from: float | None) -> float | None:
    """Score from which objects are drawn; None of a model whose predictions have none."""
    if view.case.model.task != "instance":
        return None
    return drawn_from(view) if show_from is None else show_from


def _sheet_label(view: CaseView, views: list[CaseView], drawn: float | None) -> str:
    several = len({v.case.model.label for v in views}) < len(views)
    lines = [view.case.model.label]
    lines += [view.case.id.rpartition("@")[2]] if several else []
    return "\n".join([*lines, *([] if drawn is None else [f"score ≥ {drawn:g}"])])


def _truth_tile(truth: GroundTruth, kind: TaskKind) -> Tile:
    """The ground truth in classes' colours, outlined as the finest form that is compared."""
    form = truth.of(kind)
    if form is None:
        return Tile(truth.semantic.labels)
    return Tile(truth.semantic.labels, outlines(form), *_objects(form))


def _predicted_tile(view: CaseView, image_id: str, dataset: Dataset, drawn: float | None) -> Tile | None:
    assert view.predict is not None
    try:
        prediction = load_prediction(view.case.model.task, view.predict.folder / layout.PREDICTIONS, image_id)
    except (OSError, BenchError):
        # A picture may miss a tile; that the file is damaged is the scores' to say.
        return None
    try:
        return _tile(view, prediction, image_id, dataset, drawn)
    except BenchError:
        return None


def _tile(view: CaseView, prediction: Prediction, image_id: str, dataset: Dataset, drawn: float | None) -> Tile:
    table = table_for(view.case.model, dataset)
    prediction = prediction if table is None else map_prediction(prediction, table)
    if isinstance(prediction, Instances):
        prediction = _sure(prediction, INSTANCE_SCORE if drawn is None else drawn)
    if isinstance(prediction, PromptedMasks):
        prediction = _as_asked(prediction, dataset.target(image_id).instances)
    classes = view.task.classes
    if isinstance(prediction, Instances):
        nothing = background_class(classes)
        labels = semantic_from_instances(prediction, tau=0.0, background=nothing, num_classes=len(classes)).labels
    else:
        labels = semantic_from(prediction, classes).labels
    return Tile(labels, outlines(prediction), *_objects(prediction))


def _objects(prediction: Prediction) -> tuple[NDArray[np.int32], NDArray[np.int64]] | tuple[()]:
    """Number of the object on each pixel, from 1, the surest on top, and the class of each; nothing of a label map."""
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


def _sure(instances: Instances, score: float) -> Instances:
    """Those that are painted; models list hundreds of unsure ones for the sake of AP."""
    kept = instances.scores >= score
    return Instances(instances.masks[kept], instances.class_ids[kept], instances.scores[kept], instances.crowd[kept])


def _as_asked(predicted: PromptedMasks, truth: Instances | None) -> Instances:
    """Masks in the classes of the objects that were asked for: in a picture only, the model names none."""
    assert truth is not None  # the prompts were made from it
    class_ids = truth.class_ids[asked_for(truth)]
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


def _disagreement(labels: list[NDArray[np.uint8]]) -> float:
    """Share of pixels on which not all agree."""
    if len(labels) < 2:
        return 0.0
    stack = np.stack(labels)
    return float((stack != stack[0]).any(axis=0).mean())
