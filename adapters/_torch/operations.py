"""Floating-point operations and activations of one call of `infer`, as torch itself counts them.

`torch.utils.flop_counter` sees every operator below the network's modules, so that functional calls,
windows and test-time copies are counted as often as they are made. A multiplication with its addition
is 2. Activations are the elements of the outputs of the same operators, as fvcore's
`ActivationCountAnalysis` has them (fvcore/nn/activation_count.py), which follows "Designing Network
Design Spaces" (Radosavovic et al., 2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from bench.adapter import Adapter
from bench.records import Operations
from bench.records.predictions import RgbImage

METHOD = (
    "torch.utils.flop_counter on infer: convolutions, matrix products and attention, a multiply-add as 2; not "
    "normalisation, activation functions, pooling, resizing, RoIAlign and NMS. Activations: elements of the outputs of "
    "what is counted"
)


@dataclass
class Count:
    """Hold what was counted so far.

    Attributes:
        flops: A multiplication with its addition is 2.
        activations: Elements of the outputs of the operators that are counted.
    """

    flops: int = 0
    activations: int = 0


@contextmanager
def counting() -> Iterator[Count]:
    """Count what torch computes in this context; `flops` is there when it ends."""
    count = Count()
    mapping = {operator: _with_activations(formula, count) for operator, formula in flop_registry.items()}
    fast_path = torch.backends.mha.get_fastpath_enabled()
    # The fused kernel of nn.MultiheadAttention has no formula; what it computes otherwise is the same.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
            yield count
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    count.flops = int(counter.get_total_flops())


def _with_activations(formula: Callable[..., int], count: Count) -> Callable[..., int]:
    """Return a formula of torch's that also notes the size of the output: the first one, of operators with several."""

    def counted(*args: Any, out_val: Any = None, **kwargs: Any) -> int:
        out = out_val[0] if isinstance(out_val, tuple | list) else out_val
        count.activations += math.prod(out.shape)
        return formula(*args, out_val=out_val, **kwargs)

    counted._get_raw = True  # type: ignore[attr-defined]  # as register_flop_formula(get_raw=True): tensors, not shapes
    return counted


def operations_of(adapter: Adapter, images: Sequence[RgbImage]) -> Operations:
    """Return what a call of `infer` computes for a batch; the adapter is built, and runs in torch."""
    parameters = adapter.describe()["parameters"]
    assert isinstance(parameters, int)  # every torch adapter counts them
    batch = adapter.preprocess(images)
    with counting() as count:
        adapter.infer(batch)
    adapter.synchronize()
    return Operations(
        flops=count.flops,
        activations=count.activations,
        parameters=parameters,
        images=len(images),
        method=METHOD,
    )
