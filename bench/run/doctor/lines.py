"""Describes what `bench doctor` finds, one line each."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One line of `bench doctor`: a `note` is something to know; `fix` is empty when nothing is to be done."""

    subject: str
    state: Literal["ready", "missing", "note"]
    detail: str
    fix: str = ""


WIDTH = 100
DATASET = "data set "


def without_datasets(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings with one line in place of those of data sets, which most users need few of."""
    data = [one for one in findings if one.subject.startswith(DATASET)]
    here = [one.subject.removeprefix(DATASET) for one in data if one.state == "ready"]
    detail = f"{len(here)} of {len(data)} are here: {', '.join(here)}; the others: bench doctor --data"
    return [one for one in findings if one not in data] + ([Finding("data sets", "ready", detail)] if data else [])


def as_lines(findings: Sequence[Finding]) -> list[str]:
    """Return a row for each finding, then how to fix what is missing; no line is longer than 100 characters.

    Words are never broken, so that a path longer than a line stands alone on one. Commands of several
    lines end in a backslash and can be pasted.
    """
    subject = max(len("what"), *(len(one.subject) for one in findings))
    state = max(len("state"), *(len(one.state) for one in findings))
    lines = [
        f"{'what':<{subject}}  {'state':<{state}}  detail",
        f"{'-' * subject}  {'-' * state}  {'-' * len('detail')}",
    ]
    for one in findings:
        lines += _wrapped(one.detail, f"{one.subject:<{subject}}  {one.state:<{state}}  ", " " * (subject + state + 4))
    to_fix = [one for one in findings if one.fix]
    if to_fix:
        lines += ["", "How to fix:"]
    for one in to_fix:
        if " -m pip install " in one.fix:
            lines += [f"  {one.subject}:", *_command(one.fix)]
        else:
            lines += _wrapped(" ".join(one.fix.split()), f"  {one.subject}: ", "    ")
    return lines


def _wrapped(text: str, first: str, further: str, width: int = WIDTH) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first.rstrip()]


def _command(command: str) -> list[str]:
    lines = _wrapped(command, "    ", "      ", WIDTH - 2)
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]
