"""The tables of trainings: how each was done, what it made of its budget, and what its seeds change."""

from __future__ import annotations

from bench.records import Recipe
from bench.report.cells import headline_cell, yes_or_no
from bench.report.draw.numbers import MISSING, count, with_interval
from bench.report.summary.rows import Row
from bench.report.summary.seeds import AcrossSeeds
from bench.report.summary.summarise import RunSummary
from bench.report.summary.training_progress import SHARES, TrainingProgress
from bench.report.text_table import TextTable
from bench.score.stats.pareto import Point, pareto_front


def training_table(summary: RunSummary) -> TextTable:
    """Return how each model was trained."""
    any_waited = any(row.trained_data_wait_s is not None for row in summary.rows)
    rows = [
        {
            **summary.columns_of(row),
            "training s": MISSING if row.trained_s is None else f"{row.trained_s:.1f}",
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
    ]
    return TextTable(rows)


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
            "images/s": MISSING if course.images_per_s is None else f"{course.images_per_s:.1f}",
            **{column: text for name in names for column, text in _at_shares(course, name).items()},
            **(
                {"s to 90 % of final": MISSING if course.nearly_s is None else f"{course.nearly_s:.1f}"}
                if names
                else {}
            ),
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
    return {
        f"val {name} at {100 * share:g} % (0–1)": MISSING if value is None else f"{value:.3f}"
        for share, value in zip(SHARES, values, strict=True)
    }


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
    labels = {cell.score.metric: cell.label for row in summary.rows for cell in row.scores}
    several = len({group.dataset for group in summary.seed_groups}) > 1
    targets = len({group.target for group in summary.seed_groups}) > 1
    rows = [
        {
            "model": group.model,
            **({"data set": group.dataset} if several else {}),
            **({"target": group.target} if targets else {}),
            "seeds": ", ".join(str(seed) for seed in group.seeds),
            **{
                column: text
                for over in group.metrics
                for column, text in (
                    (f"{labels.get(over.metric, over.metric)}, mean", _over_seeds(over)),
                    (f"{labels.get(over.metric, over.metric)}, sd", MISSING if over.sd is None else f"{over.sd:.4f}"),
                    (f"{labels.get(over.metric, over.metric)}, error of images", _error_of_images(over)),
                )
            },
        }
        for group in summary.seed_groups
    ]
    return TextTable(rows)


def _over_seeds(over: AcrossSeeds) -> str:
    return with_interval(over.mean, over.low, over.high, default=3)


def _error_of_images(over: AcrossSeeds) -> str:
    return MISSING if over.error_of_images is None else f"{over.error_of_images:.4f}"


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
