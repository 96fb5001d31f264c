"""`predictions.json` in the output folder: what was asked, by what it was made, and every result.

It is written before the worker starts, with every image as `pending`, and again when it has ended,
however it did. So a second call knows what is done, and which files are ours to write.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.records.store.files import write_atomically
from bench.run.predict.worker.request import JOURNAL, Item

FILE = "predictions.json"
WORK = ".bench-predict"
"""Folder below the output folder with the worker's job, journal and log; gone once all went well."""

VERSION = 1
STAGES = ("decode", "preprocess", "infer", "postprocess", "write")
HOW_TIMED = (
    "Milliseconds per image: the time of a batch divided by its images, device idle at each boundary of preprocess, "
    "infer and postprocess. The first batch is predicted once more beforehand, as warm-up, and that call is not in "
    "them. Decoding the next batch and writing the last one run beside the model in threads of their own, so this is "
    "how long it took here and no measurement to compare models by: bench run makes those."
)


class Manifest:
    """The document, read from the output folder or new."""

    def __init__(self, out: Path, identity: dict[str, Any], *, overwrite: bool) -> None:
        """Open it.

        Args:
            out: Output folder; need not exist.
            identity: Settings that decide the outputs: model, weights, classes, target, forms of files.
            overwrite: True if results of another identity may be replaced and what is done be done again.

        Raises:
            BenchError: If the folder holds results of another identity, or a damaged document.
        """
        self._file, self._identity = out / FILE, identity
        self._out = out
        document = _read(self._file)
        self.rows: dict[str, dict[str, Any]] = {row["source"]: row for row in document.get("images", [])}
        theirs = document.get("made_by")
        self.settle()
        if theirs is not None and theirs != identity:
            if self.own_files() and not overwrite:
                different = sorted(
                    key for key in {*theirs, *identity} if theirs.get(key) != identity.get(key) and key != "origin"
                )
                told = "; ".join(
                    f"{key} {_brief(theirs.get(key))} there, {_brief(identity.get(key))} now" for key in different
                )
                raise BenchError(
                    f"{out} holds predictions made otherwise ({told}). Name another folder with --out, or replace them "
                    "with --overwrite."
                )
            for row in self.rows.values():
                row["status"] = "pending"

    def own_files(self) -> set[Path]:
        """Return absolute paths of what earlier calls wrote."""
        return {self._out / name for row in self.rows.values() for name in _files(row)}

    def withdraw(self) -> None:
        """Leave no trace of a call that wrote no prediction."""
        if self.own_files():
            return
        shutil.rmtree(self._out / WORK, ignore_errors=True)
        self._file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the user's own files lie in it
            self._out.rmdir()

    def items(self) -> dict[str, Item]:
        """Items of earlier calls, by source."""
        return {
            source: Item(source=source, name=row["name"], kind="video" if row["kind"] == "video" else "image")
            for source, row in self.rows.items()
        }

    def done(self, item: Item) -> bool:
        """Return whether the item's files are written and still there."""
        row = self.rows.get(item.source)
        return row is not None and row["status"] == "ok" and all((self._out / name).is_file() for name in _files(row))

    def settled(self, item: Item) -> bool:
        """Return whether there is nothing to do: it is done, or could not be read and has not changed."""
        row = self.rows.get(item.source)
        return self.done(item) or (row is not None and row["status"] == "unreadable" and not self.changed(item))

    def changed(self, item: Item) -> bool:
        """Return whether the source is another file than the one that was predicted."""
        return self.rows[item.source].get("stamp") != stamp(Path(item.source))

    def plan(self, items: Sequence[Item]) -> None:
        """Note items as ours to do, remove what earlier calls wrote for them, and write the document."""
        for item in items:
            for name in _files(self.rows.get(item.source, {})):
                if ".." not in Path(name).parts and not Path(name).is_absolute():
                    (self._out / name).unlink(missing_ok=True)
            row = {"source": item.source, "name": item.name, "kind": item.kind, "status": "pending"}
            self.rows[item.source] = {**row, "stamp": stamp(Path(item.source))}
        self.save({})

    def settle(self) -> None:
        """Take over what the worker's journal says."""
        journal = self._out / WORK / JOURNAL
        if not journal.is_file():
            return
        for line in journal.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
                row = self.rows.get(entry.pop("source"))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue  # cut off by a kill
            if row is None:
                continue
            if entry.get("frame") is not None:
                frames = {frame["frame"]: frame for frame in row.get("frames", [])}
                frames[entry["frame"]] = entry
                row["frames"] = [frames[number] for number in sorted(frames)]
            else:
                entry.pop("frame", None)
                row.update(entry)

    def save(self, more: dict[str, Any]) -> None:
        """Write the document, atomically."""
        rows = [self.rows[source] for source in sorted(self.rows)]
        document = {
            "version": VERSION,
            "made_by": self._identity,
            **more,
            "timings_ms": {"how": HOW_TIMED, "median": medians(rows)},
            "images": rows,
        }
        write_atomically(self._file, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def medians(rows: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Median of each stage over images and frames; empty without any.

    >>> medians([{"timings_ms": {"decode": 1.0}}, {"frames": [{"timings_ms": {"decode": 3.0}}]}])
    {'decode': 2.0}
    """
    single = [entry for row in rows for entry in (row.get("frames") or [row]) if "timings_ms" in entry]
    values = {
        stage: [entry["timings_ms"][stage] for entry in single if stage in entry["timings_ms"]] for stage in STAGES
    }
    return {stage: round(statistics.median(found), 3) for stage, found in values.items() if found}


def stamp(path: Path) -> list[int]:
    """Return the size in bytes and time of change of a file, ns; zeros for one that is not there."""
    try:
        state = path.stat()
    except OSError:
        return [0, 0]
    return [state.st_size, state.st_mtime_ns]


def _files(row: dict[str, Any]) -> list[str]:
    frames = [name for frame in row.get("frames", []) for name in frame["files"].values()]
    return [*row.get("files", {}).values(), *frames]


def _brief(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["version"] != VERSION or not all(
            {"source", "name", "kind", "status"} <= set(row) for row in document["images"]
        ):
            raise ValueError("it has another form")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BenchError(
            f"{file} is not a list of predictions that this version wrote ({error}); name another folder with --out"
        ) from None
    found: dict[str, Any] = document
    return found
