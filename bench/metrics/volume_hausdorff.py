"""Hausdorff distance in three dimensions: of whole volumes, put together from their slices.

What it measures:
    As `hausdorff`, with the surface of a body in the place of the outline in each slice: an error is measured to the
    nearest surface in any slice.

Definition:
    As `volume_hd95`, for each volume and class as `hausdorff`. Lower is better.

When undefined:
    As `volume_hd95`.

Differs from:
    `hausdorff`, which measures slice by slice, as `volume_hd95` differs from `hd95`.

Source:
    As `hausdorff`.
"""

from bench.metrics._distance_measures import HAUSDORFF

METRIC = HAUSDORFF.over("volume")
