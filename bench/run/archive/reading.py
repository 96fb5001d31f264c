"""Reads a run from an archive that anybody may have made: nothing is believed that its hashes do not bear out."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from pydantic import ValidationError

from bench.errors import BenchError
from bench.records.store import layout
from bench.records.store.layout import RunFolder
from bench.records.store.manifest import damages_of
from bench.records.tar_files import BoundedTarInfo
from bench.run.archive.contents import CONTENTS, FORMAT, Contents, contents_of, member_name

BLOCK = 1 << 20
MOST_CONTENTS = 1 << 28
"""The list of files has at most this many bytes: a longer one is no run's."""

DAMAGE = (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile)
"""These are raised by the readers of damaged archives."""


def import_run(file: Path, results: Path) -> tuple[RunFolder, bool]:
    """Unpack a run below the folder of results, once all of it is verified.

    Args:
        file: An archive of `bench export`.
        results: Folder of all results; the run comes to `<suite>/<run>` below it.

    Returns:
        The run, and whether it is new here: the very same run may be there already.

    Raises:
        BenchError: If the archive is damaged, forged or no archive of a run, another run of this name is there, or the
            disk is too small. Nothing is left of it then.
    """
    if not file.is_file():
        raise BenchError(f"there is no file {file}; make one with: bench export RUN FILE")
    results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".import-", dir=results) as folder:
        contents = _unpacked(file, Path(folder))
        made = RunFolder(Path(folder) / contents.suite / contents.run)
        if not (made.path / layout.PLAN).is_file():
            raise _refused(file, f"its run has no {layout.PLAN}")
        if told := damages_of(made):
            raise _refused(file, f"the run's own manifest does not fit it: {told[0]}")
        target = RunFolder(results / contents.suite / contents.run)
        if target.path.exists():
            if contents_of(target) == contents:
                return target, False
            raise BenchError(
                f"{target.path} is there already and is another run, or has changed since; nothing is overwritten. "
                "Import it into another folder with: --results DIR"
            )
        target.path.parent.mkdir(parents=True, exist_ok=True)
        made.path.rename(target.path)
    return target, True


def _unpacked(file: Path, folder: Path) -> Contents:
    """Write the members below a folder, each compared with the list of files that comes first."""
    try:
        with tarfile.open(file, mode="r|*", tarinfo=BoundedTarInfo) as archive:
            contents = _contents(file, archive)
            _require_space(file, contents, folder)
            expected = {member_name(contents, name): listed for name, listed in contents.files.items()}
            while (entry := archive.next()) is not None:
                listed = expected.pop(entry.name, None)
                if listed is None or not entry.isreg() or entry.size != listed.size:
                    raise _refused(file, f"its member {entry.name!r} is not one that its list of files names")
                source = archive.extractfile(entry)
                assert source is not None  # a regular file has content
                if _written(source, folder / entry.name) != listed.sha256:
                    raise _refused(file, f"{entry.name} is not what was exported (its SHA-256 differs)")
    except DAMAGE as error:
        raise _refused(file, f"it cannot be read: {error or type(error).__name__}") from None
    if expected:
        raise _refused(file, f"{len(expected)} files are missing, the first of them {next(iter(expected))}")
    return contents


def _contents(file: Path, archive: tarfile.TarFile) -> Contents:
    """Read the list of files, the first member."""
    entry = archive.next()
    source = None if entry is None or entry.name != CONTENTS or not entry.isreg() else archive.extractfile(entry)
    if entry is None or source is None or entry.size > MOST_CONTENTS:
        raise BenchError(f"{file} is no archive of a run; make one with: bench export RUN FILE")
    try:
        contents = Contents.model_validate_json(source.read())
    except ValidationError:
        raise _refused(file, f"its {CONTENTS} is damaged, or of a later version of segbench") from None
    if contents.format > FORMAT:
        raise BenchError(f"{file} is of a later version of segbench (format {contents.format}); update segbench")
    folders = {str(parent) for name in contents.files for parent in PurePosixPath(name).parents}
    for name in contents.files:
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\\" in name or str(PurePosixPath(name)) != name:
            raise _refused(file, f"{name!r} would be written outside of the run's folder")
        if name in folders:
            raise _refused(file, f"{name!r} is a file and a folder")
    return contents


def _require_space(file: Path, contents: Contents, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if contents.total_bytes > free:
        raise BenchError(
            f"{file} holds {contents.total_bytes} bytes, and {free} are free in {folder.parent}; make room, or give "
            "another folder with --results"
        )


def _written(source: IO[bytes], path: Path) -> str:
    """Copy a member and return the SHA-256 of what was copied."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sha = hashlib.sha256()
    with path.open("xb") as target:
        while block := source.read(BLOCK):
            target.write(block)
            sha.update(block)
    return sha.hexdigest()


def _refused(file: Path, reason: str) -> BenchError:
    return BenchError(f"{file} is not imported: {reason}. Nothing of it is left. Fetch it again from where it came")
