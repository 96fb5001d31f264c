"""Makes a torch network's forward pass by torch, torch.compile, CUDA graphs, ONNX Runtime, OpenVINO or TensorRT.

Everything around the pass stays as it is, so that two runtimes differ in `infer` alone: windows and
test-time augmentation call whatever pass there is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from adapters._torch import device as devices
from adapters._torch.padding import PadsToMultiple, PadsToSquare, padded_to_multiple
from adapters._torch.runtimes.cpu_sessions import SessionSettings, open_session
from adapters._torch.runtimes.onnx_export import TRIAL, ExportRequest, export_facts, exported
from bench.errors import Unsupported, in_one_line
from bench.records import Size, Target
from bench.records.flag import Flag

RUNTIMES = ("eager", "compile", "cuda_graphs", "onnxruntime", "openvino", "tensorrt")
"""Every network that is one module has these runtimes; each may still refuse it."""


@dataclass(frozen=True)
class Pass:
    """A network as a runtime takes it: one module from pixels to one or more tensors.

    Attributes:
        module: Maps pixels (B, 3, H, W) to a tensor, or to a tuple of them, without a look at their
            values; on the device, in the target's memory layout, in evaluation mode.
        architecture: All that decides what it computes and is neither in its weights nor in its source.
        size: The one (H, W) of its inputs; None where there are several.
        multiple: Sides of its inputs are multiples of it. What pads for itself, a `PadsToMultiple`, needs
            none.
        outputs: Names of what it answers, in order.
        calibration: The images that int8 is calibrated on, as the network sees them, each (1, 3, H, W).
    """

    module: nn.Module
    architecture: dict[str, JsonValue]
    size: Size | None = None
    multiple: int = 1
    outputs: tuple[str, ...] = ("logits",)
    calibration: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Runtime:
    """A forward pass.

    Attributes:
        forward: Maps pixels (B, 3, H, W) to what the module answers.
        packages: Distributions that make it, beyond torch, for `versions`.
        threads: Library -> threads in effect, of libraries beyond torch.
        export: The exported model that it runs; None for torch's own.
        doubts: Flags, so far, about the parts of the network that do not run where, or as, they should.
    """

    forward: Callable[[Tensor], Any]
    packages: tuple[str, ...] = ()
    threads: Callable[[], dict[str, int]] = dict
    export: Path | None = None
    doubts: Callable[[], tuple[Flag, ...]] = tuple

    def __call__(self, pixels: Tensor) -> Any:
        """Make the pass."""
        return self.forward(pixels)

    def describe(self, facts: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """Return facts of a network for `bench.adapter.Adapter.describe`, with those of what runs it."""
        threads: dict[str, JsonValue] = {**devices.threads_in_effect(), **self.threads()}
        return {**facts, "threads": threads, **(export_facts(self.export) if self.export is not None else {})}


def open_runtime(network: Pass, target: Target, device: torch.device) -> Runtime:
    """Return the forward pass that a target asks for on the device that was opened.

    Raises:
        Unsupported: If the runtime cannot be had here or cannot run the network.
    """
    if target.runtime == "eager":
        return Runtime(network.module)
    if target.runtime == "compile":
        return _compiled(network, target, device)
    if target.runtime == "cuda_graphs":
        return _recorded(network, target, device)
    if target.channels_last:
        raise Unsupported(
            f"runtime {target.runtime} chooses its own memory layout; leave channels_last out of its target"
        )
    if target.runtime == "tensorrt" or (target.runtime == "onnxruntime" and device.type != "cpu"):
        return _exported_to_gpu(network, target, device)
    return _exported(network, target, device)


def fixed_size(target: Target) -> Size | None:
    """Return the one (H, W) that the network will see on this target; None where it sees several.

    >>> fixed_size(Target(image_size=Size(96, 128)))
    Size(height=96, width=128)
    >>> fixed_size(Target()) is None
    True
    """
    if target.window is not None:
        return target.window.size
    scaled = target.test_time is not None and target.test_time.scales != (1.0,)
    return None if scaled else target.image_size


def _around(network: Pass, make: Callable[[nn.Module, int], nn.Module]) -> nn.Module:
    """Replace a network by another pass through it; padding to a multiple stays torch's, outside of it."""
    module = network.module
    if isinstance(module, PadsToMultiple):
        return PadsToMultiple(make(module.module, module.multiple), module.multiple, cells=module.cells)
    if isinstance(module, PadsToSquare):
        return module.around(make(module.module, module.multiple))
    return make(module, network.multiple)


def _rounded_up(size: Size | None, multiple: int) -> Size | None:
    return size and Size(*(-(-side // multiple) * multiple for side in size))


def _trial(network: Pass, target: Target, device: torch.device) -> Tensor:
    """Return pixels of a size that the network takes."""
    size = _rounded_up(network.size or TRIAL, network.multiple)
    assert size is not None
    layout = torch.channels_last if target.channels_last else torch.contiguous_format
    return torch.zeros(target.batch_size, 3, *size, device=device).to(memory_format=layout)


# --------------------------------------------------------------------------- torch.compile and CUDA graphs


def _compiled(network: Pass, target: Target, device: torch.device) -> Runtime:
    """torch.compile with its default backend, tried once, so that what it cannot do is said before anything runs."""
    if device.type == "cpu":
        _check_compiler()
    from torch._inductor import config

    # Compiling in this process alone: its pool of helpers would stay beside the measurement.
    config.compile_threads = 1

    def compiled(module: nn.Module, _: int) -> nn.Module:
        made = torch.compile(module, dynamic=None if network.size is not None else True)
        assert isinstance(made, nn.Module)  # its hints know functions alone
        return made

    forward = _around(network, compiled)
    try:
        with torch.inference_mode(), devices.autocast(device, target.precision):
            forward(_trial(network, target, device))
    except RuntimeError as error:  # the base of what its front and back end raise
        reason = in_one_line(error, 300)
        raise Unsupported(f"torch.compile cannot compile this network: {reason}; use runtime eager") from None
    return Runtime(forward)


def _check_compiler() -> None:
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise Unsupported(
            f"runtime compile builds its kernels with a C++ compiler, and there is no {compiler} here; install one "
            "with: sudo apt-get install g++, or name it in the variable CXX"
        )


def _recorded(network: Pass, target: Target, device: torch.device) -> Runtime:
    """CUDA graphs, tried once as torch.compile is."""
    if device.type != "cuda":
        raise Unsupported(
            f"runtime cuda_graphs records launches of CUDA kernels, and {device} has none; use device cuda, or "
            "runtime eager"
        )
    from adapters._torch.runtimes.cuda_graphs import CudaGraphs

    graphs = CudaGraphs(network.module, device, target.precision)
    try:
        graphs(_trial(network, target, device))
    except RuntimeError as error:
        raise Unsupported(
            f"no CUDA graph can be recorded of this network: {in_one_line(error, 300)}; use runtime eager"
        ) from None
    return Runtime(graphs)


# --------------------------------------------------------------------------- ONNX Runtime, OpenVINO and TensorRT


class _Pass(nn.Module):
    """A pass through something that answers a tuple of tensors."""

    def __init__(self, run: Callable[[Tensor], tuple[Tensor, ...]]) -> None:
        super().__init__()
        self._run = run

    def forward(self, pixels: Tensor) -> Any:
        """Return what the module would for pixels (B, 3, H, W), float32."""
        answers = self._run(pixels.contiguous())
        return answers[0] if len(answers) == 1 else answers


def _of_export(network: Pass, target: Target, open_model: Callable[[Path, Size | None, int], Runtime]) -> Runtime:
    """Return the pass of an export; it is opened with the one size of its inputs, or None, and what sides are multiples
    of.
    """
    made: list[Runtime] = []

    def opened(module: nn.Module, multiple: int) -> nn.Module:
        outer = network.module
        size = outer.square(network.size) if isinstance(outer, PadsToSquare) else _rounded_up(network.size, multiple)
        file = _file(network, target, module, size, multiple)
        model = open_model(file, size, multiple)
        made.append(replace(model, packages=(*model.packages, "onnx", "onnxscript"), export=file))
        return _Pass(model.forward)

    forward = _around(network, opened)
    return replace(made[0], forward=forward)


def _exported(network: Pass, target: Target, device: torch.device) -> Runtime:
    """Return a session on the CPU: the same memory seen as an array on its side and as a tensor on ours."""
    kind = target.runtime
    assert kind in ("onnxruntime", "openvino")
    if device.type != "cpu":
        raise Unsupported(
            f"runtime {kind} runs on the CPU here; use device cpu, or runtime eager or compile on {device}"
        )
    settings = SessionSettings(
        threads=target.threads or devices.allowed_cores(),
        precision=target.precision,
        deterministic=target.deterministic,
        static=network.size is not None,
    )

    def opened(file: Path, *_: object) -> Runtime:
        session = open_session(kind, file, settings)

        def run(pixels: Tensor) -> tuple[Tensor, ...]:
            return tuple(torch.from_numpy(answer) for answer in session.run(pixels.numpy(), network.outputs))

        return Runtime(run, session.packages, session.threads)

    return _of_export(network, target, opened)


def _exported_to_gpu(network: Pass, target: Target, device: torch.device) -> Runtime:
    from adapters._torch.runtimes.gpu_sessions import GpuSession, check_provider
    from adapters._torch.runtimes.shape_profile import ShapeProfile

    kind = target.runtime
    assert kind in ("onnxruntime", "tensorrt")
    check_provider(kind, device, target.precision)  # before an export that may take minutes

    def opened(file: Path, size: Size | None, multiple: int) -> Runtime:
        # The exported model has weights of its own on the device: torch's would count into its memory.
        network.module.to("cpu")
        torch.cuda.empty_cache()
        profile = None if size is None else ShapeProfile.around((target.batch_size, 3, *size), fixed_size=True)
        session = GpuSession(
            kind,
            file,
            device,
            target.precision,
            deterministic=target.deterministic,
            profile=profile,
            multiple=multiple,
        )
        return Runtime(
            lambda pixels: session.run(pixels, network.outputs), session.packages, doubts=lambda: session.doubts
        )

    return _of_export(network, target, opened)


def _file(network: Pass, target: Target, module: nn.Module, size: Size | None, multiple: int) -> Path:
    """Return the exported model, in int8 where the target asks for it."""
    outer = network.module
    squares = isinstance(outer, PadsToSquare)
    file = exported(ExportRequest(module, network.architecture, size, multiple, network.outputs, squares))
    if target.precision != "int8":
        return file
    from adapters._torch.runtimes.quantisation import quantised

    if target.window is not None or target.test_time is not None:
        raise Unsupported("int8 is calibrated on whole images; leave window and test_time out of its target")

    def padded(pixels: Tensor) -> Tensor:
        """Pad pixels as the network's own padding does."""
        return outer.padded(pixels) if isinstance(outer, PadsToSquare) else padded_to_multiple(pixels, multiple)

    return quantised(file, [padded(pixels).cpu().numpy() for pixels in network.calibration])
