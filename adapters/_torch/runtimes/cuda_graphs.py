"""A forward pass recorded as a CUDA graph: one launch replays what eager torch launches kernel by kernel.

It helps where a pass is bound by launches, which small networks on small inputs are. A graph has the
addresses of its memory fixed, so pixels are copied into the recorded input and answers out of the
recorded output; both copies are part of `infer`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from adapters._torch import device as devices
from bench.records import Precision

WARM_UP_PASSES = 3
"""This many passes precede a recording: libraries choose algorithms and make workspaces, which may not be recorded."""


@dataclass(frozen=True)
class Recorded:
    """A recording for inputs of one shape.

    Attributes:
        pixels: The tensor that it reads.
        answer: The tensor, or the nest of tensors, that it writes.
    """

    pixels: Tensor
    graph: torch.cuda.CUDAGraph
    answer: Any


class CudaGraphs:
    """A pass that is recorded once for each shape and memory layout of its input.

    Args:
        forward: Maps pixels (B, 3, H, W) on the device to a tensor or a nest of tensors, without a look
            at their values.
        precision: Precision of the pass; recorded with it, whatever the caller has on.
    """

    def __init__(self, forward: Callable[[Tensor], Any], device: torch.device, precision: Precision) -> None:
        self._forward, self._device, self._precision = forward, device, precision
        self._recorded: dict[tuple[Any, ...], Recorded] = {}
        # Recordings share their intermediate memory: they are replayed one after the other.
        self._pool = torch.cuda.graph_pool_handle()

    @torch.inference_mode()
    def __call__(self, pixels: Tensor) -> Any:
        """Return what the pass answers, in memory that a later call does not write to."""
        kind = (tuple(pixels.shape), pixels.stride(), pixels.dtype)
        if kind not in self._recorded:
            self._recorded[kind] = self._record(pixels)
        recorded = self._recorded[kind]
        recorded.pixels.copy_(pixels)
        recorded.graph.replay()
        return pytree.tree_map_only(Tensor, torch.clone, recorded.answer)

    def _record(self, pixels: Tensor) -> Recorded:
        static, graph = pixels.clone(memory_format=torch.preserve_format), torch.cuda.CUDAGraph()
        beside = torch.cuda.Stream(self._device)
        beside.wait_stream(torch.cuda.current_stream(self._device))
        # A cast of the weights that autocast remembers is freed with it, and a recording would read what is left.
        with torch.cuda.device(self._device), devices.autocast(self._device, self._precision, remember=False):
            with torch.cuda.stream(beside):
                for _ in range(WARM_UP_PASSES):
                    self._forward(static)
            torch.cuda.current_stream(self._device).wait_stream(beside)
            with torch.cuda.graph(graph, pool=self._pool):
                answer = self._forward(static)
        return Recorded(static, graph, answer)
