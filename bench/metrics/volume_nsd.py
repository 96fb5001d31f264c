"""Normalised surface distance in three dimensions: of whole volumes, put together from their slices.

What it measures:
    As `nsd`, with the surface of a body in the place of the outline in each slice.

Definition:
    Volumes, surfaces and distances are those of `volume_hd95`, the share within the tolerance that of `nsd`: 2 mm, or
    2 voxels where the spacing is not known; a suite sets another one as in `volume_nsd@1`. The mean over volumes, then
    over classes without background. A class that is missed or invented in a volume has 0; both are counted.

When undefined:
    As `nsd`, and where no image is a slice of a volume.

Differs from:
    `nsd`, which measures slice by slice. surface-distance (DeepMind) counts areas of surface between voxels.

Source:
    As `nsd`.
"""

from bench.metrics._surface_metrics import ToleranceMetric
from bench.metrics.nsd import share_within

_TOLD = (
    "mean over volumes and then classes without background of the share of both surfaces within {} of the other; a "
    "class missed or invented in a volume has 0"
)

METRIC = ToleranceMetric(
    name="volume_nsd",
    label="NSD 3D",
    definition=_TOLD.format("2 mm, or voxels where the spacing is not known,"),
    statistic="volume_nsd",
    measures=share_within(None),
    by_volume=True,
    tolerant=share_within,
    told=_TOLD,
)
