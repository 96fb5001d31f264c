"""HD95 of single objects: how far found outlines are off, and what misses cost.

What it measures:
    As `hd95`, object by object: outlines of instances, in millimetres where the data set knows the spacing, else
    pixels.

Definition:
    Detections with a score of at least 0.5 and true objects of one class are matched one to one in the order of falling
    intersection over union, from 0.5 on. The value of a matched pair is that of `hd95` for their two masks; a true
    object without a match, and a detection without one, take the diagonal of the image, and are counted. The value of a
    class is the mean over all of these in all images, the headline the mean over thing classes. A detection that lies
    to more than half in a crowd of its class and matches nothing is left out. Lower is better.

When undefined:
    A class without a true object and a detection has no value; and where the spacing of some images is known and of
    others is not.

Differs from:
    `where_both_are`: the mean over matched pairs alone, which gets better as a model misses more. `hd95` takes all
    pixels of a class in an image together.

Source:
    As `hd95`; Maier-Hein et al., Metrics Reloaded, Nature Methods 2024 (instance segmentation: boundary metrics per
    match).
"""

from bench.metrics._distance_measures import HD95

METRIC = HD95.over_objects()
