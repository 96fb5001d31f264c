"""The clocks: one timed batch, end to end or by stage.

The device is idle at every instant at which the host clock is read, so that what one stage started
is not paid for by the next. Source of the contract: bench/README.md and the report's own
"How it was measured".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.adapter import Adapter
from bench.predictions import Prediction, RgbImage
from bench.records import Size

Clock = Callable[[], int]
"""Nanoseconds of a monotonic host clock; `time.perf_counter_ns` outside tests."""


@dataclass(frozen=True)
class BatchTime:
    """One timed batch.

    Attributes:
        total_ns: Arrays in to predictions out; under the staged clock the sum of the stages.
        stage_ns: preprocess, infer, postprocess; None under the end-to-end clock.
        device_ns: Device time of infer by events; None without events.
        predictions: What came out; looked at outside the clock.
    """

    total_ns: int
    stage_ns: tuple[int, int, int] | None
    device_ns: int | None
    predictions: list[Prediction]


def end_to_end(adapter: Adapter, images: Sequence[RgbImage], clock: Clock) -> BatchTime:
    """Time a batch with the device idle only before the start and after the last stage."""
    sizes = [Size(*image.shape[:2]) for image in images]
    adapter.synchronize()
    start = clock()
    predictions = adapter.postprocess(adapter.infer(adapter.preprocess(images)), sizes)
    adapter.synchronize()
    return BatchTime(clock() - start, None, None, predictions)


def staged(
    adapter: Adapter, images: Sequence[RgbImage], clock: Clock, *, pause: Callable[[], None] | None = None
) -> BatchTime:
    """Time a batch with the device idle at each stage boundary.

    Args:
        adapter: The model.
        images: Host images, each uint8 (H, W, 3).
        clock: Host clock.
        pause: Called at each boundary, outside the clock; the idle-gap audit sleeps here.
    """
    sizes = [Size(*image.shape[:2]) for image in images]
    adapter.synchronize()
    t0 = clock()
    batch = adapter.preprocess(images)
    adapter.synchronize()
    t1 = clock()
    if pause is not None:
        pause()
    timer = adapter.device_timer()
    t2 = clock()
    if timer is not None:
        timer.start()
    raw = adapter.infer(batch)
    if timer is not None:
        timer.stop()
    adapter.synchronize()
    t3 = clock()
    if pause is not None:
        pause()
    t4 = clock()
    predictions = adapter.postprocess(raw, sizes)
    adapter.synchronize()
    t5 = clock()
    stages = (t1 - t0, t3 - t2, t5 - t4)
    device_ns = None if timer is None else round(timer.elapsed_ms() * 1e6)
    return BatchTime(sum(stages), stages, device_ns, predictions)


def pipelined(
    adapter: Adapter, batches: Callable[[int], Sequence[RgbImage]], clock: Clock, seconds: float
) -> tuple[int, int]:
    """Push batches through without waiting in between; one synchronisation at the end.

    Args:
        adapter: The model.
        batches: Batch number -> images.
        clock: Host clock.
        seconds: Start no further batch after so long.

    Returns:
        Wall nanoseconds and number of images. Their quotient is throughput, which is not the
        inverse of a latency.
    """
    adapter.synchronize()
    start, count, index = clock(), 0, 0
    while clock() - start < seconds * 1e9:
        images = batches(index)
        sizes = [Size(*image.shape[:2]) for image in images]
        adapter.postprocess(adapter.infer(adapter.preprocess(images)), sizes)
        count += len(images)
        index += 1
    adapter.synchronize()
    return clock() - start, count
