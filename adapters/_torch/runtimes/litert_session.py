"""A TensorFlow Lite file run by LiteRT on the CPU: NumPy in, NumPy out; the settings are those of `cpu_sessions`."""

from __future__ import annotations

import importlib
import json
import struct
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapters._torch.runtimes.cpu_sessions import Array, Port, SessionSettings
from bench.errors import BenchError, Unsupported, in_one_line
from bench.records.array_files import bounded_zip
from bench.records.damage import ARRAY_DAMAGE
from bench.records.stated_classes import LONGEST_LIST


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


NAME = b"TFLITE_METADATA"

OF_SUBGRAPHS, OF_INPUTS, OF_STEPS = 3, 2, 4
"""Fields of ModelMetadata, SubGraphMetadata and TensorMetadata: graphs, their inputs, and what is done to one."""

NORMALISATION = 1
"""This is the member of the union ProcessUnitOptions that has fields mean (0) and std (1), floats in 0-255."""


def litert_metadata(file: Path) -> dict[str, str]:
    """Return `mean`, `std` and `scale` of the input, and `classes`, as texts; empty where the file says none.

    `TFLITE_METADATA` is a buffer of the model by TensorFlow Lite's metadata_schema.fbs, whose fields are read here by
    their numbers; files that belong to it are a zip archive at the end of the file.
    """
    try:
        return {**_normalisation(file.read_bytes()), **_classes(file)}
    except (*ARRAY_DAMAGE, struct.error, AttributeError, TypeError, IndexError):
        return {}  # its reader has accepted the network; what is said beside it is damaged


def _normalisation(content: bytes) -> dict[str, str]:
    schema = importlib.import_module("ai_edge_litert.schema_py_generated")
    model = schema.Model.GetRootAs(content, 0)
    entries = (model.Metadata(i) for i in range(model.MetadataLength()))
    number = next((one.Buffer() for one in entries if one.Name() == NAME), None)
    if number is None:
        return {}
    buffer = model.Buffers(number).DataAsNumpy().tobytes()
    table = importlib.import_module("flatbuffers.table")
    said = table.Table(buffer, int.from_bytes(buffer[:4], "little"))
    for graph in _tables(said, OF_SUBGRAPHS):
        for tensor in _tables(graph, OF_INPUTS):
            for step in _tables(tensor, OF_STEPS):
                kind, options = _byte(step, 0), _table(step, 1)
                if kind == NORMALISATION and options is not None:
                    mean, std = list(_vector(options, 0)), list(_vector(options, 1))
                    return {"mean": json.dumps(mean), "std": json.dumps(std), "scale": "255"} if mean and std else {}
    return {}


def _classes(file: Path) -> dict[str, str]:
    """Return the lines of the only text file that is packed behind the network."""
    if not zipfile.is_zipfile(file):
        return {}
    with bounded_zip(file) as archive:
        lists = [one for one in archive.infolist() if one.filename.endswith(".txt") and one.file_size <= LONGEST_LIST]
        if len(lists) != 1:
            return {}
        lines = archive.read(lists[0]).decode("utf-8", "replace").splitlines()
    return {"classes": json.dumps([line.strip() for line in lines if line.strip()])}


# --------------------------------------------------------------------------- tables of FlatBuffers


def _field(table: Any, number: int) -> int:
    """Return where a field lies, 0 where it is left out."""
    offset = int(table.Offset(4 + 2 * number))
    return offset + table.Pos if offset else 0


def _byte(table: Any, number: int) -> int:
    place = _field(table, number)
    return int(table.Bytes[place]) if place else 0


def _table(table: Any, number: int) -> Any:
    place = _field(table, number)
    return type(table)(table.Bytes, table.Indirect(place)) if place else None


def _tables(table: Any, number: int) -> Iterator[Any]:
    for place in _places(table, number):
        yield type(table)(table.Bytes, table.Indirect(place))


def _vector(table: Any, number: int) -> Iterator[float]:
    for place in _places(table, number):
        yield float(struct.unpack_from("<f", table.Bytes, place)[0])


def _places(table: Any, number: int) -> Iterator[int]:
    """Yield where the entries of a vector lie, each of four bytes."""
    offset = int(table.Offset(4 + 2 * number))
    if offset:
        start = int(table.Vector(offset))
        yield from (start + 4 * i for i in range(int(table.VectorLen(offset))))
