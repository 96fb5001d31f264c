"""Losses outside of mixed precision: their matching goes through NumPy, which has no bf16."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn


class InFloat32(nn.Module):
    """A criterion outside of mixed precision."""

    def __init__(self, criterion: nn.Module) -> None:
        super().__init__()
        self.criterion = criterion

    def forward(self, *logits: Any, **named: Any) -> Any:
        """Return the losses of logits of any precision."""
        return in_float32(self.criterion)(*logits, **named)


def in_float32(loss: Callable[..., Any]) -> Callable[..., Any]:
    """Return a loss that is computed outside of mixed precision, from logits of any precision."""

    def outside(*logits: Any, **named: Any) -> Any:
        tensors = [value for value in (*logits, *named.values()) if isinstance(value, Tensor)]
        device = tensors[0].device.type if tensors else "cpu"
        with torch.autocast(device, enabled=False):
            return loss(*_as_float32(logits), **_as_float32(named))

    return outside


def _as_float32(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.is_floating_point() else value
    if isinstance(value, Mapping):
        return {name: _as_float32(one) for name, one in value.items()}
    return type(value)(_as_float32(one) for one in value) if isinstance(value, list | tuple) else value
