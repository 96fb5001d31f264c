"""Which classes a weight file was trained for, read without its framework and without running code of it.

A weight file that a training here left is a zip archive with a pickle in it (`adapters/_torch/weights.py`).
It is read with every callable replaced by one that does nothing: tensors become None, names stay.
"""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

_UNREADABLE = (
    zipfile.BadZipFile,
    pickle.UnpicklingError,
    StopIteration,
    OSError,
    EOFError,
    AttributeError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
)
"""How a file that is no such archive, or whose pickle needs more than nothing, fails."""


class _Nothing:
    """Stands for whatever a pickle wants to make."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Take anything."""

    def __setstate__(self, state: Any) -> None:
        """Keep the class names of a module, and nothing else."""
        if isinstance(state, dict) and isinstance(state.get("names"), dict):
            self.names = state["names"]

    def __setitem__(self, _: Any, __: Any) -> None:
        """Keep nothing: an ordered dictionary of tensors is filled so."""


class _NamesOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ARG002 - whatever is asked for
        """Never import."""
        return _Nothing

    def persistent_load(self, pid: Any) -> Any:  # noqa: ARG002 - tensors lie in other members
        """Leave tensors where they are."""
        return


def classes_of_weights(path: Path) -> tuple[str, ...] | None:
    """Return the class names that a weight file states, or None if it states none.

    A file of ours has `class_names`, a checkpoint of Ultralytics the `names` of its model, a folder of transformers,
    or the weights in it, the `id2label` of its config.json.
    """
    config = path / "config.json" if path.is_dir() else path.with_name("config.json")
    if path.is_dir() or path.name in ("model.safetensors", "pytorch_model.bin"):
        return _of_config(config)
    if not path.is_file():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            member = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(member) as file:
                content = _NamesOnly(file).load()
    except _UNREADABLE:
        return None
    names = content.get("class_names") if isinstance(content, dict) else None
    if names is None and isinstance(content, dict):
        stated = (getattr(content.get(key), "names", None) for key in ("ema", "model"))
        names = next((found for found in map(_by_id, stated) if found is not None), None)
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        return None
    return tuple(names)


def _of_config(file: Path) -> tuple[str, ...] | None:
    """Names in the `id2label` of a configuration; None where it has none, or only numbers them."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))["id2label"]
        names = _by_id({int(number): name for number, name in said.items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return None if names is None or all(re.fullmatch(r"LABEL_\d+", name) for name in names) else tuple(names)


def _by_id(names: Any) -> list[str] | None:
    """The values of a dictionary from 0, 1, ... to names, in that order; None of anything else."""
    if not isinstance(names, dict) or not names or sorted(names) != list(range(len(names))):
        return None
    return [str(names[i]) for i in range(len(names))]
