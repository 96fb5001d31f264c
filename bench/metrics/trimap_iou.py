"""Trimap IoU: mean intersection over union in a band along the true outlines.

What it measures:
    How well pixels near outlines are labelled, where nearly all errors of a good model lie.

Definition:
    The band is the pixels whose square of 2 r + 1 pixels holds a pixel of another true label; void is a label here, the
    edge of the image is no outline. Inside the band, mean IoU is computed as `mean_iou` does, counts pooled over all
    images, void left out. r is 5 pixels; a suite sets another width, as in `trimap_iou@3`.

When undefined:
    A class without true and predicted pixels in any band has no value; without any such class there is no mean.

Differs from:
    Papers draw the band by a disk or along void regions and show a curve over widths: list several widths in a suite.
    `boundary_iou` compares both outlines' rims, this the labels near the true outlines only, so a sloppy outline far
    from a true one costs nothing here.

Source:
    Kohli, Ladický, Torr, Robust Higher Order Potentials, IJCV 2009, §5; Chen et al., DeepLab, TPAMI 2018, §4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.metrics._semantic import ConfusionMetric, Formula, as_label_maps, class_iou, class_mean
from bench.records import ClassSpec, void_of
from bench.records.predictions import Prediction, SemanticMap

WIDTH = 5
_DEFINITION = (
    "mean over classes of true positives / union among pixels within {} pixels of another true label (a square), "
    "counts pooled over images, void left out"
)


def band(labels: NDArray[Any], width: int) -> NDArray[np.bool_]:
    """Return which pixels have another label within a square of 2 * width + 1 pixels, bool, (H, W)."""
    square = np.ones((2 * width + 1, 2 * width + 1), dtype=np.uint8)
    labels = np.ascontiguousarray(labels)
    return np.asarray(cv2.dilate(labels, square) != cv2.erode(labels, square))


@dataclass(frozen=True)
class TrimapMetric(ConfusionMetric):
    """A metric of confusion counts in a band along the true outlines.

    Attributes:
        width: r, pixels on both sides of an outline.
    """

    width: int = WIDTH

    def observe(self, target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> NDArray[np.int64]:
        """Count the pixels of the band of one image by (true class, predicted class or none), shape (K, K + 1)."""
        true_map, predicted_map = as_label_maps(target, predicted)
        labels = true_map.labels
        near = np.where(band(labels, self.width), labels, labels.dtype.type(void_of(labels)))
        return super().observe(SemanticMap(near), predicted_map, classes)

    def at(self, width: float) -> TrimapMetric:
        """Return the metric for another width; one that is no whole number is rounded up."""
        pixels = int(np.ceil(width))
        return self.renamed(width, width=pixels, definition=_DEFINITION.format(pixels))


METRIC = TrimapMetric(
    name="trimap_iou",
    label="trimap IoU",
    definition=_DEFINITION.format(WIDTH),
    formula=Formula(
        headline=class_mean(class_iou),
        undefined_because="no class occurs in a band along an outline",
        per_class=class_iou,
    ),
    statistic="trimap_iou",
)
