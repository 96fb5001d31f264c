"""An ONNX file run by ONNX Runtime on a CUDA device, by its own kernels or by TensorRT's: tensors in, tensors out.

Input and output stay on the device, and the work is queued on torch's current stream, so that device
events around it see it and `synchronize` waits for it. ONNX Runtime hands what a provider cannot run
to the next one in silence; here a provider that does not come up is refused by name.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from adapters._torch.runtimes.cpu_sessions import load_errors, onnxruntime_port, package, unreadable
from bench.errors import Unsupported
from bench.records import Precision

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
"""What has the provider, under all of its names; what is installed of it stands in `versions`."""

ENGINES = "engines"
"""Folder beside an export with what TensorRT made of it; it belongs to one kind of GPU and one version."""


class GpuSession:
    """A model on a CUDA device.

    Attributes:
        packages: Distributions that run it, for `versions`.
    """

    def __init__(
        self, kind: GpuSessionKind, file: Path, device: torch.device, precision: Precision, *, deterministic: bool
    ) -> None:
        """Load a file.

        Raises:
            Unsupported: If the provider is not there or lacks the precision.
            BenchError: If the file cannot be read as a model.
        """
        ort = check_provider(kind, device, precision)
        self._device = device
        options = ort.SessionOptions()
        options.use_deterministic_compute = deterministic
        options.log_severity_level = 3
        wanted = [(PROVIDERS[kind], self._provider_options(kind, file, precision))]
        if kind == "tensorrt":
            wanted.append((PROVIDERS["onnxruntime"], self._provider_options("onnxruntime", file, precision)))
        try:
            self._session = ort.InferenceSession(str(file), options, providers=wanted)
        except load_errors(ort) as error:
            raise unreadable(file, error) from None
        if self._session.get_providers()[0] != PROVIDERS[kind]:
            raise Unsupported(
                f"runtime {kind}: ONNX Runtime {ort.__version__} has a {PROVIDERS[kind]} that does not start here; the "
                f"CUDA and cuDNN{' and TensorRT' if kind == 'tensorrt' else ''} that it was built for must be "
                "installed. Use runtime eager or compile"
            )
        # Nothing waits at the end of a run: the caller does, when it needs the answer.
        self._run_options = ort.RunOptions()
        self._run_options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        self._input = self._session.get_inputs()[0].name
        ports = [onnxruntime_port(port) for port in self._session.get_outputs()]
        self._dtypes = {port.name: port.dtype for port in ports}
        self._shapes: dict[tuple[tuple[str, ...], torch.Size], tuple[tuple[int, ...], ...]] = {}
        self.packages = DISTRIBUTIONS[kind]

    def _provider_options(self, kind: GpuSessionKind, file: Path, precision: Precision) -> dict[str, str]:
        stream = torch.cuda.current_stream(self._device).cuda_stream
        common = {"device_id": str(self._device.index or 0), "user_compute_stream": str(stream)}
        if kind == "onnxruntime":
            return {**common, "use_tf32": str(int(precision == "tf32"))}
        if precision == "fp32":
            # ONNX Runtime has no option for it; TensorRT reads this when it builds an engine.
            os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
        engines = file.parent / ENGINES / precision
        engines.mkdir(parents=True, exist_ok=True)
        return {
            **common,
            "trt_fp16_enable": str(int(precision == "fp16")),
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(engines),
        }

    def run(self, pixels: Tensor, outputs: Sequence[str]) -> tuple[Tensor, ...]:
        """Return the named outputs for contiguous pixels on the device; the first call per shape copies once."""
        names = tuple(outputs)
        binding = self._session.io_binding()
        self._bind(binding.bind_input, self._input, pixels)
        shapes = self._shapes.get((names, pixels.shape))
        if shapes is None:
            for name in names:
                binding.bind_output(name, "cpu")
            self._session.run_with_iobinding(binding)  # waits: the answer must have arrived
            first = binding.copy_outputs_to_cpu()
            self._shapes[names, pixels.shape] = tuple(tuple(answer.shape) for answer in first)
            return tuple(torch.from_numpy(answer).to(self._device) for answer in first)
        answers = tuple(
            torch.empty(shape, dtype=_torch_dtype(self._dtypes[name]), device=self._device)
            for name, shape in zip(names, shapes, strict=True)
        )
        for name, answer in zip(names, answers, strict=True):
            self._bind(binding.bind_output, name, answer)
        self._session.run_with_iobinding(binding, self._run_options)
        return answers

    def _bind(self, bind: Any, name: str, tensor: Tensor) -> None:
        dtype = np.dtype(str(tensor.dtype).removeprefix("torch.")).type
        bind(name, "cuda", self._device.index or 0, dtype, list(tensor.shape), tensor.data_ptr())


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
    return ort


def _torch_dtype(dtype: np.dtype[Any]) -> torch.dtype:
    found: torch.dtype = getattr(torch, dtype.name)
    return found
