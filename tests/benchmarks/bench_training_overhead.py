"""Training steps of `adapters._torch.training.semantic.fit` against a bare PyTorch loop on the same network.

The bare loop holds all images in one tensor, draws, mirrors and normalises a batch, and does what a
step must do: forward, cross-entropy, backward, fused AdamW. The two take turns, so that a busy
machine slows both; the answer is the median of the ratios of neighbouring turns.

    python -m tests.benchmarks.bench_training_overhead --width 12 --side 96 --threads 2
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from adapters._torch.training.semantic import fit
from adapters.unet.adapter import make_unet
from bench.adapter import TrainingData
from bench.records import Budget, Recipe, Size
from tests.adapters.rectangles import THREE_CLASSES, Recorder, Rectangles, small_unet


def main() -> None:
    """Print milliseconds per step of both and the overhead."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=12)
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--batch-size", type=int, default=8)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    split = Rectangles(64, seed=0, size=Size(chosen.side, chosen.side))
    recipe = Recipe(
        budget=Budget(steps=chosen.steps),
        batch_size=chosen.batch_size,
        device="cpu",
        threads=chosen.threads,
        validate_every=None,
    )
    ours, bare = [], []
    for turn in range(chosen.turns + 1):  # the first turn warms both up
        ours.append(fit_ms(split, recipe, chosen.width))
        bare.append(bare_ms(split, recipe, chosen.width))
        if turn == 0:
            ours.clear(), bare.clear()
    overhead = statistics.median(a / b for a, b in zip(ours, bare, strict=True)) - 1
    print(f"fit  {statistics.median(ours):7.1f} ms/step")
    print(f"bare {statistics.median(bare):7.1f} ms/step")
    print(f"overhead {100 * overhead:+.1f} % (median of {chosen.turns} pairs of turns)")


def network(width: int):
    """The U-Net both train."""
    torch.manual_seed(0)
    return make_unet(small_unet(depth=4, base_width=width), THREE_CLASSES)


def fit_ms(split: Rectangles, recipe: Recipe, width: int) -> float:
    """Milliseconds per training step as `fit` counts them."""
    nothing = Rectangles(0, seed=0)
    with tempfile.TemporaryDirectory() as out:
        result = fit(network(width), TrainingData(split, nothing, THREE_CLASSES), recipe, Path(out), Recorder())
    return 1e3 * result.train_s / result.steps


def bare_ms(split: Rectangles, recipe: Recipe, width: int) -> float:
    """Milliseconds per step of the loop one would write by hand."""
    images = torch.from_numpy(np.stack([image for image, _ in split.pairs]))
    labels = torch.from_numpy(np.stack([label for _, label in split.pairs])).long()
    module = network(width).module.train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, fused=True)
    steps = recipe.budget.steps or 1
    began = time.perf_counter()
    for _ in range(steps):
        chosen = torch.randint(len(images), (recipe.batch_size,))
        x, y = images[chosen].permute(0, 3, 1, 2).float().div(127.5).sub(1).mul(2), labels[chosen]
        mirrored = torch.rand(len(x)) < 0.5
        x[mirrored], y[mirrored] = x[mirrored].flip(-1), y[mirrored].flip(-1)
        loss = F.cross_entropy(module(x.contiguous()), y, ignore_index=255)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return 1e3 * (time.perf_counter() - began) / steps


if __name__ == "__main__":
    main()
