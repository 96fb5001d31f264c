"""Files of networks run by ONNX Runtime or OpenVINO on the CPU: NumPy in, NumPy out, settings explicit and read back.

`adapters._torch.runtimes.gpu_sessions` runs files on a CUDA device. Nothing here needs torch, so that a file can
be run where torch is not installed. Answers are written into arrays that are made for them: no copy,
and no answer that a later call overwrites.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import yaml
from numpy.typing import NDArray

from bench.errors import BenchError, Unsupported, in_one_line
from bench.records import Precision

SessionKind = Literal["onnxruntime", "openvino"]
FORMATS = ("ONNX", "OpenVINO (.xml)")
Shape = tuple[int, ...]
Array = NDArray[Any]


@dataclass(frozen=True)
class Port:
    """An input or an output of a model.

    Attributes:
        name: The port's name in the file.
        shape: Length of each axis; None where any length will do. Empty where not even the number
            of axes is known.
        dtype: Type of its elements.
        range: Lowest and highest number that a quantised input stands for; None of any other.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]
    range: tuple[float, float] | None = None


class Session(Protocol):
    """A model that is ready to run.

    Attributes:
        packages: Distributions that run it, for `versions`.
        metadata: Texts that the file keeps beside its network, by name.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    packages: tuple[str, ...]
    metadata: dict[str, str]

    def run(self, array: Array, outputs: Sequence[str]) -> tuple[Array, ...]:
        """Return the named outputs for the only input; the array is contiguous and of the port's dtype."""
        ...

    def threads(self) -> dict[str, int]:
        """Library -> threads in effect, read back."""
        ...


@dataclass(frozen=True)
class SessionSettings:
    """Settings by which a model is run.

    Attributes:
        precision: Arithmetic; what the runtime does not have is refused.
        static: Make OpenVINO compile for each input shape apart, which is right where there are few.
    """

    threads: int
    precision: Precision = "fp32"
    deterministic: bool = False
    static: bool = False


def open_session(kind: SessionKind, file: Path, settings: SessionSettings) -> Session:
    """Load an ONNX file, or with OpenVINO the .xml of a network of its own.

    Raises:
        BenchError: If the file is not there or cannot be read as a model.
        Unsupported: If the runtime is not installed or lacks the precision.
    """
    if not file.is_file():
        raise BenchError(f"there is no file {file}; expected a model in the format of {FORMATS[file.suffix == '.xml']}")
    if file.suffix == ".xml" and not file.with_suffix(".bin").is_file():
        raise BenchError(
            f"{file} has no {file.with_suffix('.bin').name} beside it, which holds its weights; copy it too"
        )
    return OnnxRuntimeSession(file, settings) if kind == "onnxruntime" else OpenVinoSession(file, settings)


def package(name: str) -> Any:
    """Import what a runtime needs; raises `Unsupported` if it is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise Unsupported(
            f"runtime {name} needs the package {name}, which is not installed; install it with: pip install {name}"
        ) from None


def allowed_cores() -> int:
    """Return the number of cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def unreadable(file: Path, error: Exception) -> BenchError:
    """Return the error for a file that a runtime refuses."""
    reason = in_one_line(error, 300)
    return BenchError(f"{file} cannot be run as a model in the format of {FORMATS[file.suffix == '.xml']}: {reason}")


# --------------------------------------------------------------------------- ONNX Runtime

_ELEMENTS = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(uint16)": np.uint16,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


def load_errors(ort: Any) -> tuple[type[Exception], ...]:
    """Return the errors that it raises for a file that is no model or that it cannot run; they have no common base."""
    state = ort.capi.onnxruntime_pybind11_state
    names = (
        "Fail",
        "EPFail",
        "InvalidGraph",
        "InvalidProtobuf",
        "InvalidArgument",
        "NotImplemented",
        "RuntimeException",
    )
    return tuple(getattr(state, name) for name in names)


def onnxruntime_port(port: Any) -> Port:
    """Return a port as ONNX Runtime describes it."""
    if port.type not in _ELEMENTS:
        raise Unsupported(f"port {port.name!r} of the model holds {port.type}; expected numbers")
    shape = tuple(length if isinstance(length, int) else None for length in port.shape)
    return Port(port.name, shape, np.dtype(_ELEMENTS[port.type]))


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


class OnnxRuntimeSession:
    """ONNX Runtime's CPU provider: sequential execution, threads within an operator only."""

    packages: tuple[str, ...] = ("onnxruntime",)

    def __init__(self, file: Path, settings: SessionSettings) -> None:
        if settings.precision not in ("fp32", "int8"):
            raise Unsupported(
                "runtime onnxruntime computes as the exported model says, in fp32 or int8; it has no "
                f"{settings.precision} on a CPU. Use one of these, or runtime openvino"
            )
        ort = package("onnxruntime")
        options = ort.SessionOptions()
        options.intra_op_num_threads = settings.threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.use_deterministic_compute = settings.deterministic
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except load_errors(ort) as error:
            raise unreadable(file, error) from None
        self.inputs = tuple(onnxruntime_port(port) for port in self._session.get_inputs())
        self.outputs = tuple(onnxruntime_port(port) for port in self._session.get_outputs())
        self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)
        self._shapes: dict[tuple[tuple[str, ...], Shape], tuple[Shape, ...]] = {}
        self._dtypes = {port.name: port.dtype for port in self.outputs}
        self._failures: tuple[type[Exception], ...] = (RuntimeError, *load_errors(ort))

    def run(self, array: Array, outputs: Sequence[str]) -> tuple[Array, ...]:
        """Run with input and outputs bound to memory of NumPy's; the first call per shape copies once."""
        names = tuple(outputs)
        binding = self._session.io_binding()
        binding.bind_input(self.inputs[0].name, "cpu", 0, array.dtype.type, list(array.shape), _address(array))
        shapes = self._shapes.get((names, array.shape))
        if shapes is None:
            for name in names:
                binding.bind_output(name, "cpu")
            try:
                self._session.run_with_iobinding(binding)
            except self._failures as error:
                raise Unsupported(
                    f"runtime onnxruntime cannot run this model on an input of shape {list(array.shape)}: "
                    f"{in_one_line(error, 200)}"
                ) from None
            first: tuple[Array, ...] = tuple(binding.copy_outputs_to_cpu())
            self._shapes[names, array.shape] = tuple(answer.shape for answer in first)
            return first
        answers = tuple(np.empty(shape, self._dtypes[name]) for name, shape in zip(names, shapes, strict=True))
        for name, answer in zip(names, answers, strict=True):
            binding.bind_output(name, "cpu", 0, answer.dtype.type, list(answer.shape), _address(answer))
        self._session.run_with_iobinding(binding)
        return answers

    def threads(self) -> dict[str, int]:
        """Threads within an operator."""
        return {"onnxruntime": self._session.get_session_options().intra_op_num_threads}


# --------------------------------------------------------------------------- OpenVINO

_HINTS = {"fp32": ("f32", "FP32"), "bf16": ("bf16", "BF16"), "fp16": ("f16", "FP16"), "int8": ("f32", "INT8")}
"""Precision -> its name for the runtime, and the capability of the processor that it needs.

The name is that of what a model computes in floating point; what of it is int8 stands in its file."""


class OpenVinoSession:
    """OpenVINO's CPU device: one stream, one request at a time.

    Its arithmetic is set explicitly: left alone it takes bf16 where the processor has it. An input
    shape that the model cannot take is refused by name: in a model of free shape, kernels larger than
    their input would leave the answer of an earlier call.
    """

    packages: tuple[str, ...] = ("openvino",)

    def __init__(self, file: Path, settings: SessionSettings) -> None:
        self._ov, self._settings = package("openvino"), settings
        self._core = self._ov.Core()
        if settings.precision not in _HINTS:
            raise Unsupported(f"runtime openvino has no {settings.precision} on a CPU; use fp32 or bf16")
        self._hint, needed = _HINTS[settings.precision]
        if needed not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise Unsupported(f"runtime openvino finds no {settings.precision} arithmetic in this processor; use fp32")
        try:
            self._model = self._core.read_model(str(file))
        except RuntimeError as error:
            raise unreadable(file, error) from None
        self.inputs = tuple(self._port(port, "input", i) for i, port in enumerate(self._model.inputs))
        self.outputs = tuple(self._port(port, "output", i) for i, port in enumerate(self._model.outputs))
        self.metadata = {**_model_info(self._model), **_beside(file)}
        self._free: Any = None
        self._static: dict[Shape, Any] = {}
        self._answers: dict[Shape, tuple[Shape, ...]] = {}
        self._threads = settings.threads
        if not settings.static:
            self._free = self._compiled(self._model)

    @staticmethod
    def _port(port: Any, kind: str, number: int) -> Port:
        """A port as OpenVINO describes it; one without a name, as converters leave them, is called by its place."""
        shape = port.partial_shape
        lengths = () if shape.rank.is_dynamic else tuple(d.get_length() if d.is_static else None for d in shape)
        return Port(port.any_name if port.names else f"{kind}{number}", lengths, np.dtype(port.element_type.to_dtype()))

    def _compiled(self, model: Any) -> Any:
        wanted = {
            "INFERENCE_NUM_THREADS": self._settings.threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": self._hint,
        }
        compiled = self._core.compile_model(model, "CPU", wanted)
        found = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if found != self._hint:
            raise Unsupported(f"runtime openvino was asked for {self._hint} arithmetic and chose {found}")
        self._threads = int(compiled.get_property("INFERENCE_NUM_THREADS"))
        return compiled.create_infer_request()

    def run(self, array: Array, outputs: Sequence[str]) -> tuple[Array, ...]:
        """Run with input and outputs bound to memory of NumPy's."""
        if array.shape not in self._answers:
            self._prepare(array.shape)
        request = self._free if self._free is not None else self._static[array.shape]
        request.set_input_tensor(self._ov.Tensor(array, shared_memory=True))
        answers: list[Array] = []
        for index, port in enumerate(self.outputs):
            answers.append(np.empty(self._answers[array.shape][index], dtype=port.dtype))
            request.set_output_tensor(index, self._ov.Tensor(answers[-1], shared_memory=True))
        request.infer()
        return tuple(answers[self._place(name)] for name in outputs)

    def _place(self, name: str) -> int:
        """Position of an output; the runtime may know one by several names."""
        called = ((self.outputs[i].name, *port.names) for i, port in enumerate(self._model.outputs))
        return next(i for i, names in enumerate(called) if name in names)

    def _prepare(self, shape: Shape) -> None:
        """Work out the shapes of the answers to a new input shape, and compile for it where asked to."""
        model = self._model.clone()
        try:
            model.reshape(list(shape))
            answers: Sequence[Shape] = [tuple(port.shape) for port in model.outputs]
        except RuntimeError as error:
            reason = [line for line in str(error).splitlines() if line.strip()][-1]
            raise Unsupported(
                f"runtime openvino cannot run this model on an input of shape {list(shape)}: {reason.rstrip('.')}. "
                "Give the target a larger image_size, or use runtime onnxruntime"
            ) from None
        self._answers[shape] = tuple(answers)
        if self._settings.static:
            self._static[shape] = self._compiled(model)

    def threads(self) -> dict[str, int]:
        """Threads of the last model that was compiled."""
        return {"openvino": self._threads}


def _model_info(model: Any) -> dict[str, str]:
    """Return what OpenVINO's Model API keeps in a file: labels, mean and scale, kind of resizing."""
    if not model.has_rt_info(["model_info"]):
        return {}
    info = model.rt_info["model_info"]
    return {str(name): str(info[name].value if hasattr(info[name], "value") else info[name]) for name in info}


def _beside(file: Path) -> dict[str, str]:
    """The metadata.yaml that Ultralytics writes beside an OpenVINO export; empty where none lies there."""
    beside = file.with_name("metadata.yaml")
    if file.suffix != ".xml" or not beside.is_file():
        return {}
    try:
        said = yaml.safe_load(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return {str(name): json.dumps(value, default=str) for name, value in said.items()} if isinstance(said, dict) else {}
