"""HD95, the 95th percentile of surface distances: the worst error of an outline, without its outliers.

What it measures:
    How far the outline of a class is off at its worse places, in millimetres where the data set knows the spacing of
    its pixels, else in pixels.

Definition:
    As `hausdorff`, with the 95th percentile in the place of the largest distance: the larger of the two percentiles,
    of the distances from the true surface to the predicted one and of those back. Percentiles are linear between
    neighbouring values. Lower is better.

When undefined:
    As `hausdorff`.

Differs from:
    `pooled`: the percentile of all distances of both directions together, as medpy has it; it is never larger. MONAI,
    Metrics Reloaded and surface-distance take the larger of two, as here. surface-distance weighs each distance by
    the length of outline that it stands for and takes the surface between pixels. `where_both_are`: images where
    the class is missed or invented are dropped, as most tools do, so that a model gains by missing. `per_image`:
    mean over the classes of each image, then over images.

Source:
    Maier-Hein et al., Metrics Reloaded, Nature Methods 2024; MONAI, `compute_hausdorff_distance(percentile=95)`;
    medpy, `metric.binary.hd95`.
"""

from bench.metrics._distance_measures import HD95

METRIC = HD95.over("image")
