"""Checks by its first batch normalisation whether images look to a network as those of its training did.

The running mean and variance of that layer describe what the layer before it answered in training. Inputs of another
scale or offset give other means and variances; another order of colours mostly does not, and is not found.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

DOUBTFUL = 1.0
"""Divergence from which another preprocessing is looked for; images of one data set have some 0.1."""

BETTER = 5.0
"""This says how many times nearer another preprocessing must be to be named."""

FAR = 20.0
"""Divergence that is told of although no other preprocessing is nearer."""


class _Seen(Exception):
    """Ends a pass at the first batch normalisation."""


def divergence(module: nn.Module, pixels: Tensor) -> float | None:
    """Return how far the first batch normalisation's input is from what it saw in training; None if it cannot say.

    It is the median over channels of the Kullback-Leibler divergence between two normal distributions, of what comes
    in and of what the layer's running statistics describe, in nats.

    Args:
        module: Module in evaluation mode.
        pixels: (B, C, H, W), as the network is fed.
    """
    found: list[Tensor] = []

    def look(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Compare what comes into a layer with its running statistics, and end the pass."""
        mean, variance = layer.running_mean, layer.running_var
        assert isinstance(mean, Tensor)
        assert isinstance(variance, Tensor)
        came = inputs[0].detach().float()
        its_mean, its_variance = came.mean(dim=(0, 2, 3)), came.var(dim=(0, 2, 3)) + 1e-12
        variance = variance.float() + 1e-12
        ratio = its_variance / variance
        found.append(0.5 * (ratio - 1 - ratio.log() + (its_mean - mean) ** 2 / variance))
        raise _Seen

    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d) and _was_trained(layer)]
    hooks = [layer.register_forward_pre_hook(look) for layer in norms]
    try:
        with torch.inference_mode():
            module(pixels)
    except _Seen:
        return float(found[0].median())
    finally:
        for hook in hooks:
            hook.remove()
    return None


def _was_trained(layer: nn.BatchNorm2d) -> bool:
    """Return whether it has statistics other than those it was made with."""
    mean, variance = layer.running_mean, layer.running_var
    return mean is not None and variance is not None and bool((mean != 0).any() or (variance != 1).any())


def doubt(module: nn.Module, fed: Tensor, others: Mapping[str, Tensor]) -> str | None:
    """Return what is odd about the inputs of a network; None if nothing is, or if it has no statistics to compare.

    Args:
        module: Module in evaluation mode.
        fed: (B, C, H, W), images as the network is fed.
        others: Name of another preprocessing -> the same images by that.
    """
    own = divergence(module, fed)
    if own is None or own < DOUBTFUL:
        return None
    distances = {name: divergence(module, pixels) for name, pixels in others.items()}
    nearest = min((value, name) for name, value in distances.items() if value is not None)
    told = f"the first batch normalisation sees inputs {own:.1f} nats from those of its training"
    if nearest[0] * BETTER < own:
        return f"{told}, and {nearest[0]:.2f} with {nearest[1]}"
    return told if own > FAR else None
