"""Four drawn scenes with their ground truth, and readers of predictions of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.adapter import ModelSpec
from bench.data.labels.dataset import open_labelled
from bench.data.predictions.reading import Reader, kind_of, open_predictions
from bench.dataset import Dataset
from bench.records import DatasetSpec

SPEC = DatasetSpec(name="shapes", label="shapes", options={"preset": "easy", "size": [40, 56], "test": 4})


def scenes() -> tuple[Dataset, tuple[str, ...]]:
    """The data set, and the ids of its scored images."""
    dataset = open_labelled(SPEC)
    return dataset, tuple(dataset.ids("test"))


def reader(root: Path, dataset: Dataset, spec: DatasetSpec = SPEC, **options: Any) -> Reader:
    """The predictions at a place, opened for the test split."""
    given = {"root": str(root), **options}
    model = ModelSpec(
        name="predictions/files",
        label="files",
        adapter="predictions",
        task=kind_of(given),
        description="",
        options=given,
        weights=str(root),
        trained_on=None,
    )
    return open_predictions(model, spec, dataset)
