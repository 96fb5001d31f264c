"""Writes a run as Parquet, one case after the other: no more than some hundred thousand samples are held at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import BenchError
from bench.metric import load_metric
from bench.records.store.files import whole_file
from bench.records.store.layout import RunFolder
from bench.records.store.manifest import last_of_manifest
from bench.records.store.runs import read_cases, read_plan
from bench.records.store.samples import STAGED, STAGES, Samples
from bench.records.store.views import Plan, RunView
from bench.report.compact.columns import ABOUT, CASES, SAMPLES, About, cases_schema, pyarrow, samples_schema
from bench.report.summary.rows import Row
from bench.report.summary.summarise import row_of, usable_case

ROWS = 500_000
"""Samples of a row group, of which a reader holds one."""
CASES_AT_ONCE = 5_000


def compact(run: RunFolder, results: Path, folder: Path) -> tuple[int, int]:
    """Write the two files of a run into a folder.

    Args:
        run: The run; it may be half finished.
        results: Folder of all results.
        folder: Gets the files; made if it is not there.

    Returns:
        How many cases and samples there are.

    Raises:
        BenchError: If the folder has such files already, or pyarrow is not installed.
    """
    plan = read_plan(run)
    view = RunView(folder=run, plan=plan, environment={}, cases=())
    with writing(folder, _about(run, plan)) as writer:
        for read in read_cases(run, plan, results):
            case = usable_case(view, read)
            samples = case.samples()
            writer.add(row_of(view, case, samples), samples)
        return writer.cases, writer.samples


def _about(run: RunFolder, plan: Plan) -> About:
    metric = load_metric(plan.metrics[0])
    measurement = next(
        (c.case.measurement for c in plan.cases if c.case.measurement.times), plan.cases[0].case.measurement
    )
    return About(
        suite=plan.suite,
        run=run.name,
        title=plan.title,
        planned_at=plan.planned_at,
        seed=plan.seed,
        metrics=plan.metrics,
        headline=metric.label,
        higher_is_better=metric.higher_is_better,
        percentiles=tuple(sorted({50.0, *measurement.percentiles})),
        manifest=last_of_manifest(run),
    )


@contextmanager
def writing(folder: Path, about: About) -> Iterator[CompactWriter]:
    """Open both files; they bear their names once they are whole.

    Raises:
        BenchError: If they are there already.
    """
    pa = pyarrow()
    if there := [name for name in (CASES, SAMPLES) if (folder / name).exists()]:
        raise BenchError(f"{folder / there[0]} is there already, and nothing is overwritten; name another folder")
    schema = cases_schema().with_metadata({ABOUT: about.model_dump_json().encode()})
    with (
        whole_file(folder / CASES) as cases_file,
        whole_file(folder / SAMPLES) as samples_file,
        pa.parquet.ParquetWriter(cases_file, schema, compression="zstd") as cases,
        pa.parquet.ParquetWriter(samples_file, samples_schema(), compression="zstd") as samples,
    ):
        writer = CompactWriter(cases, samples, schema)
        yield writer
        writer.flush()


class CompactWriter:
    """Takes case after case, and writes whenever there is enough for a row group."""

    def __init__(self, cases: Any, samples: Any, schema: Any) -> None:
        self._to_cases, self._to_samples, self._schema = cases, samples, schema
        self._rows: list[dict[str, object]] = []
        self._tables: list[Any] = []
        self._held = 0
        self.cases, self.samples = 0, 0

    def add(self, row: Row, samples: Sequence[Samples]) -> None:
        """Take a case with the samples of its processes."""
        count = sum(len(one.total_ns) for one in samples)
        self._rows.append(_fields(self.cases, row, count, int(samples[0].batch_size) if samples else None))
        self._tables += [_table(self.cases, number, one) for number, one in enumerate(samples)]
        self.cases, self.samples, self._held = self.cases + 1, self.samples + count, self._held + count
        if self._held >= ROWS:
            self._flush_samples()
        if len(self._rows) >= CASES_AT_ONCE:
            self._flush_cases()

    def flush(self) -> None:
        """Write what is held."""
        self._flush_samples()
        self._flush_cases()

    def _flush_samples(self) -> None:
        if self._tables:
            self._to_samples.write_table(pyarrow().concat_tables(self._tables).unify_dictionaries())
        self._tables, self._held = [], 0

    def _flush_cases(self) -> None:
        if self._rows:
            self._to_cases.write_table(pyarrow().Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []


def _fields(number: int, row: Row, samples: int, batch_size: int | None) -> dict[str, object]:
    names = ("model", "dataset", "target", "status", "parameters", "weights_bytes", "host_rss_peak_bytes")
    more = ("peak_device_bytes", "trained_steps", "trained_s")
    return {
        "number": number,
        "case": row.case_id,
        **{name: getattr(row, name) for name in (*names, *more)},
        "verdict": row.verdict.state if row.verdict else None,
        "verdict_reasons": "; ".join(str(reason) for reason in row.verdict.reasons) if row.verdict else None,
        "timed_batches": samples,
        "batch_size": batch_size,
        "scores": [
            {name: getattr(cell.score, name) for name in ("metric", "value", "low", "high", "images")}
            for cell in row.scores
        ],
    }


def _table(case: int, replicate: int, one: Samples) -> Any:
    pa, count = pyarrow(), len(one.total_ns)
    decode = one.stage_decode_ns if one.from_file else np.zeros(count, dtype=np.int64)
    columns = {
        "case": np.full(count, case, dtype=np.int32),
        "replicate": np.full(count, replicate, dtype=np.int16),
        "staged": one.clock == STAGED,
        "image": pa.DictionaryArray.from_arrays(one.image_index.astype(np.int32), one.image_ids.tolist()),
        "total_ns": one.total_ns,
        "decode_ns": decode,
        **{f"{stage}_ns": np.ascontiguousarray(one.stage_ns[:, place]) for place, stage in enumerate(STAGES)},
        "device_ns": one.device_ns,
        "block": one.block,
        "accepted": one.block_accepted[one.block],
        "foreign_share": one.block_foreign_share[one.block],
        "involuntary_switches": one.involuntary_switches,
        "major_faults": one.major_faults,
    }
    return pa.table(columns, schema=samples_schema())
