"""Reads, at the edges of a block, what else the machine did while the block was measured."""

from __future__ import annotations

import math
import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

MAX_FOREIGN_SHARE = 0.05
"""A block is disturbed where other processes use more than this share of the cores in use."""
MAX_STEAL_SHARE = 0.01
"""A block is disturbed where the hypervisor takes more than this share of the processor."""
LEAST_WATCHED_S = 0.2
"""A shorter interval tells nothing of others: the kernel counts in ticks, and one of 10 ms is more than the share."""


@dataclass(frozen=True)
class Edge:
    """Counters at one instant; differences of two edges describe a block.

    Attributes:
        wall_s: Monotonic clock.
        user_s, system_s: CPU time of this process, all threads.
        involuntary_switches: Involuntary switches of this process.
        busy_s, steal_s: CPU time of the allowed cores, all processes; None where it cannot be read.
    """

    wall_s: float
    user_s: float
    system_s: float
    involuntary_switches: int
    busy_s: float | None
    steal_s: float | None


@dataclass(frozen=True)
class BlockCounters:
    """Hold what happened between two edges; shares are of wall time × cores, nan = unknown."""

    wall_s: float
    user_s: float
    system_s: float
    foreign_share: float
    steal_share: float
    involuntary_switches: int

    @property
    def disturbed(self) -> bool:
        """Return whether something else used more of the machine than the protocol allows."""
        return self.foreign_share > MAX_FOREIGN_SHARE or self.steal_share > MAX_STEAL_SHARE


def read_edge(cores: tuple[int, ...]) -> Edge:
    """Read the counters now, for the cores this process may use."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    busy_s, steal_s = _core_times(cores)
    return Edge(time.monotonic(), usage.ru_utime, usage.ru_stime, usage.ru_nivcsw, busy_s, steal_s)


def between(start: Edge, end: Edge, cores: int) -> BlockCounters:
    """Describe the block between two edges on a number of cores."""
    wall_s = end.wall_s - start.wall_s
    user_s, system_s = end.user_s - start.user_s, end.system_s - start.system_s
    foreign = steal = math.nan
    if start.busy_s is not None and end.busy_s is not None and wall_s > 0:
        foreign = max(0.0, end.busy_s - start.busy_s - user_s - system_s) / (wall_s * cores)
    if start.steal_s is not None and end.steal_s is not None and wall_s > 0:
        steal = (end.steal_s - start.steal_s) / (wall_s * cores)
    switches = end.involuntary_switches - start.involuntary_switches
    return BlockCounters(wall_s, user_s, system_s, foreign, steal, switches)


def _core_times(cores: tuple[int, ...]) -> tuple[float | None, float | None]:
    """Busy and stolen seconds of some cores since boot, from /proc/stat (proc(5))."""
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return None, None
    tick_s = 1.0 / os.sysconf("SC_CLK_TCK")
    wanted = {f"cpu{core}" for core in cores}
    busy = steal = 0
    for line in lines:
        name, *fields = line.split()
        if name in wanted:
            user, nice, system, _idle, _iowait, _irq, _softirq, stolen = (int(f) for f in fields[:8])
            busy += user + nice + system
            steal += stolen
    return busy * tick_s, steal * tick_s
