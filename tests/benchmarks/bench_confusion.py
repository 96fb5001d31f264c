"""Measures how fast confusion counts are: ours, masked numpy.bincount and torchmetrics, on one core.

    taskset -c 0 python tests/benchmarks/bench_confusion.py [--rounds 15] [--height 1024 --width 2048 --classes 19]

All candidates count the same uint8 maps in every round, in an order that is reversed each time, so
that a drifting machine true positives all alike. Printed are medians, milliseconds, and how many times faster
ours is. Exit code 1 if a candidate disagrees by a single pixel or a goal is missed. The maps: `city`
(smooth regions with about 110 joint runs per row and a void band), `blocks` (32 pixel squares) and
`noise` (every pixel drawn for itself).
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import multiclass_confusion_matrix

from bench.metrics._confusion import confusion_counts

VOID = 255
GOAL_SIZE = (1024, 2048, 19)
GOALS = {("city", "bincount"): 7.0, ("city", "torchmetrics"): 30.0, ("noise", "bincount"): 1.0}

Labels = NDArray[np.uint8]


def ours(target: Labels, predicted: Labels, num_classes: int) -> NDArray[np.int64]:
    return confusion_counts(target, predicted, num_classes=num_classes, ignore=VOID)[:, :num_classes]


def masked_bincount(target: Labels, predicted: Labels, num_classes: int) -> NDArray[np.int64]:
    kept = target != VOID
    cells = target[kept].astype(np.int64) * num_classes + predicted[kept]
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def torchmetrics_matrix(target: Labels, predicted: Labels, num_classes: int) -> NDArray[np.int64]:
    matrix = multiclass_confusion_matrix(
        torch.from_numpy(predicted), torch.from_numpy(target), num_classes, ignore_index=VOID, validate_args=False
    )
    return np.asarray(matrix.numpy())


CANDIDATES = {"ours": ours, "bincount": masked_bincount, "torchmetrics": torchmetrics_matrix}


def city_maps(height: int, width: int, num_classes: int, seed: int) -> tuple[Labels, Labels]:
    """Smooth regions, and a prediction that differs from them along the outlines."""
    random = np.random.default_rng(seed)
    best = np.full((height, width), -np.inf, dtype=np.float32)
    best_predicted = best.copy()
    target, predicted = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    for class_id in range(num_classes):
        relief = _smooth(random, height, width, cell=8, blur=3.6)
        relief_predicted = relief + 0.08 * _smooth(random, height, width, cell=4, blur=1.4)
        target[relief > best] = class_id
        predicted[relief_predicted > best_predicted] = class_id
        np.maximum(best, relief, out=best)
        np.maximum(best_predicted, relief_predicted, out=best_predicted)
    target[-height // 16 :] = VOID
    return target, predicted


def _smooth(random: np.random.Generator, height: int, width: int, *, cell: int, blur: float) -> NDArray[np.float32]:
    coarse = random.standard_normal((height // cell, width // cell)).astype(np.float32)
    return np.asarray(cv2.resize(cv2.GaussianBlur(coarse, (0, 0), blur), (width, height)), dtype=np.float32)


def block_maps(height: int, width: int, num_classes: int, seed: int) -> tuple[Labels, Labels]:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, num_classes, (2, height // 32 + 1, width // 32 + 1), dtype=np.uint8)
    target, predicted = coarse.repeat(32, axis=1).repeat(32, axis=2)[:, :height, :width].copy()
    return target, predicted


def noise_maps(height: int, width: int, num_classes: int, seed: int) -> tuple[Labels, Labels]:
    target, predicted = np.random.default_rng(seed).integers(0, num_classes, (2, height, width), dtype=np.uint8)
    return target, predicted


def joint_runs_per_row(target: Labels, predicted: Labels) -> float:
    changes = (target[:, 1:] != target[:, :-1]) | (predicted[:, 1:] != predicted[:, :-1])
    return float(changes.sum(axis=1).mean() + 1)


def interleaved_ms(target: Labels, predicted: Labels, num_classes: int, rounds: int) -> dict[str, float]:
    """Return the median duration of each candidate, all of them run in every round."""
    seconds: dict[str, list[float]] = {name: [] for name in CANDIDATES}
    order = list(CANDIDATES)
    for _ in range(rounds):
        for name in order:
            start = time.perf_counter()
            CANDIDATES[name](target, predicted, num_classes)
            seconds[name].append(time.perf_counter() - start)
        order.reverse()
    return {name: 1e3 * median(values) for name, values in seconds.items()}


def race(name: str, target: Labels, predicted: Labels, num_classes: int, rounds: int) -> bool:
    """Print one line; return whether the counts are equal and the goals are met."""
    counts = [count(target, predicted, num_classes) for count in CANDIDATES.values()]
    equal = all(np.array_equal(counts[0], other) for other in counts)
    ms = interleaved_ms(target, predicted, num_classes, rounds)
    ratio = {other: ms[other] / ms["ours"] for other in ("bincount", "torchmetrics")}
    goals = GOALS if (*target.shape, num_classes) == GOAL_SIZE else {}
    missed = [f"{other} < {goal:g} ×" for (at, other), goal in goals.items() if at == name and ratio[other] < goal]
    print(
        f"{name:<8}{joint_runs_per_row(target, predicted):>9.0f}{ms['ours']:>10.3f}{ms['bincount']:>13.3f}"
        f"{ratio['bincount']:>7.1f}×{ms['torchmetrics']:>17.3f}{ratio['torchmetrics']:>7.1f}×"
        + ("" if equal else "  COUNTS DIFFER")
        + (f"  GOAL MISSED: {', '.join(missed)}" if missed else "")
    )
    return equal and not missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--height", type=int, default=1024)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=19)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)

    size = options.height, options.width, options.classes
    print(f"{size[0]} × {size[1]}, {size[2]} classes, median of {options.rounds} rounds, one core")
    print(f"{'map':<8}{'runs/row':>9}{'ours ms':>10}{'bincount ms':>13}{'ratio':>8}{'torchmetrics ms':>17}{'ratio':>8}")
    makers = {"city": city_maps, "blocks": block_maps, "noise": noise_maps}
    passed = [race(name, *make(*size, seed=0), options.classes, options.rounds) for name, make in makers.items()]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    raise SystemExit(main())
