"""Says what `bench run` is doing: a line per job, and on a terminal a table of the cases with a bar.

Progress goes to standard error, results to standard output. While a timing job runs nothing is
drawn and nothing wakes up: the machine belongs to the measurement.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from bench.errors import visible
from bench.records import Job, JobKind, Outcome, Status
from bench.records.store import layout
from bench.records.store.training_log import VALIDATED
from bench.run.expected import Expectation, duration

PROGRESS_INTERVAL_S = 0.5
"""This says how often the bar of a training or predicting job is brought up to date."""

_COLOURS = {Status.OK: "green", Status.UNSUPPORTED: "yellow", Status.PRUNED: "cyan"}


class RunConsole:
    """Tells one run to one console."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._count = 0
        self._expectation: Expectation | None = None
        self._states = CaseStates(())
        self._running: dict[str, Running] = {}
        self._numbers: dict[str, int] = {}
        self._live: Bars | None = None

    def expect(self, expectation: Expectation) -> None:
        """Say how long the run is expected to take, and from now on what is left of it."""
        self._expectation = expectation
        self._states = CaseStates(expectation.jobs)
        left = expectation.left()
        said = f"{left.jobs} jobs to do, {left}" if left.jobs else "nothing is left to do"
        self._console.print(said, highlight=False, soft_wrap=True)

    @contextmanager
    def watching(self, job: Job, folder: Path) -> Iterator[None]:
        """Show a job while it runs, the only one."""
        self.started(job, folder)
        try:
            yield
        finally:
            self.stopped(job)

    def started(self, job: Job, folder: Path, place: str = "") -> None:
        """Show a job from now on; `place` says where it runs, if there are several places."""
        self._count += 1
        self._states.started(job)
        self._numbers[job.key] = self._count
        self._running[job.key] = Running(job, folder, self._head(job), place)
        self._show()

    def stopped(self, job: Job) -> None:
        """Show it no longer."""
        if self._running.pop(job.key, None) is not None:
            self._show()

    def close(self) -> None:
        """Show nothing any more."""
        self._running.clear()
        self._show()

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Say how a job ended."""
        self.stopped(job)
        self._states.ended(job, outcome)
        text = Text(f"{self._head(job)}  ")
        text.append(f"{outcome.status.value:<12}", style=_COLOURS.get(outcome.status, "red"))
        text.append(f"{outcome.wall_s:7.1f} s")
        if self._expectation is not None:
            self._expectation.ended(job, outcome)
            left = self._expectation.left()
            if left.jobs:
                text.append(f"   {duration(left.seconds)}{' and more' if left.unknown else ''} left")
        if outcome.reason:
            text.append(f"   {visible(outcome.reason)}")
        self._console.print(text, soft_wrap=True)

    def note(self, line: str) -> None:
        """Say something that is not a job."""
        self._console.print(visible(line), highlight=False, markup=False, soft_wrap=True)

    def _table(self) -> Table:
        return self._states.table(max(1, self._console.height - 6), self._console.width)

    def _head(self, job: Job) -> str:
        width, number = len(str(self._total)), self._numbers.get(job.key, self._count)
        replicate = f" r{job.replicate}" if job.kind == "time" else ""
        place = f"{number:>{width}}/{self._total}" if self._total else f"{number:>3}"
        return f"{place}  {job.kind + replicate:<8} {job.case_id:<44}"

    def _show(self) -> None:
        """Show what runs now, and only that; where nobody watches, nothing."""
        if self._live is not None:
            self._live.close()
            self._live = None
        if not self._console.is_terminal or not self._running:
            return
        # What is timed is drawn once, by no thread that would wake up beside the measurement.
        still = any(running.job.kind == "time" for running in self._running.values())
        self._live = Bars(self._console, self._table(), tuple(self._running.values()), still=still)


@dataclass(frozen=True)
class Running:
    """A job that runs: its folder, the line it is told with, and where it runs, if there are several places."""

    job: Job
    folder: Path
    head: str
    place: str


class Bars:
    """The table of cases, and a bar for each job that runs, on a terminal until they are closed."""

    def __init__(self, console: Console, table: Table, running: tuple[Running, ...], *, still: bool) -> None:
        """Draw them; once and for all if they are to stand `still`."""
        shown = running[: max(1, console.height // 3)]
        more = [Text(f"and {len(running) - len(shown)} more")] if len(shown) < len(running) else []
        self._done, self._thread = threading.Event(), None
        if still:
            lines = [Text(f"{one.head}  {'timing …' if one.job.kind == 'time' else ''}{_at(one)}") for one in shown]
            self._live = Live(Group(table, *lines, *more), console=console, transient=True, auto_refresh=False)
            self._live.start(refresh=True)
            return
        progress = Progress(
            TextColumn("{task.fields[head]}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        bars = {
            one.job.key: progress.add_task("", total=None, head=one.head, detail=f"starting{_at(one)}") for one in shown
        }
        self._live = Live(Group(table, progress, *more), console=console, transient=True, refresh_per_second=2)
        self._live.start(refresh=True)

        def follow() -> None:
            for one, share, detail in followed(shown, self._done, PROGRESS_INTERVAL_S):
                progress.update(bars[one.job.key], total=1.0, completed=share, detail=f"{detail}{_at(one)}")

        self._thread = threading.Thread(target=follow, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Remove them."""
        self._done.set()
        if self._thread is not None:
            self._thread.join()
        self._live.stop()


def _at(running: Running) -> str:
    return f"  on {running.place}" if running.place else ""


_NOTHING_SAID = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""These are raised by what a worker has written in the place of its progress; it is then as if it had said nothing."""


def followed(running: Sequence[Running], done: threading.Event, every_s: float) -> Iterator[tuple[Running, float, str]]:
    """Yield the share of each job that is done, where that is known, and a detail, again and again until `done`."""
    readers = [progress_of(one.job, one.folder) for one in running]
    while not done.wait(every_s):
        for one, (share, detail) in zip(running, map(next, readers), strict=True):
            if share is not None:
                yield one, share, detail


def progress_of(job: Job, folder: Path) -> Iterator[tuple[float | None, str]]:
    """Yield the share of a job that is done, None if not known, and a detail, each time it is asked."""
    return _training_progress(folder) if job.kind == "train" else _predict_progress(folder)


def _training_progress(folder: Path) -> Iterator[tuple[float | None, str]]:
    """Follow `training.jsonl`; yields (share done, detail) each time it is asked."""
    log = folder / layout.TRAINING_LOG
    offset, share, detail = 0, None, ""
    steps: int | None = None
    seconds: float | None = None
    while True:
        if log.is_file():
            with log.open("rb") as file:
                file.seek(offset)
                for line in iter(file.readline, b""):
                    if not line.endswith(b"\n"):
                        break
                    offset += len(line)
                    # A line may be what a kill cut off, with what a resumed training wrote behind it, or anything else.
                    with contextlib.suppress(*_NOTHING_SAID):
                        event = json.loads(line)
                        if event["event"] == "planned":
                            steps, seconds = event["steps"], event["seconds"]
                        elif event["event"] == "step":
                            done = [event["step"] / steps] if steps else []
                            done += [event["train_s"] / seconds] if seconds else []
                            share = min(1.0, max(done)) if done else None
                            loss = "no number" if event["loss"] is None else f"{event['loss']:.3f}"
                            detail = f"step {event['step']}  loss {loss}"
                        elif event["event"] == "validated":
                            name = next((name for name in VALIDATED if event["values"].get(name) is not None), None)
                            if name is not None:
                                detail = f"step {event['step']}  val {VALIDATED[name]} {event['values'][name]:.3f}"
        yield share, detail


def _predict_progress(folder: Path) -> Iterator[tuple[float | None, str]]:
    """Follow the worker's `progress.json`, which it replaces atomically."""
    file = folder / layout.PROGRESS
    share, detail = None, ""
    while True:
        if file.is_file():
            with contextlib.suppress(OSError, *_NOTHING_SAID):
                state = json.loads(file.read_bytes())
                share = state["done"] / state["total"] if state["total"] else 1.0
                detail = f"{state['done']} of {state['total']} images"
        yield share, detail


class ForwardingConsole(RunConsole):
    """Tells a run to another console; what inherits from it does more, or less."""

    def __init__(self, shown: RunConsole) -> None:
        self._shown = shown

    def expect(self, expectation: Expectation) -> None:
        """Say how long the run is expected to take."""
        self._shown.expect(expectation)

    def started(self, job: Job, folder: Path, place: str = "") -> None:
        """Show a job from now on."""
        self._shown.started(job, folder, place)

    def stopped(self, job: Job) -> None:
        """Show it no longer."""
        self._shown.stopped(job)

    def ended(self, job: Job, outcome: Outcome) -> None:
        """Say how a job ended."""
        self._shown.ended(job, outcome)

    def note(self, line: str) -> None:
        """Say something that is not a job."""
        self._shown.note(line)

    def close(self) -> None:
        """Show nothing any more."""
        self._shown.close()


ORDER: tuple[JobKind, ...] = ("train", "export", "predict", "time", "profile", "throughput")
WAITING, RUNNING = "·", "now"
"""Words for jobs that have no outcome yet; colour is never alone."""

_STYLES = {RUNNING: "bold cyan", "ok": "green", "unsupported": "yellow", "pruned": "cyan", WAITING: "dim"}


class CaseStates:
    """State how far each case of a run is."""

    def __init__(self, jobs: Iterable[Job]) -> None:
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
