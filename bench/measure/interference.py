"""Other processes on the machine: how much of it they use, which they are, and how long to wait for quiet."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.measure.counters import BlockCounters, between, read_edge
from bench.measure.devices import allowed_cores
from bench.records import Interference, Measurement
from bench.score.stats.percentiles import samples_needed

NAMED = 3
"""Most programs that are named, by the processor time they used."""
LEAST_SHARE = 0.01
"""Programs that used less of the cores than this are not named."""
PROC = Path("/proc")


class ProcessTimes(NamedTuple):
    """Processor time of a process since it began.

    Attributes:
        name: Name of its program; 15 characters at most (comm of proc(5)).
        parent: Process id of its parent.
        cpu_s: User and system time of all its threads, seconds.
    """

    name: str
    parent: int
    cpu_s: float


def process_times(proc: Path = PROC) -> dict[int, ProcessTimes]:
    """Read process id -> times of every process that can be seen from here; empty without a /proc."""
    tick_s = 1.0 / os.sysconf("SC_CLK_TCK")
    found = {}
    for stat in proc.glob("[0-9]*/stat"):
        try:
            before, _, after = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")
        except OSError:
            continue  # It has ended since it was listed.
        fields = after.split()
        name = before.partition("(")[2]
        found[int(stat.parent.name)] = ProcessTimes(name, int(fields[1]), (int(fields[11]) + int(fields[12])) * tick_s)
    return found


def used_by(
    before: dict[int, ProcessTimes], after: dict[int, ProcessTimes], *, own: int, core_seconds: float
) -> dict[str, float]:
    """Return program -> share of the cores that its processes used, the largest first, at most `NAMED` of them.

    Args:
        before, after: `process_times()` at both ends; a process that ended in between is not seen.
        own: This process, which is left out with all that it started.
        core_seconds: Seconds in between times the number of cores.
    """
    used: dict[str, float] = defaultdict(float)
    for pid, times in after.items():
        # A process id is given again only when its process has ended, and then counts from 0.
        since = before[pid].cpu_s if pid in before and before[pid].cpu_s <= times.cpu_s else 0.0
        if own not in line_of(pid, after):
            used[times.name] += times.cpu_s - since
    most = sorted(used.items(), key=lambda item: -item[1])[:NAMED]
    shares = {name: seconds / core_seconds for name, seconds in most} if core_seconds > 0 else {}
    return {name: round(share, 4) for name, share in shares.items() if share >= LEAST_SHARE}


def line_of(pid: int, times: dict[int, ProcessTimes]) -> Iterator[int]:
    """Yield a process, its parent, the parent of that, and so on."""
    while pid in times:
        yield pid
        pid = times[pid].parent


class Watch:
    """Watches the machine from now on, outside what is timed: two readings, and nothing in between."""

    def __init__(self) -> None:
        self._cores = allowed_cores()
        self._times = process_times()
        self._edge = read_edge(self._cores)
        self._waited_s = waited_s()

    def seen(self) -> Interference:
        """Return what other processes have used since then."""
        counters = between(self._edge, read_edge(self._cores), len(self._cores))
        core_seconds = counters.wall_s * len(self._cores)
        by = used_by(self._times, process_times(), own=os.getpid(), core_seconds=core_seconds)
        before, now = self._waited_s, waited_s()
        known = before is not None and now is not None and counters.wall_s > 0
        waited = (now - before) / counters.wall_s if known and now is not None and before is not None else None
        return interference([counters], by).model_copy(update={"waited_share": waited})


def waited_s(proc: Path = PROC) -> float | None:
    """Return how long the main thread of this process was ready to run while others ran, seconds, from schedstat."""
    try:
        return int((proc / "self" / "schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def interference(blocks: Sequence[BlockCounters], by: dict[str, float]) -> Interference:
    """Sum up blocks, weighted by their length; a share that no block knows is None."""
    weights = np.array([block.wall_s for block in blocks], dtype=np.float64)

    def mean(shares: list[float]) -> float | None:
        values = np.array(shares, dtype=np.float64)
        known = ~np.isnan(values) & (weights > 0)
        return float(np.average(values[known], weights=weights[known])) if known.any() else None

    return Interference(
        foreign_share=mean([block.foreign_share for block in blocks]),
        steal_share=mean([block.steal_share for block in blocks]),
        disturbed_blocks=sum(block.disturbed for block in blocks),
        blocks=len(blocks),
        by=by,
    )


class RepeatBudget:
    """Decides how long disturbed blocks of samples are worth measuring again.

    An undisturbed sampling takes `idle_s`: as long as the stop rule's least time, and as long as its least number of
    samples takes at the speed of the fastest tenth so far. Repeating may cost `busy_allowance` of that. Whether it
    will cost more is judged after the first blocks: with a share p of blocks accepted, the R seconds that are still
    wanted cost R (1 - p) / p seconds of rejected blocks.
    """

    def __init__(self, measurement: Measurement) -> None:
        self._m = measurement
        self._rejected_s = 0.0
        self._quiet_s = 0.0
        self._blocks = 0
        self._quiet = 0

    @property
    def samples_wanted(self) -> int:
        """Samples per clock that the stop rule wants at least."""
        needed = max((samples_needed(p) for p in self._m.percentiles), default=0)
        return max(self._m.min_samples, self._m.samples_of_each(needed))

    def add(self, block: BlockCounters) -> None:
        """Add a block."""
        self._blocks += 1
        if block.disturbed:
            self._rejected_s += block.wall_s
        else:
            self._quiet += 1
            self._quiet_s += block.wall_s

    def idle_s(self, total_ns: Sequence[int]) -> float:
        """Estimate the seconds that an undisturbed sampling takes.

        Args:
            total_ns: End-to-end samples so far, disturbed ones too; the staged clock takes as long again.
        """
        sample_s = float(np.quantile(total_ns, 0.1)) / 1e9 if len(total_ns) else 0.0
        return max(self._m.min_s, 2 * sample_s * self.samples_wanted)

    def given_up(self, total_ns: Sequence[int]) -> bool:
        """Return whether the machine will stay too busy to wait for it."""
        if self._rejected_s == 0.0 or self._blocks <= self._m.block_retries:
            return False
        idle_s = self.idle_s(total_ns)
        p = (self._quiet + 3) / (self._blocks + 4)  # as if 3 of 4 blocks before had been quiet: few blocks tell little
        ahead_s = max(0.0, idle_s - self._quiet_s) * (1 - p) / p
        return self._rejected_s + ahead_s > self._m.busy_allowance * max(idle_s, self._quiet_s)

    def over(self, elapsed_s: float, total_ns: Sequence[int]) -> bool:
        """Return whether sampling on a busy machine has taken as long as it may."""
        return elapsed_s >= (1 + self._m.busy_allowance) * self.idle_s(total_ns)
