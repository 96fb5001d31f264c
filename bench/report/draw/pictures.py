"""Chooses the pictures that a run gives and fills them from its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from bench.data.labels.dataset import open_labelled
from bench.errors import BenchError
from bench.records import digest
from bench.records.compiled import give_back_freed_memory
from bench.records.damage import content_of, json_of
from bench.records.names import harness_root
from bench.records.store import layout
from bench.records.store.files import content_sha256, file_state, write_atomically
from bench.records.store.views import CaseView, RunView
from bench.report.draw.accuracy_latency import AccuracyPoint, accuracy_latency
from bench.report.draw.contact_sheet import SheetRow, contact_sheet
from bench.report.draw.curves import draw_curves
from bench.report.draw.figure import LETTERS, draw, missing_letters, told_of
from bench.report.draw.numbers import share_of, significant, with_interval
from bench.report.draw.recipes import draw_recipes
from bench.report.draw.stage_times import StageBar, stage_times
from bench.report.draw.tiles import (
    finest,
    ground_truth_tile,
    predicted_labels,
    predicted_tile,
    score_to_draw,
    shown_image,
)
from bench.report.draw.training_pictures import draw_training
from bench.report.summary import grouped
from bench.report.summary.rows import Row, best_cases
from bench.report.summary.stored import summary_key
from bench.report.summary.summarise import RunSummary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHEET = "contact_sheet"
SHEET_IMAGES = 5
SHEET_CANDIDATES, MOST_TILES = 40, 400
"""Images that are tried for a sheet, and predictions that are looked at for it: of many models fewer images."""
MOST_SHOWN = 24
"""Models in a contact sheet, and trainings whose curves are drawn: of more those with the best headline."""
MOST_BARS = 40
"""Rows in the plot of stage times."""


@dataclass(frozen=True)
class Pictures:
    """Pictures that were drawn, and those that could not be, with the reason."""

    drawn: tuple[Path, ...]
    left_out: tuple[str, ...]


def draw_pictures(run: RunView, summary: RunSummary, folder: Path, show_from: float | None = None) -> Pictures:
    """Draw every picture the run has data for.

    Args:
        run: The run, with its files.
        summary: Summary of the run.
        folder: Folder that gets the pictures.
        show_from: Score from which objects are drawn, of every model; by default `drawn_from` of each.

    A contact sheet is left out where its data set is not on this machine: all else in a report
    comes from the run's own files.
    """
    with missing_letters() as letters:
        pictures = _drawn(run.unshifted, summary, folder, show_from)
    return replace(pictures, left_out=(*pictures.left_out, *told_of(letters)))


def _drawn(run: RunView, summary: RunSummary, folder: Path, show_from: float | None) -> Pictures:
    made = []
    if points := accuracy_points(summary):
        made.append(draw(folder / "accuracy_latency.png", accuracy_figure, summary, points))
    if bars := stage_bars(summary):
        made.append(draw(folder / "stage_times.png", stage_times, bars))
    made += draw_curves(summary, folder)
    every = [view for view in run.cases if view.train is not None]
    trained = _best(every, summary)
    made += draw_training(replace(run, cases=tuple(trained)), summary, folder, alone=len(trained) == len(every))
    made += draw_recipes(summary, folder)
    left_out = _crowded(run, summary)
    predicted = (view for view in run.cases if view.predict is not None and view.predict.ok)
    for number, every in enumerate(grouped((view.case.dataset.label, view) for view in predicted).values()):
        label, views = every[0].case.dataset.label, _best(every, summary)
        if (less := len(every) - len(views)) > 0:
            left_out.append(f"{less} models in the contact sheet of {label}; {_the_best(MOST_SHOWN)}")
        try:
            rows = sheet_rows(views, show_from, shrink=True)
        except BenchError as error:
            left_out.append(f"the contact sheet of {label}: {error}")
            continue
        give_back_freed_memory()  # of the many images of which these were chosen
        path = folder / f"{SHEET}{f'@{layout.plain_name(label)}' if number else ''}.png"
        made.append(draw(path, contact_sheet, rows, classes=views[0].task.classes))
    return Pictures(tuple(made), tuple(left_out))


def _best(views: Sequence[CaseView], summary: RunSummary) -> list[CaseView]:
    """Return the cases with the best headline, as many as a picture can show, in their order."""
    ids = {view.case.id for view in views}
    rows = [row for row in summary.rows if row.case_id in ids]
    chosen = best_cases(rows, MOST_SHOWN, higher_is_better=summary.higher_is_better)
    return [view for view in views if view.case.id in chosen]


def _crowded(run: RunView, summary: RunSummary) -> list[str]:
    """Say what is not drawn of very many rows."""
    told = []
    timed = sum(row.latency is not None for row in summary.rows)
    trained = sum(view.train is not None for view in run.cases)
    if timed > MOST_BARS:
        told.append(f"stage times of {timed - MOST_BARS} rows; {_the_best(MOST_BARS)}, all are in the table")
    if trained > MOST_SHOWN:
        told.append(f"training curves of {trained - MOST_SHOWN} rows; {_the_best(MOST_SHOWN)}, in one picture")
    return told


def _the_best(count: int) -> str:
    return f"the {count} with the best score are drawn"


def accuracy_figure(summary: RunSummary, points: Sequence[AccuracyPoint]) -> Figure:
    """Return the headline against latency."""
    return accuracy_latency(
        points,
        score_label=summary.headline_in_unit,
        latency_label="end-to-end latency, median (ms per image)",
        higher_is_better=summary.higher_is_better,
    )


def accuracy_points(summary: RunSummary) -> list[AccuracyPoint]:
    """Return one point for every row with a score and a latency; an invalid one is shown and called so."""
    points = []
    for row in summary.rows:
        timing, score = row.timing(), row.headline
        if timing is None or timing.ms_per_image is None or score is None or score.value is None:
            continue
        ends = (timing.ms_per_image, timing.ms_per_image_low, timing.ms_per_image_high)
        label, share = _label(summary, row), row.pareto_probability
        front = "" if share is None else f", on the front in {share_of(share)} of the resamples"
        points.append(
            AccuracyPoint(
                label=label,
                score=score.value,
                score_low=score.low,
                score_high=score.high,
                latency_ms=ends[0],
                latency_low=ends[1],
                latency_high=ends[2],
                pareto_optimal=bool(row.pareto_optimal),
                group=f"{row.dataset} {row.target.split()[0]}",
                share="" if share is None else f" {share_of(share)}",
                told=f"{label}: {summary.headline} {with_interval(score.value, score.low, score.high, default=3)}, "
                f"{significant(ends[0])} ms ({significant(ends[1])}–{significant(ends[2])}){front}",
            )
        )
    return points


def stage_bars(summary: RunSummary) -> list[StageBar]:
    """Return a bar for every row whose stages were timed, of very many those with the best score."""
    bars = []
    shown = [row for row in summary.rows if row.latency is not None]
    chosen = best_cases(shown, MOST_BARS, higher_is_better=summary.higher_is_better)
    for row in (row for row in shown if row.case_id in chosen):
        stages = {name: timing.ms_per_image for name, timing in row.latency.stages.items()} if row.latency else {}
        if row.latency is None or all(value is None for value in stages.values()):
            continue
        end_to_end = row.latency.end_to_end_at(50.0)
        bars.append(StageBar(_label(summary, row), stages, end_to_end.ms_per_image if end_to_end else None))
    return bars


def _label(summary: RunSummary, row: Row) -> str:
    invalid = row.verdict is not None and row.verdict.state == "invalid"
    return summary.label_of(row) + (" (invalid)" if invalid else "")


def sheet_rows(views: list[CaseView], show_from: float | None = None, *, shrink: bool = False) -> list[SheetRow]:
    """Return the images on which the models disagree most, with what each predicted.

    Args:
        views: Cases of one data set, each with predictions; with one alone, those it gets most wrong.
        show_from: Score from which objects are drawn; None = `drawn_from` of each case.
        shrink: True leaves no more pixels than a sheet shows, see `SheetRow.shrunk`.

    Raises:
        DatasetError: If the data set cannot be opened.
    """
    first = views[0]
    dataset = open_labelled(first.case.dataset)
    ids = list(dataset.ids(first.case.dataset.test))[: first.case.dataset.max_images]
    # A fixed stride: the first images of a data set are often one scene.
    tried = min(SHEET_CANDIDATES, max(SHEET_IMAGES, MOST_TILES // len(views)))
    candidates = ids[:: max(1, len(ids) // tried)][:tried]
    pairs = [(view, score_to_draw(view, show_from)) for view in views]

    def told_apart(image_id: str) -> float:
        shown = [predicted_labels(view, image_id, dataset, tau) for view, tau in pairs]
        if len(views) == 1:  # nobody to disagree with but the ground truth
            shown.append(dataset.target(image_id).semantic.labels)
        return _disagreement([labels for labels in shown if labels is not None])

    # The tiles of all candidates together would be gigabytes: those of the few that are shown are made once more.
    chosen = sorted(candidates, key=lambda image_id: (-told_apart(image_id), image_id))[:SHEET_IMAGES]
    form = finest(views)

    def row(image_id: str) -> SheetRow:
        found = SheetRow(
            image_id=image_id,
            image=shown_image(dataset, image_id),
            ground_truth=ground_truth_tile(dataset.target(image_id), form),
            predictions=tuple(
                (_sheet_label(view, views, tau), predicted_tile(view, image_id, dataset, tau)) for view, tau in pairs
            ),
        )
        return found.shrunk() if shrink else found

    return [row(image_id) for image_id in chosen]


def _sheet_label(view: CaseView, views: list[CaseView], drawn: float | None) -> str:
    several = len({v.case.model.label for v in views}) < len(views)
    lines = [view.case.model.label]
    lines += [view.case.id.rpartition("@")[2]] if several else []
    return "\n".join([*lines, *([] if drawn is None else [f"score ≥ {drawn:g}"])])


def _disagreement(labels: list[NDArray[np.uint8]]) -> float:
    """Share of pixels on which not all agree."""
    if len(labels) < 2:
        return 0.0
    stack = np.stack(labels)
    return float((stack != stack[0]).any(axis=0).mean())


def drawn_once(
    run: RunView, summary: RunSummary, folder: Path, show_from: float | None = None, plots: Sequence[str] = ()
) -> Pictures:
    """Return `draw_pictures(run, summary, folder, show_from)`, drawn or as they lie in the folder.

    They are taken where they follow from the same facts and code and are, byte by byte, what was drawn.

    Args:
        run, summary, folder, show_from: The arguments of `draw_pictures` of the same names.
        plots: Forms that plots are written in beside PNG.
    """
    key, file = _key(run, summary, show_from, plots), folder / layout.DRAWN
    found = _kept(file, key)
    if found is not None:
        return found
    pictures = draw_pictures(run, summary, folder, show_from)
    if any(LETTERS in line for line in pictures.left_out):
        return pictures  # a font that is installed later changes them, and nothing else tells
    names = [path.name for path in pictures.drawn]
    names += [path.with_suffix(f".{form}").name for path in pictures.drawn for form in plots]
    hashes = {name: content_sha256(folder / name) for name in names}
    record = {
        "key": key,
        "drawn": [path.name for path in pictures.drawn],
        "left_out": pictures.left_out,
        "sha256": hashes,
    }
    write_atomically(file, json.dumps(record) + "\n")
    return pictures


def _kept(file: Path, key: str) -> Pictures | None:
    try:
        record = json_of(content_of(file))
        if record["key"] != key:
            return None
        hashes, folder = dict(record["sha256"]), file.parent
        if any(content_sha256(folder / name) != sha256 for name, sha256 in hashes.items()):
            return None
        drawn, left_out = [str(name) for name in record["drawn"]], [str(line) for line in record["left_out"]]
        return Pictures(tuple(folder / name for name in drawn if name in hashes), tuple(left_out))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _key(run: RunView, summary: RunSummary, show_from: float | None, plots: Sequence[str]) -> str:
    draws = sorted((harness_root() / "bench" / "report" / "draw").glob("*.py"))
    code: list[JsonValue] = [[file.name, [*(file_state(file) or ())]] for file in draws]
    # Columns of a table change the summary and no picture; when a run was planned, which each resume sets, neither.
    drawn = replace(run, plan=run.plan.model_copy(update={"planned_at": ""}))
    return digest([summary_key(drawn), len(summary.rows), show_from, [*plots], code])
