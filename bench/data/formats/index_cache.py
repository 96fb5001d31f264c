"""Tables made from a large file, remembered beside no data: made once, read by every process.

They lie in `segbench/indices` in `$XDG_CACHE_HOME` (usually `~/.cache`), one file for each that was
indexed, with its size and time of change. They may be deleted at any time. Writing is atomic, so
that processes that make the same table at once do not disturb each other; where nothing can be
written, each process makes its own.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.json_stream import FileState
from bench.records.array_files import packed_arrays
from bench.records.damage import ARRAY_DAMAGE
from bench.records.store.cache import REHASH, cache_folder
from bench.records.store.files import whole_file

SETTLED_S = 2.0
"""A file that was changed less than so long ago is not remembered: a further change may look the same."""
WORTH_IT = 1 << 20
"""Bytes; a smaller file is not worth a second one and is indexed by each process."""
STATE = "state of the file"

Tables: TypeAlias = dict[str, NDArray[Any]]
"""Name -> array of numbers or bytes."""


def column_of(texts: Sequence[bytes]) -> NDArray[np.bytes_]:
    """Return texts as an array, bytes, (N,), with room for the longest."""
    return np.array(texts, dtype=f"S{max(map(len, texts), default=0) or 1}")


def remembered(state: FileState, kind: str, make: Callable[[], Tables]) -> Tables:
    """Return tables of a file: those of an earlier process, or else made now.

    Args:
        state: The file, as it was before `make` reads it.
        kind: Kind and version of the tables; part of the name of the file.
        make: Reads the file; its errors are passed on.
    """
    place = (
        cache_folder() / "indices" / f"{kind}_{hashlib.sha256(os.fsencode(state.file.absolute())).hexdigest()[:32]}.npz"
    )
    if state.size < WORTH_IT:
        return make()
    found = None if _to_be_made_anew(place) else _read(place, state)
    if found is None:
        found = make()
        if time.time_ns() - state.changed_ns > SETTLED_S * 1e9:
            stored: dict[str, Any] = {**found, STATE: _state_row(state)}
            try:
                with whole_file(place) as temporary, temporary.open("wb") as file:
                    np.savez(file, **stored)
            except OSError as error:
                why = f"{place.parent} cannot be used ({error.strerror})"
                print(f"note: {why}; each process indexes the file anew.", file=sys.stderr)
    return found


def _to_be_made_anew(place: Path) -> bool:
    """Return whether `--rehash` was asked for after a table was made."""
    asked = os.environ.get(REHASH)
    try:
        return bool(asked) and place.stat().st_mtime_ns < int(asked or 0)
    except (OSError, ValueError):
        return True


def _state_row(state: FileState) -> NDArray[np.int64]:
    inode = state.inode & (2**63 - 1)  # it may be larger than an int64
    return np.array([state.size, state.changed_ns, inode, state.status_changed_ns], dtype=np.int64)


def _read(place: Path, state: FileState) -> Tables | None:
    """Return what was remembered of this state of the file; None if there is nothing, or it is damaged."""
    try:
        with packed_arrays(place) as stored:
            if not np.array_equal(stored[STATE], _state_row(state)):
                return None
            return {name: stored[name] for name in stored if name != STATE}
    except ARRAY_DAMAGE:
        return None
