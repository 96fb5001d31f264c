"""The report of a compacted run: a row for each case, latencies from its raw samples, which are scanned once.

Percentiles and intervals are those of an ordinary report, from the same samples by the same functions. What is held is
a row group, the samples of one case and the best rows; what compares cases with each other (the Pareto front,
significance) is left to the ordinary report of fewer of them.
"""

from __future__ import annotations

import heapq
import io
import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from bench.errors import BenchError
from bench.report.compact.writing import ABOUT, CASES, SAMPLES, About, cases_schema, pyarrow
from bench.report.csv import inert, timing_fields
from bench.report.summary.latency import Timing, timing_of

AT_ONCE = 1 << 17
"""Samples that are taken from a row group at a time."""
BEST = 30
"""Rows of the table, for each data set."""
_INNER = ("number", "scores", "batch_size")
"""Columns of `cases.parquet` that `results.csv` has not, or in another form."""
_USED = ("case", "replicate", "staged", "accepted", "total_ns")


Columns = dict[str, NDArray[Any]]
"""Samples of a case: those of `_USED` by name."""


@dataclass(frozen=True, eq=False)
class CompactRow:
    """A case: its columns in `cases.parquet`, and its samples; None where there are none."""

    fields: dict[str, Any]
    about: About
    samples: Columns | None = None

    @property
    def headline(self) -> float | None:
        """Value of the first metric."""
        scores = self.fields["scores"]
        value: float | None = scores[0]["value"] if scores else None
        return value

    @cached_property
    def latency(self) -> tuple[Timing, ...]:
        """Percentiles of its end-to-end latency, worked out when they are asked for; none without samples."""
        if self.samples is None:
            return ()
        columns, processes = self.samples, []
        for replicate in np.unique(columns["replicate"]):
            mine = (columns["replicate"] == replicate) & ~columns["staged"]
            accepted = mine & columns["accepted"]  # as `Samples.usable`
            processes.append(columns["total_ns"][accepted if accepted.any() else mine] / 1e6)
        about, size = self.about, self.fields["batch_size"]
        return tuple(timing_of(processes, percent, size, about.seed) for percent in about.percentiles)


def is_compacted(folder: Path) -> bool:
    """Return whether a folder holds a compacted run."""
    return (folder / CASES).is_file() and (folder / SAMPLES).is_file()


def about_of(folder: Path) -> About:
    """Return what a compacted run says of itself; raises `BenchError` if it is none, or of another version."""
    pa = pyarrow()
    try:
        return About.model_validate_json(pa.parquet.read_schema(folder / CASES).metadata[ABOUT])
    except (OSError, KeyError, TypeError, ValidationError, pa.ArrowInvalid) as error:
        raise BenchError(f"{folder / CASES} is damaged, or was not written by bench compact: {error}") from None


def scanned(folder: Path) -> Iterator[CompactRow]:
    """Yield the cases of a compacted run, each with its latency; raises `BenchError` if its files do not agree."""
    pa, about = pyarrow(), about_of(folder)
    with ExitStack() as stack:
        try:
            cases, samples = (stack.enter_context(pa.parquet.ParquetFile(folder / name)) for name in (CASES, SAMPLES))
            of_cases = _by_case(samples)
            ahead = next(of_cases, None)
            for batch in cases.iter_batches(batch_size=1000):
                for fields in batch.to_pylist():
                    mine = None
                    if ahead is not None and ahead[0] == fields["number"]:
                        mine, ahead = ahead[1], next(of_cases, None)
                    yield CompactRow(fields, about, mine)
        except (OSError, pa.ArrowInvalid) as error:
            raise BenchError(f"{folder}: a file of this compacted run is damaged: {error}") from None
    if ahead is not None:
        raise BenchError(f"{folder / SAMPLES}: samples of case {ahead[0]} are of no case, or out of order")


def _by_case(samples: Any) -> Iterator[tuple[int, Columns]]:
    """Yield the samples of one case after the other, which may lie in several batches."""
    held: list[Columns] = []
    # Asked for all row groups at once, Arrow reads them all ahead.
    groups = range(samples.num_row_groups)
    batches = (samples.iter_batches(batch_size=AT_ONCE, row_groups=[group], columns=list(_USED)) for group in groups)
    for batch in itertools.chain.from_iterable(batches):
        columns = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in _USED}
        begins = [0, *(np.flatnonzero(np.diff(columns["case"])) + 1).tolist(), len(columns["case"])]
        for begin, end in itertools.pairwise(begins):
            part = {name: values[begin:end] for name, values in columns.items()}
            if held and held[0]["case"][0] != part["case"][0]:
                yield _joined(held)
                held = []
            held.append(part)
    if held:
        yield _joined(held)


def _joined(parts: list[Columns]) -> tuple[int, Columns]:
    return int(parts[0]["case"][0]), {name: np.concatenate([part[name] for part in parts]) for name in _USED}


def fields_of(row: CompactRow) -> dict[str, object]:
    """Return a row as raw numbers by the names that `results.csv` gives them."""
    flat: dict[str, object] = {name: value for name, value in row.fields.items() if name not in _INNER}
    for score in row.fields["scores"]:
        name = score["metric"]
        flat |= {name: score["value"], f"{name}_low": score["low"], f"{name}_high": score["high"]}
    for timing in row.latency:
        flat |= timing_fields(f"end_to_end_p{timing.percentile:g}", timing)
    return flat


def write_csv(folder: Path, stream: TextIO) -> int:
    """Write a line for each case; returns their number."""
    import csv

    about, count = about_of(folder), 0
    writer = csv.DictWriter(stream, _names(about), restval="", lineterminator="\n")
    writer.writeheader()
    for row in scanned(folder):
        writer.writerow({name: "" if cell is None else inert(cell) for name, cell in fields_of(row).items()})
        count += 1
    return count


def _names(about: About) -> list[str]:
    names = [name for name in cases_schema().names if name not in _INNER]
    scores = [f"{metric}{end}" for metric in about.metrics for end in ("", "_low", "_high")]
    empty = [Timing(percentile=percent, samples=0, samples_needed=0) for percent in about.percentiles]
    return [*names, *scores, *(name for one in empty for name in timing_fields(f"end_to_end_p{one.percentile:g}", one))]


def markdown(folder: Path, best: int = BEST) -> str:
    """Return the report: how many cases ended how, and the best of each data set."""
    from tabulate import tabulate

    about = about_of(folder)
    ended: Counter[str] = Counter()
    samples = 0
    tables: dict[str, _Best] = {}
    for number, row in enumerate(scanned(folder)):
        ended[row.fields["status"]] += 1
        samples += row.fields["timed_batches"]
        tables.setdefault(row.fields["dataset"], _Best(best, higher=about.higher_is_better)).add(number, row)
    text = io.StringIO()
    cases = sum(ended.values())
    counts = ", ".join(f"{count} {status}" for status, count in ended.most_common())
    print(f"# {about.title}\n\nRun {about.suite}/{about.run}, planned {about.planned_at}.", file=text)
    print(f"{cases} cases ({counts}), {samples} timed batches.", file=text)
    heads = ["model", "target", about.headline, "95 % interval", *(f"p{p:g} ms" for p in about.percentiles), "verdict"]
    for dataset, table in tables.items():
        shown = "" if table.count <= best else f": the {best} best of {table.count}"
        print(f"\n## {dataset}{shown}\n", file=text)
        rows = [_cells(row, about) for row in table.rows()]
        print(tabulate(rows, headers=heads, tablefmt="github", disable_numparse=True), file=text)
    text.write(
        "\nLatencies are per image, end to end. What compares cases, such as the Pareto front, is in the report of\n"
        "the run itself, for all or with --case for some of them.\n"
    )
    return text.getvalue()


class _Best:
    """The best rows of a data set, and how many there were."""

    def __init__(self, most: int, *, higher: bool) -> None:
        self._most, self._sign, self.count = most, 1.0 if higher else -1.0, 0
        self._heap: list[tuple[float, int, CompactRow]] = []

    def add(self, number: int, row: CompactRow) -> None:
        self.count += 1
        value = -np.inf if row.headline is None else self._sign * row.headline
        heapq.heappush(self._heap, (value, -number, row))
        if len(self._heap) > self._most:
            heapq.heappop(self._heap)

    def rows(self) -> list[CompactRow]:
        return [row for *_, row in sorted(self._heap, key=lambda one: one[:2], reverse=True)]


def _cells(row: CompactRow, about: About) -> list[str]:
    score = next(iter(row.fields["scores"]), None)
    interval = "" if score is None or score["low"] is None else f"{score['low']:.4f} to {score['high']:.4f}"
    latency = {one.percentile: one.ms_per_image for one in row.latency}
    times = [latency.get(percent) for percent in about.percentiles]
    return [
        row.fields["model"],
        row.fields["target"],
        "–" if row.headline is None else f"{row.headline:.4f}",
        interval,
        *("–" if one is None else f"{one:.3g}" for one in times),
        row.fields["verdict"] or row.fields["status"],
    ]
