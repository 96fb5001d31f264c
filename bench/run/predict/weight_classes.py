"""Reads which classes a weight file was trained for, without its framework and without running code of it.

A weight file that a training here left is a zip archive with a pickle in it (`adapters/_torch/weights.py`).
It is read with every callable replaced by one that does nothing: tensors become None, names stay.
"""

from __future__ import annotations

import io
import json
import pickle
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from bench.data.formats.documents import read_limited
from bench.errors import BenchError
from bench.records.array_files import bounded_zip
from bench.records.damage import ARRAY_DAMAGE, json_of
from bench.records.inert import Inert
from bench.records.stated_classes import classes_in, classes_of_config, names_by_id, read_texts

_UNREADABLE = (
    *ARRAY_DAMAGE,
    pickle.UnpicklingError,
    StopIteration,
    AttributeError,
    IndexError,
)
"""This says how a file that is no such archive, or whose pickle needs more than nothing, fails."""


class _NamesOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ARG002 - whatever is asked for
        """Refuse every import."""
        return Inert

    def persistent_load(self, pid: Any) -> Any:  # noqa: ARG002 - tensors lie in other members
        """Leave tensors where they are."""
        return


def classes_of_weights(path: Path) -> tuple[str, ...] | None:
    """Return the class names that a weight file states, or None if it states none.

    A checkpoint of torch has them under one of many keys (`bench.records.stated_classes`), one of Ultralytics in the
    `names` of its model, a folder of transformers, or the weights in it, in the `id2label` of its config.json, and
    files of ONNX, OpenVINO, TorchScript and safetensors in their metadata.
    """
    config = path / "config.json" if path.is_dir() else path.with_name("config.json")
    if path.is_dir() or path.name in ("model.safetensors", "pytorch_model.bin"):
        return _of_config(config)
    if not path.is_file():
        return None
    stated = classes_in(read_texts(_metadata(path)))
    return stated if stated is not None else _of_pickle(path)


def _metadata(path: Path) -> dict[str, str]:
    """Return the texts that a file of a network keeps beside its tensors; empty where there are none."""
    try:
        if path.suffix == ".onnx":
            return onnx_metadata(path)
        if path.suffix == ".xml":
            return yaml_beside(path)
        if path.suffix == ".safetensors":
            return safetensors_metadata(path)
        return torchscript_metadata(path)
    except BenchError:
        return {}


def _of_pickle(path: Path) -> tuple[str, ...] | None:
    """Return names in the pickle of a torch file, of its dictionary or of a module in it."""
    try:
        with bounded_zip(path) as archive:
            member = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(member) as file:
                content = _NamesOnly(file).load()
    except _UNREADABLE:
        return None
    found = classes_in(content) if isinstance(content, dict) else None
    if found is not None:
        return found
    modules = [content.get(key) for key in ("ema", "model")] if isinstance(content, dict) else [content]
    states = [one.state for one in modules if isinstance(one, Inert) and one.state is not None]
    return next((n for n in (names_by_id(state.get("names")) for state in states) if n is not None), None)


def _of_config(file: Path) -> tuple[str, ...] | None:
    """Return names in the `id2label` of a configuration; None where it has none, or only numbers them."""
    try:
        return classes_of_config(json_of(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError, TypeError):
        return None


METADATA = 14
KEY, VALUE = 1, 2
VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5
LONGEST_TEXT = 16 * 1024**2


def torchscript_metadata(path: Path) -> dict[str, str]:
    """Return what Ultralytics keeps in a TorchScript archive; empty of any other file."""
    try:
        with bounded_zip(path) as archive:
            member = next((name for name in archive.namelist() if name.endswith("/extra/config.txt")), None)
            said = {} if member is None else json.loads(archive.read(member))
    except (*ARRAY_DAMAGE, RecursionError):
        return {}
    return _as_texts(said)


def yaml_beside(path: Path) -> dict[str, str]:
    """Return what the metadata.yaml beside an OpenVINO file says; empty where none lies there."""
    beside = path.with_name("metadata.yaml")
    try:
        return _as_texts(read_limited(beside.read_text(encoding="utf-8"))) if beside.is_file() else {}
    except (OSError, ValueError, yaml.YAMLError):
        return {}


def safetensors_metadata(path: Path) -> dict[str, str]:
    """Return the texts in the header of a safetensors file; empty where it has none or is damaged."""
    try:
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            said = json.loads(file.read(min(length, LONGEST_TEXT))).get("__metadata__")
    except (struct.error, ValueError, OSError, AttributeError, RecursionError, MemoryError):
        return {}
    return _as_texts(said)


def _as_texts(said: object) -> dict[str, str]:
    if not isinstance(said, dict):
        return {}
    return {
        str(name): value if isinstance(value, str) else json.dumps(value, default=str) for name, value in said.items()
    }


def onnx_metadata(path: Path) -> dict[str, str]:
    """Return the texts of a file by their names; empty where it has none or is damaged."""
    found: dict[str, str] = {}
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            for number, start, length in _fields(file, size):
                if number == METADATA and length <= LONGEST_TEXT:
                    file.seek(start)
                    entry = dict(_texts(file.read(length)))
                    found[entry.get(KEY, "")] = entry.get(VALUE, "")
                    file.seek(start + length)
    except (OSError, ValueError):
        return {}
    return found


def _fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and length of every field of bytes; the file stands behind it afterwards."""
    while file.tell() < end:
        number, kind = divmod(_varint(file), 8)
        if kind == BYTES:
            length = _varint(file)
            start = file.tell()
            if start + length > end:
                raise ValueError("a field ends behind the file")
            yield number, start, length
            file.seek(start + length)
        elif kind == VARINT:
            _varint(file)
        elif kind in (FIXED_64, FIXED_32):
            file.seek(8 if kind == FIXED_64 else 4, 1)
        else:
            raise ValueError(f"no field has the type {kind}")


def _texts(entry: bytes) -> Iterator[tuple[int, str]]:
    file = io.BytesIO(entry)
    for number, start, length in _fields(file, len(entry)):
        yield number, entry[start : start + length].decode("utf-8", "replace")


def _varint(file: BinaryIO) -> int:
    value = shift = 0
    while shift < 70:
        byte = file.read(1)
        if not byte:
            raise ValueError("the file ends within a number")
        value |= (byte[0] & 0x7F) << shift
        if not byte[0] & 0x80:
            return value
        shift += 7
    raise ValueError("a number has more than ten bytes")
