"""A GPU that is not there, for tests: tensors that claim to lie on `cuda:0` and compute on the processor.

Unlike torch's FakeTensorMode they hold numbers, so that what looks at values can be run and its answers compared. As
on a GPU, an operation on tensors of host and device is refused, an array is made of a tensor of the host alone, and
everything that makes the host wait can be counted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

GPU = torch.device("cuda:0")
READS_NUMBERS = ("aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten._unique", "aten.bincount")
"""Operators whose answer, or its shape, the host needs at once."""
TAKES_INDICES_OF_THE_HOST = ("aten.index", "aten._index_put", "aten._unsafe_index")


class OnGpu(torch.Tensor):
    """A tensor on `cuda:0`; `held` has its numbers."""

    held: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> OnGpu:
        return torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=GPU,
        )

    def __init__(self, held: torch.Tensor) -> None:
        self.held = held

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{function} on the simulated GPU outside of it")


class SimulatedGpu(TorchDispatchMode):
    """The GPU, while it is entered.

    Attributes:
        copies: For each copy to the host its number of bytes.
        uploads: For each copy from the host its number of bytes.
        waits: Operators and calls for which the host waited.
    """

    def __init__(self) -> None:
        super().__init__()
        self.copies: list[int] = []
        self.uploads: list[int] = []
        self.waits: list[str] = []

    @contextlib.contextmanager
    def in_use(self) -> Iterator[SimulatedGpu]:
        """Enter, with what torch would otherwise ask a driver for."""
        real = torch.cuda._lazy_init, torch.cuda.current_stream
        torch._C._ensureCUDADeviceGuardSet()
        lifts = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)
        torch.cuda._lazy_init = lambda: None
        torch.cuda.current_stream = lambda device=None: self
        try:
            with self:
                yield self
        finally:
            torch.cuda._lazy_init, torch.cuda.current_stream = real
            torch._C._set_only_lift_cpu_tensors(lifts)

    def synchronize(self) -> None:
        """Wait, in the place of a stream."""
        self.waits.append("synchronize")

    def put(self, value: Any) -> Any:
        """Return tensors of the host, in lists, dictionaries and objects, as if they had been made on the GPU."""
        if isinstance(value, torch.Tensor):
            return value if isinstance(value, OnGpu) else OnGpu(value.detach().clone())
        if isinstance(value, list | tuple):
            moved = [self.put(one) for one in value]
            return type(value)(*moved) if hasattr(value, "_fields") else type(value)(moved)
        if isinstance(value, dict):
            return {name: self.put(one) for name, one in value.items()}
        if hasattr(value, "__dict__"):
            copied = object.__new__(type(value))
            copied.__dict__.update({name: self.put(one) for name, one in vars(value).items()})
            return copied
        return value

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = str(function)
        tensors = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        on_gpu = [tensor for tensor in tensors if isinstance(tensor, OnGpu)]
        device = kwargs.get("device")
        to_gpu = bool(on_gpu) if device is None else torch.device(device).type == "cuda"
        kwargs.pop("pin_memory", None)
        if device is not None:
            kwargs["device"] = torch.device("cpu")
        if name.startswith(("aten.is_pinned", "aten._pin_memory", "aten.pin_memory")):
            return name.startswith("aten.is_pinned") or args[0]
        if name.startswith(("aten._to_copy", "aten.copy_")):
            to_gpu = self._note_copy(name, args, to_gpu=to_gpu)
        elif on_gpu and not name.startswith(TAKES_INDICES_OF_THE_HOST):
            strange = [tensor for tensor in tensors if tensor.dim() and not isinstance(tensor, OnGpu)]
            if strange:
                raise RuntimeError(f"{name}: expected all tensors to be on the same device, but found cuda:0 and cpu")
        by_mask = name.startswith("aten.index") and any(tensor.dtype == torch.bool for tensor in on_gpu[1:])
        if on_gpu and (by_mask or name.startswith(READS_NUMBERS)):
            self.waits.append(name)
        return self._computed(function, args, kwargs, on_gpu, to_gpu=to_gpu)

    def _note_copy(self, name: str, args: Any, *, to_gpu: bool) -> bool:
        """Note a copy between host and device; return whether what it made lies on the device."""
        source = args[1] if name.startswith("aten.copy_") else args[0]
        if name.startswith("aten.copy_"):
            to_gpu = isinstance(args[0], OnGpu)
        if isinstance(source, OnGpu) and not to_gpu:
            self.copies.append(source.numel() * source.element_size())
        elif to_gpu and not isinstance(source, OnGpu):
            self.uploads.append(source.numel() * source.element_size())
        return to_gpu

    @staticmethod
    def _computed(function: Any, args: Any, kwargs: Any, on_gpu: list[OnGpu], *, to_gpu: bool) -> Any:
        held = pytree.tree_map_only(OnGpu, lambda tensor: tensor.held, (args, kwargs))
        own = {id(tensor.held): tensor for tensor in on_gpu}  # what is changed in place stays itself
        answer = function(*held[0], **held[1])

        def made(tensor: torch.Tensor) -> torch.Tensor:
            if not to_gpu:
                return tensor
            return own[id(tensor)] if id(tensor) in own else OnGpu(tensor)

        return pytree.tree_map_only(torch.Tensor, made, answer)
