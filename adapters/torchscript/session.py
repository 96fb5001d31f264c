"""A TorchScript file run by torch on the CPU: NumPy in, NumPy out, for `adapters._torch.runtimes.file_model`.

Its code is TorchScript's, which computes with tensors and reads no files; it is run by torch's interpreter of it and
never by Python.
"""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adapters._torch.runtimes.cpu_sessions import Array, Port, SessionSettings
from adapters._torch.runtimes.file_metadata import read_metadata
from bench.errors import BenchError, Unsupported
from bench.records import Size

TRIAL = Size(256, 256)
"""Size at which a module is run once to see its outputs, where nobody says one."""

CONFIG = "config.txt"
"""This is what Ultralytics keeps its metadata in."""


class TorchScriptSession:
    """A scripted or traced module."""

    packages: tuple[str, ...] = ("torch", "torchvision")

    def __init__(self, file: Path, settings: SessionSettings, *, output: str | None, size: Size | None) -> None:
        """Load a file and run it once on zeros, which shows its outputs.

        Args:
            file: File of `torch.jit.save`.
            settings: Threads and determinism.
            output: Name of the output that is asked for; keys of a dictionary, places in a tuple.
            size: Size of its input, where it is known.

        Raises:
            BenchError: If the file is not there or is no TorchScript.
            Unsupported: If torch computes it in the asked precision by no means.
        """
        if settings.precision != "fp32":
            raise Unsupported(
                f"TorchScript computes as the file says; it has no {settings.precision} to choose. Use fp32"
            )
        if not file.is_file():
            raise BenchError(f"there is no file {file}; expected a TorchScript file, as torch.jit.save writes them")
        torch.set_num_threads(settings.threads)
        torch.use_deterministic_algorithms(settings.deterministic, warn_only=True)
        self._module, config = _loaded(file)
        self.metadata = {
            name: (value if isinstance(value, str) else json.dumps(value, default=str))
            for name, value in _dictionary(config).items()
        }
        dtype = next((p.dtype for p in self._module.parameters() if p.is_floating_point()), torch.float32)
        self._dtype = dtype
        shown = np.dtype(str(dtype).removeprefix("torch.")) if dtype != torch.bfloat16 else np.dtype(np.float32)
        self.inputs: tuple[Port, ...] = (Port("image", (None,) * 4, shown),)
        self.outputs = self._seen(shown, size or read_metadata(self.metadata).size, output)

    @torch.inference_mode()
    def run(self, array: Array, outputs: Sequence[str]) -> tuple[Array, ...]:
        """Return the named outputs for the only input."""
        try:
            found = by_name(self._module(torch.from_numpy(array).to(self._dtype)))
        except RuntimeError as error:
            raise Unsupported(
                f"the TorchScript file fails on an input of shape {list(array.shape)}: {_reason(error)}"
            ) from None
        return tuple(_array(found[name]) for name in outputs)

    def threads(self) -> dict[str, int]:
        """Return threads of torch, read back."""
        return {"torch": torch.get_num_threads()}

    def _seen(self, dtype: np.dtype[Any], size: Size | None, output: str | None) -> tuple[Port, ...]:
        """Return its outputs by a pass over zeros; the one that is asked for, unseen, where it refuses that size."""
        for channels in (3, 1):
            with torch.inference_mode():
                try:
                    zeros = torch.from_numpy(np.zeros((1, channels, *(size or TRIAL)), dtype))
                    found = by_name(self._module(zeros.to(self._dtype)))
                except RuntimeError:
                    continue
            return tuple(Port(n, tuple(t.shape), _array(t.flatten()[:1]).dtype) for n, t in found.items())
        return (Port(output or "output", (), np.dtype(np.float32)),)


def by_name(answer: Any) -> dict[str, Tensor]:
    """Return the tensors of an answer: of a dictionary by its keys, of a tuple by their places, one alone as `output`.

    >>> [*by_name({"out": torch.zeros(1), "aux": torch.zeros(1)})], [*by_name((torch.zeros(1), [torch.zeros(2)]))]
    (['out', 'aux'], ['0', '1.0'])
    """
    if isinstance(answer, Tensor):
        return {"output": answer}
    found: dict[str, Tensor] = {}
    pairs = (
        answer.items() if isinstance(answer, Mapping) else enumerate(answer) if isinstance(answer, list | tuple) else ()
    )
    for name, one in pairs:
        inner = by_name(one)
        found |= {str(name) if key == "output" else f"{name}.{key}": tensor for key, tensor in inner.items()}
    return found


def _array(tensor: Tensor) -> Array:
    """Return a tensor as an array; NumPy has no bfloat16."""
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).contiguous().numpy()


def _loaded(file: Path) -> tuple[Any, str]:
    extra = {CONFIG: ""}
    importlib.import_module("torchvision")  # registers the operators that scripted detectors call
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = torch.jit.load(str(file), map_location="cpu", _extra_files=extra)
    except (RuntimeError, ValueError) as error:
        raise BenchError(f"{file} cannot be run as TorchScript: {_reason(error)}") from None
    return module.eval(), extra[CONFIG]


def _dictionary(config: str | bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(config)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[-1:])[:200] or type(error).__name__
