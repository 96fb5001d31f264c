"""Boundary F1, the BF score: how much of the outlines is traced, and how much of what is traced is an outline.

What it measures:
    Precision and recall of outlines within a tolerance.

Definition:
    Surfaces and distances are those of `hausdorff`. For each image and class, precision is the share of the predicted
    surface within the tolerance of the true one, recall the share of the true surface within it of the predicted one,
    and the value their harmonic mean, 0 where both are 0. The tolerance is 0.75 % of the image's diagonal; a suite
    sets another one, in mm or pixels, as in `boundary_f1@2`. The value of a class is the mean over the images where
    it is true or predicted, the headline the mean over classes without background. A class that is missed in an
    image, or invented, has 0; both are counted. Parts: precision and recall, averaged in the same way.

When undefined:
    As `hausdorff`.

Differs from:
    Csurka et al. average over the classes of each image and then over images: `per_image`. MATLAB's `bfscore` traces
    outlines likewise and compares distances with `<`. DAVIS dilates outlines by a disk instead of measuring. `nsd`
    pools both directions. `boundary_iou` has no tolerance but a width. `where_both_are`: images where the class is
    missed or invented are dropped.

Source:
    Csurka et al., What is a good evaluation measure for semantic segmentation?, BMVC 2013.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.metrics._surface_metrics import ToleranceMetric
from bench.metrics._surfaces import Distances

SHARE_OF_DIAGONAL = 0.0075
F1, PRECISION, RECALL = range(3)


def f1_within(tolerance: float | None) -> Callable[[Distances, float], Sequence[float]]:
    """Return the measures: F1, precision and recall of a surface within the tolerance."""

    def measure(found: Distances, longest: float) -> Sequence[float]:
        limit = SHARE_OF_DIAGONAL * longest if tolerance is None else tolerance
        precision, recall = (float((one <= limit).mean()) for one in (found.to_target, found.to_predicted))
        both = precision + recall
        return (2 * precision * recall / both if both else 0.0, precision, recall)

    return measure


_TOLD = (
    "mean over images and then classes without background of the harmonic mean of the shares of the predicted and of "
    "the true surface within {} of the other; a class missed or invented in an image has 0"
)

METRIC = ToleranceMetric(
    name="boundary_f1",
    label="BF",
    definition=_TOLD.format("0.75 % of the diagonal"),
    statistic="boundary_f1",
    measures=f1_within(None),
    worst=lambda _: (0.0, 0.0, 0.0),
    parts={"precision": PRECISION, "recall": RECALL},
    tolerant=f1_within,
    told=_TOLD,
)
