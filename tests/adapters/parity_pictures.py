"""Pictures, networks that answer, and the harness's answer: what every family of `tests.adapters.parity` has alike."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from bench.adapter import load_adapter, predict
from bench.records import ClassSpec, Size, Target, TaskSpec
from bench.suite.model_configs import resolve_model

NAMES = ("ground", "red", "green", "blue")
TASK = TaskSpec(
    kind="semantic", classes=tuple(ClassSpec(name=n, colour=(i, 0, 0), is_thing=i > 0) for i, n in enumerate(NAMES))
)
THINGS = TASK.model_copy(update={"kind": "instance"})
ANY = (Size(75, 100), Size(128, 96), Size(61, 47))
ON_GRID = (Size(64, 64), Size(96, 128), Size(160, 32))
"""Sizes of pictures; a network that takes multiples of 32 alone has these without the harness."""


def picture(size, seed=0):
    """Smooth colours, so that no rounding of a resized pixel decides."""
    coarse = torch.rand((1, 3, 6, 6), generator=torch.Generator().manual_seed(seed))
    smooth = F.interpolate(coarse, size=tuple(size), mode="bicubic").clamp(0, 1)
    return (smooth[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


@torch.no_grad()
def lively(module, classifier):
    """Draw a classifier anew whose answers differ from place to place, and statistics unlike those of the start."""
    generator = torch.Generator().manual_seed(1)
    layer = module.get_submodule(classifier)
    layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
    if layer.bias is not None:
        layer.bias.zero_()
    module.train()
    batch = torch.stack([torch.from_numpy(picture(Size(64, 64), seed)).permute(2, 0, 1) for seed in range(4)]) / 128 - 1
    for norm in (m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)):
        norm.momentum = 0.5
    for _ in range(3):
        module(batch)
    answer = module.eval()(batch)
    logits = answer["out"] if isinstance(answer, dict) else answer
    if layer.bias is not None:
        layer.bias.sub_(logits.mean(dim=(0, 2, 3)))  # no class is ahead of the others everywhere
    return module


def ours(name, image, *, task=TASK, weights=None, **options):
    """The adapter's answer to a picture."""
    adapter = load_adapter(name.partition("/")[0])
    adapter.build(resolve_model(name, options=options), task, Target(threads=1), weights)
    return predict(adapter, [image])[0]


def normalised(image, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)):
    """A picture as torchvision's and smp's documentation feeds it."""
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    return (pixels - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
