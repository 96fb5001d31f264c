"""Throughput: batches pushed through a model, with the processor beside the device where the two are apart.

Where an adapter says so (`BaseAdapter.stages_overlap`), three threads have a stage each: one decodes and preprocesses
the next batch, the caller's own queues `infer`, and a third postprocesses the batch before, which is where the
processor waits for the device. Throughput is then that of the slowest stage, and three batches are in memory.
Elsewhere, as on a processor, whose cores all stages share and a target's `threads` bounds, one stage follows the other.

A device does what is queued on a stream in order. So the work of the first and the third thread goes to streams of
their own (`BaseAdapter.beside`): on that of `infer`, reading a batch would wait for the next one to be computed, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bench.adapter import Adapter, Batch, Raw
from bench.measure.materialise import Read, materialised
from bench.measure.stages import Clock, decoded
from bench.records import Size
from bench.records.predictions import RgbImage

More = Callable[[int, int], bool]
"""Decides whether to start another batch, by the nanoseconds since the start and the number of batches started."""


@dataclass(frozen=True)
class Flow:
    """The times of batches that were pushed through.

    Attributes:
        wall_ns: Nanoseconds from the start until the last prediction was read and the device idle.
        done_ns: Nanoseconds from the start until the predictions of each batch were read, in order; `wall_ns` for the
            last one.
        images: Number of images of each batch.
    """

    wall_ns: int
    done_ns: tuple[int, ...]
    images: tuple[int, ...]

    @property
    def count(self) -> int:
        """Images of all batches; by `wall_ns` they make throughput, which is not the inverse of a latency."""
        return sum(self.images)


def for_seconds(seconds: float) -> More:
    """Start no further batch after so long."""
    return lambda elapsed_ns, _: elapsed_ns < seconds * 1e9


def pipelined(
    adapter: Adapter,
    batches: Callable[[int], Sequence[RgbImage]],
    clock: Clock,
    more: More,
    *,
    encoded: Callable[[int], Sequence[bytes]] | None = None,
    seen: Callable[[int, Read], None] | None = None,
) -> Flow:
    """Push batches through; nothing waits for the device but what needs its answer, and one synchronisation at the end.

    Args:
        adapter: The model.
        batches: Batch number -> images.
        clock: Host clock.
        more: Function that decides whether to start another batch.
        encoded: Batch number -> the same images as bytes of files, which are decoded within the clock.
        seen: Receives each batch's number and predictions, in order and within the clock.
    """
    adapter.synchronize()
    work = _Work(adapter, batches, clock, encoded, seen)
    (_overlapping if adapter.stages_overlap else _one_by_one)(work, more)
    adapter.synchronize()
    wall_ns = work.elapsed_ns()
    return Flow(wall_ns, (*work.done_ns[:-1], wall_ns)[: len(work.images)], tuple(work.images))


class _Work:
    """The stages of a batch, and what was done so far."""

    def __init__(
        self,
        adapter: Adapter,
        batches: Callable[[int], Sequence[RgbImage]],
        clock: Clock,
        encoded: Callable[[int], Sequence[bytes]] | None,
        seen: Callable[[int, Read], None] | None,
    ) -> None:
        self.adapter = adapter
        self._batches, self._encoded, self._seen = batches, encoded, seen
        self.done_ns: list[int] = []
        self.images: list[int] = []
        self._clock, self._start = clock, clock()

    def elapsed_ns(self) -> int:
        return self._clock() - self._start

    def prepared(self, number: int) -> tuple[Batch, list[Size]]:
        """Decode and preprocess a batch."""
        images = self._batches(number)
        sizes = [Size(*image.shape[:2]) for image in images]  # before the adapter has the list
        arrays = images if self._encoded is None else decoded(self.adapter, self._encoded(number))
        return self.adapter.preprocess(arrays), sizes

    def prepared_beside(self, number: int) -> tuple[Batch, list[Size]]:
        """Do the same on a stream of its own; what is prepared is there when this returns."""
        with self.adapter.beside(None):
            return self.prepared(number)

    def ended_beside(self, number: int, batch: Batch, raw: Raw, mark: Any, sizes: list[Size]) -> None:  # noqa: ARG002
        """End a batch on a stream of its own; `batch` is held until then, since its memory is another stream's."""
        with self.adapter.beside(mark):
            self.ended(number, raw, sizes)

    def ended(self, number: int, raw: Raw, sizes: list[Size]) -> None:
        """Postprocess a batch and read what comes out."""
        images = len(sizes)  # before the adapter has the list, which may become longer
        read = materialised(self.adapter.postprocess(raw, sizes))
        if self._seen is not None:
            self._seen(number, read)
        self.done_ns.append(self.elapsed_ns())
        self.images.append(images)


def _one_by_one(work: _Work, more: More) -> None:
    number = 0
    while more(work.elapsed_ns(), number):
        batch, sizes = work.prepared(number)
        work.ended(number, work.adapter.infer(batch), sizes)
        number += 1


def _overlapping(work: _Work, more: More) -> None:
    """Give each stage a thread; what one of them raises is raised here, when the others have ended what they are at."""
    before, after = ThreadPoolExecutor(1, "preprocess"), ThreadPoolExecutor(1, "postprocess")

    def begun(number: int) -> Future[tuple[Batch, list[Size]]] | None:
        return before.submit(work.prepared_beside, number) if more(work.elapsed_ns(), number) else None

    try:
        number, ahead = 0, begun(0)
        ending: Future[None] | None = None
        while ahead is not None:
            batch, sizes = ahead.result()
            ahead = begun(number + 1)
            raw = work.adapter.infer(batch)
            mark = work.adapter.queued()
            if ending is not None:
                ending.result()
            ending = after.submit(work.ended_beside, number, batch, raw, mark, sizes)
            del batch, raw  # else they would stay until the next ones are there
            number += 1
        if ending is not None:
            ending.result()
    finally:
        before.shutdown(cancel_futures=True)
        after.shutdown(cancel_futures=True)
