"""Weights of Detectron2's own formats, from a file or an address, without running code in them."""

from __future__ import annotations

import pickle
from typing import Any, BinaryIO
from urllib.error import URLError

import torch
from detectron2.checkpoint import DetectionCheckpointer
from torch import nn

from adapters._torch.matching import LoadedWeights
from bench.errors import BenchError

PLAIN = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("collections", "OrderedDict"),
    ("_codecs", "encode"),
}
"""This is what a pickle of arrays consists of."""


class PlainUnpickler(pickle.Unpickler):
    """Reads arrays, numbers, strings and containers of them; refuses anything that could run."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a name out of `PLAIN`."""
        if (module, name) not in PLAIN:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, which is not data")
        return super().find_class(module, name)


class PlainCheckpointer(DetectionCheckpointer):
    """Detectron2's reader of weight files, for tensors and arrays only; notes what stayed unloaded."""

    not_loaded: tuple[str, ...] = ()
    left: int = 0

    def _load_file(self, filename: str) -> Any:
        if filename.endswith((".pkl", ".pyth")):
            with self.path_manager.open(filename, "rb") as file:
                _refuse_code(file, filename)
        return super()._load_file(filename)

    def _torch_load(self, f: str) -> Any:
        return torch.load(f, map_location="cpu", weights_only=True)

    def _load_model(self, checkpoint: Any) -> Any:
        incompatible = super()._load_model(checkpoint)
        wrong = [name for name, *_ in incompatible.incorrect_shapes]
        self.not_loaded = tuple(sorted({*incompatible.missing_keys, *wrong}))
        self.left = len(incompatible.unexpected_keys)
        return incompatible


def _refuse_code(file: BinaryIO, filename: str) -> None:
    """Read a file as plain data; raises where the framework's reader would run something."""
    if filename.endswith(".pyth"):
        torch.load(file, map_location="cpu", weights_only=True)
    else:
        PlainUnpickler(file, encoding="latin1").load()


def load_zoo_weights(module: nn.Module, source: str, *, label: str) -> LoadedWeights:
    """Load weights into a meta-architecture as Detectron2 does, by name, converting the names of its older files.

    The source is a file, or an address that starts with `detectron2://` or `https://`.

    Returns:
        Account of what was loaded and left.

    Raises:
        BenchError: If the source cannot be read, holds more than arrays and tensors, or leaves a part
            of the network without weights, where the framework would go on with random ones.
    """
    checkpointer = PlainCheckpointer(module)
    try:
        checkpointer.load(source)
    except (OSError, URLError, AssertionError) as error:
        raise BenchError(
            f"{label}: weights {source!r} cannot be read ({_first_line(error)}). "
            "Give a file, or an address that this machine can reach."
        ) from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise BenchError(
            f"{label}: {source!r} is not a weight file of plain tensors or arrays ({_first_line(error)}). "
            "Give a checkpoint of Detectron2, or a file that a training of this model wrote."
        ) from None
    missing = [name for name in checkpointer.not_loaded if not name.endswith(("num_batches_tracked", "pixel_mean"))]
    if missing:
        raise BenchError(
            f"{label}: {source!r} has no fitting weights for {len(missing)} parts of the network, first {missing[0]}; "
            "give weights of this architecture that were trained for as many classes as the task has"
        )
    return LoadedWeights(loaded=len(module.state_dict()) - len(checkpointer.not_loaded), left=checkpointer.left)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
