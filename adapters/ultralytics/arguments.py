"""Turns a recipe into the arguments of the framework's trainers, and lists what of it they cannot honour."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

from adapters._torch.training.recipe import not_offered
from adapters.ultralytics.network import STRIDE
from adapters.ultralytics.options import NOT_OFFERED, InstanceOptions, NetworkOptions
from bench.records import Recipe, Size

MIN_SIDE = 2 * STRIDE
"""A smaller input leaves the coarsest feature map one cell, and a batch of one nothing to normalise over."""

DECAY_STEPS = 1000
"""The NMS-free head's share of the loss grows by epochs; here by thousandths of the budget."""

ADAM_MOMENTUM = 0.9
NO_AUGMENTATION: dict[str, Any] = {
    **dict.fromkeys(("mosaic", "mixup", "cutmix", "copy_paste", "erasing", "degrees", "translate", "scale"), 0.0),
    **dict.fromkeys(("shear", "perspective", "hsv_h", "hsv_s", "hsv_v", "flipud", "bgr", "multi_scale"), 0.0),
    "auto_augment": None,
    "augmentations": [],  # None would be Albumentations' blur and CLAHE, wherever that is installed
    "close_mosaic": 0,
}


def training_side(recipe: Recipe, sizes: Iterable[Size]) -> int:
    """Return the side of the square that training images are letterboxed to: no smaller than any of the sizes."""
    longest = max(max(size) for size in ([recipe.image_size] if recipe.image_size else sizes))
    return max(MIN_SIDE, math.ceil(longest / STRIDE) * STRIDE)


def trainer_arguments(
    options: NetworkOptions, recipe: Recipe, *, side: int, batch_size: int, device: torch.device
) -> dict[str, Any]:
    """Return the framework's arguments, but for where its files lie."""
    arguments = {
        "model": f"{options.network}.yaml",
        "epochs": DECAY_STEPS + 1,
        "batch": batch_size,
        "nbs": batch_size,
        "imgsz": side,
        "device": "cpu" if device.type == "cpu" else str(device.index),
        "amp": "bf16" if recipe.precision == "bf16" and device.type == "cuda" else False,
        "channels_last": recipe.channels_last and device.type == "cuda",
        "optimizer": {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}[recipe.optimizer],
        "lr0": min(recipe.learning_rate, 1.0),  # its limit; the rate of each step is set by a callback
        "momentum": recipe.momentum if recipe.optimizer == "sgd" else ADAM_MOMENTUM,
        "weight_decay": recipe.weight_decay,
        "warmup_epochs": 0.0,
        "fliplr": 0.5 if recipe.flip else 0.0,
        "cache": "ram",
        "workers": 0,
        "patience": 0,
        "deterministic": False,
        "seed": recipe.seed,
        **dict.fromkeys(("pretrained", "val", "plots", "save", "verbose"), False),
        **NO_AUGMENTATION,
    }
    if isinstance(options, InstanceOptions):
        arguments |= {"mask_ratio": options.mask_ratio, **({} if options.nms else {"nms": False})}
    return arguments


def not_honoured(options: NetworkOptions, recipe: Recipe, *, side: int, sizes: Iterable[Size]) -> dict[str, str]:
    """Return the fields of a recipe that these trainers treat otherwise, with how, for images of these sizes."""
    of_instances = isinstance(options, InstanceOptions)
    losses = "boxes, classes and masks" if of_instances else "cross-entropy with Dice, and an auxiliary head's"
    unlike = {"loss": f"the framework's own: {losses}", **not_offered(recipe, NOT_OFFERED, "Ultralytics' trainer")}
    if recipe.ema_decay is not None:
        unlike["ema_decay"] = "the framework's own moving average is always on, with a decay of 0.9999"
    if recipe.clip_gradient_norm is not None:
        unlike["clip_gradient_norm"] = "the framework always clips at 10"
    if recipe.image_size != (side, side) or any(size.height != size.width for size in sizes):
        unlike["image_size"] = f"images are letterboxed to {side} x {side}, a square in multiples of {STRIDE}"
    if recipe.weight_decay:
        unlike["weight_decay"] = "not on biases and normalisation layers"
    if recipe.optimizer == "sgd" and recipe.momentum:
        unlike["momentum"] = "Nesterov's"
    return unlike
