"""The clocks: one timed batch, end to end or by stage.

The device is idle at every instant at which the host clock is read, so that what one stage started
is not paid for by the next. The timed path begins at RGB arrays or, with `encoded`, at the bytes of
image files. Source of the contract: bench/README.md and the report's own "How it was measured".
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.adapter import Adapter
from bench.records import Size
from bench.records.predictions import Prediction, RgbImage

Clock = Callable[[], int]
"""Nanoseconds of a monotonic host clock; `time.perf_counter_ns` outside tests."""


@dataclass(frozen=True)
class BatchTime:
    """One timed batch.

    Attributes:
        total_ns: Arrays, or encoded bytes, in to predictions out; under the staged clock the sum of the stages.
        stage_ns: preprocess, infer, postprocess; None under the end-to-end clock.
        device_ns: Device time of infer by events; None without events.
        predictions: What came out; looked at outside the clock.
        decode_ns: Under the staged clock, encoded bytes to arrays; None where arrays came in.
    """

    total_ns: int
    stage_ns: tuple[int, int, int] | None
    device_ns: int | None
    predictions: list[Prediction]
    decode_ns: int | None = None


def end_to_end(
    adapter: Adapter, images: Sequence[RgbImage], clock: Clock, *, encoded: Sequence[bytes] | None = None
) -> BatchTime:
    """Time a batch with the device idle only before the start and after the last stage.

    Args:
        adapter: The model.
        images: Host images, each uint8 (H, W, 3).
        clock: Host clock.
        encoded: The same images as bytes of files, at which the timed path then begins.
    """
    sizes = [Size(*image.shape[:2]) for image in images]
    adapter.synchronize()
    start = clock()
    arrays = images if encoded is None else decoded(adapter, encoded)
    predictions = adapter.postprocess(adapter.infer(adapter.preprocess(arrays)), sizes)
    adapter.synchronize()
    return BatchTime(clock() - start, None, None, predictions)


def staged(
    adapter: Adapter,
    images: Sequence[RgbImage],
    clock: Clock,
    *,
    encoded: Sequence[bytes] | None = None,
    pause: Callable[[], None] | None = None,
) -> BatchTime:
    """Time a batch with the device idle at each stage boundary.

    Args:
        adapter: The model.
        images: Host images, each uint8 (H, W, 3).
        clock: Host clock.
        encoded: As in `end_to_end`; decoding is then a stage of its own.
        pause: Called at each boundary, outside the clock; the idle-gap audit sleeps here.
    """
    sizes = [Size(*image.shape[:2]) for image in images]
    decode_ns = None
    if encoded is not None:
        images, decode_ns = _decode_stage(adapter, encoded, clock)
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
    return BatchTime(sum(stages) + (decode_ns or 0), stages, device_ns, predictions, decode_ns)


def _decode_stage(adapter: Adapter, encoded: Sequence[bytes], clock: Clock) -> tuple[Sequence[RgbImage], int]:
    adapter.synchronize()
    start = clock()
    images = decoded(adapter, encoded)
    adapter.synchronize()
    return images, clock() - start


def pipelined(
    adapter: Adapter,
    batches: Callable[[int], Sequence[RgbImage]],
    clock: Clock,
    seconds: float,
    *,
    encoded: Callable[[int], Sequence[bytes]] | None = None,
) -> tuple[int, int]:
    """Push batches through without waiting in between; one synchronisation at the end.

    Args:
        adapter: The model.
        batches: Batch number -> images.
        clock: Host clock.
        seconds: Start no further batch after so long.
        encoded: Batch number -> the same images as bytes of files, which are decoded within the clock.

    Returns:
        Wall nanoseconds and number of images. Their quotient is throughput, which is not the
        inverse of a latency.
    """
    adapter.synchronize()
    start, count, index = clock(), 0, 0
    while clock() - start < seconds * 1e9:
        images = batches(index)
        sizes = [Size(*image.shape[:2]) for image in images]
        arrays = images if encoded is None else decoded(adapter, encoded(index))
        adapter.postprocess(adapter.infer(adapter.preprocess(arrays)), sizes)
        count += len(images)
        index += 1
    adapter.synchronize()
    return clock() - start, count


def decoded(adapter: Adapter, encoded: Sequence[bytes]) -> Sequence[RgbImage]:
    """Return what `preprocess` gets of encoded images.

    By the adapter's own `decode`, where it has one, which may leave them on the device; else by the
    decoder of the data sets that lie on disk.
    """
    own = adapter.decode(encoded)
    if own is not None:
        return own
    # Here, so that an interpreter without Pillow can time a model that is given arrays.
    from bench.data.formats.image_files import decode_image

    return [decode_image(one, Path("encoded image")) for one in encoded]


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Collect once, then keep the collector out of the timed block."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
