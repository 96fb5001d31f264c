"""The distances of a class as numbers: greatest, 95th percentile in both conventions, and mean in both.

Each of them makes three metrics: the mean over images, over volumes, and over single objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.metrics._surface_metrics import ObjectDistanceMetric, SurfaceMetric
from bench.metrics._surfaces import Distances

GREATEST, LARGER_95, POOLED_95, POOLED_MEAN, MEAN_OF_MEANS = range(5)


def measures(found: Distances, longest: float) -> Sequence[float]:
    """Return the five numbers of a class, of which both maps have some."""
    del longest
    to_predicted, to_target = found.to_predicted, found.to_target
    every = np.concatenate([to_predicted, to_target])
    return (
        float(every.max()),
        max(percentile(to_predicted, 95), percentile(to_target, 95)),
        percentile(every, 95),
        float(every.mean()),
        float((to_predicted.mean() + to_target.mean()) / 2),
    )


def worst(longest: float) -> Sequence[float]:
    """Return a class that is missed or invented is as far off as anything in the image can be."""
    return (longest,) * 5


def percentile(values: NDArray[np.float64], share: float) -> float:
    """Return a percentile, linear between neighbouring values (Hyndman and Fan's seventh), as NumPy's default."""
    place = share / 100 * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    ordered = np.partition(values, (below, above))
    return float(ordered[below] + (place - below) * (ordered[above] - ordered[below]))


@dataclass(frozen=True, kw_only=True)
class DistanceFamily:
    """Three metrics of one number of the distances between two surfaces.

    Attributes:
        name, label: Those of the metric of images; the others' are made from them.
        measured: The number in words, for the definition of the metrics of images and of volumes.
        of_pairs: The same for the metric of objects, where it says it in other words.
        column: Index of the number among `measures`.
        dialects: Named variants of it, each another index.
    """

    name: str
    label: str
    measured: str
    of_pairs: str = ""
    column: int
    dialects: Mapping[str, int] = field(default_factory=dict)

    def over(self, of: Literal["image", "volume"]) -> SurfaceMetric:
        """Return the mean over images, or over volumes, and then over classes."""
        by_volume = of == "volume"
        return SurfaceMetric(
            name=f"volume_{self.name}" if by_volume else self.name,
            label=f"{self.label} 3D" if by_volume else self.label,
            definition=(
                f"mean over {of}s and then classes without background of {self.measured}, mm where the spacing is "
                f"known, else {'voxels' if by_volume else 'pixels'}; a class missed or invented in "
                f"{'a' if by_volume else 'an'} {of} takes its diagonal"
            ),
            statistic="volume_distances" if by_volume else "surface_distances",
            measures=measures,
            worst=worst,
            column=self.column,
            dialects=self.dialects,
            by_volume=by_volume,
        )

    def over_objects(self) -> ObjectDistanceMetric:
        """Return the mean over objects and then classes."""
        return ObjectDistanceMetric(
            name=f"object_{self.name}",
            label=f"object {self.label}",
            definition=(
                f"mean over objects and then thing classes of {self.of_pairs or self.measured} of pairs with "
                "IoU >= 0.5, mm where the spacing is known, else pixels; an object or a detection (score >= 0.5) "
                "without a match takes the image's diagonal"
            ),
            statistic="object_surfaces",
            measures=measures,
            worst=worst,
            column=self.column,
            dialects=self.dialects,
        )


HAUSDORFF = DistanceFamily(
    name="hausdorff", label="HD", measured="the largest distance between the surfaces", column=GREATEST
)
HD95 = DistanceFamily(
    name="hd95",
    label="HD95",
    measured="the larger of both directions' 95th percentile of surface distances",
    column=LARGER_95,
    dialects={"pooled": POOLED_95},
)
ASSD = DistanceFamily(
    name="assd",
    label="ASSD",
    measured="the mean distance between the surfaces, both directions pooled",
    of_pairs="the mean distance between the surfaces",
    column=POOLED_MEAN,
    dialects={"mean_of_directed": MEAN_OF_MEANS},
)
