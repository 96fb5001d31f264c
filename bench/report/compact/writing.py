"""Writes a run as Parquet, one case after the other: no more than some hundred thousand samples are held at a time.

`cases.parquet` has a row for each case, in the order of the plan; `samples.parquet` one for each timed batch, raw
nanoseconds with nothing removed, in the order of the cases. `case` of the second is the `number` of the first. Any
reader of Parquet opens them: DuckDB, Polars, Spark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import BenchError
from bench.metric import load_metric
from bench.records import Record
from bench.records.store.files import whole_file
from bench.records.store.layout import RunFolder
from bench.records.store.manifest import last_of_manifest
from bench.records.store.runs import read_cases, read_plan
from bench.records.store.samples import STAGED, STAGES, Samples
from bench.records.store.views import Plan, RunView
from bench.report.summary.rows import Row
from bench.report.summary.summarise import measurement_of, row_of, usable_case

CASES, SAMPLES = "cases.parquet", "samples.parquet"
FORMAT = 1
ABOUT = b"segbench"
"""Key of the metadata of `cases.parquet` with an `About` in JSON."""

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
    measurement = measurement_of([planned.case for planned in plan.cases])
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


class About(Record):
    """Describes a compacted run as a whole.

    Attributes:
        format: Version of these files.
        suite, run, title: Names of the run, and the heading of its suite.
        planned_at: Time of its plan; UTC, ISO 8601.
        seed: Seed of intervals.
        metrics: Names of the metrics, in the order of the suite; the first is the headline.
        headline: Name of the first metric in tables.
        higher_is_better: True if more of the headline is better.
        percentiles: Percentiles of end-to-end latency.
        manifest: Hash of the last line of the run's manifest, by which its state is known.
    """

    format: int = FORMAT
    suite: str
    run: str
    title: str
    planned_at: str
    seed: int
    metrics: tuple[str, ...]
    headline: str
    higher_is_better: bool
    percentiles: tuple[float, ...]
    manifest: str


def pyarrow() -> Any:
    """Return the package pyarrow with its module `parquet`; raises `BenchError` with the way to install it."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise BenchError(
            "a compacted run is Parquet, which needs the package pyarrow; install it with: pip install "
            "'segbench[huggingface]'"
        ) from None
    return pyarrow


def cases_schema() -> Any:
    """Return the columns of `cases.parquet`."""
    pa = pyarrow()
    text, count, number = pa.string(), pa.int64(), pa.float64()
    score = pa.struct([("metric", text), ("value", number), ("low", number), ("high", number), ("images", count)])
    texts = ("case", "model", "dataset", "target", "status", "verdict", "verdict_reasons")
    counts = ("parameters", "weights_bytes", "host_rss_peak_bytes", "peak_device_bytes")
    return pa.schema(
        [
            ("number", pa.int32()),
            *((name, text) for name in texts),
            *((name, count) for name in (*counts, "trained_steps", "timed_batches")),
            ("trained_s", number),
            ("batch_size", pa.int32()),
            ("scores", pa.list_(score)),
        ]
    )


def samples_schema() -> Any:
    """Return the columns of `samples.parquet`; stages are 0 where the clock is not `staged`, device -1 without one."""
    pa = pyarrow()
    times = ("total_ns", "decode_ns", "preprocess_ns", "infer_ns", "postprocess_ns", "device_ns")
    return pa.schema(
        [
            ("case", pa.int32()),
            ("replicate", pa.int16()),
            ("staged", pa.bool_()),
            ("image", pa.dictionary(pa.int32(), pa.string())),
            *((name, pa.int64()) for name in times),
            ("block", pa.int32()),
            ("accepted", pa.bool_()),
            ("foreign_share", pa.float64()),
            ("involuntary_switches", pa.int32()),
            ("major_faults", pa.int32()),
        ]
    )
