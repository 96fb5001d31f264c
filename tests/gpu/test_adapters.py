"""Every adapter on a GPU: the contract, the answers of a processor, and a device that is idle when it is said to be."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from adapters._torch import device as devices
from bench.adapter import predict
from bench.measure.out_of_memory import Refusal, attempt
from bench.measure.pipelined import pipelined
from bench.records import Size
from bench.report.summary.audit import agreement
from tests.adapters.parity import picture
from tests.adapters.rectangles import THREE_CLASSES
from tests.adapters.test_answers_to_the_host import COPIES
from tests.adapters.test_contract import (
    MIXED,
    ONE_PER_ADAPTER,
    REPRESENTATIVES,
    SMALL_UNET,
    built,
    checked,
    images,
    model_config_parameters,
)
from tests.gpu.test_device import queue_work

ALIKE = 0.99
"""Share of pixels that a GPU and a processor must agree on: untrained networks have many ties."""


@ONE_PER_ADAPTER
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16", "fp16"])
def test_a_gpu_keeps_the_contract_and_is_idle_after_synchronizing(model_config, options, task, precision):
    adapter = built(model_config, options, task, device="cuda", precision=precision)
    adapter.reset_peak_device_bytes()
    checked(adapter, MIXED, task)
    batch = adapter.preprocess(images(MIXED[:1]))
    timer = adapter.device_timer()
    timer.start()
    adapter.infer(batch)
    timer.stop()
    adapter.synchronize()
    assert timer.elapsed_ms() > 0
    assert adapter.peak_device_bytes() > 0


@ONE_PER_ADAPTER
def test_a_gpu_answers_as_a_processor_does(model_config, options, task, measured):
    pictures = [picture(size, seed) for seed, size in enumerate((Size(64, 64), Size(48, 80)))]
    found = {}
    for device in ("cpu", "cuda"):
        adapter = built(model_config, options, task, device=device, deterministic=True, image_size=Size(64, 64))
        found[device] = [prediction for one in pictures for prediction in predict(adapter, [one])]
    shares = [agreement(one, other).share for one, other in zip(found["cpu"], found["cuda"], strict=True)]
    measured("least_equal_pixels", min(shares))
    assert min(shares) >= ALIKE


@ONE_PER_ADAPTER
def test_a_device_is_idle_after_synchronizing_although_its_input_was_still_on_its_way(model_config, options, task):
    adapter = built(model_config, options, task, device="cuda")
    predict(adapter, images(MIXED[:1]))  # what is made once is made
    gpu = devices.open_device("cuda")
    adapter.synchronize()
    queue_work()
    raw = adapter.infer(adapter.preprocess(images(MIXED[:1])))
    last = torch.cuda.Event()
    last.record(torch.cuda.current_stream(gpu))
    adapter.synchronize()
    assert last.query()
    assert len(adapter.postprocess(raw, MIXED[:1])) == 1


@ONE_PER_ADAPTER
def test_a_gpu_answers_the_same_when_stages_overlap(model_config, options, task):
    adapter = built(model_config, options, task, device="cuda", deterministic=True)
    assert adapter.stages_overlap
    batches = [[picture(size, seed)] for seed, size in enumerate((Size(24, 32), Size(40, 24), Size(32, 32)))]
    expected = [predict(adapter, batch)[0] for batch in batches]
    found = []
    pipelined(
        adapter,
        lambda number: batches[number % 3],
        time.perf_counter_ns,
        lambda _, started: started < 30,
        seen=lambda _, read: found.append(read.predictions[0]),
    )
    shares = [agreement(one, expected[number % 3]).share for number, one in enumerate(found)]
    assert len(shares) == 30
    assert min(shares) > 0.999


@pytest.mark.parametrize(
    ("model_config", "options", "task"),
    [model_config_parameters(name, REPRESENTATIVES.get(name, SMALL_UNET), trains=False) for name in COPIES],
)
def test_answers_of_a_batch_take_as_many_copies_as_those_of_one_image(model_config, options, task, measured):
    adapter = built(model_config, options, task, device="cuda")
    for sizes in (MIXED[:1], MIXED):
        raw = adapter.infer(adapter.preprocess(images(sizes)))
        adapter.postprocess(raw, sizes)  # what is made once is made
        adapter.synchronize()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as seen:
            adapter.postprocess(raw, sizes)
        copies = sum("Memcpy DtoH" in event.name and "Pinned" in event.name for event in seen.events())
        waits = sum("Memcpy DtoH" in event.name and "Pageable" in event.name for event in seen.events())
        measured(f"numbers_read_one_by_one_batch_{len(sizes)}", waits)
        assert copies == COPIES[model_config]


def test_full_memory_is_told_and_the_model_goes_on():
    adapter = built("unet/transposed", SMALL_UNET, THREE_CLASSES, device="cuda")
    before = [prediction.content_hash() for prediction in predict(adapter, images(MIXED[:1]))]
    free, total = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction((total - free + (64 << 20)) / total)
    try:
        huge = np.zeros((4096, 4096, 3), dtype=np.uint8)
        refused = attempt(lambda: predict(adapter, [huge] * 4), device="cuda")
        assert isinstance(refused, Refusal)
        assert refused.ended == "oom_device"
        after = [prediction.content_hash() for prediction in predict(adapter, images(MIXED[:1]))]
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert after == before
