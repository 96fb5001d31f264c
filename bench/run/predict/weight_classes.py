"""Which classes a weight file was trained for, read without its framework and without running code of it.

A weight file that a training here left is a zip archive with a pickle in it (`adapters/_torch/weights.py`).
It is read with every callable replaced by one that does nothing: tensors become None, names stay.
"""

from __future__ import annotations

import pickle
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

    def __setstate__(self, _: Any) -> None:
        """Keep nothing."""

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
    """Return the class names that a weight file states, or None if it states none."""
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
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        return None
    return tuple(names)
