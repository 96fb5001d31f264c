"""The tables of trainings: how each was done, what it made of its budget, and what seeds and folds change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from bench.records import Recipe
from bench.report.draw.numbers import MISSING, count, fixed, with_interval
from bench.report.summary.folds import AcrossFolds
from bench.report.summary.rows import Row
from bench.report.summary.seeds import AcrossSeeds
from bench.report.summary.summarise import RunSummary
from bench.report.summary.training_progress import SHARES, TrainingProgress
from bench.report.tables import headline_cell, yes_or_no
from bench.report.text_table import TextTable
from bench.score.stats.pareto import Point, pareto_front


def training_table(summary: RunSummary) -> TextTable:
    """Return how each model was trained."""
    any_waited = any(row.trained_data_wait_s is not None for row in summary.rows)
    return TextTable(
        {
            **summary.columns_of(row),
            "training s": fixed(row.trained_s, 1),
            "steps/s": _steps_per_s(row),
            **({"waiting for data": _data_wait(row)} if any_waited else {}),
            "seed": count(row.recipe.seed) if row.recipe else MISSING,
            "batch": count(row.recipe.batch_size) if row.recipe else MISSING,
            "loss": row.recipe.loss if row.recipe else MISSING,
            "optimiser": f"{row.recipe.optimizer} {row.recipe.learning_rate:g}" if row.recipe else MISSING,
            "arithmetic": _arithmetic(row.recipe),
        }
        for row in summary.rows
        if row.trained_steps is not None
    )


def budget_table(summary: RunSummary) -> TextTable:
    """Return what each training made of its budget: how far, how fast, and how good on the way and at the end."""
    cheap = _cheap_and_good(summary)
    names = dict.fromkeys(row.course.validated for row in summary.rows if row.course and row.course.validated)
    rows = []
    for row in summary.rows:
        course = row.course
        if course is None:
            continue
        entry = {
            **summary.columns_of(row),
            "training s": f"{course.train_s:.1f}",
            "steps": count(course.steps),
            "images seen": count(course.images),
            "images/s": fixed(course.images_per_s, 1),
            **{column: text for name in names for column, text in _at_shares(course, name).items()},
            **({"s to 90 % of final": fixed(course.nearly_s, 1)} if names else {}),
            "best step": count(course.best_step),
            f"test {summary.headline_in_unit}": headline_cell(row),
        }
        if cheap is not None:
            entry["none better in less training"] = yes_or_no(cheap.get(row.case_id))
        rows.append(entry)
    return TextTable(rows)


def _at_shares(course: TrainingProgress, name: str) -> dict[str, str]:
    """Return the columns of one validated quantity; a training that validated another one has dashes."""
    values = course.at_shares if course.validated == name else (None,) * len(SHARES)
    return {f"val {name} at {100 * share:g} % (0–1)": fixed(value) for share, value in zip(SHARES, values, strict=True)}


DEARER = 1.1
"""Ratio of the longest to the shortest training from which it is told who is better in less time."""


def _cheap_and_good(summary: RunSummary) -> dict[str, bool] | None:
    """Return case id -> whether test score and training seconds make it Pareto-optimal on its data set.

    None where all trained equally long: then milliseconds would decide.
    """
    rows = [r for r in summary.rows if r.trained_s and r.headline is not None and r.headline.value is not None]
    seconds = [row.trained_s or 0.0 for row in rows]
    if not rows or max(seconds) < DEARER * min(seconds):
        return None
    sign = 1 if summary.higher_is_better else -1
    found: dict[str, bool] = {}
    for dataset in {row.dataset for row in rows}:
        group = [row for row in rows if row.dataset == dataset]
        values = [row.headline.value or 0.0 for row in group if row.headline is not None]
        front = pareto_front([Point(sign * v, row.trained_s or 0.0) for v, row in zip(values, group, strict=True)])
        found |= {row.case_id: index in front for index, row in enumerate(group)}
    return found


def seeds_table(summary: RunSummary) -> TextTable:
    """Return every score of the suite over the seeds of each model."""
    several = len({group.dataset for group in summary.seed_groups}) > 1
    targets = len({group.target for group in summary.seed_groups}) > 1
    return TextTable(
        {
            "model": group.model,
            **({"data set": group.dataset} if several else {}),
            **({"target": group.target} if targets else {}),
            "seeds": ", ".join(str(seed) for seed in group.seeds),
            **_metric_cells(summary, group.metrics, _over_seeds),
        }
        for group in summary.seed_groups
    )


Over = TypeVar("Over", AcrossSeeds, AcrossFolds)


def _metric_cells(
    summary: RunSummary, metrics: Sequence[Over], cells_of: Callable[[str, Over], dict[str, str]]
) -> dict[str, str]:
    cells: dict[str, str] = {}
    for over in metrics:
        cells |= cells_of(summary.headings.get(over.metric, over.metric), over)
    return cells


def _over_seeds(label: str, over: AcrossSeeds) -> dict[str, str]:
    return {
        f"{label}, mean": with_interval(over.mean, over.low, over.high, default=3),
        f"{label}, sd": fixed(over.sd, 4),
        f"{label}, error of images": fixed(over.error_of_images, 4),
    }


def _data_wait(row: Row) -> str:
    """Return the share of its training time in which a training waited for batches, or made them."""
    if not row.trained_s or row.trained_data_wait_s is None:
        return MISSING
    return f"{100 * row.trained_data_wait_s / row.trained_s:.0f} %"


def _steps_per_s(row: Row) -> str:
    return MISSING if not row.trained_s or row.trained_steps is None else f"{row.trained_steps / row.trained_s:.3g}"


def _arithmetic(recipe: Recipe | None) -> str:
    if recipe is None:
        return MISSING
    return recipe.precision + (", channels last" if recipe.channels_last else "")


def folds_table(summary: RunSummary) -> TextTable:
    """Return one row for each model that was cross-validated."""
    targets = len({group.target for group in summary.fold_groups}) > 1
    return TextTable(
        {
            "model": group.model,
            "data set": group.dataset,
            **({"target": group.target} if targets else {}),
            "folds": f"{len(group.folds)} of {group.of}",
            "images": str(group.images),
            **_metric_cells(summary, group.metrics, _over_folds),
        }
        for group in summary.fold_groups
    )


def _over_folds(label: str, over: AcrossFolds) -> dict[str, str]:
    spread = "" if over.sd is None else f" ± {over.sd:.3f}"
    return {
        f"{label}, mean ± sd over folds": f"{fixed(over.mean)}{spread}",
        f"{label}, pooled": fixed(over.pooled.value if over.pooled else None),
    }


def folds_note(summary: RunSummary) -> str:
    """Return how the table over folds is to be read."""
    if not summary.fold_groups:
        return ""
    return (
        "pooled: the score of all folds' images together, each predicted by the model that was not trained on it; "
        "missing until every fold is scored. ± is the sample standard deviation over folds, which share training "
        "images: it is no interval." + "".join(f" {line}" for line in _differences(summary))
    )


def _differences(summary: RunSummary) -> list[str]:
    """Return a sentence for each pair of models: how far apart they are on all folds' images, and in how many folds."""
    told = []
    for group in summary.fold_groups:
        for one in group.differences:
            if one.difference is None:
                continue
            interval = "" if one.low is None else f", 95 % interval {one.low:+.3f} to {one.high:+.3f} paired by image"
            apart = one.low is not None and one.high is not None and (one.low > 0 or one.high < 0)
            verdict = "" if apart or not interval else ": no significant difference"
            told.append(
                f"{group.model} less {one.other}, {summary.headings.get(one.metric, one.metric)} of all {one.images} "
                f"images: {one.difference:+.3f}{interval}, higher in {one.higher} of {one.folds} folds{verdict}."
            )
    return told
