"""Runs in a store: as objects that are named by their content with a list of them, or as archives of one file each.

```
objects/<2 digits>/<SHA-256>             the content of a file; put once, never changed, shared by all runs
runs/<suite>/<run>/contents.json         path -> size and SHA-256 of each file; replaced in one step
runs/<suite>/<run>/writer.json           who writes the run now, see `working.py`
```

The list is replaced when everything it names is there and was read back, so that whoever reads it finds a whole run as
it was after some job, whenever the writer was killed. Archives are written and read through a file of this machine,
with the same verification.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from bench.errors import BenchError
from bench.records.store import layout
from bench.records.store.files import content_sha256, sha256_of
from bench.records.store.layout import RunFolder
from bench.run.archive.tar import ArchivedFile, Contents, export_run
from bench.run.remote.stores import Store, is_url, split_url, store_at

RUNS, CONTENTS = "runs", "contents.json"

NEEDED = (layout.PLAN, layout.MANIFEST)
"""Files without which a run cannot be gone on with."""


def runs_in(store: Store, suite: str | None = None) -> list[tuple[str, str]]:
    """Return (suite, run) of the runs in a store, oldest first."""
    under = RUNS if suite is None else f"{RUNS}/{suite}"
    parts = [name.split("/") for name in store.names(under) if name.endswith(f"/{CONTENTS}")]
    return sorted(((part[1], part[2]) for part in parts if len(part) == 4), key=lambda pair: (pair[1], pair[0]))


def contents_in(store: Store, suite: str, run: str) -> Contents | None:
    """Return what a run consists of in a store; None where there is no such run.

    Raises:
        BenchError: If the list is damaged, or names files outside of the run.
    """
    text = store.read(f"{RUNS}/{suite}/{run}/{CONTENTS}")
    if text is None:
        return None
    where = f"{store.url}/{RUNS}/{suite}/{run}/{CONTENTS}"
    try:
        found = Contents.model_validate_json(text)
    except ValidationError:
        raise BenchError(
            f"{where} is damaged, or of a later version of segbench: nothing of it is used. Begin another with --new"
        ) from None
    for name in found.files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or str(path) != name or (found.suite, found.run) != (suite, run):
            raise BenchError(f"{where} is not of this run, or names files outside of it: nothing of it is used")
    return found


def object_name(sha256: str) -> str:
    """Return the name of the object with some content."""
    return f"objects/{sha256[:2]}/{sha256}"


def pull(store: Store, contents: Contents, results: Path, tell: Callable[[str], None]) -> set[str]:
    """Bring the files of a run into the folder of results, each verified; those that are there are left alone.

    Where the folder's run is ahead of the store's, as after a kill between a job and its upload, it keeps its files.

    Args:
        store: Store that the run lies in.
        contents: List of the run's files.
        results: Folder of results; the run comes to `<suite>/<run>` below it.
        tell: Gets a line for each object that is damaged or gone.

    Returns:
        Hashes of damaged objects. Files that only they hold are missing then: the run's manifest says so, and their
        jobs are done again.

    Raises:
        BenchError: If the two are different runs of one name, or what is damaged is needed to read the run.
    """
    run = RunFolder(results / contents.suite / contents.run)
    is_ahead = _is_ahead(store, run, contents)
    damaged: set[str] = set()
    for name, listed in contents.files.items():
        file = run.path / name
        if file.is_file() and (is_ahead or (file.stat().st_size == listed.size and sha256_of(file) == listed.sha256)):
            continue
        if is_ahead and not _is_wanted(run, name):
            continue
        why = _fetched(store, listed, file)
        if why is None:
            continue
        damaged.add(listed.sha256)
        place = f"{store.url}/{object_name(listed.sha256)} ({name} of run {run.suite}/{run.name})"
        if name in NEEDED:
            raise BenchError(f"{place} {why}: the run cannot be gone on with. Begin another with --new")
        tell(f"{place} {why}; it is made again where it is needed")
    return damaged


def _is_wanted(run: RunFolder, name: str) -> bool:
    """Return whether a file that the folder lacks is fetched though the folder is ahead: its job is still there."""
    parts = PurePosixPath(name).parts
    return parts[0] != "jobs" or (run.path / "jobs" / parts[1]).is_dir()


def _is_ahead(store: Store, run: RunFolder, contents: Contents) -> bool:
    """Return whether the folder's manifest goes on from the store's.

    Raises:
        BenchError: If neither goes on from the other.
    """
    if not run.manifest.is_file() or layout.MANIFEST not in contents.files:
        return False
    here = run.manifest.read_bytes()
    there = store.read(object_name(contents.files[layout.MANIFEST].sha256)) or b""
    if here.startswith(there):
        return True
    if there.startswith(here):
        return False
    raise BenchError(
        f"the run {run.suite}/{run.name} in {store.url} and the working copy of it in {run.path} went on apart: "
        f"another machine wrote it meanwhile. Move {run.path} away to go on with the store's, or begin another run "
        "with --new"
    )


def _fetched(store: Store, listed: ArchivedFile, file: Path) -> str | None:
    """Write an object to a file once it is verified; returns what is wrong with it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        if not store.get(object_name(listed.sha256), unfinished):
            return "is gone"
        if content_sha256(unfinished) != listed.sha256:
            return "is not what was uploaded (its SHA-256 differs)"
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    return None


def finished_files(run: RunFolder) -> Contents:
    """Return the files of a run but those of jobs that have not ended; a file is hashed once per state."""
    found = {}
    for file in sorted(run.path.rglob("*")):
        name = file.relative_to(run.path)
        if not file.is_file() or file.name == layout.LOCK or file.name.endswith(".tmp"):
            continue
        if name.parts[0] == "jobs" and not (run.path / name.parts[0] / name.parts[1] / layout.OUTCOME).is_file():
            continue
        found[name.as_posix()] = ArchivedFile(size=file.stat().st_size, sha256=sha256_of(file))
    return Contents(suite=run.suite, run=run.name, files=found)


def push(store: Store, run: RunFolder, before: Contents | None, damaged: set[str]) -> Contents:
    """Put what a run has now into a store, each object read back, and then the list of it all.

    Args:
        store: Store that gets the files.
        run: Its folder; nobody writes it meanwhile but jobs that have not ended.
        before: Contents that the store is known to have of it.
        damaged: Hashes of objects that are to be put anew; emptied of those that are.

    Returns:
        The contents that the store has now.

    Raises:
        BenchError: If the store cannot be reached, or an object that was put is not what comes back.
    """
    now = finished_files(run)
    if before is not None and now.files == before.files and not damaged:
        return now
    there = {listed.sha256 for listed in before.files.values()} - damaged if before is not None else set()
    for name, listed in now.files.items():
        if listed.sha256 in there:
            continue
        target = object_name(listed.sha256)
        if listed.sha256 in damaged or store.size(target) != listed.size:
            store.put(run.path / name, target)
            _require_same(store, target, listed.sha256)
            damaged.discard(listed.sha256)
        there.add(listed.sha256)
    store.write(f"{RUNS}/{run.suite}/{run.name}/{CONTENTS}", now.to_json().encode())
    return now


def _require_same(store: Store, name: str, sha256: str) -> None:
    """Read an object back."""
    with tempfile.TemporaryDirectory(prefix="bench-read-back-") as folder:
        file = Path(folder) / "object"
        if not store.get(name, file) or content_sha256(file) != sha256:
            raise BenchError(f"{store.url}/{name} is not what was just put there; the same command tries again")


def export_to(run: RunFolder, place: str) -> tuple[Contents, int]:
    """Write a run as one new file, `.tar` or `.tar.gz`, at a path or a URL.

    Returns:
        The files that were written, and the bytes of the archive.

    Raises:
        BenchError: As `export_run`; if the store cannot be reached; if what comes back is not what was put.
    """
    if not is_url(place):
        file = Path(place)
        return export_run(run, file), file.stat().st_size
    above, name = split_url(place)
    store = store_at(above)
    if store.size(name) is not None:
        raise BenchError(f"{place} is there already, and nothing is overwritten; choose another name")
    with tempfile.TemporaryDirectory(prefix="bench-export-") as folder:
        file = Path(folder) / name
        contents = export_run(run, file)
        store.put(file, name)
        back = Path(folder) / "back"
        if not store.get(name, back) or content_sha256(back) != content_sha256(file):
            store.remove(name)
            raise BenchError(f"{place} is not what was just put there, and was removed; try again")
        return contents, file.stat().st_size


@contextmanager
def archive_at(place: str) -> Iterator[Path]:
    """Yield an archive as a file of this machine, fetched first where it lies behind a URL.

    Raises:
        BenchError: If it is not there, or the store cannot be reached.
    """
    if not is_url(place):
        yield Path(place)
        return
    above, name = split_url(place)
    with tempfile.TemporaryDirectory(prefix="bench-import-") as folder:
        file = Path(folder) / name
        if not store_at(above).get(name, file):
            raise BenchError(f"there is no {place}; make one with: bench export RUN {place}")
        yield file
