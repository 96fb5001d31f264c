"""`bench gc`: remove what results and caches hold that nothing needs any more."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.arguments import Namespace, Parser

if TYPE_CHECKING:
    from bench.run.cleanup import Removable

HELP = "list or remove files that results and caches no longer need"
GROUP, ORDER = "environment", 5

SHOWN = 20
"""Most paths that are listed one by one; `--all` lists every one."""


def add_arguments(parser: Parser) -> None:
    parser.switch("--delete", "remove the files (default: list what would be removed)")
    recent = "leave files that changed in the last DAYS days (default: 30)"
    parser.option("--older-than", "DAYS", recent, type=float, default=30.0)
    runs = "also remove whole runs, except the newest of each suite and those whose weights other runs use"
    parser.option("--runs-older-than", "DAYS", runs, type=float)
    parser.switch("--all", f"list every path, not {SHOWN} of them")


def execute(options: Namespace) -> int:
    """List or remove them; 1 if something could not be removed."""
    from bench.errors import BenchError
    from bench.run.cleanup import Policy, removable, remove

    for flag, value in (("--older-than", options.older_than), ("--runs-older-than", options.runs_older_than)):
        if value is not None and not value >= 0:
            raise BenchError(f"{flag} {value:g}: expected a number of days from 0 upwards")
    found = removable(Path(options.results), Policy(options.older_than, options.runs_older_than))
    if not found:
        print("nothing to remove")
        return 0
    _list(found, None if options.all else SHOWN)
    if not options.delete:
        print("nothing was removed; to remove these files, add --delete to the same command")
        return 0
    failed: list[str] = []

    def tell(one: Removable, reason: str) -> None:
        if reason:
            failed.append(f"{one.path} stays: {reason}")

    remove(found, tell)
    for line in failed:
        print(line, file=sys.stderr)
    print(f"{len(found) - len(failed)} removed")
    return 1 if failed else 0


def _list(found: list[Removable], most: int | None) -> None:
    from datetime import datetime

    from rich.filesize import decimal
    from tabulate import tabulate

    kinds = dict.fromkeys(one.kind for one in found)
    for one in found[:most]:
        print(f"{one.kind}: {one.path}")
    if most is not None and len(found) > most:
        print(f"… and {len(found) - most} more; list them with --all")
    rows = []
    for kind in kinds:
        ones = [one for one in found if one.kind == kind]
        oldest = datetime.fromtimestamp(min(one.changed_s for one in ones)).astimezone()
        rows.append([kind, len(ones), decimal(sum(one.size for one in ones)), oldest.strftime("%Y-%m-%d")])
    print(tabulate(rows, headers=["what", "number", "size", "oldest from"], tablefmt="simple"))
