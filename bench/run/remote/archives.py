"""Archives of runs behind a URL: written and read through a file of this machine, with the same verification."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import BenchError
from bench.records.store.files import content_sha256
from bench.records.store.layout import RunFolder
from bench.run.archive.tar import Contents, export_run
from bench.run.remote.stores import is_url, split_url, store_at


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
