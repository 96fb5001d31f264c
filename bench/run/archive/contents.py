"""Describes the first member of an archive: every file of the run with its size and its hash."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from bench.records import Record
from bench.records.store.files import content_sha256
from bench.records.store.layout import RunFolder

CONTENTS = "segbench-run.json"
"""The first member of an archive has this name; those of the run follow in the order of their names."""

FORMAT = 1
"""The number is raised whenever an older version of `bench import` could not read an archive."""

PLAIN = r"^[A-Za-z0-9_@+=][A-Za-z0-9_@+=. -]*$"


class ArchivedFile(Record):
    """A file of a run.

    Attributes:
        size: Bytes of its content.
        sha256: Hash of its content, hexadecimal.
    """

    size: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Contents(Record):
    """The files of an archived run.

    Attributes:
        format: Version of the archive's own layout.
        suite, run: Names of the suite and of the run.
        files: Path in the run, with `/` -> file.
    """

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
