"""Does what every training does with a recipe, whatever loop it runs in."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from adapters._torch import device as devices
from adapters._torch.training.batches import class_pixels
from adapters._torch.training.order import ImageOrder
from adapters._torch.weights import Weighted
from bench.adapter import TrainingData
from bench.errors import BenchError
from bench.records import Recipe, as_json_dict, digest


def open_training(data: TrainingData, recipe: Recipe, out: Path) -> torch.device:
    """Check what a recipe asks of this machine, apply its settings, make the folder; return the device.

    Raises:
        Unsupported: If the device or precision cannot be had.
        BenchError: If the training split is empty.
    """
    device = devices.open_device(_of_this_process(recipe))
    devices.check_precision(device, recipe.precision)
    devices.set_threads(recipe.threads)
    if recipe.devices > 1 and device.type == "cpu":
        devices.set_threads(max(1, torch.get_num_threads() // recipe.devices))
    devices.apply_settings(recipe.precision, cudnn_benchmark=True, deterministic=recipe.deterministic)
    if len(data.train) == 0:
        raise BenchError("the training split has no images; choose another 'train' split of the data set")
    out.mkdir(parents=True, exist_ok=True)
    return device


def _of_this_process(recipe: Recipe) -> str:
    """Return the device of this process; those of a distributed training count theirs from 0."""
    on_gpu = recipe.device.startswith("cuda") or (recipe.device == "auto" and torch.cuda.is_available())
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if recipe.devices > 1 and on_gpu else recipe.device


def make_optimizer(recipe: Recipe, weights: list[dict[str, Any]], *, fused: bool = True) -> torch.optim.Optimizer:
    """Return the recipe's optimiser of groups of weights, in its fused form: one kernel for many of them."""
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            weights, recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay, fused=fused
        )
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(weights, recipe.learning_rate, weight_decay=recipe.weight_decay, fused=fused)


def image_order(data: TrainingData, recipe: Recipe) -> ImageOrder:
    """Return which images make which batch; reads all masks where the recipe balances classes."""
    masks = (data.train.semantic(index) for index in range(len(data.train)))
    return ImageOrder(
        len(data.train),
        batch_size=recipe.batch_size,
        accumulate=recipe.accumulate,
        seed=recipe.seed,
        flip=recipe.flip,
        present=class_pixels(masks, len(data.task.classes)) > 0 if recipe.class_balanced else None,
    )


def not_offered(recipe: Recipe, fields: Iterable[str], by: str) -> dict[str, str]:
    """Return those of the fields that the recipe sets to something else than their default, with a reason."""
    plain = Recipe(budget=recipe.budget)
    set_here = [name for name in fields if getattr(recipe, name) != getattr(plain, name)]
    return dict.fromkeys(set_here, f"{by} does not offer it")


def identity(network: Weighted, data: TrainingData, recipe: Recipe) -> str:
    """Return what a training must share with a checkpoint to go on from it."""
    sizes: list[Any] = [len(data.train), len(data.val)]
    return digest([network.architecture, list(network.class_names), as_json_dict(recipe), sizes])
