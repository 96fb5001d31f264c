"""Adapters that work when an object ends, or that change the process in which they are measured."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import threading
import time
import weakref

import numpy as np

from bench.measure import materialise
from bench.records.predictions import RgbImage
from tests.bench.measure.cheats import WORK_S, Honest, bright, work

# ------------------------------------------------------------------ work when something ends


class WorksWhenItEnds:
    """Owns memory, or whatever else refers to it, and works when nobody does any more."""

    def __init__(self, image: RgbImage | None = None) -> None:
        self.labels = None if image is None else bright(image)
        if self.labels is not None:
            self.__array_interface__ = self.labels.__array_interface__

    seconds = WORK_S

    def __del__(self) -> None:
        work(self.seconds)


class OwnsItsArrays(Honest):
    def answer(self, image):
        return np.asarray(WorksWhenItEnds(image))


class WaitsForTheEndOfItsArrays(Honest):
    def answer(self, image):
        labels = bright(image)
        weakref.finalize(labels, work)
        return labels


class ExportsABuffer(Honest):
    """Its arrays lie in an array of a library whose last user works."""

    def answer(self, image):
        labels = bright(image)
        memory = (ctypes.c_uint8 * labels.size).from_buffer_copy(labels)
        memory.end = WorksWhenItEnds()
        return np.frombuffer(memory, np.uint8).reshape(labels.shape)


class HangsItOnPredictions(Honest):
    def answer(self, image):
        return bright(image)

    def postprocess(self, raw, sizes):
        predictions = super().postprocess(raw, sizes)
        for one in predictions:
            object.__setattr__(one, "spacing", WorksWhenItEnds())
        return predictions


class HangsItOnWhatItWasGiven(Honest):
    def answer(self, image):
        return bright(image)

    def postprocess(self, raw, sizes):
        sizes.append(WorksWhenItEnds())
        return super().postprocess(raw, sizes[:-1])


class LeavesACycle(Honest):
    """Works when the collector finds what it has left behind."""

    def answer(self, image):
        left = WorksWhenItEnds()
        left.itself, left.seconds = left, WORK_S / 10
        return bright(image)


class IsCalledByTheCollector(Honest):
    """As much work waits for the collector as was not done in time."""

    waiting = 0

    def __init__(self) -> None:
        gc.callbacks.append(self.collected)

    def collected(self, phase, _) -> None:
        while phase == "start" and self.waiting:
            self.waiting -= 1
            work(WORK_S / 10)

    def answer(self, image):
        self.waiting += 1
        return bright(image)

    def close(self) -> None:
        gc.callbacks.remove(self.collected)


# ------------------------------------------------------------------ changes of the process that measures it


class SetsATimer(Honest):
    """A signal handler works ahead, wherever the harness is."""

    def __init__(self) -> None:
        self.before = signal.signal(signal.SIGVTALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.002, 0.002)

    def close(self) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, self.before)


class HandsOverThreadsLess(Honest):
    """Lets the thread that measures keep the interpreter, so that none disturbs it where others are disturbed."""

    def __init__(self) -> None:
        self.before = sys.getswitchinterval()

    def answer(self, image):
        sys.setswitchinterval(1.0)
        return super().answer(image)

    def close(self) -> None:
        sys.setswitchinterval(self.before)


class SlowsTheClock(Honest):
    """Puts a clock of its own in the place of the interpreter's."""

    def __init__(self) -> None:
        self.before = time.perf_counter_ns

    def answer(self, image):
        time.perf_counter_ns = lambda: self.before() // 2
        return super().answer(image)

    def close(self) -> None:
        time.perf_counter_ns = self.before


class RewritesTheHarness(Honest):
    """Takes the reading of predictions out of the clock."""

    def __init__(self) -> None:
        self.before = materialise._sum.__code__

    def answer(self, image):
        materialise._sum.__code__ = (lambda array: 0).__code__
        return super().answer(image)

    def close(self) -> None:
        materialise._sum.__code__ = self.before


class LeavesItsCores(Honest):
    """Lets one of its threads run where its target does not allow it."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.elsewhere)
        self.thread.start()

    def elsewhere(self) -> None:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        self.over.wait(30)

    def close(self) -> None:
        self.over.set()
        self.thread.join()
