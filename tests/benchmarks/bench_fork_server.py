"""Fresh interpreters against workers forked from a pre-imported parent: start, latency and memory, side by side.

    python -m tests.benchmarks.bench_fork_server [MODEL] [--replicates N]

The replicates of both are timed in turn, so that drift of the machine meets both. It prints, for each, the processor
seconds of a timing job outside its measurement, the median latency with its interval over processes, and the peak of
resident memory. Fails if the two latencies are distinguishable: if their 95 % intervals do not meet.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tabulate import tabulate

from bench.records import Job
from bench.records.store import layout
from bench.records.store.files import write_record
from bench.records.store.runs import read_job
from bench.records.store.samples import END_TO_END, Samples
from bench.run.environments.interpreters import Interpreters
from bench.run.planning.prepare import prepare
from bench.run.workers import ForkServers, FreshInterpreters, Workers
from tests.bench.suites import SHAPES, write_suite

T95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 8: 2.36, 10: 2.26}
"""Student's t, two-sided 95 %, by number of processes."""


def main() -> int:
    """Measure and print; 1 if the latencies differ."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?", default="unet/transposed")
    parser.add_argument("--replicates", type=int, default=5, choices=sorted(T95))
    options = parser.parse_args()
    found: dict[str, list[tuple[float, float, float]]] = {"fresh": [], "forked": []}
    with tempfile.TemporaryDirectory() as scratch:
        data = {**SHAPES, "options": {**SHAPES["options"], "size": [128, 128], "test": 8}}
        rule = {"quick": True, "min_s": 1.0, "max_s": 2.0, "warmup_max_s": 2.0, "pipelined_s": 0.0}
        suite = write_suite(Path(scratch), [options.model], datasets=[data], measurement=rule)
        job = prepare(suite, Interpreters()).cases[0].times[0]
        servers = ForkServers()
        servers.expect([job] * (options.replicates + 2))
        one_job(
            servers, job, Path(scratch) / "results/suite/run/jobs/first"
        )  # starts the parent, and tells it what else to import
        for number in range(options.replicates):
            for name, workers in (("fresh", FreshInterpreters()), ("forked", servers)):
                found[name].append(one_job(workers, job, Path(scratch) / f"results/suite/run/jobs/{name}{number}"))
        servers.close()
    rows, intervals = [], []
    for name, jobs in found.items():
        overhead, latency, peak = (np.array(values) for values in zip(*jobs, strict=True))
        reach = T95[len(jobs)] * latency.std(ddof=1) / len(jobs) ** 0.5
        intervals.append((latency.mean() - reach, latency.mean() + reach))
        rows.append([name, statistics.median(overhead), latency.mean(), reach, np.median(peak) / 2**20])
    print(tabulate(rows, headers=["workers", "s before warm-up", "median ms", "± ms", "peak MiB"], floatfmt=".2f"))
    apart = max(low for low, _ in intervals) > min(high for _, high in intervals)
    print("the latencies differ" if apart else "the latencies are not distinguishable")
    return int(apart)


def one_job(workers: Workers, job: Job, folder: Path) -> tuple[float, float, float]:
    """Seconds outside warm-up and sampling, median end-to-end latency in ms, peak resident bytes."""
    folder.mkdir(parents=True)
    write_record(folder / layout.JOB, job)
    started = time.monotonic()
    workers.run(job, Path(sys.executable), folder=folder, log=folder / layout.WORKER_LOG, timeout_s=300, tell=print)
    wall_s = time.monotonic() - started
    view = read_job(folder)
    assert view is not None
    assert view.ok, view.outcome
    assert view.outcome is not None
    samples = Samples.load(folder / layout.SAMPLES)
    measured_s = samples.warmup_ns.sum() / 1e9 + samples.block_wall_s.sum()
    total_ms = samples.total_ns[samples.usable(END_TO_END)] / 1e6
    return wall_s - measured_s, float(np.median(total_ms)), float(view.outcome.facts.host_rss_peak_bytes or 0)


if __name__ == "__main__":
    sys.exit(main())
