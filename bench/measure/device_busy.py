"""Measures how long a device computes for one `infer`, without the gaps in which it waits for the host to launch more.

Events around a pass on an idle device contain those gaps: the device reaches the second event only when the host has
queued it. So here the device is first held busy, the whole pass is queued behind that, and it then runs through without
a gap. A pass that waits for the device itself, as one that looks at values does, cannot be queued, and is told so.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

from bench.adapter import Adapter, DeviceTimer
from bench.measure.stages import Clock
from bench.records import DeviceBusy, Missing
from bench.records.predictions import RgbImage

PASSES = 15
HOLD_MARGIN = 3.0
"""The device is held for so many times as long as queueing took before …"""
LEAST_HOLD_MS = 2.0
MOST_HOLD_MS = 500.0
"""… and, where even this was too short, the pass waits for the device and never ends while that is held."""


def device_busy(
    adapter: Adapter, batches: Callable[[int], Sequence[RgbImage]], clock: Clock = time.perf_counter_ns
) -> DeviceBusy | Missing:
    """Measure warm passes of a built model.

    Args:
        adapter: The model.
        batches: Batch number -> images, each uint8 (H, W, 3).
        clock: Host clock, nanoseconds.

    Returns:
        Medians in milliseconds per batch, or why there are none.
    """
    timer = adapter.device_timer()
    if timer is None:
        return Missing("the device is the processor, or the adapter has no events on it")
    host = [_synchronised_ms(adapter, batches(number), clock) for number in range(PASSES)]
    infer_ms, hold_ms = statistics.median(host), LEAST_HOLD_MS
    busy: list[float] = []
    while len(busy) < PASSES:
        queued_ms, busy_ms = _held_ms(adapter, timer, batches(len(busy)), hold_ms, clock)
        if queued_ms < hold_ms:  # all of it was queued before the device began
            busy.append(busy_ms)
            continue
        if hold_ms >= MOST_HOLD_MS:
            return Missing("the pass waits for the device by itself, so that it cannot be queued ahead")
        hold_ms = min(MOST_HOLD_MS, HOLD_MARGIN * max(hold_ms, queued_ms if queued_ms < MOST_HOLD_MS else hold_ms))
    return DeviceBusy(busy_ms=statistics.median(busy), infer_ms=infer_ms, passes=PASSES)


def _synchronised_ms(adapter: Adapter, images: Sequence[RgbImage], clock: Clock) -> float:
    """`infer` by the host clock with the device idle before and after."""
    batch = adapter.preprocess(images)
    adapter.synchronize()
    start = clock()
    adapter.infer(batch)
    adapter.synchronize()
    return (clock() - start) / 1e6


def _held_ms(
    adapter: Adapter, timer: DeviceTimer, images: Sequence[RgbImage], hold_ms: float, clock: Clock
) -> tuple[float, float]:
    """Return how long the host queued a pass, from the hold on, and how long the device computed it."""
    batch = adapter.preprocess(images)
    adapter.synchronize()
    start = clock()
    timer.hold(hold_ms)
    timer.start()
    adapter.infer(batch)
    timer.stop()
    queued_ms = (clock() - start) / 1e6
    return queued_ms, timer.elapsed_ms()
