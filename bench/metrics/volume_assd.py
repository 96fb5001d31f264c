"""Average symmetric surface distance in three dimensions: of whole volumes, put together from their slices.

What it measures:
    As `assd`, with the surface of a body in the place of the outline in each slice: an error is measured to the
    nearest surface in any slice.

Definition:
    The slices of each volume that are scored are put together by their numbers; slices between them that are no images
    of the split are void. The surface of a body is the voxels of it with a neighbour (of six) outside it, distances are
    those of voxel centres, in millimetres where the spacing in all three directions is known, else in voxels. For each
    volume and class as `assd`; the mean over volumes, then over classes without background. A class that is missed
    or invented in a volume takes the volume's diagonal; both are counted. Lower is better.

When undefined:
    As `assd`, and where no image is a slice of a volume.

Differs from:
    `assd`, which measures slice by slice. Intervals leave out patients, or whatever the data set groups its
    slices by; volumes where it knows no groups.

Source:
    As `assd`.
"""

from __future__ import annotations

from bench.metrics._distance_measures import MEAN_OF_MEANS, POOLED_MEAN, VOLUME_STATISTIC, measures, worst
from bench.metrics._surface_metrics import SurfaceMetric

METRIC = SurfaceMetric(
    name="volume_assd",
    version=1,
    label="ASSD 3D",
    definition=(
        "mean over volumes and then classes without background of the mean distance between the surfaces, both "
        "directions pooled, mm where the spacing is known, else voxels; a class missed or invented in a volume takes "
        "its diagonal"
    ),
    statistic=VOLUME_STATISTIC,
    measures=measures,
    worst=worst,
    column=POOLED_MEAN,
    dialects={"mean_of_directed": MEAN_OF_MEANS},
    by_volume=True,
)
