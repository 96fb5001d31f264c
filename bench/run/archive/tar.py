"""A run as one tar: written so that its bytes depend on the files of the run alone, read so that nothing is believed.

Anybody may have made an archive: what its hashes do not bear out is refused. Its first member lists every file of the
run with its size and its hash.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from pydantic import Field, ValidationError

from bench.errors import BenchError
from bench.records import Record
from bench.records.array_files import BoundedTarInfo
from bench.records.store import layout
from bench.records.store.files import content_sha256, whole_file
from bench.records.store.layout import RunFolder
from bench.records.store.manifest import damages_of
from bench.records.store.runs import locked, read_run
from bench.records.store.views import RunView

CONTENTS = "segbench-run.json"
"""The first member of an archive has this name; those of the run follow in the order of their names."""

FORMAT = 1
"""The number is raised whenever an older version of `bench import` could not read an archive."""

PLAIN = r"^[A-Za-z0-9_@+=][A-Za-z0-9_@+=. -]*$"


class ArchivedFile(Record):
    """A file of a run: the bytes of its content, and their hash, hexadecimal."""

    size: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Contents(Record):
    """The files of an archived run by their path in it, with `/`; `format` is the version of the archive's layout."""

    format: int = FORMAT
    suite: str = Field(pattern=PLAIN)
    run: str = Field(pattern=PLAIN)
    files: dict[str, ArchivedFile]

    @property
    def total_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files.values())


def contents_of(run: RunFolder) -> Contents:
    """Return the lasting files of a run as they lie on disk."""
    files = run.lasting_files()
    found = {name: ArchivedFile(size=file.stat().st_size, sha256=content_sha256(file)) for name, file in files}
    return Contents(suite=run.suite, run=run.name, files=found)


def member_name(contents: Contents, name: str) -> str:
    """Return the name of a member that holds a file of the run."""
    return str(Path(contents.suite) / contents.run / name)


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
