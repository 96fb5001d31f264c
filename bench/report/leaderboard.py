"""One table for each question that runs have answered alike: same data, machine, protocol and metric, never mixed.

Rows are the cases of all runs under a folder of results; of a model that was run several times under the same
conditions the newest row stands, and the number of its runs beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.errors import BenchError, in_one_line
from bench.records import Record
from bench.records.store.runs import read_run, runs
from bench.records.store.views import RunView
from bench.report.draw.numbers import MISSING, with_interval
from bench.report.markdown import cell, markdown_table
from bench.report.summary.rows import Row
from bench.report.summary.stored import stored_summary
from bench.report.summary.summarise import RunSummary
from bench.report.text_table import TextTable

NOT_KNOWN = "not recorded"


class Conditions(Record):
    """Hold what two rows must share to stand in one table.

    Attributes:
        task, dataset, split: Task, and the data set and split whose images are predicted.
        fingerprint: Fingerprint of the images and their ground truth.
        images: Number of images that were scored; None until they are.
        metric: Heading of the headline.
        machine: Processor, cores and GPUs that it was timed on; what it was predicted on where nothing is timed.
        device, precision, batch_size, threads: Settings of the target.
        protocol: Protocol of the timing, with `quick` where it was shortened; `not timed` without one.
    """

    task: str
    dataset: str
    split: str
    fingerprint: str
    images: int | None
    metric: str
    machine: str
    device: str
    precision: str
    batch_size: int
    threads: int | None
    protocol: str

    def __str__(self) -> str:
        """Return one line."""
        threads = "" if self.threads is None else f", {self.threads} threads"
        return (
            f"{self.metric} on {self.dataset}, split {self.split} ({self.images or 'no'} images, data "
            f"{self.fingerprint[:8] or NOT_KNOWN}) · {self.machine} · {self.device} {self.precision}, batch "
            f"{self.batch_size}{threads} · {self.protocol}"
        )


class Entry(Record):
    """A row of a table.

    Attributes:
        model, target, run: Name of the model, its target, and the newest run that has it.
        runs: Number of runs that have it.
        value, low, high: The headline with its 95 % interval.
        ms, ms_low, ms_high: End-to-end median per image, None where it is not timed or not valid.
        verdict: Verdict of the timing.
    """

    model: str
    target: str
    run: str
    runs: int = 1
    value: float | None = None
    low: float | None = None
    high: float | None = None
    ms: float | None = None
    ms_low: float | None = None
    ms_high: float | None = None
    verdict: str = ""


class Table(Record):
    """A table: its conditions, and its rows, the best first."""

    conditions: Conditions
    entries: tuple[Entry, ...]


class Leaderboard(Record):
    """All tables, and the runs that could not be read, each with the reason."""

    tables: tuple[Table, ...]
    left_out: tuple[str, ...] = ()


def leaderboard(results: Path) -> Leaderboard:
    """Read every run under a folder and return its tables; raises `BenchError` if there is no run."""
    found: dict[Conditions, dict[tuple[str, str], Entry]] = {}
    better: dict[Conditions, bool] = {}
    left_out = []
    folders = runs(results)
    if not folders:
        raise BenchError(f"no runs in {results}/; name a folder of results, such as results/")
    for folder in folders:  # oldest first, so that the newest row stays
        try:
            view = read_run(folder, results)
            summary = stored_summary(view)
        except BenchError as error:
            left_out.append(f"{folder.suite}/{folder.name}: {in_one_line(error)}")
            continue
        for row in summary.rows:
            if row.headline is None or row.headline.value is None:
                continue
            key, place = conditions(view, summary, row), (row.model, row.target)
            of_table = found.setdefault(key, {})
            better[key] = summary.higher_is_better
            earlier = of_table.get(place)
            of_table[place] = _entry(row, f"{folder.suite}/{folder.name}", 1 + (earlier.runs if earlier else 0))
    tables = [Table(conditions=key, entries=_ranked(rows.values(), better[key])) for key, rows in found.items()]
    ordered = sorted(tables, key=lambda table: str(table.conditions))
    return Leaderboard(tables=tuple(ordered), left_out=tuple(left_out))


def conditions(view: RunView, summary: RunSummary, row: Row) -> Conditions:
    """Return under which conditions a row was made."""
    case = next(one for one in view.cases if one.case.id == row.case_id)
    target, measurement = case.case.target, case.case.measurement
    timed = [job for job in case.times if job.ok]
    jobs = timed or ([case.predict] if case.predict is not None else [])
    hosts = dict.fromkeys(job.job.provenance.host if job.job.provenance else NOT_KNOWN for job in jobs)
    protocol = f"protocol {measurement.protocol}{' (quick)' if measurement.quick else ''}, from {measurement.input}"
    return Conditions(
        task=view.plan.task,
        dataset=row.dataset,
        split=case.case.dataset.test,
        fingerprint=case.predict.job.dataset_fingerprint if case.predict is not None else "",
        images=row.headline.images if row.headline is not None else None,
        metric=summary.headline,
        machine=" and ".join(hosts) or NOT_KNOWN,
        device=target.device.partition(":")[0],
        precision=target.precision,
        batch_size=target.batch_size,
        threads=target.threads,
        protocol=protocol if timed else "not timed",
    )


def _entry(row: Row, run: str, number: int) -> Entry:
    verdict = row.verdict.state if row.verdict else ""
    entry = Entry(model=row.model, target=row.target, run=run, runs=number, verdict=verdict)
    if row.headline is not None:
        entry = entry.model_copy(update={end: getattr(row.headline, end) for end in ("value", "low", "high")})
    timing = row.timing() if row.comparable_ms is not None else None
    if timing is None:
        return entry
    return entry.model_copy(update={f"ms{end}": getattr(timing, f"ms_per_image{end}") for end in ("", "_low", "_high")})


def _ranked(entries: Iterable[Entry], higher_is_better: bool) -> tuple[Entry, ...]:
    sign = -1 if higher_is_better else 1
    return tuple(sorted(entries, key=lambda one: (sign * (one.value or 0.0), one.ms or 0.0, one.model)))


# --------------------------------------------------------------------------- forms


def frames(board: Leaderboard) -> dict[str, TextTable]:
    """Return conditions in words -> the table as text, the best row first."""
    return {str(table.conditions): TextTable.of_columns(_cells(table)) for table in board.tables}


def _cells(table: Table) -> dict[str, list[str]]:
    """Return heading -> a text for each row."""
    entries, timed = table.entries, any(one.ms is not None for one in table.entries)
    cells = {"model": [one.model for one in entries], "rank": [str(place) for place in range(1, 1 + len(entries))]}
    if len({one.target for one in entries}) > 1:
        cells["target"] = [one.target for one in entries]
    cells[table.conditions.metric] = [with_interval(one.value, one.low, one.high, default=3) for one in entries]
    if timed:
        cells["ms/image"] = [with_interval(one.ms, one.ms_low, one.ms_high, default=2) for one in entries]
        cells["verdict"] = [one.verdict or MISSING for one in entries]
    cells["run"] = [one.run + (f" (newest of {one.runs})" if one.runs > 1 else "") for one in entries]
    return cells


def as_markdown(board: Leaderboard) -> str:
    """Return all tables as markdown; names break no cell of them."""
    parts = ["# Leaderboard"]
    for heading, frame in frames(board).items():
        parts += [f"## {cell(heading)}", markdown_table(frame)]
    parts += [f"- Left out: {cell(reason)}" for reason in board.left_out]
    return "\n\n".join(parts) + "\n"
