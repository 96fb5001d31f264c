"""The texts that files of networks keep beside them, read without their frameworks.

An ONNX file is a message of Protocol Buffers: keys (field number and type) and values, one after another. `ModelProto`
of onnx.proto has `metadata_props` as field 14, entries of key (1) and value (2); all else is passed over by its length.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import yaml

from bench.data.formats.yaml_text import read_limited
from bench.records.array_files import bounded_zip
from bench.records.damage import ARRAY_DAMAGE

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
