"""Normalised surface distance, also surface Dice: the share of the outline that is right within a tolerance.

What it measures:
    How much of the outline of a class needs no correction, if errors up to a tolerance are as good as none: the
    disagreement of two annotators, for example.

Definition:
    Surfaces and distances are those of `hausdorff`. For each image and class, the surface pixels of both masks whose
    distance to the other surface is at most the tolerance, over all surface pixels of both. The tolerance is 2 mm, or
    2 pixels where the spacing is not known; a suite sets another one as in `nsd@1.5`. The value of a class is the
    mean over the images where it is true or predicted, the headline the mean over classes without background. A class
    that is missed in an image, or invented, has 0; both are counted.

When undefined:
    As `hausdorff`.

Differs from:
    surface-distance (DeepMind) counts lengths of outline between pixels instead of surface pixels. MONAI's
    `compute_surface_dice` counts pixels, as here, and gives nan to an image where both masks are empty.
    `where_both_are`: images where the class is missed or invented are dropped. `per_image`: mean over the classes of
    each image, then over images. The boundary F1 of `boundary_f1` takes the harmonic mean of both directions' shares
    instead of pooling them.

Source:
    Nikolov et al., Clinically Applicable Segmentation of Head and Neck Anatomy for Radiotherapy, JMIR 2021;
    Maier-Hein et al., Metrics Reloaded, Nature Methods 2024.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bench.metrics._surface_metrics import ToleranceMetric
from bench.metrics._surfaces import Distances

TOLERANCE = 2.0
"""Millimetres, or pixels where the spacing is not known."""


def share_within(tolerance: float | None) -> Callable[[Distances, float], Sequence[float]]:
    """Return the measure: surface pixels of both masks within the tolerance, over all of them."""
    limit = TOLERANCE if tolerance is None else tolerance

    def measure(found: Distances, longest: float) -> Sequence[float]:
        del longest
        every = np.concatenate([found.to_predicted, found.to_target])
        return (float((every <= limit).mean()),)

    return measure


_TOLD = (
    "mean over images and then classes without background of the share of both surfaces within {} of the other; a "
    "class missed or invented in an image has 0"
)

METRIC = ToleranceMetric(
    name="nsd",
    label="NSD",
    definition=_TOLD.format("2 mm, or pixels where the spacing is not known,"),
    statistic="nsd",
    measures=share_within(None),
    tolerant=share_within,
    told=_TOLD,
)
