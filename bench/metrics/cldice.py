"""Centreline Dice: whether thin structures are followed, and not cut.

What it measures:
    Topology of vessels, roads and other tubes: overlap of centre lines with areas, so that thick and thin branches
    weigh by their length.

Definition:
    The skeleton of a mask is scikit-image's `skeletonize`; void pixels are removed from both masks first.
    Precision is the share of the predicted skeleton that lies in the true mask, sensitivity the share of the true
    skeleton that lies in the predicted mask, and clDice their harmonic mean, for each image and class; 0 where one of
    the masks is empty. The mean over the images where the class is true or predicted, then over classes without
    background. Parts: both shares, averaged in the same way over the images where they are defined. It needs the
    package scikit-image: pip install 'segbench[topology]'.

When undefined:
    An image without true and predicted pixels of a class has no value for it.

Differs from:
    Soft clDice (a loss) thins by minima and maxima of probabilities. Other thinning (Lee's, medial axis) gives other
    skeletons. `pooled`: skeleton pixels pooled over all images.

Source:
    Shit et al., clDice, CVPR 2021, §3; jocpae/clDice, `cldice_metric/cldice.py`, with scikit-image's `skeletonize`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.metrics._class_sums import Sums, SumsMetric, f1_of, pooled_of, quotient
from bench.metrics._regions import class_masks, skeleton
from bench.records import ClassSpec
from bench.records.predictions import Prediction

SEEN_INSIDE, SEEN, TRUE_INSIDE, TRUE = range(4)
"""Columns: pixels of the predicted skeleton in the true mask and in all, of the true one in the predicted mask and in
all."""


def skeleton_sums(target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> Sums:
    """Count the skeletons' pixels of one image by class, float64, (K, 4)."""
    sums = np.zeros((len(classes), 4))
    for one in class_masks(target, predicted, classes):
        true_line, seen_line = skeleton(one.true), skeleton(one.seen)
        sums[one.class_id] = (
            (seen_line & one.true).sum(), seen_line.sum(), (true_line & one.seen).sum(), true_line.sum(),
        )  # fmt: skip
    return sums


PRECISION, SENSITIVITY = quotient(SEEN_INSIDE, SEEN), quotient(TRUE_INSIDE, TRUE)
CLDICE = f1_of(PRECISION, SENSITIVITY)

METRIC = SumsMetric(
    name="cldice",
    label="clDice",
    definition=(
        "mean over images and then classes without background of the harmonic mean of the shares of the predicted "
        "skeleton in the true mask and of the true skeleton in the predicted mask, skeletons by scikit-image"
    ),
    statistic="skeletons",
    observed=skeleton_sums,
    columns=4,
    formula=CLDICE,
    over="images",
    parts={"precision": PRECISION, "sensitivity": SENSITIVITY},
    dialects={"pooled": pooled_of(CLDICE)},
    needs={"skimage": "topology"},
)
