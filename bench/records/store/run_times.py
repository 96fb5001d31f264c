"""Keeps the time that each command took which made a run, and what of it was spent beside the processes of jobs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, ValidationError

from bench.errors import few, in_one_line
from bench.records.base import Record
from bench.records.damage import content_of
from bench.records.store import layout
from bench.records.store.files import opened_to_append
from bench.records.store.layout import RunFolder

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class CommandTime(Record):
    """Time of one `bench run`.

    Attributes:
        ended_at: Time of its end; UTC, ISO 8601.
        wall_s: Seconds that it took.
        phases_s: Seconds of it: `plan`, `jobs` (of their processes), `start` (waiting for jobs beyond that: imports
            of parents, forks), `score`, `report`; the rest went between them.
        counted_s: Folder of each job that ran beside others -> seconds of it in which no job that ended before it
            ran; all other jobs count from their begin to their end.
    """

    ended_at: str
    wall_s: Seconds
    phases_s: dict[str, Seconds]
    counted_s: dict[str, Seconds] = {}


@dataclass(frozen=True)
class CommandTimes:
    """Times of the commands that made a run, as far as they can be read; `damage` says what cannot."""

    commands: tuple[CommandTime, ...] = ()
    damage: str | None = None


def add_command_time(run: RunFolder, times: CommandTime) -> None:
    """Add the time of a command to those of its run, behind a line that a full disk may have cut off."""
    with os.fdopen(opened_to_append(run.path / layout.TIMES), "ab+") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            file.write(b"" if file.read(1) == b"\n" else b"\n")
        file.write(times.model_dump_json().encode() + b"\n")


def command_times(run: RunFolder) -> CommandTimes:
    """Return the times of the commands that made a run; none of a run of earlier versions."""
    try:
        lines = content_of(run.path / layout.TIMES).splitlines()
    except FileNotFoundError:
        return CommandTimes()
    except OSError as error:
        return CommandTimes(damage=f"{layout.TIMES} cannot be read ({in_one_line(error)}), so commands are not counted")
    found, damaged = [], []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(CommandTime.model_validate_json(line))
        except ValidationError:
            damaged.append(str(number))
    lost = f"{len(damaged)} of {len(lines)} commands are not counted (line {few(damaged, 5)})"
    return CommandTimes(tuple(found), f"{layout.TIMES} is damaged: {lost}" if damaged else None)
