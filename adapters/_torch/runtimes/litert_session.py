"""A TensorFlow Lite file run by LiteRT on the CPU: NumPy in, NumPy out; the settings are those of `cpu_sessions`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapters._torch.runtimes.cpu_sessions import Array, Port, SessionSettings
from adapters._torch.runtimes.litert_metadata import litert_metadata
from bench.errors import BenchError, Unsupported, in_one_line


class LiteRtSession:
    """LiteRT's interpreter with its CPU kernels (XNNPACK).

    Quantised inputs and outputs are floats to the outside: a number is divided by the scale and shifted by the zero
    point that the file says, and back, within `run`, since the file cannot be run otherwise.
    """

    packages: tuple[str, ...] = ("ai-edge-litert",)

    def __init__(self, file: Path, settings: SessionSettings) -> None:
        """Load a file.

        Raises:
            BenchError: If the file is not there or is no model that LiteRT runs.
            Unsupported: If LiteRT is not installed, or the precision is not the file's own.
        """
        if settings.precision != "fp32":
            raise Unsupported(f"LiteRT computes as the file says; it has no {settings.precision} to choose. Use fp32")
        if not file.is_file():
            raise BenchError(f"there is no file {file}; expected a model in the format of TensorFlow Lite (.tflite)")
        try:
            library = importlib.import_module("ai_edge_litert.interpreter")
        except ModuleNotFoundError:
            raise Unsupported(
                "a .tflite file is run by the package ai-edge-litert, which is not installed; install it with: "
                "pip install ai-edge-litert"
            ) from None
        self._threads = settings.threads
        try:
            self._interpreter: Any = library.Interpreter(str(file), num_threads=settings.threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise BenchError(f"{file} cannot be run as a model of TensorFlow Lite: {in_one_line(error, 300)}") from None
        self._inputs, self._outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self.inputs = tuple(_port(details) for details in self._inputs)
        self.outputs = tuple(_port(details) for details in self._outputs)
        self.metadata = litert_metadata(file)
        self._shape = tuple(int(length) for length in self._inputs[0]["shape"])

    def run(self, array: Array, outputs: Sequence[str]) -> tuple[Array, ...]:
        """Return copies of the named outputs for the only input."""
        self._resize(array.shape)
        self._interpreter.set_tensor(self._inputs[0]["index"], _quantised(array, self._inputs[0]))
        self._interpreter.invoke()
        wanted = [next(details for details in self._outputs if details["name"] == name) for name in outputs]
        return tuple(_floats(self._interpreter.get_tensor(details["index"]), details) for details in wanted)

    def threads(self) -> dict[str, int]:
        """Return threads asked for; LiteRT does not tell those in effect."""
        return {"litert": self._threads}

    def _resize(self, shape: tuple[int, ...]) -> None:
        if shape == self._shape:
            return
        try:
            self._interpreter.resize_tensor_input(self._inputs[0]["index"], list(shape), strict=True)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            reason = in_one_line(error, 200)
            raise Unsupported(f"LiteRT cannot run this model on an input of shape {list(shape)}: {reason}") from None
        self._shape = shape


def _port(details: dict[str, Any]) -> Port:
    lengths = tuple(None if length < 0 else int(length) for length in details["shape_signature"])
    if not _scale(details):
        return Port(str(details["name"]), lengths, np.dtype(details["dtype"]))
    (scale, zero), limits = details["quantization"], np.iinfo(details["dtype"])
    held = (float(limits.min - zero) * scale, float(limits.max - zero) * scale)
    return Port(str(details["name"]), lengths, np.dtype(np.float32), held)


def _scale(details: dict[str, Any]) -> float:
    """Return the step of a quantised tensor; 0 for one that is not."""
    return float(details["quantization"][0])


def _quantised(array: Array, details: dict[str, Any]) -> Array:
    if not _scale(details):
        return array
    scale, zero = details["quantization"]
    limits = np.iinfo(details["dtype"])
    whole: Array = np.clip(np.rint(array / scale + zero), limits.min, limits.max).astype(details["dtype"])
    return whole


def _floats(array: Array, details: dict[str, Any]) -> Array:
    if not _scale(details):
        return array
    scale, zero = details["quantization"]
    values: Array = (array.astype(np.float32) - zero) * np.float32(scale)
    return values
