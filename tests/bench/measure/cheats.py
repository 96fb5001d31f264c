"""Adapters that claim a speed they do not have, and an honest one. See `test_cheats.py`."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.adapter import BaseAdapter
from bench.records import ModelSpec, Size, Target, TaskSpec
from bench.records.predictions import Prediction, RgbImage, SemanticMap

WORK_S = 0.003
"""What the honest model takes for an image."""


class Scenes:
    """Random blobs, so that thumbnails differ."""

    ids = tuple(f"image-{number}" for number in range(12))

    def image(self, image_id: str) -> RgbImage:
        random = np.random.default_rng(int(image_id.rpartition("-")[2]))
        coarse = random.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        return np.ascontiguousarray(coarse.repeat(8, axis=0).repeat(8, axis=1))


def bright(image: RgbImage) -> np.ndarray:
    """What the honest model answers: uint8, (H, W)."""
    return (np.asarray(image)[..., 0] > 127).astype(np.uint8)


def work(seconds: float = WORK_S) -> None:
    """Use the processor for so long."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def work_apart() -> None:
    """Use the processor for as long in a process of its own, whatever else runs."""
    end = time.process_time() + WORK_S
    while time.process_time() < end:
        pass


class Honest(BaseAdapter):
    """Works in `infer`."""

    def build(self, model: ModelSpec, task: TaskSpec, target: Target, weights: Path | None) -> None:
        raise AssertionError("built by the test")

    def preprocess(self, images: Sequence[RgbImage]) -> Sequence[RgbImage]:
        return images

    def infer(self, batch: Sequence[RgbImage]) -> list[np.ndarray]:
        return [self.answer(image) for image in batch]

    def answer(self, image: RgbImage) -> np.ndarray:
        work()
        return bright(image)

    def postprocess(self, raw: list[np.ndarray], sizes: Sequence[Size]) -> list[Prediction]:
        return [SemanticMap(labels) for labels in raw]


# ------------------------------------------------------------------ predictions that are not there yet


class LazyMap(SemanticMap):
    def __init__(self, image: RgbImage) -> None:
        object.__setattr__(self, "image", image)

    @property
    def labels(self) -> np.ndarray:
        work()
        return bright(self.image)

    def __getattribute__(self, name: str):
        return LazyMap.labels.fget(self) if name == "labels" else object.__getattribute__(self, name)


class LazyList(list):
    def __getitem__(self, index):
        work()
        return super().__getitem__(index)

    def __iter__(self):
        for one in super().__iter__():
            work()
            yield one


class LazyArray(np.ndarray):
    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        work()
        plain = [np.asarray(one).view(np.ndarray) for one in inputs]
        return getattr(ufunc, method)(*plain, **options)


class ReturnsLazyMaps(Honest):
    def infer(self, batch):
        return batch

    def postprocess(self, raw, sizes):
        return [LazyMap(image) for image in raw]


class ReturnsALazyList(Honest):
    def infer(self, batch):
        return batch

    def postprocess(self, raw, sizes):
        return LazyList(SemanticMap(bright(image)) for image in raw)


class ReturnsLazyArrays(Honest):
    def answer(self, image):
        return bright(image).view(LazyArray)


class FillsLater(Honest):
    """A thread writes the answer when the clock has stopped."""

    def answer(self, image):
        labels = np.zeros(image.shape[:2], np.uint8)

        def fill() -> None:
            time.sleep(WORK_S)
            labels[...] = bright(image)

        threading.Thread(target=fill).start()
        return labels


class TurnsLazyAfterAWhile(Honest):
    """Plain while it is warmed up."""

    calls = 0

    def postprocess(self, raw, sizes):
        TurnsLazyAfterAWhile.calls += 1
        if TurnsLazyAfterAWhile.calls < 20:
            return super().postprocess(raw, sizes)
        return LazyList(super().postprocess(raw, sizes))


# ------------------------------------------------------------------ caches that forgive small changes


class Remembers(Honest):
    """Answers what looks like an image that it knows from memory."""

    def __init__(self) -> None:
        self.known: dict[object, np.ndarray] = {}

    def looks_like(self, image: RgbImage) -> object:
        raise NotImplementedError

    def answer(self, image):
        key = self.looks_like(image)
        if key not in self.known:
            self.known[key] = super().answer(image)
        return self.known[key].copy()


class ByThumbnail(Remembers):
    def looks_like(self, image):
        return (np.asarray(image)[4::8, 4::8] // 32).tobytes()


class ByMeanColour(Remembers):
    def looks_like(self, image):
        return tuple((np.asarray(image).mean(axis=(0, 1)) // 8).tolist())


class ByHistogram(Remembers):
    def looks_like(self, image):
        counts = np.histogram(np.asarray(image), bins=8, range=(0, 256))[0]
        return tuple((counts // 64).tolist())


class ByTheNearest(Remembers):
    """Whatever comes is answered as the nearest of the first images."""

    def answer(self, image):
        if len(self.known) < 12:
            self.known[np.asarray(image).tobytes()] = Honest.answer(self, image)
        asked = np.asarray(image, dtype=np.int64)
        nearest = min(
            self.known,
            key=lambda known: np.abs(
                np.frombuffer(known, np.uint8).reshape(image.shape).astype(np.int64) - asked
            ).sum(),
        )
        return self.known[nearest].copy()


# ------------------------------------------------------------------ work while the clock stands


class WorksAhead(Honest):
    """Computes what comes next, if things go on as they went, while it says to wait for the device."""

    def __init__(self) -> None:
        self.order: list[bytes] = []
        self.images: dict[bytes, RgbImage] = {}
        self.ready: dict[bytes, np.ndarray] = {}

    def answer(self, image):
        key = np.asarray(image).tobytes()
        self.order.append(key)
        self.images[key] = image
        return self.ready.pop(key) if key in self.ready else super().answer(image)

    def work_ahead(self) -> None:
        if len(self.order) < 13:
            return
        before = (
            len(self.order) - 2 - self.order[-2::-1].index(self.order[-1]) if self.order[-1] in self.order[:-1] else 0
        )
        following = self.order[before + 1]
        if following not in self.ready:
            self.ready[following] = Honest.answer(self, self.images[following])


class WorksWhileItWaits(WorksAhead):
    def synchronize(self):
        self.work_ahead()


class WorksOnEverySecondWait(WorksAhead):
    waits = 0

    def synchronize(self):
        self.waits += 1
        if self.waits % 6 == 0:
            self.work_ahead()


class FillsACacheWhileItWaits(WorksAhead):
    def synchronize(self):
        for key in [key for key in self.images if key not in self.ready][:1]:
            self.ready[key] = Honest.answer(self, self.images[key])


class WorksWhileEventsAreMade(WorksAhead):
    def device_timer(self):
        self.work_ahead()


class WorksInAThread(WorksAhead):
    def synchronize(self):
        threading.Thread(target=self.work_ahead).start()


# ------------------------------------------------------------------ answers that get worse


class GetsWorse(Honest):
    calls = 0

    def is_tired(self) -> bool:
        return self.calls > 24

    def answer(self, image):
        self.calls += 1
        return np.zeros(image.shape[:2], np.uint8) if self.is_tired() else super().answer(image)


class GetsWorseNowAndThen(GetsWorse):
    def is_tired(self):
        return self.calls > 24 and self.calls % 3 == 0


class GetsWorseMuchLater(GetsWorse):
    def is_tired(self):
        return self.calls > 70


class AnswersTheLastImageAgain(Honest):
    last: np.ndarray | None = None
    calls = 0

    def answer(self, image):
        self.calls += 1
        if self.calls > 24 and self.last is not None:
            return self.last.copy()
        self.last = super().answer(image)
        return self.last


class GetsWorseWhereNobodyWaits(Honest):
    """A batch after which nobody synchronised is one of the throughput pass."""

    waited = True

    def synchronize(self):
        self.waited = True

    def answer(self, image):
        if not self.waited:
            return np.zeros(image.shape[:2], np.uint8)
        self.waited = False
        return super().answer(image)


# ------------------------------------------------------------------ work in other processes


def serve(pipe) -> None:
    while (image := pipe.recv()) is not None:
        work_apart()
        pipe.send(bright(image))


class HasAHelper(Honest):
    def __init__(self) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        self.helper = multiprocessing.get_context("fork").Process(target=serve, args=(theirs,), daemon=True)
        self.helper.start()

    def answer(self, image):
        self.pipe.send(np.asarray(image))
        return self.pipe.recv()

    def close(self) -> None:
        self.pipe.send(None)
        self.helper.join(5)


class StartsAProcessForEachImage(Honest):
    def answer(self, image):
        child = os.fork()
        if child == 0:
            work_apart()
            os._exit(0)
        os.waitpid(child, 0)
        return bright(image)

    def close(self) -> None:
        pass


class HasAHelperElsewhere(HasAHelper):
    """Whose parent has ended, so that it is nobody's child."""

    def __init__(self) -> None:
        super().__init__()
        self.pipe.send(None)
        self.helper.join(5)
        script = (
            "import os,time\nif os.fork():os._exit(0)\nos.setsid()\nend=time.time()+20\n"
            "while time.time()<end and os.path.exists(%r):pass"
        )
        self.flag = Path(f"/tmp/cheat-{os.getpid()}-{id(self)}")
        self.flag.touch()
        subprocess.run([sys.executable, "-c", script % str(self.flag)], check=True)

    def answer(self, image):
        work()
        return bright(image)

    def close(self) -> None:
        self.flag.unlink()
