"""Other makers of the forward pass: the same answers, settings read back, and refusals that say why."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from torch import nn

from adapters._torch.padding import PadsToMultiple
from adapters._torch.runtimes.onnx_export import ExportRequest, content_key, export_facts, exported
from adapters._torch.runtimes.runtime import Pass, fixed_size, open_runtime
from bench.adapter import load_adapter, predict
from bench.errors import Unsupported
from bench.records import InferenceAugmentation, Size, SlidingWindow, Target
from bench.suite.model_configs import resolve_model
from tests.adapters.rectangles import THREE_CLASSES
from tests.adapters.test_contract import MIXED, agree, built, checked, images, process_state

pytestmark = pytest.mark.openvino

CPU = torch.device("cpu")
EXPORTED = ("onnxruntime", "openvino")
SMALL = {"base_width": 2, "depth": 2}

pytest.importorskip("onnxscript", reason="onnxscript is not installed; make install")


@pytest.fixture(autouse=True, scope="module")
def _one_cache(tmp_path_factory):
    """All tests share exports, and the user's own cache stays as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(params=EXPORTED)
def runtime(request):
    pytest.importorskip(request.param, reason=f"{request.param} is not installed; make install")
    return request.param


class Pooled(nn.Module):
    """Logits on a grid half as fine as the input, which needs at least two pixels each way."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.pool, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(4, 3, 1)

    def forward(self, pixels):
        return self.last(self.pool(self.first(pixels).relu()))


class Choosy(nn.Module):
    """What no export can hold: its path depends on the values of the pixels."""

    def forward(self, pixels):
        return pixels if float(pixels.sum()) > 0 else -pixels


def network(module, size=None, **more):
    return Pass(module.eval(), {"network": type(module).__name__}, size, **more)


def passes(module, runtime, *, more=None, **target):
    wanted = Target(runtime=runtime, threads=1, **target)
    return open_runtime(network(module, fixed_size(wanted), **(more or {})), wanted, CPU)


def noise(*shape):
    return torch.from_numpy(np.random.default_rng(0).standard_normal(shape, dtype=np.float32))


@torch.inference_mode()
def test_an_exported_network_answers_as_torch_does_for_any_batch_and_size(runtime):
    module = Pooled()
    forward = passes(module, runtime)
    for shape in ((1, 3, 16, 16), (3, 3, 17, 30), (1, 3, 5, 8), (2, 3, 17, 30)):
        torch.testing.assert_close(forward(noise(*shape)), module(noise(*shape)), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_a_network_of_one_size_answers_as_torch_does_for_any_batch(runtime):
    module = Pooled()
    forward = passes(module, runtime, image_size=Size(12, 20))
    for batch in (2, 1, 2):
        pixels = noise(batch, 3, 12, 20)
        torch.testing.assert_close(forward(pixels), module(pixels), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_padding_to_a_multiple_stays_outside_of_the_exported_network(runtime):
    module = PadsToMultiple(Pooled(), 8)
    forward = passes(module, runtime)
    for shape in ((1, 3, 16, 24), (2, 3, 13, 7)):
        torch.testing.assert_close(forward(noise(*shape)), module(noise(*shape)), atol=1e-5, rtol=1e-5)


class TwoAnswers(nn.Module):
    """A coarse answer and a fine one, from one input."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.coarse, self.fine = nn.Conv2d(3, 2, 2, stride=2), nn.Conv2d(3, 5, 1)

    def forward(self, pixels):
        return self.coarse(pixels).flatten(2), self.fine(pixels)


@pytest.mark.few(2)
@torch.inference_mode()
@pytest.mark.parametrize("image_size", [None, Size(16, 24)])
def test_several_answers_come_in_their_order(runtime, image_size):
    module = TwoAnswers()
    forward = passes(module, runtime, more={"outputs": ("coarse", "fine")}, image_size=image_size)
    for batch in (1, 3, 1):
        pixels = noise(batch, 3, 16, 24)
        for found, expected in zip(forward(pixels), module(pixels), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_a_strided_view_is_read_in_its_own_order(runtime):
    module = Pooled()
    view = noise(1, 3, 16, 20).flip(-1).transpose(2, 3)
    torch.testing.assert_close(passes(module, runtime)(view), module(view), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_a_later_call_does_not_overwrite_an_answer(runtime):
    forward, pixels = passes(Pooled(), runtime), noise(1, 3, 16, 16)
    forward(pixels)  # the first call of a shape may answer from other memory
    early = forward(pixels)
    kept = early.clone()
    late = forward(-pixels)
    assert torch.equal(early, kept)
    assert not torch.equal(late, kept)


@torch.inference_mode()
def test_openvino_refuses_by_name_an_input_smaller_than_a_kernel():
    pytest.importorskip("openvino", reason="openvino is not installed; make install")
    forward = passes(Pooled(), "openvino")
    with pytest.raises(Unsupported, match=r"shape \[1, 3, 9, 1\].*larger image_size"):
        forward(noise(1, 3, 9, 1))


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_read_back(runtime, threads):
    found = open_runtime(network(Pooled()), Target(runtime=runtime, threads=threads), CPU).threads()
    assert found == {runtime: threads}


def test_the_runtime_stands_in_versions_and_its_threads_in_facts(runtime):
    adapter = built("unet/transposed", SMALL, THREE_CLASSES, runtime=runtime)
    assert {runtime, "onnx", "onnxscript", "torch"} <= set(adapter.versions())
    assert adapter.describe()["threads"][runtime] == 1
    assert not {runtime, "onnx"} & set(built("unet/transposed", SMALL, THREE_CLASSES).versions())


# --------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ({"channels_last": True}, "memory layout"),
        ({"precision": "tf32"}, "tf32"),
    ],
)
def test_what_a_runtime_does_not_have_is_refused(runtime, target, why):
    with pytest.raises(Unsupported, match=why):
        passes(Pooled(), runtime, **target)


def test_onnx_runtime_has_no_bf16():
    with pytest.raises(Unsupported, match="bf16"):
        passes(Pooled(), "onnxruntime", precision="bf16")


def test_openvino_refuses_a_device_other_than_the_cpu():
    with pytest.raises(Unsupported, match="openvino runs on the CPU here"):
        open_runtime(network(Pooled()), Target(runtime="openvino"), torch.device("cuda"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize(
    ("runtime", "device", "why"),
    [
        ("onnxruntime", "cuda", r"needs the CUDAExecutionProvider.*install onnxruntime-gpu in place of onnxruntime"),
        ("tensorrt", "cuda", r"needs the TensorrtExecutionProvider.*install onnxruntime-gpu and tensorrt in place of"),
        ("tensorrt", "cpu", "runs on CUDA devices, not on cpu"),
        ("cuda_graphs", "cpu", "records launches of CUDA kernels, and cpu has none"),
        ("cuda_graphs", "mps", "records launches of CUDA kernels, and mps has none"),
        ("onnxruntime", "mps", "not on mps"),
    ],
)
def test_what_needs_a_gpu_or_a_package_of_its_own_says_so(runtime, device, why):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed; make install")
    with pytest.raises(Unsupported, match=why):
        open_runtime(network(Pooled()), Target(runtime=runtime), torch.device(device))


@pytest.mark.parametrize(("runtime", "precision"), [("onnxruntime", "fp16"), ("tensorrt", "bf16")])
def test_arithmetic_that_a_gpu_runtime_does_not_have_is_refused_before_anything_is_exported(runtime, precision):
    with pytest.raises(Unsupported, match=f"on cuda has .*, not {precision}"):
        open_runtime(network(Pooled()), Target(runtime=runtime, precision=precision), torch.device("cuda"))


def test_a_network_that_cannot_be_exported_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(Unsupported, match=r"cannot be exported to ONNX .*runtime eager"):
        exported(ExportRequest(Choosy(), {}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_compiling_without_a_compiler_says_how_to_get_one(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(Unsupported, match=r"no no-such-compiler here.*apt-get install g\+\+"):
        passes(Pooled(), "compile")


# --------------------------------------------------------------------------- eight bits


def in_int8(module, runtime, calibration, **target):
    return passes(module, runtime, more={"calibration": tuple(calibration)}, precision="int8", **target)


@torch.inference_mode()
def test_int8_answers_nearly_as_float_does_for_images_like_those_it_was_calibrated_on(runtime):
    module, pixels = Pooled(), noise(2, 3, 16, 24)
    expected = module(pixels)
    found = in_int8(module, runtime, [noise(1, 3, 16, 24), -noise(1, 3, 20, 16)])(pixels)
    # 255 steps over the range of each of two layers; equal answers would mean that nothing was quantised.
    step = (expected.max() - expected.min()) / 255
    assert 0 < (found - expected).abs().max() < 8 * step


@torch.inference_mode()
def test_ranges_come_from_the_calibration_images(runtime):
    module, pixels = Pooled(), noise(1, 3, 16, 16)
    error = {
        scale: (in_int8(module, runtime, [scale * pixels])(pixels) - module(pixels)).abs().max()
        for scale in (1.0, 0.05)
    }
    # What lies outside of the range that was seen is cut off.
    assert error[0.05] > 5 * error[1.0]


def test_int8_is_made_once_for_the_same_images_and_anew_for_others(runtime):
    module = Pooled()
    one, same, other = (in_int8(module, runtime, [noise(1, 3, 16, 16) * k]).export for k in (1, 1, 2))
    assert one == same != other
    assert one != passes(module, runtime).export


def test_int8_without_images_says_where_they_come_from(runtime):
    with pytest.raises(Unsupported, match="training split"):
        in_int8(Pooled(), runtime, [])


def test_int8_has_no_windows(runtime):
    with pytest.raises(Unsupported, match="window"):
        in_int8(Pooled(), runtime, [noise(1, 3, 16, 16)], window=SlidingWindow(size=Size(16, 16)))


def test_torch_itself_has_no_int8():
    with pytest.raises(Unsupported, match="int8 is made of an exported network, not by runtime eager"):
        built("unet/transposed", SMALL, THREE_CLASSES, precision="int8")


def test_an_adapter_hands_its_calibration_images_to_the_network(runtime):
    adapter = load_adapter("unet")
    adapter.calibrate(images(MIXED))
    target = Target(threads=1, runtime=runtime, precision="int8")
    adapter.build(resolve_model("unet/transposed", options=SMALL), THREE_CLASSES, target, None)
    checked(adapter, MIXED, THREE_CLASSES)


# --------------------------------------------------------------------------- the cache of exports


def test_the_facts_of_an_export_are_those_of_its_file(tmp_path):
    file = exported(ExportRequest(Pooled(), {}), tmp_path)
    content = file.read_bytes()
    assert export_facts(file) == {
        "exported_files": {"model.onnx": hashlib.sha256(content).hexdigest()},
        "exported_bytes": len(content),
    }


def test_an_export_is_made_once(tmp_path):
    first = exported(ExportRequest(Pooled(), {}), tmp_path)
    made = first.stat().st_mtime_ns
    assert exported(ExportRequest(Pooled(), {}), tmp_path) == first
    assert first.stat().st_mtime_ns == made
    assert [path.name for path in tmp_path.iterdir()] == [first.parent.name]


def test_everything_that_decides_an_export_is_in_its_key():
    plain, changed = Pooled(), Pooled()
    with torch.no_grad():
        changed.last.bias += 1e-3
    requests = [
        ExportRequest(plain, {}),
        ExportRequest(changed, {}),
        ExportRequest(plain, {"network": "other"}),
        ExportRequest(plain, {}, Size(16, 16)),
        ExportRequest(plain, {}, Size(16, 24)),
        ExportRequest(plain, {}, None, 8),
        ExportRequest(nn.Sequential(plain), {}),
        ExportRequest(plain, {}, outputs=("other",)),
    ]
    assert len({content_key(request) for request in requests}) == len(requests)
    assert content_key(ExportRequest(Pooled(), {})) == content_key(requests[0])


@pytest.mark.parametrize(
    ("target", "size"),
    [
        ({}, None),
        ({"image_size": Size(64, 80)}, Size(64, 80)),
        ({"image_size": Size(64, 80), "window": SlidingWindow(size=Size(32, 32))}, Size(32, 32)),
        ({"image_size": Size(64, 80), "test_time": InferenceAugmentation(flip=True)}, Size(64, 80)),
        ({"image_size": Size(64, 80), "test_time": InferenceAugmentation(scales=(0.5, 1.0))}, None),
    ],
)
def test_the_size_of_inputs_is_fixed_where_every_pass_has_the_same(target, size):
    assert fixed_size(Target(**target)) == size


# --------------------------------------------------------------------------- the contract


def test_images_of_several_sizes_keep_the_contract_and_get_the_eager_answers(runtime):
    eager, other = (built("unet/transposed", SMALL, THREE_CLASSES, runtime=r) for r in ("eager", runtime))
    checked(other, MIXED, THREE_CLASSES)
    for one, two in zip(predict(eager, images(MIXED)), predict(other, images(MIXED)), strict=True):
        assert agree(one, two)


def test_the_same_images_get_the_same_answer_again_and_from_another_build(runtime):
    first, second = (built("unet/transposed", SMALL, THREE_CLASSES, runtime=runtime) for _ in range(2))
    answer = checked(first, MIXED, THREE_CLASSES)
    assert checked(first, MIXED, THREE_CLASSES) == checked(second, MIXED, THREE_CLASSES) == answer


def test_the_stages_one_by_one_give_what_predict_gives(runtime):
    adapter = built("unet/transposed", SMALL, THREE_CLASSES, runtime=runtime)
    pictures = images(MIXED)
    raw = adapter.infer(adapter.preprocess(pictures))
    by_stage = adapter.postprocess(raw, MIXED)
    assert [p.content_hash() for p in by_stage] == [p.content_hash() for p in predict(adapter, pictures)]


def test_the_process_is_left_as_it_was_also_by_an_export(runtime):
    built("unet/transposed", SMALL, THREE_CLASSES, runtime=runtime)  # what only a first import does
    before = process_state()
    adapter = built("unet/transposed", {**SMALL, "base_width": 3}, THREE_CLASSES, runtime=runtime)
    predict(adapter, images(MIXED))
    assert process_state() == before


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "several",
    [
        {"window": SlidingWindow(size=Size(16, 16), overlap=0.5)},
        {"test_time": InferenceAugmentation(flip=True, scales=(1.0, 1.5))},
    ],
    ids=["windows", "test-time"],
)
def test_windows_and_test_time_copies_pass_through_the_runtime(runtime, several):
    eager, other = (built("unet/transposed", SMALL, THREE_CLASSES, runtime=r, **several) for r in ("eager", runtime))
    for one, two in zip(predict(eager, images(MIXED)), predict(other, images(MIXED)), strict=True):
        assert agree(one, two)


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_compiled_network_answers_as_torch_does(channels_last):
    module = Pooled()
    forward = passes(module, "compile", image_size=Size(16, 24), channels_last=channels_last)
    pixels = noise(1, 3, 16, 24)
    torch.testing.assert_close(forward(pixels), module(pixels), atol=1e-5, rtol=1e-5)
