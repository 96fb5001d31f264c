"""Panoptic quality from maps in memory: this harness against panopticapi's formulation, in one run.

python tests/benchmarks/bench_panoptic_quality.py
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from bench.metric import load_metric
from bench.records import ClassSpec
from bench.records.predictions import Panoptic, Segment
from tests.bench.metrics import panoptic_oracle

ROUNDS = 9
CLASSES = tuple(ClassSpec(name=str(c), is_thing=c > 10, colour=(0, 0, 0)) for c in range(19))
METRIC = load_metric("panoptic_quality")


def scene(random: np.random.Generator, size: tuple[int, int], segments: int) -> Panoptic:
    """Discs over bands, each a segment with an id as in COCO's files, up to 2^24."""
    rows, columns = np.indices(size)
    dense = rows * 8 // size[0]
    for place in range(8, segments):
        centre = random.random(2) * size
        radius = random.uniform(0.03, 0.15) * size[0]
        dense[(rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2] = place
    ids = random.choice(2**24 - 1, segments, replace=False).astype(np.int32) + 1
    maps = ids[dense]
    listed = {int(i): int(random.integers(0, 19)) for i in ids}
    return Panoptic(maps, tuple(Segment(int(i), listed[int(i)]) for i in np.unique(maps)))


def shifted(ground_truth: Panoptic) -> Panoptic:
    """The ground truth moved by a few pixels: most segments match."""
    ids = np.roll(ground_truth.segment_ids, (3, 5), axis=(0, 1))
    return Panoptic(ids, ground_truth.segments)


def milliseconds(call: object, *arguments: object) -> float:
    """Time one call."""
    start = time.perf_counter()
    call(*arguments)  # type: ignore[operator]
    return (time.perf_counter() - start) * 1e3


def main() -> None:
    """Print medians and their ratio for two image sizes."""
    print(f"median of {ROUNDS} rounds, one core, 60 segments an image")
    print(f"{'size':<12}{'ours ms':>9}{'np.unique ms':>14}{'ratio':>8}")
    random = np.random.default_rng(0)
    for size in ((480, 640), (1024, 2048)):
        ground_truth = scene(random, size, 60)
        guess = shifted(ground_truth)
        ours = METRIC.observe(ground_truth, guess, CLASSES)
        theirs = panoptic_oracle.count(ground_truth, guess)
        assert all(np.allclose(ours[c], theirs[c], rtol=0, atol=1e-12) for c in theirs)
        times: list[list[float]] = [[], []]
        for _ in range(ROUNDS):
            times[0].append(milliseconds(METRIC.observe, ground_truth, guess, CLASSES))
            times[1].append(milliseconds(panoptic_oracle.count, ground_truth, guess))
        fast, slow = (statistics.median(values) for values in times)
        print(f"{size[0]} × {size[1]:<6}{fast:>9.2f}{slow:>14.2f}{slow / fast:>7.1f}×")


if __name__ == "__main__":
    main()
