"""First looks of two audits: single passes between the blocks of a sampling, at moments that nobody knows.

They are made in every process: a model may be honest in the first one, or once the sampling is over.
"""

from __future__ import annotations

import itertools
import time
from random import SystemRandom

from bench.adapter import Adapter
from bench.measure.audits import gap_s, suspicious, with_changed_pixel
from bench.measure.phases import during
from bench.measure.rows import Rows
from bench.measure.stages import Clock, end_to_end, staged
from bench.measure.timed_images import TimedImages
from bench.records.predictions import RgbImage
from bench.records.store.samples import STAGED

GAPS, CHANGED = (3, 1), (7, 3)
"""Passes with idle gaps, and passes of changed images: in the first process of a case, and in each of the others.

Three changed images that arouse a suspicion are made as many as in the first process, before a second look is taken.
"""
SHARE = 1 / 2
"""Probability of a pass of each kind at the edge of a block; those that are left are made after the sampling."""


class FirstLooks:
    """Makes passes with idle gaps and passes of changed images, each beside a sample of the same images.

    Attributes:
        warmed: Positions of the first images of the batches that the model saw while it warmed up.
        gaps: Nanoseconds of the three stages of samples, and of the same batches with gaps between the stages.
        ratios: Time for batches that the model had seen, over that for the same with a pixel of each image changed.
    """

    def __init__(self, adapter: Adapter, images: TimedImages, clock: Clock, *, first: bool) -> None:
        """Plan the passes of a process; `first` is that of replicate 0."""
        self._adapter, self._images, self._clock = adapter, images, clock
        self._random, self._salts = SystemRandom(), itertools.count(time.perf_counter_ns())
        self._gaps, self._changed = (GAPS[0], CHANGED[0]) if first else (GAPS[1], CHANGED[1])
        self.warmed: set[int] = set()
        self.gaps: list[tuple[tuple[int, int, int], tuple[int, int, int]]] = []
        self.ratios: list[float] = []

    def perhaps(self, rows: Rows) -> None:
        """Make a pass of each kind that is left, one time in two, once there are samples."""
        if len(self.gaps) < self._gaps and rows.clock and self._random.random() < SHARE:
            self._with_gaps(rows)
        if len(self.ratios) < self._changed and rows.clock and self._random.random() < SHARE:
            self._with_changed_pixels(rows)

    def rest(self, rows: Rows) -> None:
        """Make the passes that are left, and further ones where what they tell is in doubt."""
        for _ in range(self._gaps - len(self.gaps)):
            self._with_gaps(rows)
        while len(self.ratios) < self._changed or (len(self.ratios) < CHANGED[0] and suspicious(self.ratios)):
            self._with_changed_pixels(rows)

    @during("audit")
    def _with_gaps(self, rows: Rows) -> None:
        of_stages = [row for row, clock in enumerate(rows.clock) if clock == STAGED]
        if not of_stages:
            return
        row = self._random.choice(of_stages)
        positions, pause_s = self._images.positions_from(rows.image_index[row]), gap_s(rows.total_ns[row])
        timed = staged(
            self._adapter,
            [self._images.arrays[i] for i in positions],
            self._clock,
            encoded=[self._images.encoded[i] for i in positions] if self._images.encoded else None,
            pause=lambda: time.sleep(pause_s),
        )
        assert timed.stage_ns is not None
        self.gaps.append((rows.stage_ns[row], timed.stage_ns))

    @during("audit")
    def _with_changed_pixels(self, rows: Rows) -> None:
        images, known_ns = self._known(rows)
        new = [with_changed_pixel(image, next(self._salts)) for image in images]
        self.ratios.append(known_ns / max(1, end_to_end(self._adapter, new, self._clock).total_ns))

    def _known(self, rows: Rows) -> tuple[list[RgbImage], int]:
        """Return a batch that the model had seen when it was sampled, and its time.

        Where there is none, or samples began at files, the first batch, which the warm-up began with, is timed again.
        """
        again = [] if self._images.encoded else rows.timed_again(self.warmed)
        if again:
            row = self._random.choice(again)
            return self._images.beginning_with(rows.image_index[row]), rows.total_ns[row]
        batch = self._images.batch(0)
        return batch, end_to_end(self._adapter, batch, self._clock).total_ns
