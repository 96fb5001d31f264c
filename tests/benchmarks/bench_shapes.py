"""Measures how many scenes of the `shapes` data set one core draws per second, image and ground truth together.

    taskset -c 0 python tests/benchmarks/bench_shapes.py [--images 200] [--size 128] [--rounds 5]

Per preset: the fastest and the median round, since other load only ever slows a round down. The goal
is for 128 × 128 and the `standard` preset: data must not be what a training step waits for. Exit
code 1 if the median misses it.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

from bench.datasets.shapes import Options, open_dataset
from bench.records import Size

GOAL_IMAGES_PER_S = 400.0
GOAL = ("standard", 128)


def images_per_s(preset: str, side: int, images: int) -> float:
    """Draw that many scenes once; each is drawn for its image and found again for its ground truth."""
    dataset = open_dataset(Options.model_validate({"preset": preset, "size": Size(side, side), "test": images}))
    ids = dataset.ids("test")
    start = time.perf_counter()
    for image_id in ids:
        dataset.image(image_id)
        dataset.target(image_id)
    return len(ids) / (time.perf_counter() - start)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    print(f"{options.size} × {options.size}, {options.images} images a round, {options.rounds} rounds, one core")
    print(f"{'preset':<10}{'fastest images/s':>18}{'median images/s':>18}")
    missed = False
    for preset in ("easy", "standard", "hard"):
        rates = [images_per_s(preset, options.size, options.images) for _ in range(options.rounds)]
        late = (preset, options.size) == GOAL and median(rates) < GOAL_IMAGES_PER_S
        note = f"  GOAL MISSED: {GOAL_IMAGES_PER_S:g} images/s" if late else ""
        print(f"{preset:<10}{max(rates):>18.0f}{median(rates):>18.0f}{note}")
        missed |= late
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
