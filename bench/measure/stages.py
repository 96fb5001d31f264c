"""The clocks: one timed batch, end to end or by stage.

The device is idle at every instant at which the host clock is read, so that what one stage started
is not paid for by the next. The timed path begins at RGB arrays or, with `encoded`, at the bytes of
image files, and ends when predictions have been read to the last byte. What an adapter does when the clock stands is
measured, too: `outside_ns`. Source of the contract: bench/README.md and the report's own "How it was measured".
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.adapter import Adapter
from bench.measure.interference import waited_s
from bench.measure.materialise import Read, materialised
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
        read: Predictions of the batch, read within the clock.
        outside_ns: Nanoseconds spent in calls of the adapter while the clock stood: waiting for the device before the
            start, making and reading device events. An idle device needs next to nothing. What freeing the predictions
            takes is not in it, see `Read.freed_ns`.
        decode_ns: Nanoseconds from encoded bytes to arrays, under the staged clock; None where arrays came in.
    """

    total_ns: int
    stage_ns: tuple[int, int, int] | None
    device_ns: int | None
    read: Read
    outside_ns: int = 0
    decode_ns: int | None = None

    @property
    def predictions(self) -> list[Prediction]:
        """Return the predictions of the batch."""
        return self.read.predictions


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
    called = clock()
    adapter.synchronize()
    start = clock()
    arrays = list(images) if encoded is None else decoded(adapter, list(encoded))
    predictions = adapter.postprocess(adapter.infer(adapter.preprocess(arrays)), sizes)
    adapter.synchronize()
    read = materialised(predictions)
    del arrays, sizes, predictions  # what an object does when it ends is the model's work, too
    return BatchTime(clock() - start, None, None, read, outside_ns=start - called)


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
        encoded: Encoded images as in `end_to_end`; decoding is then a stage of its own.
        pause: Called at each boundary, outside the clock; the idle-gap audit sleeps here.
    """
    sizes = [Size(*image.shape[:2]) for image in images]
    decode_ns = None
    called = clock()
    adapter.synchronize()
    t0 = clock()
    outside_ns = t0 - called
    arrays: Sequence[RgbImage] = list(images)
    if encoded is not None:
        arrays, decode_ns = _decode_stage(adapter, list(encoded), clock)
        t0 = clock()
    batch = adapter.preprocess(arrays)
    adapter.synchronize()
    del arrays  # within the clock, as end to end: what an object does when it ends is the model's work, too
    t1 = clock()
    if pause is not None:
        pause()
    called = clock()
    timer = adapter.device_timer()
    t2 = clock()
    outside_ns += t2 - called
    if timer is not None:
        timer.start()
    raw = adapter.infer(batch)
    if timer is not None:
        timer.stop()
    adapter.synchronize()
    del batch
    t3 = clock()
    if pause is not None:
        pause()
    t4 = clock()
    predictions = adapter.postprocess(raw, sizes)
    adapter.synchronize()
    read = materialised(predictions)
    del raw, sizes, predictions
    t5 = clock()
    stages = (t1 - t0, t3 - t2, t5 - t4)
    device_ns = None if timer is None else round(timer.elapsed_ms() * 1e6)
    del timer
    outside_ns += clock() - t5
    return BatchTime(sum(stages) + (decode_ns or 0), stages, device_ns, read, outside_ns, decode_ns)


def _decode_stage(adapter: Adapter, encoded: Sequence[bytes], clock: Clock) -> tuple[Sequence[RgbImage], int]:
    start = clock()
    images = decoded(adapter, encoded)
    adapter.synchronize()
    return images, clock() - start


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


def spare_the_collector() -> None:
    """Collect, then set aside all that is loaded, so that the collections between blocks look at new objects alone.

    Libraries and a model hold a million objects that live as long as the process: to look through them at the edge of
    each block took a quarter of a second. For processes that end with their job: what is set aside is never collected.
    """
    gc.collect()
    gc.freeze()


def _waited_ns() -> int:
    return round(1e9 * (waited_s() or 0.0))


@contextmanager
def no_garbage_collection(waited_ns: Callable[[], int] = _waited_ns) -> Iterator[list[int]]:
    """Collect once, then keep the collector out of the timed block.

    Yields a list that holds, at the end, the nanoseconds of what the block's garbage did when it was collected: how
    much longer that took than twice as long as before the block, when nothing was called; a busy machine doubles it.
    What this process waited meanwhile, ready to run, for others that ran is not counted.

    Args:
        waited_ns: Tells how long it has waited so since it began.
    """
    called, gc.callbacks[:] = gc.callbacks[:], []
    try:
        before_ns = _collect(waited_ns)
    finally:
        gc.callbacks[:] = called
    gc.disable()
    of_garbage: list[int] = []
    try:
        yield of_garbage
    finally:
        of_garbage.append(max(0, _collect(waited_ns) - 2 * before_ns))
        gc.enable()


def _collect(waited_ns: Callable[[], int]) -> int:
    start, waited = time.perf_counter_ns(), waited_ns()
    gc.collect()
    waited = waited_ns() - waited
    return max(0, time.perf_counter_ns() - start - waited)
