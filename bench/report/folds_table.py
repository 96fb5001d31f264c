"""The table over folds, and how it is to be read."""

from __future__ import annotations

from bench.report.draw.numbers import MISSING
from bench.report.summary.folds import AcrossFolds
from bench.report.summary.summarise import RunSummary
from bench.report.text_table import TextTable


def folds_table(summary: RunSummary) -> TextTable:
    """Return one row for each model that was cross-validated."""
    labels = {cell.score.metric: cell.label for row in summary.rows for cell in row.scores}
    targets = len({group.target for group in summary.fold_groups}) > 1
    rows = [
        {
            "model": group.model,
            "data set": group.dataset,
            **({"target": group.target} if targets else {}),
            "folds": f"{len(group.folds)} of {group.of}",
            "images": str(group.images),
            **{
                column: text
                for over in group.metrics
                for column, text in (
                    (f"{labels.get(over.metric, over.metric)}, mean ± sd over folds", _spread(over)),
                    (f"{labels.get(over.metric, over.metric)}, pooled", _pooled(over)),
                )
            },
        }
        for group in summary.fold_groups
    ]
    return TextTable(rows)


def _spread(over: AcrossFolds) -> str:
    if over.mean is None:
        return MISSING
    return f"{over.mean:.3f}" if over.sd is None else f"{over.mean:.3f} ± {over.sd:.3f}"


def _pooled(over: AcrossFolds) -> str:
    return MISSING if over.pooled is None or over.pooled.value is None else f"{over.pooled.value:.3f}"


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
    labels = {cell.score.metric: cell.label for row in summary.rows for cell in row.scores}
    told = []
    for group in summary.fold_groups:
        for one in group.differences:
            if one.difference is None:
                continue
            interval = "" if one.low is None else f", 95 % interval {one.low:+.3f} to {one.high:+.3f} paired by image"
            apart = one.low is not None and one.high is not None and (one.low > 0 or one.high < 0)
            verdict = "" if apart or not interval else ": no significant difference"
            told.append(
                f"{group.model} less {one.other}, {labels.get(one.metric, one.metric)} of all {one.images} images: "
                f"{one.difference:+.3f}{interval}, higher in {one.higher} of {one.folds} folds{verdict}."
            )
    return told
