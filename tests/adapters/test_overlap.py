"""Networks of every kind answer the same when a throughput pass has a thread for each stage, as beside a GPU."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import pytest

pytest.importorskip("torch", reason="torch is not installed; make install")

import torch

from adapters._torch import device as devices
from bench.adapter import predict
from bench.measure.pipelined import pipelined
from bench.records import Size, Target
from tests.adapters.test_contract import (
    REPRESENTATIVES,
    SMALL_UNET,
    TASKS,
    built,
    images,
    model_config_parameters,
    resolve_model,
)

KINDS = {
    "unet/transposed": SMALL_UNET,
    **{
        name: REPRESENTATIVES[name]
        for name in (
            "torchvision/maskrcnn_small",
            "transformers/segformer_b0",
            "transformers/mask2former_panoptic",
            "detectron2/mask_rcnn",
            "detectron2/panoptic_fpn",
            "detectron2/panoptic_deeplab",
            "ultralytics/yolo11n_seg",
            "ultralytics/yolo26n_sem",
        )
    },
}
SIZES = [Size(24, 32), Size(40, 21), Size(33, 33)]


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("model_config", "options", "task"), [model_config_parameters(*one, trains=False) for one in KINDS.items()]
)
def test_a_network_whose_stages_overlap_answers_as_one_after_the_other(model_config, options, task):
    adapter = built(model_config, options, TASKS[resolve_model(model_config).task], image_size=Size(64, 64))
    batches = [images([size]) for size in SIZES]
    expected = [predict(adapter, batch)[0].content_hash() for batch in batches]
    threads, found = set(), []
    infer = type(adapter).infer

    class Watched(type(adapter)):
        def infer(self, batch):
            threads.add(threading.current_thread())
            return infer(self, batch)

        def postprocess(self, raw, sizes):
            threads.add(threading.current_thread())
            return super().postprocess(raw, sizes)

    adapter.__class__ = Watched
    adapter.stages_overlap = True
    pipelined(
        adapter,
        lambda number: batches[number % 3],
        time.perf_counter_ns,
        lambda _, started: started < 9,
        seen=lambda _, read: found.append(read.predictions[0].content_hash()),
    )
    assert found == expected * 3
    assert len(threads) == 2


# ------------------------------------------------------------------ streams of CUDA, scripted


class Scripted:
    """Notes what is asked of torch's streams and events."""

    def __init__(self, monkeypatch):
        self.said, self.made = [], 0
        monkeypatch.setattr(torch.cuda, "Stream", self.stream)
        monkeypatch.setattr(torch.cuda, "Event", lambda: Event(self))
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "the default stream")
        monkeypatch.setattr(torch.cuda, "stream", self.current)

    def stream(self, device):
        self.made += 1
        return Stream(self, f"stream {self.made}")

    @contextmanager
    def current(self, stream):
        self.said.append(f"to {stream.name}")
        yield
        self.said.append("to the default stream")


class Stream:
    def __init__(self, script, name):
        self.script, self.name = script, name

    def wait_event(self, event):
        self.script.said.append(f"{self.name} waits for {event.after}")

    def synchronize(self):
        self.script.said.append(f"the host waits for {self.name}")


class Event:
    def __init__(self, script):
        self.script, self.after = script, None

    def record(self, stream):
        self.after = f"what is on {stream}"


def on_gpu(kind):
    adapter = object.__new__(kind)
    adapter._device, adapter._streams = torch.device("cuda:0"), {}
    return adapter


class OnGpu(devices.OnTorchDevice):
    def build(self, model, task, target, weights): ...
    def preprocess(self, images): ...
    def infer(self, batch): ...
    def postprocess(self, raw, sizes): ...


def test_reading_waits_for_its_infer_on_a_stream_of_its_own_and_the_host_for_that(monkeypatch):
    script, adapter = Scripted(monkeypatch), on_gpu(OnGpu)
    with adapter.beside(adapter.queued()):
        script.said.append("reads")
    assert script.said == [
        "stream 1 waits for what is on the default stream",
        "to stream 1",
        "reads",
        "to the default stream",
        "the host waits for stream 1",
    ]


def test_preparing_waits_for_nothing_and_streams_are_made_once(monkeypatch):
    script, adapter = Scripted(monkeypatch), on_gpu(OnGpu)
    for _ in range(3):
        with adapter.beside(None):
            script.said.append("prepares")
        with adapter.beside(adapter.queued()):
            pass
    assert script.said[:4] == ["to stream 1", "prepares", "to the default stream", "the host waits for stream 1"]
    assert script.made == 2


@pytest.mark.parametrize(("runtime", "known"), [("eager", True), ("cuda_graphs", True), ("tensorrt", False)])
def test_the_peak_of_torch_is_none_of_a_runtime_with_memory_of_its_own(runtime, known, monkeypatch):
    adapter = on_gpu(OnGpu)
    adapter._target = Target(device="cuda", runtime=runtime)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 7)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 9)
    expected = (7, 9) if known else (None, None)
    assert (adapter.peak_device_bytes(), adapter.peak_reserved_bytes()) == expected


def test_on_a_processor_nothing_is_queued_and_stages_do_not_overlap():
    adapter = built("unet/transposed", SMALL_UNET, TASKS["semantic"])
    assert not adapter.stages_overlap
    assert adapter.queued() is None
    with adapter.beside(None):
        pass
