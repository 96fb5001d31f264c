"""Work of a model where no clock looks: while the clock stands, or in processes of its own."""

from __future__ import annotations

import os
import resource
from collections.abc import Collection, Sequence

import numpy as np

from bench.measure.interference import PROC, ProcessTimes, line_of, process_times
from bench.records import Flag

OUTSIDE_SHARE, OUTSIDE_NS = 0.05, 50_000
"""A batch for which the adapter worked outside the clock for more than this share of its time, and so many ns …"""
OUTSIDE_BATCHES = 0.1
"""… is one of so many at most; a busy machine delays a call now and then."""
PARENT = "BENCH_PARENT"
"""Variable by which a worker and all that it starts know their `bench`."""
CLOCKS_RATIO, CLOCKS_NS = 0.5, 200_000
"""End to end below this share of the sum of the stages, and by more than so many ns, is not the same work."""
HELPERS_SHARE = 0.02
"""Processor time of a model's own processes, of the time in which it was sampled."""


def work_outside_the_clock(
    outside_ns: Sequence[int], total_ns: Sequence[int], collected_ns: Sequence[int] = ()
) -> Flag | None:
    """Return what is wrong if the adapter takes its time in calls that are not timed.

    Args:
        outside_ns: Nanoseconds of each batch that were spent in such calls: `synchronize` before the start, device
            events, and what happens when predictions are freed.
        total_ns: Timed nanoseconds of each batch.
        collected_ns: Nanoseconds of what happened when garbage was collected between blocks.
    """
    if sum(collected_ns) > max(OUTSIDE_SHARE * sum(total_ns), OUTSIDE_NS * len(total_ns)):
        return Flag(
            name="work_outside_the_clock",
            seen=f"collecting garbage between timed blocks called or ended what worked for "
            f"{sum(collected_ns) / 1e6:.0f} ms, and {sum(total_ns) / 1e6:.0f} ms were timed",
            advice="do all work in the three stages, none in gc.callbacks or when an object ends",
        )
    over = [
        outside
        for outside, total in zip(outside_ns, total_ns, strict=True)
        if outside > max(OUTSIDE_SHARE * total, OUTSIDE_NS)
    ]
    if len(over) <= OUTSIDE_BATCHES * len(total_ns):
        return None
    return Flag(
        name="work_outside_the_clock",
        seen=f"for {len(over)} of {len(total_ns)} batches the adapter worked while the clock stood, "
        f"{sorted(over)[len(over) // 2] / 1e6:.2f} ms typically, in synchronize(), making device events, or when its "
        "predictions were freed",
        advice="let synchronize() only wait for the device, do all work in the three stages, and return arrays whose "
        "memory nothing waits for",
    )


class Helpers:
    """Watches the processor time of the processes that the model has started, from now on."""

    def __init__(self, known: Collection[int] = ()) -> None:
        """Begin; `known` are processes of the harness."""
        self._known = frozenset(known)
        self._before = process_times()
        self._reaped_s = _reaped_s()

    def verdict(self, wall_s: float) -> Flag | None:
        """Return what is wrong if they worked meanwhile, which was so many seconds."""
        after = process_times()
        used = {
            pid: times.cpu_s - self._earlier_s(pid, times)
            for pid, times in after.items()
            if self._is_helper(pid, after)
        }
        seconds = sum(used.values()) + _reaped_s() - self._reaped_s
        if seconds <= HELPERS_SHARE * wall_s:
            return None
        names = sorted({after[pid].name for pid, cpu_s in used.items() if cpu_s > 0})
        return Flag(
            name="work_in_other_processes",
            seen=f"processes that the model started ({', '.join(names) or 'ended meanwhile'}) used {seconds:.2f} s of "
            f"the processor while it was timed, which took {wall_s:.2f} s",
            advice="predict in the worker's own process: other processes have no thread limit and are not timed",
        )

    def _is_helper(self, pid: int, times: dict[int, ProcessTimes]) -> bool:
        line = list(line_of(pid, times))
        own = os.getpid()
        if pid == own or self._known.intersection(line):
            return False
        return own in line or _left_home(pid, own)

    def _earlier_s(self, pid: int, now: ProcessTimes) -> float:
        earlier = self._before.get(pid)
        return earlier.cpu_s if earlier is not None and earlier.cpu_s <= now.cpu_s else 0.0


def _left_home(pid: int, own: int) -> bool:
    """Return whether a process descends from this one and was then given away to another parent."""
    mark = _mark(own)
    return mark is not None and mark in _variables(pid) and _started(pid) > _started(own)


def _mark(pid: int) -> bytes | None:
    return next((one for one in _variables(pid) if one.startswith(f"{PARENT}=".encode())), None)


def _variables(pid: int) -> list[bytes]:
    try:
        return (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is another user's
        return []


def _started(pid: int) -> int:
    """Clock ticks from boot to the start of a process; 0 where it has ended."""
    try:
        return int((PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[19])
    except OSError:
        return 0


def _reaped_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def work_moved_between_clocks(end_to_end_ns: Sequence[int], staged_ns: Sequence[int]) -> Flag | None:
    """Return what is wrong if the end-to-end clock sees far less than the stages come to.

    Waiting at each boundary costs little, and even where host and device work at the same time end to end, the sum of
    the stages is at most twice as long; more means that work for one clock is done while the other runs. The fastest
    tenths are compared: clocks take turns, and another process whose time slices fall in step with them delays most
    samples of one clock, while work that was moved is missing, or there, in the fastest ones too.
    """
    if not end_to_end_ns or not staged_ns:
        return None
    whole, stages = (float(np.quantile(samples_ns, 0.1)) for samples_ns in (end_to_end_ns, staged_ns))
    if whole >= CLOCKS_RATIO * stages or stages - whole < CLOCKS_NS:
        return None
    return Flag(
        name="work_outside_the_clock",
        seen=f"a batch takes {whole / 1e6:.2f} ms end to end, but its stages {stages / 1e6:.2f} ms",
        advice="work only on the batch that was passed in, and only in the three stages",
    )
