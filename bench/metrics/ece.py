"""Expected calibration error: how far claimed probabilities are from the share that is right.

What it measures:
    Whether a pixel that is claimed with probability 0.8 is right in 80 % of the cases. 0 is perfect.

Definition:
    The confidence of a pixel is the probability of the class that is predicted. Pixels of all images are put into 15
    bins of confidence of equal width, the upper end of each within it. ECE is the mean over pixels of
    |share right - mean confidence| of their bin. Void pixels are left out; a pixel whose prediction names no class has
    confidence 0. Parts: the largest gap of a bin (MCE), the mean confidence, the accuracy, and their difference, above
    0 where a model claims too much. Probabilities are stored in 256 levels, which moves each by at most 0.002.

When undefined:
    Without a pixel that is not void.

Differs from:
    torchmetrics' `CalibrationError` and netcal put a confidence that is an edge into the bin above it; ours into the
    one below, as Guo et al. do. MONAI's `CalibrationErrorMetric` has bins for each class one-versus-rest, and averages.
    `adaptive_ece` has bins of as many pixels each: most pixels of a segmentation lie in the topmost bin of equal width.

Source:
    Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 3; Naeini et al., AAAI 2015.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.metrics._bootstrap import ratio
from bench.metrics._probabilities import ALL, PROBABILITY, RIGHT, Counts, ProbabilityMetric, equal_width


def mean_confidence(counts: Counts) -> NDArray[np.float64]:
    """Return what pixels claim on average, (...)."""
    return ratio((counts[..., ALL] * PROBABILITY).sum(axis=-1), counts[..., ALL].sum(axis=-1))


def accuracy(counts: Counts) -> NDArray[np.float64]:
    """Return the share of right pixels, (...)."""
    return ratio(counts[..., RIGHT].sum(axis=-1), counts[..., ALL].sum(axis=-1))


def reliability(counts: Counts) -> list[tuple[float, float, float]]:
    """Return (mean confidence, share right, share of all pixels) of each bin that has pixels, for a diagram."""
    bins = equal_width(np.asarray(counts, dtype=np.float64))
    total = float(bins.pixels.sum())
    return [
        (float(claimed / pixels), float(right / pixels), float(pixels / total))
        for pixels, claimed, right in zip(bins.pixels, bins.confidence, bins.right, strict=True)
        if pixels
    ]


METRIC = ProbabilityMetric(
    name="ece",
    label="ECE",
    definition=(
        "mean over pixels of |share right - mean confidence| in 15 bins of equal width of the predicted class's "
        "probability, pixels pooled over images, void left out"
    ),
    formula=lambda counts: equal_width(counts).gap(),
    parts={
        "largest gap": lambda counts: equal_width(counts).largest_gap(),
        "mean confidence": mean_confidence,
        "accuracy": accuracy,
        "overconfidence": lambda counts: mean_confidence(counts) - accuracy(counts),
    },
    higher_is_better=False,
)
