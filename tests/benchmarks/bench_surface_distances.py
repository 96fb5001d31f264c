"""HD95 of one class: this harness against other libraries on the CPU, in one run, on one core.

    taskset -c 0 python tests/benchmarks/bench_surface_distances.py [--rounds 5]

Masks of smooth noise, the prediction a little off, as a good model's is; also a bad one, and a volume. Each candidate
starts from two masks and ends with HD95; candidates whose surface is the same must agree. Prints milliseconds (the
median over rounds, candidates interleaved) and the ratio to ours. Exit code 1 if the fastest other one is not beaten
by a factor of 3, but on noise, where every second pixel is a surface, or a figure differs.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bench.metrics._distance_measures import LARGER_95, measures
from bench.metrics._surfaces import distances_of, step_sizes, surface_points

GOAL = 3.0
Mask = NDArray[np.bool_]


def ours(true: Mask, seen: Mask) -> float:
    """As the metric does it, from label maps on."""
    points = (surface_points(one.view(np.uint8) ^ 1, 1).of(0) for one in (true, seen))
    found = distances_of(0, *points, step_sizes(None))
    assert found is not None
    return measures(found, 0.0)[LARGER_95]


def scipy_cropped(true: Mask, seen: Mask) -> float:
    """Erosion and a distance transform in the box around both: what MONAI and others do, without their checks."""
    box = ndimage.find_objects((true | seen).view(np.uint8))[0]
    true, seen = (np.pad(one[box], 1) for one in (true, seen))
    edges = [one & ~ndimage.binary_erosion(one) for one in (true, seen)]
    return max(
        float(np.percentile(ndimage.distance_transform_edt(~other)[own], 95)) for own, other in (edges, edges[::-1])
    )


def monai(true: Mask, seen: Mask) -> float:
    """MONAI's function."""
    import torch
    from monai.metrics import compute_hausdorff_distance

    pair = [torch.from_numpy(one[None, None].astype(np.float32)) for one in (seen, true)]
    return float(compute_hausdorff_distance(*pair, include_background=True, percentile=95))


def deepmind(true: Mask, seen: Mask) -> float:
    """DeepMind's surface-distance, whose surface lies between pixels: its figure differs."""
    import surface_distance

    found = surface_distance.compute_surface_distances(true, seen, (1.0,) * true.ndim)
    return float(surface_distance.compute_robust_hausdorff(found, 95))


def medpy_formula(true: Mask, seen: Mask) -> float:
    """medpy's steps: the whole image, no box; its percentile is over both directions, so the figure differs."""
    edges = [one ^ ndimage.binary_erosion(one) for one in (true, seen)]
    every = [ndimage.distance_transform_edt(~other)[own] for own, other in (edges, edges[::-1])]
    return float(np.percentile(np.hstack(every), 95))


CANDIDATES: dict[str, Callable[[Mask, Mask], float]] = {
    "ours": ours,
    "scipy, cropped": scipy_cropped,
    "monai": monai,
    "surface-distance": deepmind,
    "medpy's steps": medpy_formula,
}
PACKAGES = {"monai": "monai", "surface-distance": "surface_distance"}
SAME_SURFACE = ("scipy, cropped", "monai")


def blob(random: np.random.Generator, size: tuple[int, ...], share: float, scale: float) -> NDArray[np.float64]:
    """A smooth bump with a rough outline."""
    noise = ndimage.gaussian_filter(random.normal(size=size), scale, mode="wrap")
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in size), indexing="ij"))
    return np.sqrt((grid**2).sum(axis=0)) / share + 0.25 * noise / noise.std()


def cases(random: np.random.Generator) -> dict[str, tuple[Mask, Mask]]:
    """Name -> two masks."""
    found = {}
    for name, size, share, scale in (
        ("256 x 256, organ", (256, 256), 0.3, 12),
        ("512 x 512, organ", (512, 512), 0.3, 24),
        ("1024 x 2048, road", (1024, 2048), 0.8, 60),
        ("128 x 128 x 64, organ", (128, 128, 64), 0.5, 8),
    ):
        field = blob(random, size, share, scale)
        other = field + 0.05 * ndimage.gaussian_filter(random.normal(size=size), scale / 3) * scale
        found[name] = (field < 1, other < 1)
    true, seen = np.zeros((512, 512), bool), np.zeros((512, 512), bool)
    true[20:90, 20:90], seen[400:480, 400:480] = True, True
    found["512 x 512, far off"] = (true, seen)
    noise = random.random((2, 256, 256)) < 0.5
    found["256 x 256, noise"] = (noise[0], noise[1])
    return found


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    failed = False
    absent = [label for label, package in PACKAGES.items() if importlib.util.find_spec(package) is None]
    for label in absent:
        del CANDIDATES[label]
        print(f"{label} is not installed and not compared")
    for name, pair in cases(np.random.default_rng(0)).items():
        values: dict[str, Any] = {}
        times: dict[str, list[float]] = {}
        for turn in range(rounds + 1):
            for label in list(CANDIDATES)[:: 1 if turn % 2 else -1]:
                started = time.perf_counter()
                values[label] = CANDIDATES[label](*pair)
                if turn:  # the first round compiles and imports
                    times.setdefault(label, []).append(1e3 * (time.perf_counter() - started))
        medians = {label: statistics.median(spent) for label, spent in times.items()}
        best = min(medians[label] for label in CANDIDATES if label != "ours")
        print(f"\n{name}: HD95 {values['ours']:.3f}; {best / medians['ours']:.1f} x the fastest other one")
        for label, spent in sorted(medians.items(), key=lambda entry: entry[1]):
            print(f"  {label:18} {spent:9.3f} ms {spent / medians['ours']:7.1f} x   {values[label]:.4f}")
        failed |= best < GOAL * medians["ours"] and "noise" not in name
        failed |= any(abs(values[label] - values["ours"]) > 1e-4 for label in SAME_SURFACE if label in values)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
