"""An ONNX file run by ONNX Runtime on a CUDA device, by its own kernels or by TensorRT's: tensors in, tensors out.

Input and output stay on the device. The work is queued on a stream of the session's own, which waits for torch's
current stream before and is waited for after: torch's default stream has the number 0, which ONNX Runtime takes for
"none given" and replaces by one that waits for nobody. So device events around a run see it, and `synchronize` waits
for it. ONNX Runtime hands what a provider cannot run to the next one in silence; here a provider that does not come up
is refused by name, with what the loader of its library says, and nodes that are left to the processor are told.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from adapters._torch.runtimes.cpu_sessions import load_errors, onnxruntime_port, package, unreadable
from adapters._torch.runtimes.onnx_export import INPUT
from adapters._torch.runtimes.shape_profile import ShapeProfile
from bench.errors import Unsupported
from bench.records import Precision
from bench.records.flag import Flag

GpuSessionKind = Literal["onnxruntime", "tensorrt"]

PROVIDERS = {"onnxruntime": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
PRECISIONS: dict[str, tuple[Precision, ...]] = {
    "onnxruntime": ("fp32", "tf32"),
    "tensorrt": ("fp32", "tf32", "fp16"),
}
"""Arithmetic by runtime."""

DISTRIBUTIONS = {
    "onnxruntime": ("onnxruntime-gpu",),
    "tensorrt": ("onnxruntime-gpu", "tensorrt", "tensorrt-cu12", "tensorrt-cu13"),
}
"""This is what has the provider, under all of its names; what is installed of it stands in `versions`."""

ENGINES = "engines"
"""Folder beside an export with what TensorRT made of it, by all that ONNX Runtime's documentation names as reasons to
throw an engine away: the versions of both, the kind of GPU, the arithmetic and the shapes."""

ASSIGNMENT = "session.record_ep_graph_assignment_info"
"""Entry of a session's configuration after which it tells which provider has which node (ONNX Runtime 1.24)."""

# fmt: off
OF_SHAPES = frozenset((
    "Add", "Cast", "Ceil", "Concat", "Constant", "ConstantOfShape", "Div", "Equal", "Expand", "Floor", "Gather",
    "Identity", "Max", "Min", "Mod", "Mul", "Range", "Reshape", "Shape", "Size", "Slice", "Split", "Squeeze",
    "Sub", "Unsqueeze", "Where",
))
# fmt: on
"""Operators that compute shapes, a few integers, and that ONNX Runtime leaves to the processor on purpose."""

LIBRARIES = {
    "libcudart": "nvidia-cuda-runtime",
    "libcublas": "nvidia-cublas",
    "libcudnn": "nvidia-cudnn-cu{major}",
    "libcufft": "nvidia-cufft",
    "libcurand": "nvidia-curand",
    "libnvrtc": "nvidia-cuda-nvrtc",
    "libnvinfer": "tensorrt-cu{major}",
    "libnvonnxparser": "tensorrt-cu{major}",
}
"""Library that a provider is linked with -> the distribution that has it; of CUDA 12 the names end in -cu12."""


class GpuSession:
    """A model on a CUDA device.

    Attributes:
        packages: Distributions that run it, for `versions`.
    """

    def __init__(
        self,
        kind: GpuSessionKind,
        file: Path,
        device: torch.device,
        precision: Precision,
        *,
        deterministic: bool,
        profile: ShapeProfile | None = None,
        multiple: int = 1,
    ) -> None:
        """Load an ONNX file.

        Args:
            profile: Shapes that TensorRT builds its engine for; None where the first input tells them, of sides that
                change.
            multiple: Sides of such inputs are multiples of it.

        Raises:
            Unsupported: If the provider is not there or lacks the precision.
            BenchError: If the file cannot be read as a model.
        """
        ort = self._ort = check_provider(kind, device, precision)
        self._kind, self._file, self._precision, self._deterministic = kind, file, precision, deterministic
        self._multiple = multiple
        self._fixed_size = profile is not None
        self._device = device
        self._stream = torch.cuda.Stream(device)
        # Without a profile no engine is built before the first input.
        self._profile = profile if kind == "tensorrt" else None
        self._in_parts = False
        self._session = self._opened()
        # Nothing waits at the end of a run: the caller does, when it needs the answer.
        self._run_options = ort.RunOptions()
        self._run_options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        self._input = self._session.get_inputs()[0].name
        ports = [onnxruntime_port(port) for port in self._session.get_outputs()]
        self._dtypes = {port.name: port.dtype for port in ports}
        self._shapes: dict[tuple[tuple[str, ...], torch.Size], tuple[tuple[int, ...], ...]] = {}
        self.packages = DISTRIBUTIONS[kind]

    def _opened(self) -> Any:
        """Return a session, for the shapes of the profile where there is one."""
        kind, ort = self._kind, self._ort
        options = ort.SessionOptions()
        options.use_deterministic_compute = self._deterministic
        options.log_severity_level = 3
        options.add_session_config_entry(ASSIGNMENT, "1")
        wanted = [(PROVIDERS[kind], self._provider_options(kind, self._file, self._precision))]
        if kind == "tensorrt":
            wanted.append(
                (PROVIDERS["onnxruntime"], self._provider_options("onnxruntime", self._file, self._precision))
            )
        try:
            session = ort.InferenceSession(str(self._file), options, providers=wanted)
        except load_errors(ort) as error:
            if self._profile is None or "profile" not in str(error):
                raise unreadable(self._file, error) from None
            # TensorRT has only parts of the network, and ONNX Runtime asks for the shapes between them too.
            self._profile, self._in_parts = None, True
            return self._opened()
        if session.get_providers()[0] != PROVIDERS[kind]:
            raise Unsupported(
                f"runtime {kind}: ONNX Runtime {ort.__version__} has a {PROVIDERS[kind]} that does not start here, "
                "although its libraries load; its own log (worker.log) may say why. Use runtime eager or compile"
            )
        return session

    @property
    def doubts(self) -> tuple[Flag, ...]:
        """Flags, so far, about the parts of the model that do not run on the device, or for one range of shapes."""
        found = doubts_of_processor(left_to_processor(self._session))
        if not self._in_parts:
            return found
        seen = "TensorRT runs only parts of the network, so that engines are built anew for each shape that comes"
        advice = "raise measurement.warmup_batches, or give the target an image_size"
        return (*found, Flag(name="engines_in_parts", seen=seen, advice=advice))

    def _make_room(self, shape: Sequence[int]) -> None:
        """Open the session anew where its engine does not run a shape; the new one runs all that were seen."""
        if self._kind != "tensorrt" or self._in_parts or (self._profile is not None and self._profile.holds(shape)):
            return
        wanted = ShapeProfile.around(shape, fixed_size=self._fixed_size, multiple=self._multiple)
        self._profile = wanted if self._profile is None else self._profile.joined(wanted)
        self._stream.synchronize()  # the one that goes may be at work still
        self._session = self._opened()

    def _provider_options(self, kind: GpuSessionKind, file: Path, precision: Precision) -> dict[str, str]:
        common = {"device_id": str(self._device.index or 0), "user_compute_stream": str(self._stream.cuda_stream)}
        if kind == "onnxruntime":
            return {**common, "use_tf32": str(int(precision == "tf32"))}
        if precision == "fp32":
            # ONNX Runtime has no option for it; TensorRT reads this when it builds an engine.
            os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
        major, minor = torch.cuda.get_device_capability(self._device)
        versions = f"tensorrt-{_tensorrt_version()}-onnxruntime-{self._ort.__version__}"
        gpu = re.sub(r"\W+", "-", torch.cuda.get_device_name(self._device)).lower()
        # ONNX Runtime builds an engine anew where it finds one of another profile.
        shapes = "any" if self._profile is None else str(self._profile)
        engines = file.parent / ENGINES / f"{versions}-{gpu}-sm{major}{minor}" / f"{precision}-{shapes}"
        engines.mkdir(parents=True, exist_ok=True)
        return {
            **common,
            **({} if self._profile is None else self._profile.options(INPUT)),
            "trt_fp16_enable": str(int(precision == "fp16")),
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(engines),
        }

    def run(self, pixels: Tensor, outputs: Sequence[str]) -> tuple[Tensor, ...]:
        """Return the named outputs for contiguous pixels on the device; the first call per shape copies once."""
        names = tuple(outputs)
        self._make_room(pixels.shape)
        binding = self._session.io_binding()
        self._bind(binding.bind_input, self._input, pixels)
        shapes = self._shapes.get((names, pixels.shape))
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)  # the pixels may still be on their way
        if shapes is None:
            return self._first(binding, names, pixels)
        answers = tuple(
            torch.empty(shape, dtype=_torch_dtype(self._dtypes[name]), device=self._device)
            for name, shape in zip(names, shapes, strict=True)
        )
        for name, answer in zip(names, answers, strict=True):
            self._bind(binding.bind_output, name, answer)
        self._session.run_with_iobinding(binding, self._run_options)
        for tensor in (pixels, *answers):
            tensor.record_stream(self._stream)  # torch must not give their memory away before this stream is done
        current.wait_stream(self._stream)
        return answers

    def _first(self, binding: Any, names: tuple[str, ...], pixels: Tensor) -> tuple[Tensor, ...]:
        """Run once with the outputs on the host, which tells their shapes; waits."""
        for name in names:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding)
        answers = binding.copy_outputs_to_cpu()
        self._shapes[names, pixels.shape] = tuple(tuple(answer.shape) for answer in answers)
        return tuple(torch.from_numpy(answer).to(self._device) for answer in answers)

    def _bind(self, bind: Any, name: str, tensor: Tensor) -> None:
        dtype = np.dtype(str(tensor.dtype).removeprefix("torch.")).type
        bind(name, "cuda", self._device.index or 0, dtype, list(tensor.shape), tensor.data_ptr())


def left_to_processor(session: Any) -> Counter[str]:
    """Count by operator the nodes that work on pixels and that a session made with `ASSIGNMENT` runs on the processor.

    Of an ONNX Runtime that cannot tell, nothing is counted.
    """
    tell = getattr(session, "get_provider_graph_assignment_info", None)
    parts = [part for part in (tell() if tell else ()) if part.ep_name == "CPUExecutionProvider"]
    return Counter(node.op_type for part in parts for node in part.get_nodes() if node.op_type not in OF_SHAPES)


def doubts_of_processor(nodes: Counter[str]) -> tuple[Flag, ...]:
    """Return the flag that names operators which are left to the processor, whose pixels travel there and back."""
    if not nodes:
        return ()
    named = ", ".join(f"{count} {operator}" for operator, count in nodes.most_common(6))
    seen = f"ONNX Runtime left {nodes.total()} nodes to the processor: {named}{', ...' if len(nodes) > 6 else ''}"
    advice = (
        "latency on the device has copies to the host and back in it; use runtime eager or compile for this network"
    )
    return (Flag(name="nodes_on_processor", seen=seen, advice=advice),)


def check_provider(kind: GpuSessionKind, device: torch.device, precision: Precision) -> Any:
    """Return ONNX Runtime if it has what a runtime needs on a device.

    Raises:
        Unsupported: Otherwise, naming what is missing.
    """
    if device.type != "cuda":
        raise Unsupported(f"runtime {kind} runs on CUDA devices, not on {device}; use device cuda, or runtime eager")
    if precision not in PRECISIONS[kind]:
        raise Unsupported(f"runtime {kind} on {device} has {', '.join(PRECISIONS[kind])}, not {precision}")
    ort = package("onnxruntime")
    if PROVIDERS[kind] not in ort.get_available_providers():
        needed = " and ".join(DISTRIBUTIONS[kind][:2])
        raise Unsupported(
            f"runtime {kind} on {device} needs the {PROVIDERS[kind]}, which ONNX Runtime {ort.__version__} does not "
            f"have here; install {needed} in place of onnxruntime, or use runtime eager or compile"
        )
    # NVIDIA's packages put libraries into nvidia/<library>/lib and tensorrt_libs.
    found = []
    for path in map(Path, sys.path):
        found += [*path.glob("nvidia/*/lib"), *path.glob("tensorrt*libs")]
    reason = why_it_does_not_load(kind, Path(ort.__file__).parent / "capi", found)
    if reason is not None:
        raise Unsupported(f"runtime {kind}: {reason}. Or use runtime eager or compile")
    return ort


def why_it_does_not_load(kind: GpuSessionKind, capi: Path, folders: Sequence[Path]) -> str | None:
    """Load a provider's library after those it is linked with, which lie where no loader looks; return what is wrong.

    `capi` is the folder of ONNX Runtime's own libraries, `folders` have those that packages brought.

    Returns:
        The message of the loader and what to install; None if the provider's library is loaded.
    """
    for prefix in LIBRARIES:
        for file in sorted(file for folder in folders for file in folder.glob(f"{prefix}.so*")):
            with suppress(OSError):
                ctypes.CDLL(str(file), mode=ctypes.RTLD_GLOBAL)
    name = "libonnxruntime_providers_" + ("cuda" if kind == "onnxruntime" else "tensorrt") + ".so"
    for file in (capi / "libonnxruntime_providers_shared.so", capi / name):
        try:
            ctypes.CDLL(str(file), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            return f"{file.name} cannot be loaded: {error}{_what_to_install(str(error))}"
    return None


def _what_to_install(said: str) -> str:
    major = (torch.version.cuda or "13").partition(".")[0]
    for prefix, distribution in LIBRARIES.items():
        if said.startswith(prefix):
            named = distribution.format(major=major)
            if major == "12" and not named.endswith("-cu12"):
                named += "-cu12"
            return f"; install it with: pip install {named}"
    return ""


def _tensorrt_version() -> str:
    """Return the installed version, under any of its names: an engine serves only the version that made it."""
    for name in DISTRIBUTIONS["tensorrt"][1:]:
        with suppress(PackageNotFoundError):
            return version(name)
    return "unknown"


def _torch_dtype(dtype: np.dtype[Any]) -> torch.dtype:
    found: torch.dtype = getattr(torch, dtype.name)
    return found
