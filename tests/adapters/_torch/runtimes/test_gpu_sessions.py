"""Tests what a session on a GPU asks of streams and of the loader, with an ONNX Runtime and streams that record it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from adapters._torch.runtimes import gpu_sessions
from adapters._torch.runtimes.gpu_sessions import GpuSession, why_it_does_not_load
from adapters._torch.runtimes.shape_profile import ShapeProfile
from bench.errors import Unsupported


class Stream:
    """A stream that writes down who waits for whom; `cuda_stream` is 0 for torch's default one, as in CUDA."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log
        self.cuda_stream = {"default": 0, "own": 4711}[name]

    def wait_stream(self, other: Stream) -> None:
        self.log.append(f"{self.name} waits for {other.name}")

    def synchronize(self) -> None:
        self.log.append(f"the host waits for {self.name}")


class OnGpu:
    """A tensor that claims to lie on a GPU."""

    dtype, shape = torch.float32, torch.Size((1, 3, 4, 4))

    def __init__(self, name: str, log: list[str], shape: tuple[int, ...] = (1, 3, 4, 4)) -> None:
        self.name, self.log, self.shape = name, log, torch.Size(shape)

    def data_ptr(self) -> int:
        return 1

    def record_stream(self, stream: Stream) -> None:
        self.log.append(f"{self.name} is used by {stream.name}")


class FakeOrt:
    """ONNX Runtime as a session uses it."""

    __version__ = "1.31.1"

    def __init__(self, log: list[str]) -> None:
        self.log, self.provider_options = log, {}
        self.asked: list[dict[str, Any]] = []  # of the sessions, one after another
        self.runs_parts_alone = False
        self.capi = SimpleNamespace(
            onnxruntime_pybind11_state=SimpleNamespace(
                **dict.fromkeys(
                    (
                        "Fail",
                        "EPFail",
                        "InvalidGraph",
                        "InvalidProtobuf",
                        "InvalidArgument",
                        "NotImplemented",
                        "RuntimeException",
                    ),
                    RuntimeError,
                )
            )
        )
        self.SessionOptions = self.RunOptions = lambda: SimpleNamespace(
            add_run_config_entry=lambda *_: None, add_session_config_entry=lambda *_: None
        )

    def InferenceSession(self, file: str, options: Any, providers: list[Any]) -> Any:
        self.provider_options = dict(providers)
        self.asked.append(next(iter(self.provider_options.values())))
        if self.runs_parts_alone and "trt_profile_min_shapes" in self.asked[-1]:
            # As ONNX Runtime says it: pull request 17007.
            raise RuntimeError("Following input(s) has no associated shape profiles provided: x1")

        def binding() -> Any:
            return SimpleNamespace(
                bind_input=lambda *_: None,
                bind_output=lambda *_: None,
                copy_outputs_to_cpu=lambda: [np.zeros((1, 2, 4, 4), np.float32)],
            )

        return SimpleNamespace(
            get_providers=lambda: [next(iter(self.provider_options))],
            get_inputs=lambda: [SimpleNamespace(name="pixels")],
            get_outputs=lambda: [SimpleNamespace(name="logits", shape=[1, 2, 4, 4], type="tensor(float)")],
            io_binding=binding,
            run_with_iobinding=lambda *_: self.log.append("runs"),
        )


@pytest.fixture
def gpu(monkeypatch):
    """An ONNX Runtime and the streams of a GPU, and what they write down."""
    log: list[str] = []
    ort = FakeOrt(log)
    default = Stream("default", log)
    monkeypatch.setattr(gpu_sessions, "check_provider", lambda *_: ort)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream("own", log))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: default)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")  # what the session sets goes with the test
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "NVIDIA H200 (SXM)")
    monkeypatch.setattr(gpu_sessions.torch, "empty", lambda *a, **k: OnGpu("the answer", log))
    return ort, log


@pytest.fixture
def session(gpu, tmp_path):
    ort, log = gpu
    made = GpuSession("onnxruntime", tmp_path / "a.onnx", torch.device("cuda", 0), "fp32", deterministic=False)
    # The first call for a shape copies its answer to a device that is not here.
    made._shapes[("logits",), OnGpu.shape] = ((1, 2, 4, 4),)
    return made, ort, log


def test_the_stream_is_never_number_0_which_onnx_runtime_takes_for_none(session):
    _, ort, _ = session
    assert ort.provider_options["CUDAExecutionProvider"]["user_compute_stream"] == "4711"


def test_a_run_waits_for_its_pixels_and_torch_waits_for_its_answers(session):
    made, _, log = session
    made.run(OnGpu("the input", log), ["logits"])
    assert log == [
        "own waits for default",
        "runs",
        "the input is used by own",
        "the answer is used by own",
        "default waits for own",
    ]


# --------------------------------------------------------------------------- shapes of TensorRT


def tensorrt(tmp_path, precision="fp16", **shapes):
    return GpuSession(
        "tensorrt", tmp_path / "a.onnx", torch.device("cuda", 0), precision, deterministic=False, **shapes
    )


def show(made, log, *shape):
    made._shapes[("logits",), torch.Size(shape)] = ((1, 2, 4, 4),)  # the first call copies to a device that is not here
    made.run(OnGpu("the input", log, shape), ["logits"])


def shapes_of(options):
    return [options[f"trt_profile_{end}_shapes"] for end in ("min", "opt", "max")]


def test_one_engine_serves_every_batch_up_to_that_of_the_target_and_is_fastest_for_that(gpu, tmp_path):
    ort, log = gpu
    made = tensorrt(tmp_path, profile=ShapeProfile.around((8, 3, 64, 96), fixed_size=True))
    assert shapes_of(ort.asked[0]) == ["pixels:1x3x64x96", "pixels:8x3x64x96", "pixels:8x3x64x96"]
    for batch in (8, 3, 1):
        show(made, log, batch, 3, 64, 96)
    assert len(ort.asked) == 1
    show(made, log, 16, 3, 64, 96)  # a sweep of batch sizes goes on
    assert shapes_of(ort.asked[1]) == ["pixels:1x3x64x96", "pixels:16x3x64x96", "pixels:16x3x64x96"]
    assert log[-6] == "the host waits for own"  # before the session that may be at work goes


def test_images_of_many_sizes_share_an_engine_which_the_first_of_them_makes(gpu, tmp_path):
    ort, log = gpu
    made = tensorrt(tmp_path, multiple=32)
    assert "trt_profile_min_shapes" not in ort.asked[0]  # no engine is built before sizes are known
    for height, width in ((448, 640), (640, 448), (320, 640), (96, 1024)):
        show(made, log, 2, 3, height, width)
    assert len(ort.asked) == 2
    assert shapes_of(ort.asked[1]) == ["pixels:1x3x32x32", "pixels:2x3x448x640", "pixels:2x3x1024x1024"]
    show(made, log, 1, 3, 1056, 64)
    assert shapes_of(ort.asked[2]) == ["pixels:1x3x32x32", "pixels:1x3x1056x64", "pixels:2x3x2048x2048"]


def test_a_network_of_which_tensorrt_runs_parts_alone_is_opened_without_a_profile_and_that_is_said(gpu, tmp_path):
    ort, log = gpu
    ort.runs_parts_alone = True
    made = tensorrt(tmp_path, profile=ShapeProfile.around((2, 3, 64, 96), fixed_size=True))
    assert [flag.name for flag in made.doubts] == ["engines_in_parts"]
    show(made, log, 4, 3, 64, 96)
    assert len(ort.asked) == 2
    assert "trt_profile_min_shapes" not in ort.asked[1]


def test_engines_belong_to_the_versions_the_kind_of_gpu_the_precision_and_the_shapes(gpu, tmp_path, monkeypatch):
    ort, _ = gpu
    profile = ShapeProfile.around((2, 3, 64, 96), fixed_size=True)
    places = []

    def opened(**changed):
        tensorrt(tmp_path, **{"profile": profile, **changed})
        places.append(ort.asked[-1]["trt_engine_cache_path"])

    monkeypatch.setattr(gpu_sessions, "_tensorrt_version", lambda: "10.9.0")
    opened()
    opened()
    assert places[0] == places[1]
    assert places[0].endswith(
        "tensorrt-10.9.0-onnxruntime-1.31.1-nvidia-h200-sxm--sm90/fp16-1x3x64x96-2x3x64x96-2x3x64x96"
    )
    opened(precision="fp32")
    opened(profile=ShapeProfile.around((4, 3, 64, 96), fixed_size=True))
    monkeypatch.setattr(gpu_sessions, "_tensorrt_version", lambda: "10.10.0")
    opened()
    ort.__version__ = "1.32.0"
    opened()
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "NVIDIA A10")
    opened()
    assert len(set(places)) == 6


@pytest.mark.parametrize("seed", range(20))
def test_a_profile_holds_the_shape_it_was_made_around_and_a_joined_one_what_either_holds(seed):
    random, multiple = np.random.default_rng(seed), int(2 ** np.random.default_rng(seed).integers(0, 6))

    def drawn():
        sides = random.integers(1, 40, 2) * multiple
        return (int(random.integers(1, 9)), 3, *map(int, sides))

    shapes = [drawn(), drawn()]
    profiles = [ShapeProfile.around(shape, fixed_size=bool(seed % 2), multiple=multiple) for shape in shapes]
    joined = profiles[0].joined(profiles[1])
    for shape, profile in zip(shapes, profiles, strict=True):
        assert profile.best == shape
        assert profile.holds(shape)
        assert joined.holds(shape)
        assert joined.holds(profile.largest)
        assert joined.holds(profile.smallest)
    assert joined.best == shapes[1]


# --------------------------------------------------------------------------- what is left to the processor


def test_nodes_that_are_left_to_the_processor_are_named_but_for_those_of_shapes(tmp_path):
    onnxruntime, onnx = pytest.importorskip("onnxruntime"), pytest.importorskip("onnx")
    nodes = [("Shape", ["x"], ["s"]), ("Sigmoid", ["x"], ["a"]), ("Erf", ["a"], ["b"]), ("Sigmoid", ["b"], ["y"])]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(*node) for node in nodes],
        "four nodes",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, "n"])],
        [
            onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, "n"]),
            onnx.helper.make_tensor_value_info("s", onnx.TensorProto.INT64, [2]),
        ],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "a.onnx")
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(gpu_sessions.ASSIGNMENT, "1")
    on_processor = onnxruntime.InferenceSession(str(tmp_path / "a.onnx"), options, providers=["CPUExecutionProvider"])
    left = gpu_sessions.left_to_processor(on_processor)
    assert left == {"Sigmoid": 2, "Erf": 1}
    (flag,) = gpu_sessions.doubts_of_processor(left)
    assert flag.seen == "ONNX Runtime left 3 nodes to the processor: 2 Sigmoid, 1 Erf"
    assert gpu_sessions.doubts_of_processor(type(left)()) == ()


# --------------------------------------------------------------------------- what does not load


def test_a_library_that_is_missing_is_quoted_as_the_loader_says_it(tmp_path):
    reason = why_it_does_not_load("onnxruntime", tmp_path, [])
    assert reason.startswith("libonnxruntime_providers_shared.so cannot be loaded: ")
    assert "No such file" in reason


def test_a_provider_that_cannot_be_loaded_is_named_with_the_loaders_reason(tmp_path):
    (tmp_path / "libonnxruntime_providers_shared.so").write_bytes(b"no library")
    reason = why_it_does_not_load("tensorrt", tmp_path, [tmp_path])
    assert "file too short" in reason or "invalid ELF header" in reason


@pytest.mark.parametrize(
    ("said", "cuda", "package"),
    [
        ("libcurand.so.10: cannot open shared object file: No such file or directory", "13.2", "nvidia-curand"),
        ("libcurand.so.10: cannot open shared object file", "12.8", "nvidia-curand-cu12"),
        ("libnvinfer.so.10: cannot open shared object file", "13.2", "tensorrt-cu13"),
        ("libcudnn.so.9: cannot open shared object file", "12.8", "nvidia-cudnn-cu12"),
        ("libsomething.so.1: cannot open shared object file", "13.2", None),
    ],
)
def test_the_package_that_has_a_missing_library_is_named(monkeypatch, said, cuda, package):
    monkeypatch.setattr(torch.version, "cuda", cuda)
    told = gpu_sessions._what_to_install(said)
    assert told == ("" if package is None else f"; install it with: pip install {package}")


def test_a_provider_that_does_not_load_is_refused_before_anything_is_exported(monkeypatch):
    ort = SimpleNamespace(
        __version__="1", __file__="/nowhere/onnxruntime/__init__.py", get_available_providers=lambda: list(PROVIDERS)
    )
    monkeypatch.setattr(gpu_sessions, "package", lambda _: ort)
    with pytest.raises(Unsupported, match=r"runtime tensorrt: libonnxruntime_providers_shared\.so cannot be loaded"):
        gpu_sessions.check_provider("tensorrt", torch.device("cuda", 0), "fp16")


PROVIDERS = gpu_sessions.PROVIDERS.values()
