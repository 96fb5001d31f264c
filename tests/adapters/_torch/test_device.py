from __future__ import annotations

import cv2
import pytest
import torch
from torch import nn

from adapters._torch import device as devices
from adapters._torch.weights import save_weights
from adapters.unet.adapter import Adapter, make_unet
from bench.errors import Unsupported
from bench.records import Target
from tests.adapters.rectangles import THREE_CLASSES, small_unet

CPU = torch.device("cpu")


@pytest.mark.parametrize("precision", ["fp16", "tf32"])
def test_a_cpu_refuses_arithmetic_it_does_not_have(precision):
    with pytest.raises(Unsupported, match=f"{precision} needs a CUDA device"):
        devices.check_precision(CPU, precision)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_cuda_device_is_refused():
    with pytest.raises(Unsupported, match=r"'cuda:0' needs a CUDA device, and torch .* finds none here"):
        devices.open_device("cuda:0")


def test_a_device_of_another_kind_is_refused():
    with pytest.raises(Unsupported, match=r"device 'xpu' is not one that torch adapters run on"):
        devices.open_device("xpu")


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="there is an Apple GPU")
def test_an_apple_gpu_is_refused_by_name_where_there_is_none():
    with pytest.raises(Unsupported, match=r"device 'mps' needs a Mac with an Apple GPU, and torch .* finds none here"):
        devices.open_device("mps")


def test_an_apple_gpu_has_no_tf32_and_has_half_precision():
    with pytest.raises(Unsupported, match="tf32 needs a CUDA device"):
        devices.check_precision(torch.device("mps"), "tf32")
    devices.check_precision(torch.device("mps"), "fp16")


@pytest.mark.parametrize("runtime", ["eager", "compile", "cuda_graphs", "tensorrt"])
def test_int8_belongs_to_runtimes_that_run_an_export(runtime):
    with pytest.raises(Unsupported, match=f"not by runtime {runtime}"):
        devices.check_precision(CPU, "int8", runtime)
    devices.check_precision(CPU, "int8", "openvino")


@pytest.mark.parametrize(("there", "device"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_the_gpu_where_there_is_one(there, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: int(there))
    assert devices.open_device("auto").type == device


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_that_were_set_are_read_back(threads):
    devices.set_threads(threads)
    found = devices.threads_in_effect()
    assert found["torch"] == torch.get_num_threads() == threads
    assert found["opencv"] == cv2.getNumThreads() == threads
    assert found["torch_interop"] == torch.get_num_interop_threads()


def test_no_number_of_threads_means_every_allowed_core():
    devices.set_threads(None)
    assert devices.threads_in_effect()["torch"] == devices.allowed_cores()


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_precision_decides_the_type_of_a_product(precision, dtype):
    with devices.autocast(CPU, precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_deterministic_kernels_are_asked_for_and_released():
    devices.apply_settings("fp32", cudnn_benchmark=True, deterministic=True)
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark
    devices.apply_settings("fp32", cudnn_benchmark=True, deterministic=False)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark


@pytest.mark.parametrize(("precision", "tf32"), [("tf32", True), ("fp32", False)])
def test_tf32_is_on_only_where_it_is_asked_for(precision, tf32):
    devices.apply_settings(precision, cudnn_benchmark=True, deterministic=False)
    assert torch.backends.cuda.matmul.allow_tf32 is tf32
    assert torch.backends.cudnn.allow_tf32 is tf32


def test_a_cpu_has_no_device_memory_to_tell_of():
    devices.reset_peak_bytes(CPU)
    assert devices.peak_bytes(CPU) is None


def test_parameters_that_are_loaded_next_take_no_random_number_and_all_else_is_drawn():
    with devices.seeded(3):
        expected = torch.empty(4).normal_()
    with devices.seeded(3, drawn=False):
        weight = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(8, 4), nn.Embedding(4, 4), nn.LSTM(3, 4))[0].weight
        for init in (nn.init.xavier_normal_, nn.init.trunc_normal_, nn.init.kaiming_normal_, nn.init.normal_):
            init(weight)
        found = torch.empty(4).normal_()
    assert torch.equal(found, expected)
    with devices.seeded(3):
        assert not torch.equal(nn.Conv2d(3, 4, 3).weight, nn.Conv2d(3, 4, 3).weight)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_network_made_for_a_weight_file_has_its_numbers_to_the_bit(precision, tmp_path):
    drawn = make_unet(small_unet(), THREE_CLASSES)
    save_weights(drawn, drawn.module.state_dict(), tmp_path / "w.pt")
    adapter = Adapter()
    adapter.build(small_unet(), THREE_CLASSES, Target(precision=precision, threads=1), tmp_path / "w.pt")
    for name, tensor in adapter._network.module.state_dict().items():
        assert torch.equal(tensor, drawn.module.state_dict()[name].to(tensor.dtype)), name
