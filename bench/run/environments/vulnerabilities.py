"""Known vulnerabilities of installed packages, by a database that lies here: nothing is asked of the network.

Format: OSV (https://ossf.github.io/osv-schema/), as a JSON file of one entry or a list of them, JSON lines, a folder of
JSON files, or the ZIP of an ecosystem that OSV publishes.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import BenchError, in_one_line
from bench.records import Record
from bench.records.array_files import bounded_zip
from bench.records.base import first_fault
from bench.records.damage import ARRAY_DAMAGE, text_of
from bench.run.environments.interpreters import Inventory, normal_name


class Vulnerability(Record):
    """A vulnerability that an installed package has.

    Attributes:
        package, version: Installed package and its version.
        id: Id of the entry, followed by its other names.
        summary: One line; empty where the entry has none.
        fixed_in: Versions that no longer have it; empty where none is known.
    """

    package: str
    version: str
    id: str
    summary: str
    fixed_in: tuple[str, ...]


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Package(_Lenient):
    ecosystem: str = ""
    name: str = ""


class _Range(_Lenient):
    type: str = ""
    events: tuple[dict[str, str], ...] = ()


class _Affected(_Lenient):
    package: _Package = _Package()
    ranges: tuple[_Range, ...] = ()
    versions: tuple[str, ...] = ()


class _Entry(_Lenient):
    id: str
    summary: str = ""
    aliases: tuple[str, ...] = ()
    affected: tuple[_Affected, ...] = ()
    withdrawn: str | None = None


def vulnerabilities_of(found: Inventory, database: Path) -> list[Vulnerability]:
    """Return the known vulnerabilities of what an interpreter has, in order of the packages' names.

    Raises:
        BenchError: If the database cannot be read, or is none.
    """
    installed = {normal_name(package["name"]): str(package["version"]) for package in found.packages}
    told = [
        Vulnerability(
            package=name,
            version=installed[name],
            id=", ".join([entry.id, *entry.aliases]),
            summary=" ".join(entry.summary.split()),
            fixed_in=_fixed_in(affected),
        )
        for entry in _entries(database)
        if entry.withdrawn is None
        for affected in entry.affected
        if affected.package.ecosystem == "PyPI" and (name := normal_name(affected.package.name)) in installed
        if _is_affected(installed[name], affected)
    ]
    return sorted({one.to_json(): one for one in told}.values(), key=lambda one: (one.package, one.id))


def _is_affected(version: str, affected: _Affected) -> bool:
    """OSV's rule: named among the versions, or within a range between `introduced` and `fixed` or `last_affected`."""
    if version in affected.versions:
        return True
    try:
        installed = Version(version)
        return any(_within(installed, part.events) for part in affected.ranges if part.type == "ECOSYSTEM")
    except InvalidVersion:
        return False


def _within(installed: Version, events: Sequence[dict[str, str]]) -> bool:
    inside = False
    for kind, text in sorted((item for event in events for item in event.items()), key=_place):
        at = Version("0") if text == "0" else Version(text)
        if kind == "introduced" and installed >= at:
            inside = True
        elif (kind == "fixed" and installed >= at) or (kind == "last_affected" and installed > at):
            inside = False
    return inside


def _place(event: tuple[str, str]) -> tuple[Version, bool]:
    return (Version("0") if event[1] == "0" else Version(event[1])), event[0] == "introduced"


def _fixed_in(affected: _Affected) -> tuple[str, ...]:
    fixed = (event["fixed"] for part in affected.ranges for event in part.events if "fixed" in event)
    return tuple(dict.fromkeys(version for version in fixed if len(version) < 40))  # a longer one is a commit


def _entries(database: Path) -> Iterator[_Entry]:
    count = 0
    for name, text in _texts(database):
        try:
            document = json.loads(text)
            for entry in document if isinstance(document, list) else [document]:
                count += 1
                yield _Entry.model_validate(entry)
        except (ValueError, RecursionError, ValidationError) as error:
            first = first_fault(error) if isinstance(error, ValidationError) else in_one_line(error, 200)
            raise BenchError(
                f"{database}: {name} is no OSV entry ({first}); expected JSON with 'id' and 'affected'"
            ) from None
    if not count:
        raise BenchError(f"{database} holds no OSV entry; expected a JSON file, a folder of these, or a ZIP of OSV's")


def _texts(database: Path) -> Iterator[tuple[str, str]]:
    try:
        if database.is_dir():
            for file in sorted(database.rglob("*.json")):
                yield file.name, text_of(file)
        elif zipfile.is_zipfile(database):
            with bounded_zip(database) as archive:
                for name in sorted(archive.namelist()):
                    if name.endswith(".json"):
                        yield name, archive.read(name).decode("utf-8")
        elif database.suffix == ".jsonl":
            lines = text_of(database).splitlines()
            yield from ((f"line {number}", line) for number, line in enumerate(lines, start=1) if line.strip())
        else:
            yield database.name, text_of(database)
    except ARRAY_DAMAGE as error:
        raise BenchError(f"{database}: the database of vulnerabilities cannot be read: {error}") from None
