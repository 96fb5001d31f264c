"""The images that are timed: loaded once, in the order of the protocol, and cut into batches."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

from bench.measure.outputs import checked
from bench.measure.phases import during
from bench.measure.stages import Clock
from bench.records import Job, Measurement
from bench.records.predictions import Prediction, RgbImage


class ImageSource(Protocol):
    """Images without their ground truth."""

    ids: tuple[str, ...]

    def image(self, image_id: str) -> RgbImage:
        """Return the image, uint8, (H, W, 3)."""
        ...

    def encoded(self, image_id: str) -> bytes:
        """Return the image as a file's content; asked for only where the timed path begins there."""
        ...


class TimedImages:
    """Images in memory, and which of them are in which batch.

    Attributes:
        ids: Their ids, in the order that the protocol's seed gives.
        arrays: The images, each uint8 (H, W, 3).
        decode_ns: Nanoseconds that each took to be read or drawn.
        encoded: The same images as bytes of files; empty where the timed path begins at arrays.
    """

    @during("data")
    def __init__(self, source: ImageSource, job: Job, measurement: Measurement, clock: Clock) -> None:
        """Load them."""
        self._job, self._size = job, job.target.batch_size
        order = list(source.ids)
        random.Random(f"order/{measurement.order_seed}").shuffle(order)
        self.ids = order[: measurement.images]
        self.arrays: list[RgbImage] = []
        self.decode_ns: list[int] = []
        for image_id in self.ids:
            start = clock()
            self.arrays.append(source.image(image_id))
            self.decode_ns.append(clock() - start)
        self.encoded = [source.encoded(image_id) for image_id in self.ids] if measurement.input == "file" else []

    @property
    def batches(self) -> int:
        """Number of batches of a round."""
        return -(-len(self.ids) // self._size)

    def batch(self, number: int) -> list[RgbImage]:
        """Return the images of a batch."""
        return [self.arrays[i] for i in self.positions(number)]

    def beginning_with(self, first: int) -> list[RgbImage]:
        """Return the images of the batch that begins at a position."""
        return [self.arrays[i] for i in self.positions_from(first)]

    def bytes_of(self, number: int) -> list[bytes]:
        """Return the files of a batch, where the timed path begins there."""
        return [self.encoded[i] for i in self.positions(number)]

    def positions(self, number: int) -> list[int]:
        """Return the positions of the images of a batch."""
        return self.positions_from(number * self._size)

    def positions_from(self, first: int) -> list[int]:
        """Return the positions of the images of the batch that begins at one."""
        return [(first + i) % len(self.arrays) for i in range(self._size)]

    def checked(self, predictions: object, positions: Sequence[int]) -> list[Prediction]:
        """Return predictions of the images at some positions; raises `ShapeError` if they break the contract."""
        return checked(predictions, [self.arrays[i] for i in positions], [self.ids[i] for i in positions], self._job)
