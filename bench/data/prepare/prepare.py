"""`bench data prepare`: fetch and unpack a data set whose address is public, then open it and count.

    DIR/prepare.json        which parts are complete; marks the folder as begun by this command
    DIR/archives/           what was fetched, removed once its part is complete unless it is to be kept;
                            <archive>.sha256 where the source publishes no checksum
    DIR/…                   the files as the source packs them

An interrupted command goes on where it was: in the middle of a download, or behind the last file
unpacked. An archive that was put into `archives/` by hand is used if its checksum is right.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.filesize import decimal

from bench.data.formats.sources import Archive, Part, Preparation
from bench.data.opening import Choice, module_of
from bench.data.prepare import sbd as _sbd
from bench.data.prepare.archives import require_space, unpack
from bench.data.prepare.counts import Counted, count, described
from bench.data.prepare.download import RetryLimits, download, hash_of, kept_bytes, remote_size
from bench.data.prepare.packages import SCHEME, PackageFile, copy_to
from bench.data.progress import bar
from bench.errors import BenchError, did_you_mean
from bench.records import Record, read_record
from bench.records.store.files import held, write_atomically, write_record

STATE = "prepare.json"
ARCHIVES = "archives"


class PrepareState(Record):
    """Contents of prepare.json.

    Attributes:
        parts: Names of the parts that are complete.
    """

    dataset: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Hold what a command will do.

    Attributes:
        folder: Folder that gets the files.
        preparation: All that could be fetched.
        parts: Parts that are asked for, and those that they need.
        mirror: Address of a folder with all archives, in place of their own addresses; None = their own.
    """

    name: str
    folder: Path
    preparation: Preparation
    parts: tuple[Part, ...]
    state: PrepareState
    mirror: str | None = None

    @property
    def missing(self) -> list[Part]:
        """Parts asked for that are not complete."""
        return [part for part in self.parts if part.name not in self.state.parts]

    @property
    def root(self) -> Path:
        """The option `root` of the data set."""
        return self.folder / self.preparation.root

    def url(self, archive: Archive) -> str:
        """Return where an archive is fetched from."""
        return archive.url if self.mirror is None else f"{self.mirror}/{archive.file_name}"

    def kept(self, archive: Archive) -> Path:
        """Return where an archive is kept."""
        return self.folder / ARCHIVES / archive.file_name


def planned(name: str, folder: Path, wanted: Sequence[str], *, mirror: str | None = None) -> Plan:
    """Return what is to be fetched; touches nothing.

    Args:
        folder: New, empty, or begun by this command.
        wanted: Parts; none = those that are fetched by default.
        mirror: Address of a folder that holds the archives under their file names.

    Raises:
        PluginError: If there is no such data set.
        BenchError: If it cannot be fetched by a program, has no such part, or the folder holds something else.
    """
    module = module_of(name)
    preparation: Preparation | None = getattr(module, "PREPARE", None)
    if preparation is None:
        raise BenchError(f"{name} cannot be fetched by this command. {module.OBTAIN}")
    plan = Plan(name, folder, preparation, _chosen(name, preparation, wanted), _read_state(name, folder), mirror)
    if any(part.conversion == "sbd" for part in plan.missing):
        _sbd.require_reader()
    return plan


def introduction(plan: Plan) -> str:
    """Return the source, terms and what will be fetched, to be read before it is."""
    module = module_of(plan.name)
    lines = [f"{plan.name}: {module.SOURCE}", f"Terms: {module.LICENCE}", ""]
    if plan.missing:
        lines.append(f"To be fetched into {plan.folder}:")
        for part in plan.missing:
            lines += [f"  {part.name}: {part.what}", *(f"    {plan.url(archive)}" for archive in part.archives)]
    else:
        lines.append(f"All that is asked for is in {plan.folder} already.")
    known = {part.name for part in plan.parts} | set(plan.state.parts)
    others = [part for part in plan.preparation.parts if part.name not in known]
    if others:
        lines += ["", "Not asked for (add it with --part NAME):", *(f"  {part.name}: {part.what}" for part in others)]
    return "\n".join([*lines, *(["", plan.preparation.note] if plan.preparation.note else [])])


def carry_out(plan: Plan, *, keep_archives: bool, console: Console, patience: RetryLimits) -> Plan:
    """Fetch and unpack what is missing; returns the plan with what is there now.

    Args:
        keep_archives: True keeps archives when their part is complete.

    Raises:
        BenchError: If an archive cannot be fetched, has another checksum than published, cannot be
            unpacked safely, or the disk is too small.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    if not (plan.folder / STATE).is_file():
        write_record(plan.folder / STATE, plan.state)
    busy = BenchError(f"{plan.folder} is being prepared by another bench process; wait for it.")
    with held(plan.folder / ".lock", busy):
        plan = replace(plan, state=_read_state(plan.name, plan.folder))
        _require_room(plan, keep_archives, console, patience)
        for part in plan.missing:
            for archive in part.archives:
                _fetch(plan, archive, console, patience)
                _unpack(plan, archive, console)
            if part.conversion == "sbd":
                with bar(console, "write SegmentationClassAug", unit="images") as advance:
                    _sbd.merge(plan.folder, plan.root, advance=advance)
            plan = replace(plan, state=PrepareState(dataset=plan.name, parts=(*plan.state.parts, part.name)))
            write_record(plan.folder / STATE, plan.state)
            _tidy(plan, keep_archives=keep_archives)
    return plan


def counted(plan: Plan) -> list[Counted]:
    """Open the data set in each way that its parts allow, and count; raises `DatasetError` if it cannot be opened."""
    here = [part for part in plan.preparation.parts if part.name in plan.state.parts]
    absent = [part for part in plan.preparation.parts if part not in here]
    awaited = frozenset(split for part in absent for split in part.splits)
    ways = [part.options for part in here if part.options is not None]
    return [count(Choice(plan.name, plan.name, {"root": str(plan.root), **way}), awaited) for way in ways]


def report(plan: Plan, results: Sequence[Counted]) -> str:
    """Counts, and what to write in a suite; or what is lacking before anything can be opened."""
    if results:
        return described(results)
    openers = [f"--part {part.name}" for part in plan.preparation.parts if part.options is not None]
    return f"{plan.name}: images alone cannot be opened; add their annotations with {' or '.join(openers)}"


def _chosen(name: str, preparation: Preparation, wanted: Sequence[str]) -> tuple[Part, ...]:
    """Return the parts asked for and those they need, in the order of the preparation."""
    parts = {part.name: part for part in preparation.parts}
    for part in wanted:
        if part not in parts:
            note = f" {preparation.note}" if preparation.note else ""
            raise BenchError(
                f"{name} has no part {part!r}.{did_you_mean(part, parts)} It has: {', '.join(parts)}.{note}"
            )
    asked = set(wanted) or {part.name for part in preparation.parts if part.by_default}
    asked |= {needed for part in asked for needed in parts[part].needs}
    return tuple(part for part in preparation.parts if part.name in asked)


def _read_state(name: str, folder: Path) -> PrepareState:
    """Return what an earlier command left in the folder; raises `BenchError` if it holds anything else."""
    if folder.exists() and not folder.is_dir():
        raise BenchError(f"--out {folder} is a file; give a folder.")
    try:
        state = read_record(PrepareState, folder / STATE)
    except FileNotFoundError:
        if folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir()):
            raise BenchError(
                f"--out {folder} is not empty and was not begun by this command, which overwrites nothing. Give a new "
                "folder, or empty this one."
            ) from None
        return PrepareState(dataset=name)
    except (ValidationError, UnicodeDecodeError):
        raise BenchError(
            f"{folder / STATE} is damaged, so that nobody can tell what is complete. Give a new folder, or "
            "empty this one."
        ) from None
    if state.dataset != name:
        raise BenchError(f"--out {folder} holds {state.dataset}; give another folder for {name}.")
    return state


def _require_room(plan: Plan, keep_archives: bool, console: Console, patience: RetryLimits) -> None:
    """Ask for the sizes, tell how much is to be fetched, and raise `BenchError` if they do not fit on the disk.

    What is in an archive is taken to be as large as it is; the true size is looked at before it is
    unpacked. Where a server does not say a size, the disk being full will.
    """
    unpacked, lacking = 0, [0]
    for part in plan.missing:
        sizes = []
        for archive in part.archives:
            path = plan.kept(archive)
            known = path.stat().st_size if path.is_file() else archive.size
            sizes.append(known or remote_size(plan.url(archive), patience) or 0)
        unpacked += sum(sizes)
        kept = sum(kept_bytes(plan.kept(archive)) for archive in part.archives)
        lacking.append(max(0, sum(sizes) - kept))
    if sum(lacking):
        _say(console, f"to be fetched: {decimal(sum(lacking))}")
    # Archives that are not kept are there one part at a time.
    require_space(
        plan.folder, unpacked + (sum(lacking) if keep_archives else max(lacking)), f"fetch and unpack {plan.name}"
    )


def _fetch(plan: Plan, archive: Archive, console: Console, patience: RetryLimits) -> None:
    """Download an archive unless it is there, and compare its checksum."""
    path = plan.kept(archive)
    if not path.is_file():
        with bar(console, f"fetch {path.name}", unit="bytes") as advance:
            if plan.url(archive).startswith(SCHEME):
                package = PackageFile.parse(archive.url, (archive.checksum or "").removeprefix("sha256:"))
                copy_to(package, path, advance=advance)
            else:
                download(plan.url(archive), path, advance=advance, patience=patience)
    verified = _verified(plan, archive, console)
    _say(console, f"{path.name}: {decimal(path.stat().st_size)}, {verified}")


def _verified(plan: Plan, archive: Archive, console: Console) -> str:
    """Return in words which checksum, published or recorded, an archive has; removes one that has another."""
    path = plan.kept(archive)
    record = path.with_name(f"{path.name}.sha256")
    algorithm, _, expected = (archive.checksum or "sha256:").partition(":")
    with bar(console, f"verify {path.name}", unit="bytes") as advance:
        found = hash_of(path, algorithm, advance=advance)
    origin = "published"
    if archive.checksum is None:
        if not record.is_file():
            write_atomically(record, f"{found}  {path.name}\n")
            return f"no checksum is published; its SHA-256 is recorded in {record}"
        expected, origin = record.read_text(encoding="utf-8").partition(" ")[0], f"recorded in {record}"
    if found != expected:
        path.unlink()
        trust = "" if archive.checksum else f", and {record} may be deleted if that is right"
        raise BenchError(
            f"{plan.url(archive)} has the {algorithm} {found}, not {expected} as {origin}; the file was removed. The "
            f"same command fetches it anew; if that changes nothing, the source has another file now{trust}."
        )
    return f"{algorithm} as {origin}"


def _unpack(plan: Plan, archive: Archive, console: Console) -> None:
    """Unpack an archive, and the archives in it where they lie."""
    path = plan.kept(archive)
    with bar(console, f"unpack {path.name}", unit="bytes") as advance:
        files = unpack(path, plan.folder, only=archive.only, advance=advance)
    for inner in files:
        if any(inner.relative_to(plan.folder).match(pattern) for pattern in archive.inner):
            with bar(console, f"unpack {inner.name}", unit="bytes") as advance:
                unpack(inner, inner.parent, advance=advance)
            inner.unlink()


def _tidy(plan: Plan, *, keep_archives: bool) -> None:
    """Remove what complete parts need no longer."""
    complete = [part for part in plan.parts if part.name in plan.state.parts]
    if any(part.conversion == "sbd" for part in complete):
        shutil.rmtree(plan.folder / _sbd.DATASET.parts[0], ignore_errors=True)
    if keep_archives:
        return
    for part in complete:
        for archive in part.archives:
            plan.kept(archive).unlink(missing_ok=True)
    archives = plan.folder / ARCHIVES
    if archives.is_dir() and not any(archives.iterdir()):
        archives.rmdir()


def _say(console: Console, text: str) -> None:
    """A line as it is: no colours, not broken."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)
