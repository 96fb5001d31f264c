"""A built model with its images in memory, ready to be put under load; and whether it was left alone meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.adapter import Adapter, predict
from bench.measure.counters import between, read_edge
from bench.measure.devices import allowed_cores
from bench.measure.materialise import materialised
from bench.measure.outputs import checked
from bench.measure.stages import Clock, no_garbage_collection
from bench.measure.unchanged import InputWatch
from bench.records import Job
from bench.records.predictions import RgbImage

Wait = Callable[[int], None]
"""Returns after the given number of nanoseconds; `sleep_and_spin` outside tests."""

SPIN_NS = 1_000_000
"""The last part of a wait is spun: sleeping alone overshoots by a scheduler's tick."""

WARM_UP_BATCHES = 3
"""Batches of each size before it is timed: a new shape may be compiled for, or an algorithm searched for."""


def sleep_and_spin(nanoseconds: int) -> None:
    """Return after this number of nanoseconds, to within some microseconds on an idle machine."""
    end = time.perf_counter_ns() + nanoseconds
    while (left := end - time.perf_counter_ns()) > 0:
        if left > SPIN_NS:
            time.sleep((left - SPIN_NS) / 1e9)


@dataclass
class UnderLoad:
    """The model, images and clocks that every load needs.

    Attributes:
        adapter: Adapter, built for the job.
        images: Images in memory, each uint8 (H, W, 3), drawn from in turn.
        image_ids: Ids of the images.
        job: Job, which names the model and the task.
        clock, wait: Clock in nanoseconds, and a function that waits; scripted in tests.
        raw: Raw times that a load leaves, by name; `latencies.npz`.
        inputs: The images as they were at first; checked outside the clock.
    """

    adapter: Adapter
    images: Sequence[RgbImage]
    image_ids: Sequence[str]
    job: Job
    clock: Clock = time.perf_counter_ns
    wait: Wait = sleep_and_spin
    raw: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    inputs: InputWatch = field(init=False)

    def __post_init__(self) -> None:
        """Take note of the images as they are now."""
        self.inputs = InputWatch(self.images, self.image_ids, self.job.model.label)

    def batch(self, first: int, size: int) -> list[RgbImage]:
        """So many images from a position on, again from the beginning after the last."""
        return [self.images[i] for i in self._indices(first, size)]

    def answer(self, first: int, size: int) -> None:
        """Predict a batch, wait until the device is idle, and read what came out."""
        predictions = predict(self.adapter, self.batch(first, size))
        self.adapter.synchronize()
        materialised(predictions)

    def warm_up(self, size: int) -> None:
        """Predict some batches of a size, untimed; what comes out is held against the contract."""
        for number in range(WARM_UP_BATCHES):
            indices = self._indices(number * size, size)
            batch = [self.images[i] for i in indices]
            checked(predict(self.adapter, batch), batch, [self.image_ids[i] for i in indices], self.job)
            self.inputs.check(indices)
        self.adapter.synchronize()

    def _indices(self, first: int, size: int) -> list[int]:
        return [(first + i) % len(self.images) for i in range(size)]


class Interference:
    """The interference of other processes during a block.

    Attributes:
        disturbed: True if other processes used more than the protocol allows; known after the block.
    """

    disturbed = False


@contextmanager
def watched() -> Iterator[Interference]:
    """Watch the machine during a measurement, from which the garbage collector is kept out."""
    cores, seen = allowed_cores(), Interference()
    with no_garbage_collection():
        start = read_edge(cores)
        yield seen
        seen.disturbed = between(start, read_edge(cores), len(cores)).disturbed
