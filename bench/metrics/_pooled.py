"""Two kinds of metrics: those whose images can be added, and those whose rows of objects are gone through anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.errors import ShapeError
from bench.metrics._bootstrap import LeftOut, mean_of_defined, resampled_sums
from bench.records import ClassSpec
from bench.records.predictions import Instances, Panoptic, Prediction, SemanticMap

DeclaredT = TypeVar("DeclaredT", bound="DeclaredMetric")
FormT = TypeVar("FormT", SemanticMap, Instances, Panoptic)


class OfSums:
    """A metric whose headline is a function of sums over images: of `addends`, what is added, by `headline`."""

    def addends(self, statistics: NDArray[Any], classes: Sequence[ClassSpec]) -> NDArray[Any]:
        """Return what is added over images, (N, ...); raises `ShapeError` for statistics of another label space."""
        raise NotImplementedError

    def headline(self, sums: NDArray[Any], classes: Sequence[ClassSpec]) -> NDArray[np.float64]:
        """Return the headline of sums, a leading axis of which stays, (...), nan where it is undefined."""
        raise NotImplementedError

    def bootstrap(self, statistics: NDArray[Any], classes: Sequence[ClassSpec], *, seed: int) -> NDArray[np.float64]:
        """Return the headline with each image, or group, left out, (units,), nan where it is undefined."""
        added = self.addends(statistics, classes)
        return self.headline(resampled_sums(added, seed=seed), classes) if len(added) else np.empty(0)

    def per_image(self, statistics: NDArray[Any], classes: Sequence[ClassSpec]) -> NDArray[np.float64]:
        """Return the headline of each image alone, (N,), nan where it is undefined."""
        return self.headline(self.addends(statistics, classes).astype(np.float64), classes)

    def of_groups(
        self, statistics: NDArray[Any], classes: Sequence[ClassSpec], groups: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return the headline over each group of images, (G,); `groups` says which images are in each, (G, N)."""
        added = self.addends(statistics, classes).astype(np.float64)
        return self.headline(np.tensordot(groups.astype(np.float64), added, axes=1), classes)


class OfRows:
    """A metric of rows of objects, whose value for each class is worked out anew without each unit of images.

    Attributes:
        columns: Columns of stored rows, of which the first is the number of the image.
    """

    columns: ClassVar[int]

    def class_values(
        self, rows: NDArray[np.float64], classes: Sequence[ClassSpec], left_out: LeftOut
    ) -> NDArray[np.float64]:
        """Return the value of classes without each unit of images, (units, classes), nan where it is undefined."""
        raise NotImplementedError

    def bootstrap(
        self, statistics: NDArray[np.float64], classes: Sequence[ClassSpec], *, seed: int
    ) -> NDArray[np.float64]:
        """Return the headline without each unit of images, (units,), nan where no true object is left."""
        require_columns(statistics, self.columns)
        if not len(statistics):
            return np.empty(0)
        left_out = LeftOut.of(images_in(statistics), seed=seed)
        return mean_of_defined(self.class_values(statistics, classes, left_out))


def images_in(rows: NDArray[np.float64]) -> int:
    """Return the number of images that stored rows are of; every image has one at least."""
    return int(rows[-1, 0]) + 1 if len(rows) else 0


@dataclass(frozen=True, kw_only=True)
class DeclaredMetric(OfSums):
    """Holds what every metric that is declared states of itself.

    Attributes:
        label: Heading in tables.
        definition: One line that stands in every record.
        statistic: Name of what is observed of each image.
        version: Raised whenever the definition changes a number.
    """

    name: str
    label: str
    definition: str
    statistic: str
    version: int = 1

    def renamed(self: DeclaredT, number: float, **changes: Any) -> DeclaredT:
        """Return the metric with another tolerance, under a name that says so, with what else changes."""
        name = f"{self.name.partition('@')[0]}@{number:g}"
        return replace(self, **{"name": name, "statistic": name, "label": f"{self.label} at {number:g}", **changes})


def both_of(
    form: type[FormT], compares: str, target: Prediction, predicted: Prediction, *, advice: str = ""
) -> tuple[FormT, FormT]:
    """Return both as predictions of one form (ground truth first).

    Args:
        compares: What compares what, such as `a semantic metric compares two SemanticMaps`, for a message.

    Raises:
        ShapeError: For another form, or another size.
    """
    if not isinstance(target, form) or not isinstance(predicted, form):
        raise ShapeError(f"{compares}, not {type(target).__name__} and {type(predicted).__name__}{advice}")
    if target.size != predicted.size:
        raise ShapeError(
            f"the target has size {tuple(target.size)} and the prediction {tuple(predicted.size)}; "
            "predictions must have the original image size. See adapters/README.md, rule 4."
        )
    return target, predicted


def require_shape(statistics: NDArray[Any], classes: Sequence[ClassSpec], *expected: int) -> None:
    """Raise `ShapeError` unless stored statistics have this shape behind the axis of the images."""
    if statistics.shape[1:] != expected:
        raise ShapeError(
            f"the stored statistics have shape {statistics.shape}; {len(classes)} classes need (images, "
            f"{', '.join(map(str, expected))}). The label space has changed: score the run again with bench score RUN"
        )


def require_columns(rows: NDArray[Any], columns: int) -> None:
    """Raise `ShapeError` unless stored rows have this number of columns, as those of this version do."""
    if rows.ndim != 2 or rows.shape[1] != columns:
        raise ShapeError(
            f"the stored rows have shape {rows.shape}; (rows, {columns}) are expected. Score the run again with "
            "bench score RUN"
        )


def side_by_side(*columns: NDArray[np.generic] | float) -> NDArray[np.float64]:
    """Return columns, (R,), or numbers for all rows, as a table, float64, (R, C)."""
    return np.stack(np.broadcast_arrays(*(np.asarray(column, dtype=np.float64) for column in columns)), axis=-1)
