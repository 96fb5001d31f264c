"""The manifest of a run: the SHA-256 of every fact, appended as the fact is written, each line bound to the one before.

A reader compares what it uses with it. A file without an entry (of a run by an older version, or written just
before a kill) is not verified; one that differs from its last entry is damaged and is never used.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.records.damage import content_of
from bench.records.store import layout
from bench.records.store.files import State, content_sha256, file_state, opened_to_append, sha256_of, write_atomically
from bench.records.store.layout import RunFolder

LEFT_OUT = (layout.WORKER_LOG, layout.PROGRESS, layout.PRUNING)
"""Files of a job that are no facts."""

INDEXES = tuple(
    f"{folder}/{layout.PREDICTION_INDEX}"
    for folder in (layout.PREDICTIONS, layout.PROBABILITIES, layout.VALIDATION, layout.AUDIT)
)
"""They hold the hash of every prediction, and of the probabilities that were kept beside it."""


def facts_of_job(folder: Path) -> list[Path]:
    """Return files of a job that its results rest on; weights and predictions are known by hashes inside of these."""
    named = [path for path in folder.iterdir() if not path.name.startswith(".") and path.name not in LEFT_OUT]
    return sorted(path for path in (*named, *(folder / name for name in INDEXES)) if path.is_file())


def record_facts(run: RunFolder, files: Iterable[Path]) -> None:
    """Append the hashes of files of a run; the caller holds the run's lock."""
    _append(run, [(file.relative_to(run.path).as_posix(), content_sha256(file)) for file in files])


def withdraw_facts(run: RunFolder, folder: Path) -> None:
    """Say that what was written in a folder of the run is given up: its job is done anew."""
    _append(run, [(name, "") for name in facts_in(run, folder)])


def facts_in(run: RunFolder, folder: Path) -> list[str]:
    """Return the paths in the run of what the manifest names below one of its folders."""
    return [*_entries_of(run).inside.get(folder.relative_to(run.path).as_posix(), ())]


def _append(run: RunFolder, hashes: Iterable[tuple[str, str]]) -> None:
    path = run.manifest
    entries = _entries_of(run)
    cut_off = _cut_off(run, entries.lines)
    # What does not follow from what is left keeps the gap to be seen.
    previous = _head_of(run).last if cut_off else entries.last
    added: list[tuple[dict[str, str], str]] = []
    for name, sha256 in hashes:
        entry = {"file": name, "sha256": sha256, "previous": previous}
        line = json.dumps(entry, ensure_ascii=True)
        previous = _sha256(line.encode())
        added.append((entry, line))
    if not added:
        return
    # A kill may have cut the last line off; what follows must not be glued to it.
    start = "" if entries.is_whole else "\n"
    with os.fdopen(opened_to_append(path), "a", encoding="ascii") as stream:
        stream.write(start + "".join(f"{line}\n" for _, line in added))
        stream.flush()
        os.fsync(stream.fileno())
    head = {"lines": len(entries.lines) + len(added), "last": previous}
    # A head that a power cut takes back is a shorter one, or none: it then says less, and nothing wrong.
    write_atomically(run.manifest_head, json.dumps(head) + "\n", to_disk=False)
    if not cut_off and not start:
        # Nothing is read again that this process has written: a run of many jobs would read it once for each.
        for entry, line in added:
            entries.add(entry, line.encode())
        _READ[path] = (file_state(path), entries)


class _Head(NamedTuple):
    """State how many lines the manifest had when it was last appended to, and the hash of the last of them."""

    lines: int
    last: str


def _head_of(run: RunFolder) -> _Head:
    """Return the head of a manifest; of length 0 where there is none, as in runs of before 0.3."""
    try:
        found = json.loads(content_of(run.manifest_head))
        return _Head(int(found["lines"]), str(found["last"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return _Head(0, "")


def _cut_off(run: RunFolder, lines: Sequence[str]) -> str | None:
    """Say that lines with these hashes are missing at the end; one more than the head knows came before a kill."""
    head = _head_of(run)
    if len(lines) < head.lines:
        return f"{head.lines - len(lines)} of its {head.lines} lines are missing at the end"
    if head.lines and head.last not in lines[head.lines - 1 :]:
        return f"line {head.lines} is not the one that was written"
    return None


def _sha256(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest() if line else ""


def damage_of(run: RunFolder, file: Path) -> str | None:
    """Say in what a file differs from the manifest; None if it does not, or has no entry."""
    return _difference(file, recorded_sha256(run, file))


def damage_of_job(run: RunFolder, folder: Path) -> str | None:
    """Say which facts of a job were changed or removed since it ended; None if none was."""
    entries = _entries_of(run)  # once: a run of thousands of jobs asks for each of them
    names = entries.inside.get(folder.relative_to(run.path).as_posix(), ())
    found = [_difference(run.path / name, entries.hashes.get(name)) for name in names]
    return "; ".join(reason for reason in found if reason) or None


def _difference(file: Path, recorded: str | None) -> str | None:
    if recorded is None:
        return None
    if not file.is_file():
        return f"{file.name} is missing"
    return None if sha256_of(file) == recorded else f"{file.name} is not what was written (its SHA-256 differs)"


def fact_states(run: RunFolder) -> dict[str, State | None]:
    """Return path in the run -> size, inode and times of each file of the manifest; None where it is gone."""
    return {name: file_state(run.path / name) for name in _entries_of(run).hashes}


def recorded_sha256(run: RunFolder, file: Path) -> str | None:
    """Return the hash that a file was written with; None if the manifest does not name it."""
    return _entries_of(run).hashes.get(file.relative_to(run.path).as_posix()) or None


def not_begun(run: RunFolder, folder: Path) -> bool:
    """Return whether a kill came between making a job's folder and writing its `job.json`: nothing was recorded."""
    empty = folder.is_dir() and all(file.name.startswith(".") for file in folder.iterdir())
    return empty and recorded_sha256(run, folder / layout.JOB) is None


def last_of_manifest(run: RunFolder) -> str:
    """Return the hash of its last line, which is that of no other state of the run; empty where there is none."""
    return _entries_of(run).last


def manifest_damage(run: RunFolder) -> str | None:
    """Say which line of the manifest was changed after it was written, or that it is missing; None if none was."""
    entries = _entries_of(run)
    if not entries.lines and not _head_of(run).lines and (run.path / layout.ENVIRONMENTS).is_dir():
        return "it is missing, and so is its head: nothing of this run can be verified"  # older runs had no such folder
    return entries.damage or _cut_off(run, entries.lines)


def damages_of(run: RunFolder) -> list[str]:
    """Return what is wrong with the manifest of a run, and in what its files differ from it."""
    found = [manifest_damage(run), *(damage_of(run, run.path / name) for name in fact_states(run))]
    return [reason for reason in found if reason]


class _Entries:
    """The last hash of each file, by its path in the run, and what is wrong with the manifest itself.

    Attributes:
        hashes: Path in the run -> SHA-256.
        inside: The same paths by each folder above them, so that a run of thousands of jobs is not gone through for
            each of them.
        lines: The hash of each line.
        damage: Sentence on the line that does not follow from the one before; None if each does.
        is_whole: True if the last line has its end.
    """

    def __init__(self, text: bytes) -> None:
        self.hashes: dict[str, str] = {}
        self.inside: dict[str, dict[str, None]] = {}
        self.lines: list[str] = []
        self.damage: str | None = None
        self.is_whole = not text or text.endswith(b"\n")
        for number, line in enumerate(text.split(b"\n"), start=1):
            if not line:
                continue
            entry = _entry(line)
            if entry is not None and entry["previous"] != self.last and self.damage is None:
                self.damage = f"line {number} does not follow from the line before: the manifest was changed"
            # What is no entry a kill has cut off: the end of the file, or what was it when the next one was appended.
            self.add(entry, line)

    @property
    def last(self) -> str:
        """Return the hash of the last line."""
        return self.lines[-1] if self.lines else ""

    def add(self, entry: dict[str, str] | None, line: bytes) -> None:
        """Take a line in, and its entry if it is one."""
        self.lines.append(_sha256(line))
        if entry is None:
            return
        name = entry["file"]
        parts = name.split("/")
        above = [self.inside.setdefault("/".join(parts[:depth]), {}) for depth in range(1, len(parts))]
        if entry["sha256"]:
            self.hashes[name] = entry["sha256"]
            for named in above:
                named[name] = None
        else:
            self.hashes.pop(name, None)
            for named in above:
                named.pop(name, None)


def _entry(line: bytes) -> dict[str, str] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    names = ("file", "sha256", "previous")
    whole = isinstance(entry, dict) and all(isinstance(entry.get(name), str) for name in names)
    return entry if whole else None


_READ: dict[Path, tuple[State | None, _Entries]] = {}
"""Manifests that were read, as they were then, of the runs that were asked for last."""
MOST_READ = 64


def _entries_of(run: RunFolder) -> _Entries:
    state = file_state(run.manifest)
    read = _READ.pop(run.manifest, None)
    if read is None or read[0] != state:
        read = state, _Entries(content_of(run.manifest) if state is not None and run.manifest.is_file() else b"")
    _READ[run.manifest] = read
    while len(_READ) > MOST_READ:
        del _READ[next(iter(_READ))]
    return read[1]
