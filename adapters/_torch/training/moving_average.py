"""An exponential moving average of weights and running statistics that never waits for a GPU."""

from __future__ import annotations

from itertools import chain

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


class MovingAverage(AveragedModel):
    """Averages of a module, kept as torch's `AveragedModel` keeps them, so that its checkpoints serve.

    The decay rises with the steps n as min(decay, (1 + n) / (10 + n)), as in TensorFlow's ExponentialMovingAverage, so
    that the start is forgotten in a short training too. torch's own update asks its counter, which lies on the device,
    and so waits for all that is queued there, at each step; here the counter is a number of the host.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        super().__init__(module, use_buffers=True)
        self._decay = decay
        self._updates: int | None = None
        self.requires_grad_(False)

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move the averages towards a module; the first update copies it."""
        if self._updates is None:
            self._updates = int(self.n_averaged)  # of a checkpoint; asked once
        pairs = zip(
            chain(self.module.parameters(), self.module.buffers()),
            chain(model.parameters(), model.buffers()),
            strict=True,
        )
        followed = [(average.detach(), newest.detach()) for average, newest in pairs]
        averaged = [pair for pair in followed if pair[0].is_floating_point() and self._updates]
        copied = [pair for pair in followed if not (pair[0].is_floating_point() and self._updates)]
        if averaged:
            share = 1 - min(self._decay, (1 + self._updates) / (10 + self._updates))
            averages, newest = map(list, zip(*averaged, strict=True))
            torch._foreach_lerp_(averages, newest, share)
        if copied:  # counters of batch normalisation, and everything at first
            targets, sources = map(list, zip(*copied, strict=True))
            torch._foreach_copy_(targets, sources)
        self._updates += 1
        self.n_averaged.fill_(self._updates)
