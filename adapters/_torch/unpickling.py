"""Reading what `torch.save` wrote of more than tensors, without running any of it.

Checkpoints keep a NumPy scalar, a Namespace or a Path beside their tensors. Tensors and arrays are rebuilt
by torch's and NumPy's own functions, which are listed here by name; everything else that a file asks for becomes an
`Inert`, which takes whatever is done to it and does nothing.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any, BinaryIO

from torch import Tensor

from bench.records.inert import Inert as Inert

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
    "numpy": ("ndarray", "dtype"),
    **dict.fromkeys(("numpy.core.multiarray", "numpy._core.multiarray"), ("_reconstruct",)),
    **dict.fromkeys(("numpy.core.numeric", "numpy._core.numeric"), ("_frombuffer",)),
    "_codecs": ("encode",),  # how older pickles have the bytes of an array
}
"""Module -> what is really called; dtypes and storages of torch are taken too."""


def tensors_of_module(stored: Any, prefix: str = "") -> dict[str, Tensor]:
    """Return the parameters and buffers of a module that was pickled whole, as its `state_dict` would name them.

    Anything but an `Inert` in the module's place has no tensors.
    """
    state = stored.state if isinstance(stored, Inert) and stored.state is not None else {}
    passing = state.get("_non_persistent_buffers_set") or ()
    own = {**_dictionary(state.get("_parameters")), **_dictionary(state.get("_buffers"))}
    found = {f"{prefix}{k}": v for k, v in own.items() if isinstance(v, Tensor) and k not in passing}
    for name, child in _dictionary(state.get("_modules")).items():
        found |= tensors_of_module(child, f"{prefix}{name}.")
    return found


def _dictionary(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


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
