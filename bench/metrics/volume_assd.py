"""Average symmetric surface distance in three dimensions: of whole volumes, put together from their slices.

What it measures:
    As `assd`, with the surface of a body in the place of the outline in each slice: an error is measured to the
    nearest surface in any slice.

Definition:
    As `volume_hd95`, for each volume and class as `assd`. Lower is better.

When undefined:
    As `volume_hd95`.

Differs from:
    `assd`, which measures slice by slice, as `volume_hd95` differs from `hd95`.

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
