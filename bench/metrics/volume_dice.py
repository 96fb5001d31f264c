"""Dice of whole volumes: the number of a medical paper's table.

What it measures:
    Overlap of organs or lesions, every patient's volume weighing the same.

Definition:
    For each volume and class, Dice = 2 true positives / (true + predicted voxels), counts pooled over the slices of
    the volume that are scored, void left out. The mean over the volumes where the class is true or predicted, then over
    classes without background. Parts: precision and recall, averaged in the same way where they are defined.

When undefined:
    A class that is neither true nor predicted in a volume has no value there. Without any class there is none, and none
    where no image is a slice of a volume.

Differs from:
    `dice` and `foreground_mean_dice`, which pool all volumes: `pooled`. Their `per_image` averages over slices, where
    slices without the organ weigh much. nnU-Net averages as here; MONAI gives an empty class nan or 1.

Source:
    Dice, Ecology 26 (1945); Isensee et al., nnU-Net, Nature Methods 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.metrics._bootstrap import ratio
from bench.metrics._class_sums import Sums, SumsMetric, pooled_of, quotient
from bench.metrics._confusion import confusion_counts
from bench.metrics._semantic import as_label_maps, class_totals
from bench.records import ClassSpec, background_class, void_of
from bench.records.predictions import SemanticMap

TRUE_POSITIVES, TRUE, SEEN = range(3)


def dice(sums: Sums) -> NDArray[np.float64]:
    """Twice the true positives over true and predicted voxels."""
    return ratio(2 * sums[..., TRUE_POSITIVES], sums[..., TRUE] + sums[..., SEEN])


def voxel_sums(target: SemanticMap, predicted: SemanticMap, classes: Sequence[ClassSpec]) -> Sums:
    """True positives, true and predicted voxels of each class but the background, float64, (K, 3)."""
    flat = [one.labels.reshape(-1, one.labels.shape[-1]) for one in (target, predicted)]
    totals = class_totals(confusion_counts(*flat, num_classes=len(classes), ignore=void_of(flat[0])))
    sums = np.stack([totals.true_positives, totals.target, totals.predicted], axis=-1).astype(np.float64)
    background = background_class(classes)
    if background is not None:
        sums[background] = 0
    return sums


@dataclass(frozen=True, kw_only=True)
class VolumeSumsMetric(SumsMetric):
    """A metric that is a formula of sums over a volume."""

    by_volume: bool = True

    def observe_volume(self, target: SemanticMap, predicted: SemanticMap, classes: Sequence[ClassSpec]) -> Sums:
        """Count the voxels of one volume, label maps of shape (S, H, W)."""
        return voxel_sums(target, predicted, classes)

    def empty(self, classes: Sequence[ClassSpec]) -> Sums:
        """Return the statistics of an image that has none of its own."""
        return np.zeros((len(classes), self.columns))


METRIC = VolumeSumsMetric(
    name="volume_dice",
    label="Dice 3D",
    definition=(
        "mean over volumes and then classes without background of 2 true positives / (true + predicted voxels), void "
        "left out"
    ),
    statistic="volume_counts",
    observed=lambda target, predicted, classes: voxel_sums(*as_label_maps(target, predicted), classes),  # one slice
    columns=3,
    formula=dice,
    undefined_because="no class but the background occurs in a slice of a volume",
    over="images",
    parts={"precision": quotient(TRUE_POSITIVES, SEEN), "recall": quotient(TRUE_POSITIVES, TRUE)},
    dialects={"pooled": pooled_of(dice)},
)
