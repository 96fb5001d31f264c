"""Writes a run as a tar whose bytes depend on the files of the run alone."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bench.errors import BenchError
from bench.records.store.files import whole_file
from bench.records.store.layout import RunFolder
from bench.records.store.manifest import damages_of
from bench.records.store.runs import locked, read_run
from bench.records.store.views import RunView
from bench.run.archive.contents import CONTENTS, Contents, contents_of, member_name

SUFFIXES = (".tar", ".tar.gz")


def export_run(run: RunFolder, file: Path) -> Contents:
    """Write a run as one file; the same run gives the same bytes.

    Args:
        run: The run; nobody else may write it meanwhile.
        file: A new file that ends with `.tar` or `.tar.gz`. The bytes of the latter depend on zlib's version, too.

    Returns:
        The files that were written.

    Raises:
        BenchError: If the file is there already or has another suffix, or the run is damaged or being written.
    """
    if not file.name.endswith(SUFFIXES):
        raise BenchError(f"{file}: an archive of a run ends with {' or '.join(SUFFIXES)}; name it so")
    if file.exists():
        raise BenchError(f"{file} is there already, and nothing is overwritten; move it away, or choose another name")
    with locked(run):
        _require_sound(run)
        contents = contents_of(run)
        compress = file.name.endswith(".gz")
        with whole_file(file) as temporary, _opened(temporary, compress=compress) as archive:
            _write(archive, run, contents)
    return contents


def _require_sound(run: RunFolder) -> None:
    """Raise `BenchError` where a file is not what was written: an archive must not make damage look whole."""
    if told := damages_of(run):
        more = f" and {len(told) - 3} more" if len(told) > 3 else ""
        raise BenchError(
            f"{run.path} is damaged: {'; '.join(told[:3])}{more}. Look at it with: bench audit {run.path}; bench run "
            "does the damaged jobs again"
        )


@contextmanager
def _opened(file: Path, *, compress: bool) -> Iterator[tarfile.TarFile]:
    with file.open("wb") as raw:
        if not compress:
            with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
                yield archive
        else:
            # Neither the name nor the time of this file may stand in it.
            with (
                gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
                tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
            ):
                yield archive
        raw.flush()
        os.fsync(raw.fileno())


def _write(archive: tarfile.TarFile, run: RunFolder, contents: Contents) -> None:
    text = contents.to_json().encode()
    archive.addfile(_entry(CONTENTS, len(text)), io.BytesIO(text))
    for name, listed in contents.files.items():
        with (run.path / name).open("rb") as source:
            _add(archive, _entry(member_name(contents, name), listed.size), source)


def _entry(name: str, size: int) -> tarfile.TarInfo:
    """Return a member that tells nothing of who wrote it, where and when."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size, 0, 0o644
    return entry


def _add(archive: tarfile.TarFile, entry: tarfile.TarInfo, source: IO[bytes]) -> None:
    try:
        archive.addfile(entry, source)
    except OSError as error:
        if str(error) == "unexpected end of data":
            raise BenchError(f"{entry.name} became shorter while it was read; nothing is written. Try again") from None
        raise


def weights_elsewhere(run: RunFolder, results: Path) -> list[str]:
    """Return the weights that jobs of a run used and that do not lie in it: they are in no archive of it."""
    found: dict[str, None] = {}
    view: RunView = read_run(run, results)
    for case in view.cases:
        for job in filter(None, (case.train, case.predict, *case.times)):
            weights = job.job.weights
            if weights is None or "://" in weights:
                continue
            place = (job.folder / weights).resolve()
            if not place.is_relative_to(run.path.resolve()):
                found[str(place)] = None
    return list(found)
