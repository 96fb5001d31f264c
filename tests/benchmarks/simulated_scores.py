"""Scores of known truth: images of a population whose classes differ in how common and how easy they are.

Each image holds some classes, of log-normal size, of which a model finds a share and to which it adds another; objects
are found or not, and come with scores; distances are log-normal. What a metric gives for the population is what it
gives for very many images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.score.stats.jackknife import estimate

Array = NDArray[np.float64]
LeaveOut = Callable[[Array], tuple[float, Array]]
"""Statistics of images, (images, ...) -> the score of all of them, and with each image left out."""


@dataclass(frozen=True)
class Scene:
    """A population: how probable each class is in an image, and how well a model does it, both (classes,)."""

    present: Array
    quality: Array

    @classmethod
    def of(cls, kind: str, random: np.random.Generator) -> Scene:
        """`8 common`, `19 with rare` or `150 long-tailed` classes."""
        count = int(kind.split()[0])
        rank = np.arange(1, count + 1)
        shares = {8: np.full(count, 0.7), 19: np.clip(rank**-1.2, 0.01, 1), 150: np.clip(0.8 / rank, 0.003, 1)}
        return cls(shares[count], random.beta(4, 1.5, count))


def pixels(scene: Scene, images: int, random: np.random.Generator, effect: Array | None = None) -> Array:
    """True positives, target and predicted pixels, (images, 3, classes); `effect` moves the quality of each image."""
    shape = (images, len(scene.present))
    held = random.random(shape) < scene.present
    target = np.where(held, random.lognormal(0, 1, shape), 0.0)
    quality = np.clip(scene.quality if effect is None else scene.quality + effect[:, None], 0.02, 0.98)
    found, precise = (random.beta(6 * quality + 0.01, 6 * (1 - quality) + 0.01, shape) for _ in "ab")
    true_positives = target * found
    invented = np.where(~held & (random.random(shape) < 0.02 * scene.present), random.lognormal(-1, 1, shape), 0.0)
    predicted = np.where(held, true_positives / np.maximum(precise, 0.2), 0.0) + invented
    return np.stack([true_positives, target, predicted], axis=1)


def objects(scene: Scene, images: int, random: np.random.Generator) -> Array:
    """True positives, their summed IoU, false positives and false negatives, (images, 4, classes)."""
    true = random.poisson(2 * scene.present, (images, len(scene.present)))
    found = random.binomial(true, scene.quality)
    overlap = found * np.clip(random.normal(0.8, 0.05, true.shape), 0.5, 1)
    return np.stack([found, overlap, random.poisson(0.3 * scene.present, true.shape), true - found], axis=1)


def distances(scene: Scene, images: int, random: np.random.Generator) -> Array:
    """Distances of an image's classes, and how many it has, (images, 2, classes): heavy-tailed, as HD95 is."""
    held = random.random((images, len(scene.present))) < scene.present
    return np.stack([np.where(held, random.lognormal(1 - scene.quality, 1.0, held.shape), 0.0), held], axis=1)


def _mean(values: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nanmean(values, axis=-1))


def _ratio(a: Array, b: Array) -> Array:
    with np.errstate(all="ignore"):
        return np.where(b > 0, a / b, np.nan)


def miou(sums: Array) -> Array:
    """Mean IoU of pooled pixels, (..., 3, classes) -> (...)."""
    true_positives, target, predicted = np.moveaxis(sums, -2, 0)
    return _mean(_ratio(true_positives, target + predicted - true_positives))


def dice(sums: Array) -> Array:
    """Mean Dice of pooled pixels."""
    true_positives, target, predicted = np.moveaxis(sums, -2, 0)
    return _mean(_ratio(2 * true_positives, target + predicted))


def panoptic_quality(sums: Array) -> Array:
    """Mean PQ of pooled objects."""
    found, overlap, invented, missed = np.moveaxis(sums, -2, 0)
    return _mean(_ratio(overlap, found + (invented + missed) / 2))


def mean_distance(sums: Array) -> Array:
    """Mean over classes of the mean distance of the images that hold them."""
    total, held = np.moveaxis(sums, -2, 0)
    return _mean(_ratio(total, held))


def pooled(formula: Callable[[Array], Array]) -> LeaveOut:
    """Scores of sums over images."""

    def left_out(images: Array) -> tuple[float, Array]:
        total = images.sum(axis=0)
        return float(formula(total)), formula(total - images)

    return left_out


def detections(scene: Scene, images: int, random: np.random.Generator, most: int = 8) -> Array:
    """Scores (0 = none) of an image's detections, whether they are right, its objects: (images, 3, classes, most)."""
    shape = (images, len(scene.present), most)
    true = np.minimum(random.poisson(2 * scene.present, shape[:2]), most - 2)
    place = np.arange(most)
    right = (place < true[..., None]) & (random.random(shape) < scene.quality[:, None])
    wrong = (place >= most - 2) & (random.random(shape) < 0.4 * scene.present[:, None])
    scores = np.where(right, random.beta(4, 2, shape), np.where(wrong, random.beta(2, 4, shape), 0.0))
    counts = np.zeros(shape)
    counts[..., 0] = true
    return np.stack([scores, right, counts], axis=1)


def average_precision(images: Array) -> tuple[float, Array]:
    """Mean AP (101 points) at one threshold, of all images and with each left out."""
    n, _, classes, _ = images.shape
    weights = np.vstack([np.ones(n), 1 - np.eye(n)])  # all, then one left out
    per_class = np.full((n + 1, classes), np.nan)
    for c in range(classes):
        scores, right, objects_ = images[:, 0, c], images[:, 1, c], images[:, 2, c].sum(axis=1)
        image, place = np.nonzero(scores)
        order = np.argsort(-scores[image, place], kind="stable")
        image, true_positive = image[order], right[image, place][order]
        positives = weights @ objects_
        drawn = weights[:, image]
        true, every = np.cumsum(drawn * true_positive, axis=1), np.cumsum(drawn, axis=1)
        precision = np.maximum.accumulate(_ratio(true, every)[:, ::-1], axis=1)[:, ::-1] if true_positive.size else true
        recall = _ratio(true, np.broadcast_to(positives[:, None], true.shape))
        for row in np.flatnonzero(positives > 0):
            at = np.searchsorted(recall[row], np.linspace(0, 1, 101))
            per_class[row, c] = np.where(
                at < true_positive.size, np.append(precision[row], 0.0)[np.minimum(at, true_positive.size)], 0
            ).mean()
    means = _mean(per_class)
    return float(means[0]), means[1:]


Draw = Callable[[Scene, int, np.random.Generator], Array]
METRICS: dict[str, tuple[Draw, LeaveOut]] = {
    "mIoU": (pixels, pooled(miou)),
    "Dice": (pixels, pooled(dice)),
    "PQ": (objects, pooled(panoptic_quality)),
    "HD95": (distances, pooled(mean_distance)),
    "AP": (detections, average_precision),
}


def ground_truth(metric: str, scene: Scene, random: np.random.Generator, images: int = 40_000) -> float:
    """The score of the population, of very many images."""
    draw = METRICS[metric][0]
    if metric == "AP":
        return float(np.mean([average_precision(draw(scene, 1500, random))[0] for _ in range(3)]))
    formula = {"mIoU": miou, "Dice": dice, "PQ": panoptic_quality, "HD95": mean_distance}[metric]
    return float(formula(sum(draw(scene, 2000, random).sum(axis=0) for _ in range(images // 2000))))


def covered(metric: str, scene: Scene, images: int, true: float, random: np.random.Generator) -> tuple[bool, float]:
    """Whether the interval of one sample of images covers the true score, and by how much the score is off."""
    draw, score = METRICS[metric]
    value, left_out = score(draw(scene, images, random))
    found = estimate(value, left_out)
    return found is not None and abs(value - true) <= found.half(), value - true


def called_different(metric: str, scene: Scene, images: int, random: np.random.Generator) -> bool:
    """Whether two models of one quality are told apart on the same images."""
    draw, score = METRICS[metric]
    (one, without_one), (other, without_other) = (score(draw(scene, images, random)) for _ in "ab")
    found = estimate(one - other, without_one - without_other)
    return found is not None and found.p < 0.05


def covered_in_groups(groups: int, random: np.random.Generator, *, grouped: bool, each: int = 20) -> bool:
    """Whether the mIoU of patients whose images resemble one another is covered, drawing patients or images."""
    scene = Scene(np.full(3, 0.8), np.full(3, 0.75))
    data = pixels(scene, groups * each, random, np.repeat(random.normal(0, 0.1, groups), each))
    total = data.sum(axis=0)
    units = data.reshape(groups, each, *data.shape[1:]).sum(axis=1) if grouped else data
    found = estimate(float(miou(total)), miou(total - units))
    return found is not None and abs(found.value - TRUE_OF_GROUPS) <= found.half()


def _of_groups() -> float:
    random = np.random.default_rng(99)
    scene = Scene(np.full(3, 0.8), np.full(3, 0.75))
    return float(miou(pixels(scene, 200_000, random, random.normal(0, 0.1, 200_000)).sum(axis=0)))


TRUE_OF_GROUPS = _of_groups()
