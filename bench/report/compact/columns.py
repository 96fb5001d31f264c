"""Describes the columns of a compacted run, for its writer and its readers.

`cases.parquet` has a row for each case, in the order of the plan; `samples.parquet` one for each timed batch, raw
nanoseconds with nothing removed, in the order of the cases. `case` of the second is the `number` of the first. Any
reader of Parquet opens them: DuckDB, Polars, Spark.
"""

from __future__ import annotations

from typing import Any

from bench.errors import BenchError
from bench.records import Record

CASES, SAMPLES = "cases.parquet", "samples.parquet"
FORMAT = 1
ABOUT = b"segbench"
"""Key of the metadata of `cases.parquet` with an `About` in JSON."""


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
    score = pa.struct(
        [
            ("metric", pa.string()),
            ("value", pa.float64()),
            ("low", pa.float64()),
            ("high", pa.float64()),
            ("images", pa.int64()),
        ]
    )
    texts = ("case", "model", "dataset", "target", "status", "verdict", "verdict_reasons")
    counts = (
        "parameters",
        "weights_bytes",
        "host_rss_peak_bytes",
        "peak_device_bytes",
        "trained_steps",
        "timed_batches",
    )
    return pa.schema(
        [
            ("number", pa.int32()),
            *((name, pa.string()) for name in texts),
            *((name, pa.int64()) for name in counts),
            ("trained_s", pa.float64()),
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
