"""Brings answers of a device to the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Rows = Sequence[tuple[Tensor, ...]]


def to_host(rows: Rows) -> list[tuple[Any, ...]]:
    """Return tensors as arrays of their shapes and types; from a GPU one copy brings all of them, and one wait.

    A copy of its own would make the host wait for each image in turn, and its memory, which the driver may move, is
    copied twice.

    Args:
        rows: For each image of a batch the same number of tensors, on one device.

    Returns:
        Arrays in the place of the tensors. Those of a GPU share the memory of one copy.
    """
    tensors = [tensor for row in rows for tensor in row]
    arrays = _in_one_copy(tensors) if any(one.is_cuda for one in tensors) else [one.cpu().numpy() for one in tensors]
    left = iter(arrays)
    return [tuple(next(left) for _ in row) for row in rows]


def _in_one_copy(tensors: Sequence[Tensor]) -> list[Any]:
    # The widest numbers first: all then lie at multiples of their size.
    order = sorted(range(len(tensors)), key=lambda place: -tensors[place].element_size())
    parts = [tensors[place].contiguous().flatten().view(torch.uint8) for place in order]
    packed = torch.cat(parts)
    landed = torch.empty(packed.shape, dtype=torch.uint8, pin_memory=True)
    landed.copy_(packed, non_blocking=True)
    torch.cuda.current_stream(packed.device).synchronize()
    arrays: dict[int, Any] = {}
    for place, part in zip(order, landed.split([len(part) for part in parts]), strict=True):
        arrays[place] = part.view(tensors[place].dtype).view(tensors[place].shape).numpy()
    return [arrays[place] for place in range(len(tensors))]
