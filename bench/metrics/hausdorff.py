"""Hausdorff distance: the worst error of an outline.

What it measures:
    How far the outline of a class is off where it is off most, in millimetres where the data set knows the spacing of
    its pixels, else in pixels. One stray pixel decides it; `hd95` is the usual remedy.

Definition:
    The surface of a mask is the pixels of it that have a neighbour (above, below, left, right) outside it; what lies
    outside the image is outside the mask. For each image and class, the largest distance from a surface pixel of
    either mask to the nearest one of the other. The value of a class is the mean over the images where it is true or
    predicted, the headline the mean over classes; the background is left out. A class that is missed in an image, or
    invented, takes the diagonal of the image; both are counted. Void pixels are removed from both masks first. Lower
    is better.

When undefined:
    A class that is neither true nor predicted in an image has no value there. Without any class there is none, and
    none where the spacing of some images is known and of others is not.

Differs from:
    MONAI and others drop images where one mask is empty (nan or infinity), so that a model gains by missing:
    `where_both_are` is their number. `per_image`: mean over the classes of each image, then over images. Some tools
    take distances to any pixel of the other mask, not to its surface, or surfaces between pixels.

Source:
    Huttenlocher et al., Comparing Images Using the Hausdorff Distance, TPAMI 1993; Maier-Hein et al., Metrics
    Reloaded, Nature Methods 2024.
"""

from bench.metrics._distance_measures import HAUSDORFF

METRIC = HAUSDORFF.over("image")
