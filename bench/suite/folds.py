"""Cross-validation: a data set of a suite with `folds` is one data set for each fold."""

from __future__ import annotations

from pathlib import Path

from bench.errors import SuiteError
from bench.records import DatasetSpec
from bench.suite.schema import DatasetEntry


def fold_specs(entry: DatasetEntry, spec: DatasetSpec, source: Path) -> list[DatasetSpec]:
    """Return a data set once for each of its folds, told apart by label; unchanged without folds.

    Raises:
        SuiteError: If the entry also says which splits to use, or which fold.
    """
    if entry.folds is None:
        return [spec]
    said = sorted({"train", "val", "test"} & entry.model_fields_set) + sorted({"fold", "folds"} & set(entry.options))
    if said:
        raise SuiteError(
            f"{source}: data set {spec.label!r}: 'folds' makes the splits train, val and test of each fold; remove "
            f"{', '.join(repr(name) for name in said)}. Which of the data set's own splits are used is said by the "
            "option pool."
        )
    return [
        spec.model_copy(
            update={"label": f"{spec.label} fold {number}", "options": {**spec.options, "fold": number}},
        )
        for number in range(1, entry.folds + 1)
    ]
