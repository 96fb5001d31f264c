"""A suite of many cases on many nodes, with everything but the machine learning: planner, store and status.

    python -m tests.benchmarks.bench_many_cases [--cases 10000] [--nodes 1000] [--goal 1.0]

The suite is a real one, of fakes; it is planned, run and read back by what `bench run` uses. Only the nodes are
simulated: each leaves at once the files that a worker would leave. A row for a tenth, three tenths and all of the cases
says whether the time grows with their number. Seconds are those of the processor, so that a busy machine changes them
little: `plan` (from the suite's file to `plan.json`), `run` (two jobs a case: the engine's own work on them, `nodes`
being what the simulated nodes take for theirs), `status` and `read`; `run s` is by the clock, with nodes and the disk.
Exit code 1 where planning, the status or reading costs more than the goal a case.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import json
import pstats
import resource
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console
from tabulate import tabulate

from bench.measure.devices import this_machine
from bench.records import JobFacts, Outcome, Record, Status
from bench.records.store import layout
from bench.records.store.files import write_atomically
from bench.records.store.layout import RunFolder
from bench.records.store.runs import new_run, read_run, utc_now
from bench.run.console import RunConsole
from bench.run.environments.interpreters import Interpreters
from bench.run.environments.record import provenance_now
from bench.run.executor import Ended, Event, Started, Task
from bench.run.executors.placement import Placement, PlacementQueue, QueuedExecutor, Slot
from bench.run.planning.prepare import Prepared, prepare
from bench.run.process import ProcessEnd
from bench.run.runner import Runner
from bench.run.session import RunRecorder, run_cases
from bench.run.settling import CONFINED
from bench.run.state import job_state

ENDED = ProcessEnd(exit_code=0, signal=None, timed_out=False, wall_s=0.01, kernel_oom_kills=0)
SHAPES = {"name": "shapes", "options": {"preset": "easy", "size": [32, 32], "train": 4, "val": 2, "test": 4}}
BATCHES = 50
"""Targets of each model."""


class SimulatedNodes(QueuedExecutor):
    """An executor whose nodes leave at once what a worker would."""

    def __init__(self, nodes: int) -> None:
        self.machine = this_machine()
        alike = self.machine.identity
        self._board = PlacementQueue({f"node{n}": (Slot(alike=alike),) for n in range(nodes)}, alike=alike)
        self._flying: deque[Placement] = deque()
        self._events: deque[Event] = deque()
        self._samples = io.BytesIO()
        np.savez(self._samples, total_ns=np.zeros(1))
        self._provenance: Any = None
        self.spent_s = 0.0

    def wait(self) -> Event:
        for placement in self._board.placed():
            self._flying.append(placement)
            self._events.append(Started(placement.task, placement.place))
        if self._events:
            return self._events.popleft()
        placement = self._flying.popleft()
        before = time.process_time()
        self._leave(placement.task)
        self.spent_s += time.process_time() - before
        self._board.free(placement)
        return Ended(placement.task, ENDED, utc_now(), placement.place)

    def _leave(self, task: Task) -> None:
        job, folder = task.job, task.folder
        folder.mkdir(parents=True)
        self._provenance = self._provenance or provenance_now(RunFolder(folder.parent.parent))
        _leave(folder / layout.JOB, job.model_copy(update={"provenance": self._provenance}))
        if job.kind == "predict":
            (folder / layout.PREDICTIONS).mkdir()
            (folder / layout.PREDICTIONS / layout.PREDICTION_INDEX).write_text("{}\n")
        else:
            (folder / layout.SAMPLES).write_bytes(self._samples.getvalue())
        facts = JobFacts(notes=(f"{CONFINED} alone",))
        outcome = Outcome(status=Status.OK, started_at=utc_now(), wall_s=0.01, facts=facts)
        _leave(folder / layout.OUTCOME, outcome)

    def cancel(self) -> None:
        self._flying.clear()

    def close(self) -> None:
        self.cancel()


def _leave(file: Path, record: Record) -> None:
    write_atomically(file, record.to_json(), to_disk=False)  # a node waits for its own disk, not for this one


def suite_of(cases: int, folder: Path) -> Path:
    """A suite of so many cases: models with options of their own, each on some targets."""
    models = [
        {"name": "fake/noisy", "label": f"noisy {n}", "options": {"dataset": SHAPES["options"], "infer_ms": float(n)}}
        for n in range(-(-cases // BATCHES))
    ]
    suite = {
        "models": models,
        "datasets": [SHAPES],
        "targets": [{"device": "cpu", "threads": 1, "batch_size": list(range(1, BATCHES + 1))}],
        "metrics": ["mean_iou"],
        "measurement": {"replicates": 1},
    }
    path = folder / "many.yaml"
    path.write_text(yaml.safe_dump(suite), encoding="utf-8")
    return path


def measured(cases: int, nodes: int, profile: str | None) -> dict[str, float]:
    """Milliseconds of the processor a case: planning, running without work, state of all jobs, reading the run."""
    spent: dict[str, float] = {}

    def clocked(name: str, work: Callable[[], Any]) -> Any:
        profiler = cProfile.Profile() if profile == name else None
        before = time.process_time()
        done = profiler.runcall(work) if profiler else work()
        spent[name] = (time.process_time() - before) * 1e3 / cases
        if profiler:
            pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
        return done

    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch) / "results"
        suite = suite_of(cases, Path(scratch))
        run = new_run(results, "many")

        def plan() -> tuple[Prepared, RunRecorder]:
            prepared = prepare(suite, Interpreters())
            recorder = RunRecorder(run, results, prepared.plan, None, prepared.interpreters)
            recorder.write_plan()
            return prepared, recorder

        prepared, recorder = clocked("plan", plan)
        assert len(prepared.cases) == cases
        object.__setattr__(recorder, "write_plan", lambda: None)
        object.__setattr__(recorder, "score", lambda *_: None)
        quiet = RunConsole(Console(file=io.StringIO()), 0)

        cluster = SimulatedNodes(nodes)

        def carry_out() -> Any:
            return run_cases(
                Runner(prepared.cases, prepared.interpreters, run, results, lambda _: quiet, lambda _: True, cluster),
                recorder,
            )

        began = time.monotonic()
        summary = clocked("run", carry_out)
        spent["run s"] = time.monotonic() - began
        assert (summary.done, summary.failed) == (2 * cases, ())
        spent["nodes"] = cluster.spent_s * 1e3 / cases
        spent["run"] -= spent["nodes"]
        jobs = [job for plan in prepared.cases for job in plan.jobs]
        states = clocked("status", lambda: [job_state(job, run, results).name for job in jobs])
        assert set(states) == {"done"}
        clocked("read", lambda: read_run(run, results))
        for name in (layout.PLAN, layout.MANIFEST):
            spent[f"{name} MiB"] = (run.path / name).stat().st_size / 1024**2
    spent["peak MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return spent


def main() -> int:
    """Print a row for each size; 1 if a step of the largest costs more than the goal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--nodes", type=int, default=1_000)
    parser.add_argument("--goal", type=float, default=1.0, help="ms of each step a case (default: 1)")
    parser.add_argument(
        "--profile", choices=["plan", "run", "status", "read"], help="of all cases, a profile of a step"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sizes = [options.cases] if options.profile else [options.cases // 10, 3 * options.cases // 10, options.cases]
    rows = [{"cases": size, **measured(size // BATCHES * BATCHES, options.nodes, options.profile)} for size in sizes]
    print(json.dumps(rows) if options.json else tabulate(rows, headers="keys", floatfmt=".3f"))
    return int(max(rows[-1][step] for step in ("plan", "status", "read")) > options.goal)


if __name__ == "__main__":
    sys.exit(main())
