"""Backbones that learn more slowly than the rest of a network, or begin to learn later."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from bench.errors import Unsupported
from bench.records import Recipe

FACTOR = "learning_rate_factor"
"""Key of an optimiser's group of parameters: what the learning rate of a step is multiplied by."""


class Backbone:
    """The part of a network that a recipe may treat otherwise than the rest.

    While it is frozen it is in evaluation mode, so that running statistics stay too, and gets no gradients.

    Args:
        module: The network that is trained.
        prefixes: Beginnings of the names of the parameters of its backbone; none where it has none.
        recipe: Recipe that says how the backbone learns.

    Raises:
        Unsupported: If the recipe asks for it and the network has none.
    """

    def __init__(self, module: nn.Module, prefixes: tuple[str, ...], recipe: Recipe) -> None:
        self._recipe = recipe
        # What a model config froze for good stays so.
        self._named = {name: one for name, one in module.named_parameters() if one.requires_grad}
        asked = recipe.backbone_learning_rate_factor != 1 or recipe.frozen_backbone_fraction > 0
        self._names = [name for name in self._named if asked and name.startswith(prefixes or ("\0",))]
        if asked and not self._names:
            raise Unsupported(
                "the network has no backbone apart from the rest of it; leave 'backbone_learning_rate_factor' and "
                "'frozen_backbone_fraction' out of the recipe"
            )
        self._learning = [self._named[name] for name in self._names]
        self._parts = [part for name, part in module.named_modules() if f"{name}.".startswith(prefixes or ("\0",))]
        self._frozen = False

    def groups(self) -> list[dict[str, Any]]:
        """Return the parameters for an optimiser: in one group, or in two that differ by `FACTOR`."""
        factor = self._recipe.backbone_learning_rate_factor
        if factor == 1:
            return [{"params": [*self._named.values()], FACTOR: 1.0}]
        rest = [parameter for name, parameter in self._named.items() if name not in set(self._names)]
        return [{"params": rest, FACTOR: 1.0}, {"params": self._learning, FACTOR: factor}]

    def begin_step(self, optimizer: torch.optim.Optimizer, rate: float, fraction: float) -> None:
        """Set the learning rates of a step, and freeze or thaw the backbone, at a share of the budget that is spent."""
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get(FACTOR, 1.0)
        freeze = fraction < self._recipe.frozen_backbone_fraction
        if freeze != self._frozen:
            self._frozen = freeze
            for parameter in self._learning:
                parameter.requires_grad_(not freeze)
                parameter.grad = None
            for part in self._parts:
                part.train(not freeze)
        elif freeze:  # a validation ends in training mode
            for part in self._parts:
                part.eval()
