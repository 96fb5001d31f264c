"""Selective accuracy: how right a model is on the pixels that it is surest of.

What it measures:
    Whether low confidence finds the errors, so that these pixels can be left to a person. It asks for the order of
    confidences alone, not for calibration.

Definition:
    Pixels of all images are ordered by confidence, the probability of the class that is predicted, the surest first.
    The score is the share of right ones among the first 80 % (the coverage); a suite sets another, as in
    `selective_accuracy@0.5`. Pixels of one level of probability are passed in equal shares. Void pixels are left out; a
    pixel whose prediction names no class has confidence 0 and is wrong. Parts: the accuracy at full coverage, and the
    area under the risk-coverage curve (AURC), the mean share of wrong pixels over all coverages, the lower the better.

When undefined:
    Without a pixel that is not void.

Differs from:
    Works that leave whole images out average confidences over an image first. AURC of a finite sample is a mean over
    its pixels (Geifman et al.); this is its limit with ties shared, equal to within one part in the number of pixels.

Source:
    Geifman & El-Yaniv, Selective Classification for Deep Neural Networks, NeurIPS 2017; Geifman, Uziel & El-Yaniv,
    Bias-Reduced Uncertainty Estimation, ICLR 2019 (AURC).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from bench.metrics._probabilities import Counts, ProbabilityMetric, right_among, risk_area

COVERAGE = 0.8
_DEFINITION = (
    "share of right pixels among the {:g} % with the largest probability of the predicted class, pixels pooled over "
    "images, void left out"
)


@dataclass(frozen=True, kw_only=True)
class SelectiveAccuracy(ProbabilityMetric):
    """Accuracy at a coverage."""

    largest: float = 1.0

    def at(self, coverage: float) -> SelectiveAccuracy:
        """Return the metric at another coverage, above 0 and at most 1."""
        return self.renamed(
            coverage,
            statistic=self.statistic,
            label=f"accuracy of the surest {100 * coverage:g} %",
            definition=_DEFINITION.format(100 * coverage),
            formula=partial(right_among, share=coverage),
        )


COVERAGES = tuple(step / 50 for step in range(1, 51))


def risk_coverage(counts: Counts) -> list[tuple[float, float]]:
    """Return (coverage, share of wrong pixels among the surest), for a curve; nothing without pixels."""
    known = np.asarray(counts, dtype=np.float64)
    return [(share, 1 - float(right_among(known, share))) for share in COVERAGES] if known.any() else []


METRIC = SelectiveAccuracy(
    name="selective_accuracy",
    label=f"accuracy of the surest {100 * COVERAGE:g} %",
    definition=_DEFINITION.format(100 * COVERAGE),
    formula=partial(right_among, share=COVERAGE),
    parts={"at full coverage": partial(right_among, share=1.0), "AURC": risk_area},
)
