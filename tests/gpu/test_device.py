"""torch's events, streams and memory, as the harness uses them."""

from __future__ import annotations

import time

import pytest
import torch

from adapters._torch import device as devices
from bench.errors import Unsupported


def queue_work():
    """Keep the GPU busy for 200 million cycles, 50 ms at 4 GHz, without waiting for it."""
    torch.cuda._sleep(200_000_000)


def test_events_see_device_time_that_the_host_does_not_wait_for():
    gpu = devices.open_device("cuda")
    devices.synchronize(gpu)
    timer = devices.CudaTimer(gpu)
    began = time.perf_counter()
    timer.start()
    queue_work()
    timer.stop()
    queued_ms = 1e3 * (time.perf_counter() - began)
    device_ms = timer.elapsed_ms()
    assert device_ms > 20
    assert queued_ms < device_ms / 2


def test_synchronizing_waits_for_the_queued_work():
    gpu = devices.open_device("cuda")
    queue_work()
    event = torch.cuda.Event()
    event.record()
    assert not event.query()
    devices.synchronize(gpu)
    assert event.query()


def test_the_peak_counts_memory_that_was_freed_again():
    gpu = devices.open_device("cuda")
    devices.reset_peak_bytes(gpu)
    before = devices.peak_bytes(gpu)
    block = torch.empty(64 * 1024**2, dtype=torch.uint8, device=gpu)
    del block
    assert devices.peak_bytes(gpu) - before >= 64 * 1024**2


def test_a_device_that_is_held_runs_what_is_queued_then_without_a_gap():
    gpu = devices.open_device("cuda")
    pixels = torch.zeros(8, device=gpu)
    devices.synchronize(gpu)
    timer = devices.CudaTimer(gpu)
    elapsed_ms = {}
    for hold_ms in (0.0, 50.0):
        if hold_ms:
            timer.hold(hold_ms)
        timer.start()
        for _ in range(300):
            pixels.add_(1)
        timer.stop()
        elapsed_ms[hold_ms] = timer.elapsed_ms()
        devices.synchronize(gpu)
    assert elapsed_ms[50.0] < elapsed_ms[0.0]


def test_a_device_beyond_the_last_is_refused_by_the_name_of_the_last():
    count = torch.cuda.device_count()
    with pytest.raises(Unsupported, match=rf"'cuda:{count}' is not here; the last CUDA device is cuda:{count - 1}"):
        devices.open_device(f"cuda:{count}")


class OnGpu(devices.OnTorchDevice):
    def __init__(self) -> None:
        self._device, self._streams = devices.open_device("cuda"), {}

    def build(self, model, task, target, weights): ...
    def preprocess(self, images): ...
    def infer(self, batch): ...
    def postprocess(self, raw, sizes): ...


def test_reading_beside_waits_for_its_pass_and_not_for_the_next_one():
    adapter = OnGpu()
    computed = torch.zeros(1, device=adapter._device)
    adapter.synchronize()
    queue_work()
    computed.add_(1)
    mark = adapter.queued()
    for _ in range(8):
        queue_work()
    last = torch.cuda.Event()
    last.record()
    with adapter.beside(mark):
        found = computed.cpu().item()
    assert found == 1
    assert not last.query()
    adapter.synchronize()


def test_preparing_beside_waits_for_nothing_and_is_done_at_its_end():
    adapter = OnGpu()
    adapter.synchronize()
    for _ in range(4):
        queue_work()
    busy = torch.cuda.Event()
    busy.record()
    with adapter.beside(None):
        pixels = torch.ones(1 << 20).pin_memory().to(adapter._device, non_blocking=True).mul_(2)
    assert not busy.query()
    assert pixels.sum().item() == 2 << 20
