"""The table over folds, and how it is to be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.report.summary.folds import AcrossFolds
from bench.report.summary.summarise import RunSummary

if TYPE_CHECKING:
    import pandas as pd

MISSING = "–"


def folds_table(summary: RunSummary) -> pd.DataFrame:
    """One row for each model that was cross-validated."""
    import pandas as pd

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
    return pd.DataFrame(rows)


def _spread(over: AcrossFolds) -> str:
    if over.mean is None:
        return MISSING
    return f"{over.mean:.3f}" if over.sd is None else f"{over.mean:.3f} ± {over.sd:.3f}"


def _pooled(over: AcrossFolds) -> str:
    return MISSING if over.pooled is None or over.pooled.value is None else f"{over.pooled.value:.3f}"


def folds_note(summary: RunSummary) -> str:
    """How the table over folds is to be read."""
    if not summary.fold_groups:
        return ""
    return (
        "pooled: the score of all folds' images together, each predicted by the model that was not trained on it; "
        "missing until every fold is scored. ± is the sample standard deviation over folds, which share training "
        "images: it is no interval."
    )
