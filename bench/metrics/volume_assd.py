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

from bench.metrics._distance_measures import ASSD

METRIC = ASSD.over("volume")
