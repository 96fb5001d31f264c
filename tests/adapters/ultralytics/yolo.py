"""Small YOLO networks for the tests; modules that import this are skipped where the framework is not installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from adapters.ultralytics import environment
from adapters.ultralytics.adapter import Adapter
from bench.errors import Unsupported
from bench.records import ModelSpec, Size, Target
from tests.adapters.rectangles import INSTANCES, THREE_CLASSES, Rectangles, rectangles, short_recipe

try:
    environment.import_framework()
except Unsupported as missing:
    pytest.skip(str(missing), allow_module_level=True)

# These import the framework, so only now.
from adapters._torch.training.checkpoints import CHECKPOINT  # noqa: F401
from adapters.ultralytics.network import make_network
from adapters.ultralytics.training import EpochOrder  # noqa: F401

NETWORKS = {"instance": "yolo11n-seg", "semantic": "yolo26n-sem"}
TASKS = {"instance": INSTANCES, "semantic": THREE_CLASSES}
SEEN_BY_A_USER = 0.25


def spec(kind="instance", *, weights=None, **options) -> ModelSpec:
    return ModelSpec(
        name="ultralytics/test",
        label="ultralytics/test",
        adapter="ultralytics",
        task=kind,
        description="",
        options={"network": NETWORKS[kind], **options},
        weights=weights,
    )


def built(
    kind="instance", *, task=None, weights=None, target=None, named_weights=None, training_follows=False, **options
) -> Adapter:
    adapter = Adapter()
    adapter.training_follows = training_follows
    model = spec(kind, weights=named_weights, **options)
    adapter.build(model, task or TASKS[kind], target or Target(threads=1), weights)
    return adapter


def scenes(kind="instance", train=12, val=4):
    return rectangles(train, val, task=TASKS[kind])


def images(*sizes, seed=7):
    return [Rectangles(1, seed=seed + i, size=size).image(0) for i, size in enumerate(sizes)]


def recipe(steps=12, **changes):
    return short_recipe(**{"budget": {"steps": steps}, "learning_rate": 0.003, **changes})


def make_sure_of_itself(weights: Path) -> None:
    """Scale what a network of instances says of each class so that a tenth of its places reach a score of a half.

    After a hundred steps the scores lie about the floor of what is kept, above or below it as the sums of the
    processor at hand turn out; what a test compares must not hang on that. The order of the places stays.
    """
    checkpoint = torch.load(weights, weights_only=True)
    network = make_network(spec(), INSTANCES, seed=0).module
    network.load_state_dict(checkpoint["state_dict"])
    last = [branch[-1] for branch in network.model[-1].cv3]
    said: list[torch.Tensor] = []
    hooks = [layer.register_forward_hook(lambda _layer, _given, logits: said.append(logits)) for layer in last]
    pictures = torch.from_numpy(np.stack(images(*[Size(64, 64)] * 8))).permute(0, 3, 1, 2)
    with torch.no_grad():
        network.eval()(pictures.float() / 255)
    for hook in hooks:
        hook.remove()
    logits = torch.cat([one.flatten(2).transpose(1, 2).flatten(0, 1) for one in said])  # places x classes
    middle, spread = logits.quantile(0.9, dim=0), logits.std(dim=0)
    with torch.no_grad():
        for layer in last:
            layer.bias.copy_((layer.bias - middle) / spread)
            layer.weight /= spread[:, None, None, None]
    torch.save({**checkpoint, "state_dict": network.state_dict()}, weights)
