"""SHA-256 of files, remembered by path, size, inode and both times of change in a file of the user's.

The memory is an SQLite file, `segbench/content_hashes.sqlite` in `$XDG_CACHE_HOME` (usually
`~/.cache`). It may be deleted at any time. Where it cannot be written, files are hashed anew.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import chain
from pathlib import Path

from bench.measure.devices import allowed_cores
from bench.records.store.cache import REHASH, cache_folder
from bench.records.store.files import State, content_sha256, file_state

SETTLED_S = 2.0
"""A file that was changed less than so long ago is not remembered: a further change may look the same."""

COMMIT_EVERY = 4096
AT_ONCE = 16
"""Files that a thread is given at a time: to hand over each costs more than to read a small one."""

Progress = Callable[[int, int], None]
"""Called with the number of files hashed and their total."""


class ContentHashes:
    """Hashes of files; reads a file only if it has changed since it was last read."""

    def __init__(self, memory: Path | None) -> None:
        """Keep the place of the memory; None remembers nothing. Touches nothing."""
        self.memory = memory
        self.trusts_memory = True
        """This says whether a file that looks unchanged is taken to be so."""
        self.read = 0
        """Files that were read, for tests and for telling the user."""

    @classmethod
    def of_user(cls) -> ContentHashes:
        """Return those with the user's memory; with `REHASH` in the environment every file is read once more."""
        made = cls(cache_folder() / "content_hashes.sqlite")
        made.trusts_memory = not os.environ.get(REHASH)
        return made

    def of(self, files: Sequence[Path], progress: Progress | None = None) -> list[str]:
        """Return the SHA-256 of each file in hex, '' for one that is missing; reads them in parallel."""
        places = [file.absolute() for file in files]
        states = {path: file_state(path) for path in dict.fromkeys(places)}
        found: dict[Path, str] = {path: "" for path, state in states.items() if state is None}
        present = {path: state for path, state in states.items() if state is not None}
        try:
            self._fill(found, present, progress)
        except sqlite3.Error as error:  # of a full disk, a file that was damaged, or one that may only be read
            self._forget(error)
            self._fill(found, present, progress)
        return [found[place] for place in places]

    def _fill(self, found: dict[Path, str], present: dict[Path, State], progress: Progress | None) -> None:
        """Add the hashes that are not there yet, and remember them."""
        with closing(self._opened()) as database:
            if self.trusts_memory:
                found |= _remembered(database, {path: state for path, state in present.items() if path not in found})
            wanted = [path for path in present if path not in found]
            with ThreadPoolExecutor(max(1, len(allowed_cores()))) as pool:
                parts = [wanted[start : start + AT_ONCE] for start in range(0, len(wanted), AT_ONCE)]
                hashes = chain.from_iterable(pool.map(lambda part: [*map(content_sha256, part)], parts))
                for number, (path, sha) in enumerate(zip(wanted, hashes, strict=True), start=1):
                    found[path] = sha
                    self.read += 1
                    _remember(database, path, present[path], sha)
                    if number % COMMIT_EVERY == 0:
                        database.commit()  # an interrupted run need not begin again
                    if progress is not None:
                        progress(number, len(wanted))
            database.commit()

    def _opened(self) -> sqlite3.Connection:
        if self.memory is not None:
            try:
                self.memory.parent.mkdir(parents=True, exist_ok=True)
                return _with_table(sqlite3.connect(self.memory, timeout=30))
            except (OSError, sqlite3.Error) as error:
                self._forget(error)
        return _with_table(sqlite3.connect(":memory:"))

    def _forget(self, error: Exception) -> None:
        print(f"note: {self.memory} cannot be used ({error}); files are hashed anew.", file=sys.stderr)
        self.memory = None


def _with_table(database: sqlite3.Connection) -> sqlite3.Connection:
    database.execute(
        "CREATE TABLE IF NOT EXISTS hashes_by_inode (path TEXT PRIMARY KEY, size INTEGER, changed_ns INTEGER, "
        "inode INTEGER, status_changed_ns INTEGER, sha256 TEXT) WITHOUT ROWID"
    )
    return database


def _remembered(database: sqlite3.Connection, states: dict[Path, State]) -> dict[Path, str]:
    query = (
        "SELECT sha256 FROM hashes_by_inode WHERE path = ? AND size = ? AND changed_ns = ? AND inode = ? "
        "AND status_changed_ns = ?"
    )
    rows = {path: database.execute(query, (os.fsencode(path), *state)).fetchone() for path, state in states.items()}
    return {path: str(row[0]) for path, row in rows.items() if row is not None}


def _remember(database: sqlite3.Connection, path: Path, state: State, sha: str) -> None:
    # The state was taken before the file was read: what changed meanwhile is read again next time.
    if time.time_ns() - max(state.changed_ns, state.status_changed_ns) > SETTLED_S * 1e9:
        row = (os.fsencode(path), *state, sha)
        database.execute("INSERT OR REPLACE INTO hashes_by_inode VALUES (?, ?, ?, ?, ?, ?)", row)
