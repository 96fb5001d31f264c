"""Probabilities of each class and pixel, stored beside the predictions of a job; nothing of it is timed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.adapter import Adapter, predict, predict_with_probabilities
from bench.data.labels.dataset import open_labelled
from bench.dataset import has_validation
from bench.errors import ShapeError, Unsupported
from bench.records import Job, Size
from bench.records.predictions import Prediction, RgbImage
from bench.records.probabilities import QUANTISATION_ERROR, ClassProbabilities, quantised, save_probabilities
from bench.records.store import layout
from bench.records.store.prediction_index import write_index
from bench.run.worker.images import Images
from bench.run.worker.prefetch import loaded_batches

Probabilities: TypeAlias = Sequence[NDArray[np.floating]]
"""Probabilities of each image of a batch, (K, H, W), 0 to 1."""


class KeptProbabilities:
    """Stores the probabilities of a split with their hashes.

    Attributes:
        bytes: Size of the files that were written.
    """

    def __init__(self, job: Job, folder: Path) -> None:
        """Make the folder."""
        self._job, self._folder = job, folder
        self._hashes: dict[str, str] = {}
        self.bytes = 0
        folder.mkdir(exist_ok=True)

    def keep(self, ids: Sequence[str], batch: Sequence[RgbImage], found: Probabilities) -> None:
        """Round the probabilities of a batch and write them; raises `ShapeError` if they are none."""
        if len(found) != len(ids):
            raise ShapeError(
                f"{self._job.model.label} returned probabilities of {len(found)} images for a batch of {len(ids)}; "
                "see adapters/README.md, rule 3"
            )
        classes, label = len(self._job.task.classes), self._job.model.label
        for image_id, image, values in zip(ids, batch, found, strict=True):
            size = Size(*image.shape[:2])
            self.keep_one(image_id, quantised(values, num_classes=classes, size=size, image_id=image_id, model=label))

    def keep_one(self, image_id: str, probabilities: ClassProbabilities) -> None:
        """Write the probabilities of an image."""
        self._hashes[image_id] = probabilities.content_hash()
        save_probabilities(probabilities, self._folder, image_id)
        self.bytes += (self._folder / f"{image_id}.png").stat().st_size

    def close(self) -> None:
        """Write the index of hashes."""
        write_index(self._folder, self._hashes)

    def finished(self, adapter: Adapter, folder: Path) -> dict[str, Any]:
        """Write the index, store those of the validation split if they are wanted, and return what to report of it."""
        self.close()
        validation = keep_validation(self._job, folder, adapter) if "validation" in self._job.keep else 0
        return {"kept_bytes": self.bytes + validation, "quantisation_error": QUANTISATION_ERROR}


def predicted(adapter: Adapter, batch: Sequence[RgbImage], job: Job) -> tuple[list[Prediction], Probabilities]:
    """Return the predictions of a batch, and its probabilities where they are kept, else none."""
    return predict_with_probabilities(adapter, batch) if job.keep else (predict(adapter, batch), [])


def keep_validation(job: Job, folder: Path, adapter: Adapter) -> int:
    """Store the probabilities of the validation split, on which thresholds are chosen; returns their bytes.

    Nothing is stored where the data set has no such split apart from the scored one.
    """
    dataset = open_labelled(job.dataset)
    if not has_validation(job.dataset, dataset):
        return 0
    kept = KeptProbabilities(job, folder / layout.VALIDATION)
    for ids, batch in loaded_batches(Images(dataset, tuple(dataset.ids(job.dataset.val))), job.target.batch_size):
        kept.keep(ids, batch, predict_with_probabilities(adapter, batch)[1])
    kept.close()
    return kept.bytes


def refuse_other_tasks(job: Job) -> None:
    """Refuse to keep probabilities of what labels no pixels; raises `Unsupported`."""
    if job.keep and job.task.kind != "semantic":
        raise Unsupported(
            f"{job.model.label} makes {job.task.kind} predictions; keep: probabilities is for models that label pixels"
        )
