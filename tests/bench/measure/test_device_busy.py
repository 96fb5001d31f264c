"""Busy time of a device, against a stream that keeps CUDA's rules: the right answer is kernels times their length."""

from __future__ import annotations

import numpy as np
import pytest

from bench.measure.device_busy import PASSES, device_busy
from bench.measure.stages import staged
from bench.records import DeviceBusy, Missing

IMAGE = np.zeros((1, 1, 3), np.uint8)


class Stream:
    """Runs in order what is queued: an item starts once it is submitted and the one before is done; microseconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self.free = 0.0

    def submit(self, device_us: float, host_us: float) -> float:
        self.now += host_us
        self.free = max(self.free, self.now) + device_us
        return self.free

    def wait(self) -> None:
        self.now = max(self.now, self.free)


class Timer:
    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def hold(self, ms: float) -> None:
        self.stream.submit(1e3 * ms, 5.0)

    def start(self) -> None:
        self.began = self.stream.submit(0.0, 2.0)

    def stop(self) -> None:
        self.ended = self.stream.submit(0.0, 2.0)

    def elapsed_ms(self) -> float:
        self.stream.wait()
        return (self.ended - self.began) / 1e3


class Kernels:
    """A pass of so many kernels; with `looks`, it waits for a value in its middle."""

    def __init__(self, kernels: int, kernel_us: float, launch_us: float, *, looks: bool = False, timed: bool = True):
        self.stream = Stream()
        self.shape = kernels, kernel_us, launch_us
        self.looks, self.timed = looks, timed

    def preprocess(self, images):
        self.stream.submit(20, 10)
        return images

    def infer(self, batch):
        kernels, kernel_us, launch_us = self.shape
        for number in range(kernels):
            self.stream.submit(kernel_us, launch_us)
            if self.looks and number == kernels // 2:
                self.stream.wait()
        return batch

    def postprocess(self, raw, sizes):
        return []

    def synchronize(self):
        self.stream.wait()

    def device_timer(self):
        return Timer(self.stream) if self.timed else None

    def clock(self) -> int:
        return int(1e3 * self.stream.now)


@pytest.mark.parametrize(
    ("kernels", "kernel_us", "launch_us", "index"),
    [(100, 2, 8, 4.0), (100, 4, 8, 2.0), (300, 1.5, 6, 4.0), (100, 40, 8, 1.0), (2000, 3, 9, 3.0)],
)
def test_busy_time_is_that_of_the_kernels_and_the_index_how_much_longer_launching_takes(
    kernels, kernel_us, launch_us, index
):
    adapter = Kernels(kernels, kernel_us, launch_us)
    found = device_busy(adapter, lambda _: [IMAGE], adapter.clock)
    assert isinstance(found, DeviceBusy)
    assert found.busy_ms == pytest.approx(kernels * kernel_us / 1e3, rel=0.02)
    assert found.launch_bound_index == pytest.approx(index, rel=0.05)
    assert found.passes == PASSES


def test_events_around_a_pass_on_an_idle_device_would_say_something_else():
    adapter = Kernels(100, 2, 8)
    by_events_ms = staged(adapter, [IMAGE], adapter.clock).device_ns / 1e6
    assert by_events_ms > 3 * device_busy(adapter, lambda _: [IMAGE], adapter.clock).busy_ms


def test_a_pass_that_looks_at_values_cannot_be_queued_and_says_so():
    adapter = Kernels(100, 2, 8, looks=True)
    found = device_busy(adapter, lambda _: [IMAGE], adapter.clock)
    assert isinstance(found, Missing)
    assert "waits for the device by itself" in found.reason


def test_a_processor_has_no_busy_time_of_a_device():
    adapter = Kernels(1, 1, 1, timed=False)
    assert isinstance(device_busy(adapter, lambda _: [IMAGE], adapter.clock), Missing)
