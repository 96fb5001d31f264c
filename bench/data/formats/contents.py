"""What one image holds: the classes of its ground truth, and transparency that no model sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.image_files import alpha_varies
from bench.data.formats.label_tables import runs_of
from bench.dataset import Dataset, GroundTruth
from bench.errors import DatasetError
from bench.records import void_of
from bench.records.predictions import LabelMap


def classes_in(dataset: Dataset, truth: GroundTruth) -> list[int]:
    """Ids of the classes of an image, rising."""
    if "semantic" not in dataset.tasks and truth.instances is not None:
        return sorted(set(truth.instances.class_ids.tolist()))
    present = values_in(truth.semantic.labels)
    objects = [] if truth.instances is None else truth.instances.class_ids.tolist()
    return sorted({int(i) for i in present if i != void_of(truth.semantic.labels)} | set(objects))


def values_in(labels: LabelMap) -> NDArray[np.intp]:
    """The values that occur, rising."""
    return np.flatnonzero(np.bincount(runs_of(labels).values))


def dropped_alpha(image: Path) -> list[str]:
    """A message if the transparency of an image varies, which no model sees."""
    try:
        varies = alpha_varies(image)
    except DatasetError:  # bands that Pillow does not know
        varies = False
    return [f"{image}: its alpha channel varies, and is dropped, not blended"] if varies else []
