"""The contract of a metric: one file per metric, named as suites and reports name it.

A module `bench/metrics/<name>.py` has a docstring with the five headings *What it measures,
Definition, When undefined, Differs from, Source*, and `METRIC`, an object that follows the protocol
below (or, as until 0.1, `class Metric`, which makes one). A metric sees arrays, never a framework.

What counts pixels by true and predicted class is a `ConfusionMetric` of a name, a version, a label, a
definition and a formula (`bench/metrics/recall.py` is an example), without a method of its own.

Scoring is in two steps so that intervals are cheap: `observe` turns one image into sufficient
statistics (counts, sums), and `score` turns those of all images into a `Score`. Metrics with the
same `statistic` share one pass over the images.

Where the statistics of an image are an array of one shape, those of all images are its stack,
(N, ...). Where an image has as many rows as it has objects, `observe` returns `Rows`, and those of
all images lie one below the other with the number of the image, from 0, as a new first column.

A metric whose images are to be listed and grouped in reports also has `per_image` and `of_groups`: see `ImageMetric`.
One without them scores like any other.

A metric that needs a package beyond the harness's own says so in `needs`, module -> extra that installs it, so that a
suite is refused before it runs and not when it is scored.

A metric of probabilities (`bench/metrics/ece.py`) is a `FromProbabilities`: its suite says `keep: probabilities`.

A metric with a tolerance has a method `at(number)` that returns it with another one, and the suite writes
`name@number`: `nsd@1.5` is `bench/metrics/nsd.py` at 1.5.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import inf, isfinite, nan
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bench.errors import PluginError, did_you_mean
from bench.records import ClassSpec, Score, TaskKind
from bench.records.names import module_names, named_module
from bench.records.predictions import Prediction, SemanticMap
from bench.records.probabilities import ClassProbabilities

Observed: TypeAlias = NDArray[Any]
"""Statistics of one image or of all: int64 counts, or float64 where they are sums of ratios."""


CONFUSION = "confusion"
"""The statistic of metrics that count pixels by true and predicted class."""


class Rows(NamedTuple):
    """Statistics of an image with a number of rows of its own, at least one: float64, (R, C)."""

    table: NDArray[np.float64]


class Metric(Protocol):
    """One quantity with one definition."""

    @property
    def name(self) -> str:
        """Name of its module, with its tolerance where a suite sets one."""

    @property
    def version(self) -> int:
        """Raised whenever the definition changes a number."""

    @property
    def label(self) -> str:
        """Heading in tables, for example `mIoU`."""

    @property
    def tasks(self) -> tuple[TaskKind, ...]:
        """Task kinds it scores."""

    @property
    def higher_is_better(self) -> bool:
        """Direction."""

    @property
    def statistic(self) -> str:
        """Name of its sufficient statistic; metrics that share it share `observe`."""

    @property
    def definition(self) -> str:
        """One line that stands in every record."""

    def observe(self, target: Prediction, predicted: Prediction, classes: Sequence[ClassSpec]) -> Observed | Rows:
        """Sufficient statistics of one image."""
        ...

    def score(self, statistics: Observed, classes: Sequence[ClassSpec], *, seed: int) -> Score:
        """Return the score over all images, with its 95 % interval over images.

        Args:
            statistics: Statistics that `observe` returned for all images: their stack, shape (N, ...), or their rows,
                shape (sum of R, 1 + C).
            classes: The label space.
            seed: Seed of the parts that many images are left out in.
        """
        ...

    def bootstrap(self, statistics: Observed, classes: Sequence[ClassSpec], *, seed: int) -> NDArray[np.float64]:
        """Return the headline with each image, or group, left out, shape (units,), nan where it is then undefined.

        Equal seeds and numbers of images leave the same ones out, for every metric and every model: values of two
        models on the same images are paired. See `bench.score.stats.jackknife`.
        """
        ...


@runtime_checkable
class ImageMetric(Metric, Protocol):
    """A `Metric` that also has values for single images and groups of images."""

    def per_image(self, statistics: Observed, classes: Sequence[ClassSpec]) -> NDArray[np.float64]:
        """Return the value by which each image is listed, (images,), nan where undefined, in the metric's direction.

        It is the headline of that image alone, unless `image_label` names another quantity.
        """
        ...

    def of_groups(
        self, statistics: Observed, classes: Sequence[ClassSpec], groups: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return the headline over each group of images, shape (groups,), nan where undefined.

        Args:
            statistics: Statistics as in `Metric.score`.
            classes: The label space.
            groups: True where an image is in a group, bool, (groups, images); an image may be in several.
        """
        ...


@runtime_checkable
class VolumeMetric(Metric, Protocol):
    """A metric that is observed on whole volumes where `by_volume`: slices of one volume, put together.

    Its statistics are an array of one shape. A volume's stand in the row of one of its images, the others' are empty.
    """

    @property
    def by_volume(self) -> bool:
        """Return whether it is observed on volumes and not on images."""

    def observe_volume(self, target: SemanticMap, predicted: SemanticMap, classes: Sequence[ClassSpec]) -> Observed:
        """Sufficient statistics of one volume, from label maps of shape (S, H, W)."""
        ...

    def empty(self, classes: Sequence[ClassSpec]) -> Observed:
        """Statistics of an image that has none of its own."""
        ...


@runtime_checkable
class FromProbabilities(Metric, Protocol):
    """A metric that is observed on the probabilities of each class and pixel, which a suite keeps.

    Its statistics are an array of one shape. One that chooses thresholds on the validation split also has
    `chosen_at(levels)`, which returns it at those of each class, `of_levels`, what pixels by level come to there, and
    `best_on`.
    """

    @property
    def needs_probabilities(self) -> bool:
        """True."""

    def observe_probabilities(
        self,
        target: Prediction,
        predicted: Prediction,
        probabilities: ClassProbabilities,
        classes: Sequence[ClassSpec],
    ) -> Observed:
        """Sufficient statistics of one image."""
        ...


def metric_names() -> list[str]:
    """Names of all metrics."""
    return module_names("bench.metrics")


def metric_error(name: str) -> str | None:
    """Say what is wrong with the name of a metric, in one sentence; None if there is such a metric."""
    told, at, number = name.partition("@")
    base, most = _capped(told)
    if base not in metric_names():
        return f"no metric named {told!r}.{did_you_mean(told, metric_names())} List them with: bench list metrics"
    if most is not None and not hasattr(_module_metric(base), "with_max_detections"):
        capped = [one for one in metric_names() if hasattr(_module_metric(one), "with_max_detections")]
        return f"metric {base!r} counts no detections, and takes no max_detections; {', '.join(capped)} do"
    return _tolerance_error(told, number) if at else None


def _tolerance_error(name: str, number: str) -> str | None:
    if not hasattr(_module_metric(_capped(name)[0]), "at"):
        return f"metric {name!r} has no tolerance: write {name}, not {name}@{number}"
    try:
        wanted = float(number)
    except ValueError:
        wanted = nan
    largest = getattr(_module_metric(_capped(name)[0]), "largest", inf)
    if isfinite(wanted) and 0 < wanted <= largest and f"{wanted:g}" == number:
        return None
    told = f"'{name}@{number}' sets the tolerance {number!r}"
    if largest < inf:
        return f"{told}; a number above 0 and at most {largest:g} is expected, as in {name}@0.5"
    return f"{told}; a number above 0 is expected, as in {name}@2 or {name}@0.5"


def load_metric(name: str) -> Metric:
    """Load a metric by name; `mask_ap_300` is `mask_ap` with at most 300 detections, `nsd@1.5` is `nsd` at 1.5.

    Raises:
        PluginError: If there is none, with the nearest name.
    """
    usage_error = metric_error(name)
    if usage_error is not None:
        raise PluginError(usage_error)
    told, _, tolerance = name.partition("@")
    base, most = _capped(told)
    metric = _module_metric(base)
    if most is not None:
        metric = metric.with_max_detections(most)
    found: Metric = metric.at(float(tolerance)) if tolerance else metric
    return found


def metric_module(name: str) -> str:
    """Full name of the module that a metric is defined in.

    >>> metric_module("nsd@2.5")
    'bench.metrics.nsd'
    """
    return f"bench.metrics.{_capped(name.partition('@')[0])[0]}"


def metric_called(name: str, max_detections: int) -> str:
    """Return the name of a metric with a number of detections."""
    return f"{name}_{max_detections}"


def _capped(name: str) -> tuple[str, int | None]:
    """Name of the module, and the number of detections that is part of a metric's name."""
    base, separator, number = name.rpartition("_")
    if name in metric_names() or not separator or not re.fullmatch("[1-9][0-9]{0,6}", number):
        return name, None
    return base, int(number)


def _module_metric(name: str) -> Any:
    module = named_module("bench.metrics", name, "metric", "metrics")
    return module.METRIC if hasattr(module, "METRIC") else module.Metric()
