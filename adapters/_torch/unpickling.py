"""Reading what `torch.save` wrote of more than tensors, without running any of it.

Checkpoints keep a NumPy scalar, a Namespace or a Path beside their tensors. Tensors are rebuilt by
torch's own functions, which are listed here by name; everything else that a file asks for becomes an
`Inert`, which takes whatever is done to it and does nothing.
"""

from __future__ import annotations

import pickle
from typing import Any, BinaryIO

SAFE = {
    "torch._utils": (
        "_rebuild_tensor_v2",
        "_rebuild_tensor",
        "_rebuild_parameter",
        "_rebuild_parameter_with_state",
        "_rebuild_qtensor",
    ),
    "torch._tensor": ("_rebuild_from_type_v2",),
    "torch": ("Size", "Tensor", "device", "FloatStorage"),
    "torch.nn.parameter": ("Parameter",),
    "torch.serialization": ("_get_layout",),
    "collections": ("OrderedDict",),
}
"""Module -> what is really called; dtypes and storages of torch are taken too."""


class Inert:
    """Stands for an object that only running code could restore."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Take anything."""

    def __new__(cls, *_: Any, **__: Any) -> Inert:
        """Take anything."""
        return super().__new__(cls)

    def __call__(self, *_: Any, **__: Any) -> Inert:
        """Answer nothing."""
        return self

    def __setstate__(self, _: Any) -> None:
        """Keep nothing."""

    def __setitem__(self, _: Any, __: Any) -> None:
        """Keep nothing."""

    def append(self, _: Any) -> None:
        """Keep nothing."""

    def extend(self, _: Any) -> None:
        """Keep nothing."""


class Unpickler(pickle.Unpickler):
    """Restores tensors and the built-in containers of a file, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return one of torch's own rebuilders, or `Inert`; never imports what a file names."""
        if name in SAFE.get(module, ()) or (module == "torch" and _is_dtype_or_storage(name)):
            return super().find_class(module, name)
        if module in ("builtins", "__builtin__") and name in ("set", "frozenset", "slice", "complex", "bytearray"):
            return super().find_class(module, name)
        return Inert


def _is_dtype_or_storage(name: str) -> bool:
    import torch

    return name.endswith("Storage") or isinstance(getattr(torch, name, None), torch.dtype)


def load(file: BinaryIO, **options: Any) -> Any:
    """Read a pickle; the name that torch expects of a module for pickling."""
    return Unpickler(file, **options).load()


Pickler, dump, dumps, HIGHEST_PROTOCOL = pickle.Pickler, pickle.dump, pickle.dumps, pickle.HIGHEST_PROTOCOL
PickleError, UnpicklingError = pickle.PickleError, pickle.UnpicklingError
