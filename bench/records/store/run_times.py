"""Keeps the time that each command took which made a run, and what of it was spent beside the processes of jobs."""

from __future__ import annotations

from pydantic import ValidationError

from bench.records.base import Record
from bench.records.store import layout
from bench.records.store.layout import RunFolder


class CommandTime(Record):
    """Time of one `bench run`.

    Attributes:
        ended_at: Time of its end; UTC, ISO 8601.
        wall_s: Seconds that it took.
        phases_s: Seconds of it: `plan`, `jobs` (of their processes), `start` (waiting for jobs beyond that: imports
            of parents, forks), `score`, `report`; the rest went between them.
    """

    ended_at: str
    wall_s: float
    phases_s: dict[str, float]


def add_command_time(run: RunFolder, times: CommandTime) -> None:
    """Add the time of a command to those of its run."""
    with (run.path / layout.TIMES).open("a", encoding="utf-8") as file:
        file.write(times.model_dump_json() + "\n")


def command_times(run: RunFolder) -> tuple[CommandTime, ...]:
    """Return the times of the commands that made a run; none of a run of earlier versions."""
    file, found = run.path / layout.TIMES, []
    for line in file.read_bytes().splitlines() if file.is_file() else ():
        try:
            found.append(CommandTime.model_validate_json(line))
        except ValidationError:  # a line that a full disk cut off
            continue
    return tuple(found)
