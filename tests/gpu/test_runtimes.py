"""Runtimes that need a CUDA device: the same answers as eager torch, in memory of their own."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from torch import nn

from adapters._torch import device as devices
from adapters._torch.runtimes.runtime import Pass, open_runtime
from bench.errors import Unsupported
from bench.records import Size, Target


class Convolutions(nn.Module):
    """A coarse answer and a fine one."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.coarse, self.fine = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 4, 2, 2), nn.Conv2d(16, 5, 1)

    def forward(self, pixels):
        features = self.first(pixels).relu()
        return self.coarse(features), self.fine(features)


class LooksAtValues(nn.Module):
    """What cannot be recorded: the host waits for a number."""

    def forward(self, pixels):
        return pixels if float(pixels.sum()) > 0 else -pixels


def noise(*shape):
    return torch.from_numpy(np.random.default_rng(0).standard_normal(shape, dtype=np.float32)).cuda()


def opened(module, runtime, size=None, **target):
    gpu = devices.open_device("cuda")
    wanted = Target(device="cuda", runtime=runtime, image_size=size, **target)
    devices.apply_settings(wanted.precision, cudnn_benchmark=False, deterministic=False)
    return open_runtime(Pass(module.to(gpu).eval(), {}, size, outputs=("coarse", "fine")), wanted, gpu)


@torch.inference_mode()
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 0.05)])
def test_a_replay_answers_as_eager_torch_for_every_shape(precision, tolerance):
    module = Convolutions().cuda()
    forward = opened(module, "cuda_graphs", precision=precision)
    for shape in ((1, 3, 16, 16), (2, 3, 32, 24), (1, 3, 16, 16)):
        pixels = noise(*shape)
        for found, expected in zip(forward(pixels), module(pixels), strict=True):
            torch.testing.assert_close(found.float(), expected, atol=tolerance, rtol=tolerance)


@torch.inference_mode()
def test_a_replay_reads_new_pixels_and_leaves_old_answers():
    forward, pixels = opened(Convolutions(), "cuda_graphs"), noise(1, 3, 16, 16)
    early = forward(pixels)[0]
    kept = early.clone()
    late = forward(-pixels)[0]
    assert torch.equal(early, kept)
    assert not torch.equal(late, kept)


def test_a_network_that_looks_at_values_cannot_be_recorded():
    with pytest.raises(Unsupported, match="no CUDA graph can be recorded"):
        opened(LooksAtValues(), "cuda_graphs")


@torch.inference_mode()
@pytest.mark.parametrize(("size", "engines"), [(Size(32, 24), 1), (None, 1)])
def test_one_engine_of_tensorrt_serves_what_is_not_larger_than_the_first(
    size, engines, tmp_path, monkeypatch, measured
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    module = Convolutions().cuda()
    try:
        forward = opened(module, "tensorrt", size, batch_size=8)
    except Unsupported as missing:
        pytest.skip(str(missing))
    for batch, height, width in ((8, 32, 24), (3, 32, 24), (1, 32, 24), *([(2, 24, 32)] if size is None else [])):
        start = time.perf_counter()
        forward(noise(batch, 3, height, width))
        torch.cuda.synchronize()
        measured(f"first_pass_s_{batch}x{height}x{width}", time.perf_counter() - start)
    made = list(tmp_path.rglob("*.engine"))
    assert len(made) == engines, made


@torch.inference_mode()
@pytest.mark.parametrize("runtime", ["onnxruntime", "tensorrt"])
@pytest.mark.parametrize("size", [None, Size(32, 24)])
def test_an_export_answers_on_the_gpu_as_eager_torch_does(runtime, size, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    module = Convolutions().cuda()
    try:
        forward = opened(module, runtime, size)
    except Unsupported as missing:
        pytest.skip(str(missing))
    for batch in (1, 2, 1):
        pixels = noise(batch, 3, 32, 24)
        for found, expected in zip(forward(pixels), module(pixels), strict=True):
            assert found.device.type == "cuda"
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
