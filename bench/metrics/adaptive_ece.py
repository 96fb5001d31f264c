"""Adaptive calibration error: expected calibration error in bins of as many pixels each.

What it measures:
    As `ece`, where the confidences are: most pixels of a segmentation are claimed with more than 0.95, and all of them
    share one bin of equal width.

Definition:
    Pixels of all images are ordered by confidence, the probability of the class that is predicted, and cut into 15 bins
    of as many pixels each; pixels of one level of probability go to both sides of a cut in equal shares. The error is
    the mean over bins of |share right - mean confidence|. Void pixels are left out; a pixel whose prediction names no
    class has confidence 0.

When undefined:
    Without a pixel that is not void.

Differs from:
    Nixon et al. also average over classes, each one-versus-rest. Implementations that sort floats cut tied confidences
    in the order of the pixels; the stored levels, 256, have ties by design, so that they are shared.

Source:
    Nixon et al., Measuring Calibration in Deep Learning, CVPR Workshops 2019; Nguyen & O'Connor, EMNLP 2015.
"""

from bench.metrics._probabilities import ProbabilityMetric, equal_mass

METRIC = ProbabilityMetric(
    name="adaptive_ece",
    label="adaptive ECE",
    definition=(
        "mean over 15 bins of as many pixels each, by the predicted class's probability, of |share right - mean "
        "confidence|, pixels pooled over images, void left out"
    ),
    formula=lambda counts: equal_mass(counts).gap(),
    higher_is_better=False,
)
