"""Average symmetric surface distance: how far an outline is off on average.

What it measures:
    The mean error of the outline of a class, in millimetres where the data set knows the spacing of its pixels, else
    in pixels.

Definition:
    As `hausdorff`, with a mean in the place of the largest distance: over all surface pixels of both masks, each
    with its distance to the nearest one of the other mask. Lower is better.

When undefined:
    As `hausdorff`.

Differs from:
    `mean_of_directed`: the mean of the two directions' means, as medpy's `assd` has it, which weighs the smaller
    surface's pixels more. `where_both_are`: images where the class is missed or invented are dropped. `per_image`:
    mean over the classes of each image, then over images. surface-distance weighs each distance by its length of
    outline.

Source:
    Heimann et al., Comparison and Evaluation of Methods for Liver Segmentation, TMI 2009; Maier-Hein et al., Metrics
    Reloaded, Nature Methods 2024.
"""

from bench.metrics._distance_measures import ASSD

METRIC = ASSD.over("image")
