"""Run lengths of masks in C order: this harness against pycocotools, in one run, on one core.

    taskset -c 0 python tests/benchmarks/bench_run_lengths.py

Both give the same runs. pycocotools reads Fortran order, so its masks are converted first, as every
user of it must. Prints medians and the ratio; exit code 1 if the goal, 3 times as fast, is missed.
"""

from __future__ import annotations

import sys
import time
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from bench.records.mask_runs import run_lengths

ROUNDS, MASKS, SIZE, GOAL = 9, 40, (480, 640), 3.0


def object_masks(count: int, size: tuple[int, int], seed: int) -> NDArray[np.bool_]:
    """Wobbly blobs from a twentieth to half of the image's height, as objects in photographs are."""
    random = np.random.default_rng(seed)
    masks = np.zeros((count, *size), dtype=np.uint8)
    for mask in masks:
        angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        radius = random.uniform(0.025, 0.25) * size[0] * (1 + 0.3 * random.random(40))
        centre = random.random(2) * (size[1], size[0])
        points = centre + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        cv2.fillPoly(mask, [points.astype(np.int32)], 1)
    return masks.astype(bool)


def theirs(masks: NDArray[np.bool_]) -> object:
    """Encode the whole stack at once, pycocotools' fastest way."""
    return coco_mask.encode(np.asfortranarray(masks.transpose(1, 2, 0).view(np.uint8)))


def main() -> int:
    """Print the table; return the exit code."""
    masks = object_masks(MASKS, SIZE, seed=0)
    times: dict[str, list[float]] = {"ours": [], "pycocotools": []}
    for _ in range(ROUNDS):
        start = time.perf_counter()
        runs = [run_lengths(mask) for mask in masks]
        middle = time.perf_counter()
        encoded = theirs(masks)
        times["pycocotools"].append((time.perf_counter() - middle) / MASKS)
        times["ours"].append((middle - start) / MASKS)
    for counts, other in zip(runs, encoded, strict=True):  # type: ignore[call-overload]
        same = coco_mask.frPyObjects({"size": list(SIZE), "counts": counts}, *SIZE)
        assert same["counts"] == other["counts"]
    ours_ms, theirs_ms = (1e3 * median(times[name]) for name in ("ours", "pycocotools"))
    ratio = theirs_ms / ours_ms
    print(f"{SIZE[0]} × {SIZE[1]}, median of {ROUNDS} rounds, one core")
    print(f"ours {ours_ms:.3f} ms/mask, pycocotools {theirs_ms:.3f} ms/mask: {ratio:.1f}×")
    return int(ratio < GOAL)


if __name__ == "__main__":
    sys.exit(main())
