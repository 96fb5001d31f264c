"""Reads which classes a weight file was trained for, without its framework and without running code of it.

A weight file that a training here left is a zip archive with a pickle in it (`adapters/_torch/weights.py`).
It is read with every callable replaced by one that does nothing: tensors become None, names stay.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.records.array_files import bounded_zip
from bench.records.damage import ARRAY_DAMAGE, json_of
from bench.records.inert import Inert
from bench.records.stated_classes import classes_in, classes_of_config, names_by_id, read_texts
from bench.run.predict.file_metadata import (
    onnx_metadata,
    safetensors_metadata,
    torchscript_metadata,
    yaml_beside,
)

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
