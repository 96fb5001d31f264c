"""Tells where the wall time of a run went: training, sampling, predictions, and all that is none of these.

Training is optimiser steps with their data, also where it is read ahead, and the validations that choose weights.
Sampling is every pass whose nanoseconds are published: warm-up, latency samples, throughput, and the passes under load
and for memory. Predictions are those that are scored.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from tabulate import tabulate

from bench.errors import BenchError
from bench.records.store.run_times import CommandTime
from bench.records.store.views import RunView

TRAINING, SAMPLING, PREDICTIONS, REST = "training", "sampling", "predictions", "the rest"
PHASES = {
    "read": (TRAINING, "reading data ahead of the first step"),
    "train": (TRAINING, "steps with their data"),
    "validate": (TRAINING, "validations, checkpoints"),
    "warm_up": (SAMPLING, "warm-up"),
    "sample": (SAMPLING, "latency samples"),
    "push_through": (SAMPLING, "throughput pass"),
    "profile": (SAMPLING, "memory, energy and operations"),
    "throughput": (SAMPLING, "under load"),
    "predict": (PREDICTIONS, "inference that is scored"),
    "audit": (REST, "audits of timings"),
    "build": (REST, "building networks, loading weights"),
    "data": (REST, "opening data sets, loading images to time"),
    "import": (REST, "imports of fresh workers"),
    "export": (REST, "exports"),
    "store": (REST, "writing and hashing results"),
    "other": (REST, "what jobs do beside, as beginning a training"),
    "process": (REST, "begin and end of workers"),
    "start": (REST, "imports of parents, forks"),
    "plan": (REST, "planning"),
    "score": (REST, "scoring"),
    "report": (REST, "reports"),
    "between": (REST, "between jobs"),
}
"""Phase -> (what it counts as, what it is), in the order of the table."""


@dataclass(frozen=True)
class RunTime:
    """Seconds of a run by phase, those of `PHASES`; a second in which several jobs ran counts once."""

    seconds: dict[str, float]

    @property
    def total_s(self) -> float:
        """Return all seconds."""
        return sum(self.seconds.values())

    def share(self, *kinds: str) -> float:
        """Return the share of some of the kinds of phases, 0 to 1."""
        of_kinds = sum(seconds for phase, seconds in self.seconds.items() if PHASES[phase][0] in kinds)
        return of_kinds / self.total_s if self.total_s else 0.0


def run_time(run: RunView, commands: tuple[CommandTime, ...]) -> RunTime:
    """Return where the time of a run went, as far as its jobs are there.

    Raises:
        BenchError: If the run is of a version that did not count.
    """
    jobs = {job.folder: job for view in run.cases for job in view.jobs if job.folder.parent == run.folder.jobs}
    seconds: defaultdict[str, float] = defaultdict(float)
    counted_s = {folder: s for command in commands for folder, s in command.counted_s.items()}
    for job in jobs.values():
        of_job = {}
        if job.outcome is not None:
            of_job = {phase: s for phase, s in job.outcome.facts.phases_s.items() if phase in PHASES}
            of_job["process"] = max(0.0, job.outcome.wall_s - sum(of_job.values()))
        took_s = sum(of_job.values())
        share = min(1.0, counted_s.get(job.folder.name, took_s) / took_s) if took_s else 0.0
        for phase, phase_s in of_job.items():
            seconds[phase] += phase_s * share
    if not any(phase != "process" for phase in seconds):
        raise BenchError(f"{run.folder.path} does not say where its time went: no job of it has phases_s in its record")
    for command in commands:
        for phase, took_s in command.phases_s.items():
            seconds[phase] += took_s if phase in PHASES else 0.0  # those of jobs are counted by them
        seconds["between"] += max(0.0, command.wall_s - sum(command.phases_s.values()))
    return RunTime({phase: seconds[phase] for phase in PHASES if seconds[phase] > 0})


def as_table(time: RunTime) -> str:
    """Return a row for each phase, and its share of all."""
    rows = [
        [*PHASES[phase], f"{seconds:.1f}", f"{100 * seconds / time.total_s:.1f}"]
        for phase, seconds in time.seconds.items()
    ]
    rows.append(["", "", f"{time.total_s:.1f}", "100.0"])
    return str(
        tabulate(
            rows, headers=["", "what", "s", "%"], disable_numparse=True, colalign=("left", "left", "right", "right")
        )
    )


def as_sentence(time: RunTime) -> str:
    """Return the shares in a line."""
    told = ", ".join(f"{kind} {100 * time.share(kind):.0f} %" for kind in (TRAINING, SAMPLING, PREDICTIONS))
    neither = f"neither training nor sampling {100 * time.share(PREDICTIONS, REST):.0f} %"
    return f"took {time.total_s:.0f} s: {told}; {neither}, without predictions {100 * time.share(REST):.0f} %"
