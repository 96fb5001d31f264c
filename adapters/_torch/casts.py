"""Weights in the precision of a pass, cast once.

Autocast casts the weights of convolutions and linear layers to half precision in every pass: 46 casts and 186 MB for
the full U-Net. Cast before, they are what it would have cast them to, so that answers stay the same, bit for bit.
"""

from __future__ import annotations

from collections import Counter

import torch
from torch import nn

CAST_BY_AUTOCAST = frozenset(
    (
        "torch.nn.modules.conv.Conv2d",
        "torch.nn.modules.conv.ConvTranspose2d",
        "torch.nn.modules.linear.Linear",
        "detectron2.layers.wrappers.Conv2d",
    )
)
"""Layers that hand weight and bias to one operator and to nothing else; a subclass may look at its weights, as
weight standardisation does, and is left."""


def cast_weights(module: nn.Module, dtype: torch.dtype) -> int:
    """Cast weights and biases of the layers that autocast casts to one type; return how many.

    What is shared with another layer, or made by a hook before each pass, is left to autocast.
    """
    parts = list(module.modules())
    uses = Counter(id(parameter) for part in parts for parameter in part._parameters.values() if parameter is not None)
    count = 0
    for part in parts:
        kind = type(part)
        if f"{kind.__module__}.{kind.__qualname__}" not in CAST_BY_AUTOCAST or part._forward_pre_hooks:
            continue
        for name in ("weight", "bias"):
            parameter = part._parameters.get(name)
            if parameter is not None and parameter.dtype == torch.float32 and uses[id(parameter)] == 1:
                cast = parameter.detach().to(dtype)
                part._parameters[name] = nn.Parameter(cast, requires_grad=parameter.requires_grad)
                count += 1
    return count
