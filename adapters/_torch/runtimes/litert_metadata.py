"""The metadata of a .tflite file: how its input is normalised, and the list of classes that is packed behind it.

`TFLITE_METADATA` is a buffer of the model by TensorFlow Lite's metadata_schema.fbs, whose fields are read here by their
numbers; files that belong to it are a zip archive at the end of the file.
"""

from __future__ import annotations

import importlib
import json
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.records.array_files import bounded_zip
from bench.records.damage import ARRAY_DAMAGE
from bench.records.stated_classes import LONGEST_LIST

NAME = b"TFLITE_METADATA"

OF_SUBGRAPHS, OF_INPUTS, OF_STEPS = 3, 2, 4
"""Fields of ModelMetadata, SubGraphMetadata and TensorMetadata: graphs, their inputs, and what is done to one."""

NORMALISATION = 1
"""This is the member of the union ProcessUnitOptions that has fields mean (0) and std (1), floats in 0-255."""


def litert_metadata(file: Path) -> dict[str, str]:
    """Return `mean`, `std` and `scale` of the input, and `classes`, as texts; empty where the file says none."""
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
                    mean, std = list(_floats(options, 0)), list(_floats(options, 1))
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


def _floats(table: Any, number: int) -> Iterator[float]:
    for place in _places(table, number):
        yield float(struct.unpack_from("<f", table.Bytes, place)[0])


def _places(table: Any, number: int) -> Iterator[int]:
    """Yield where the entries of a vector lie, each of four bytes."""
    offset = int(table.Offset(4 + 2 * number))
    if offset:
        start = int(table.Vector(offset))
        yield from (start + 4 * i for i in range(int(table.VectorLen(offset))))
