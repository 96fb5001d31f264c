"""The table of cases that stands on a terminal while a run works: which jobs are done, which one runs, what is left."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from bench.records import Job, JobKind, Outcome, Status

ORDER: tuple[JobKind, ...] = ("train", "export", "predict", "time", "profile", "throughput")
WAITING, RUNNING = "·", "now"
"""Words for jobs that have no outcome yet; colour is never alone."""

_STYLES = {RUNNING: "bold cyan", "ok": "green", "unsupported": "yellow", "pruned": "cyan", WAITING: "dim"}


class CaseStates:
    """State how far each case of a run is."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        """Take the jobs that are to be done."""
        self._states: dict[str, dict[JobKind, list[str]]] = {}
        self._current: str | None = None
        for job in jobs:
            states = self._states.setdefault(job.case_id, {}).setdefault(job.kind, [])
            states.append(WAITING)
        self._ids = list(self._states)
        self._place = {case_id: place for place, case_id in enumerate(self._ids)}
        self._kinds = [kind for kind in ORDER if any(kind in states for states in self._states.values())]

    def started(self, job: Job) -> None:
        """Note that a job runs."""
        self._replace(job, WAITING, RUNNING)
        self._current = job.case_id

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Note how it ended."""
        self._replace(job, RUNNING, "ok" if outcome.status is Status.OK else outcome.status.value)

    def _replace(self, job: Job, before: str, after: str) -> None:
        states = self._states.get(job.case_id, {}).get(job.kind, [])
        if before in states:
            states[states.index(before)] = after

    def table(self, rows: int, width: int) -> Table:
        """Return the cases around the one that runs, at most `rows` of them, in `width` columns."""
        ids, kinds = self._ids, self._kinds
        here = self._place.get(self._current or "", 0)
        first = max(0, min(here - rows // 2, len(ids) - rows))
        table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
        hidden = len(ids) - min(rows, len(ids))
        table.add_column(f"case ({hidden} more)" if hidden else "case", no_wrap=True, max_width=max(20, width // 2))
        for kind in kinds:
            table.add_column(kind, no_wrap=True)
        for case_id in ids[first : first + rows]:
            cells = [_cell(self._states[case_id].get(kind, [])) for kind in kinds]
            table.add_row(Text(case_id, style="bold" if case_id == self._current else ""), *cells)
        return table


def _cell(states: list[str]) -> Text:
    """Return one word for the jobs of a kind: how many of several are done, else how the one is."""
    if not states:
        return Text("")
    bad = [state for state in states if state not in (WAITING, RUNNING, "ok")]
    if len(states) == 1 or bad:
        word = bad[0] if bad else states[0]
        return Text(word, style=_STYLES.get(word, "red"))
    done, runs = states.count("ok"), RUNNING in states
    word = f"{done}/{len(states)}" + (f" {RUNNING}" if runs else "")
    style = _STYLES[RUNNING] if runs else _STYLES["ok"] if done == len(states) else _STYLES[WAITING]
    return Text(word, style=style)
