"""What makes the forward pass of a torch network: torch itself, torch.compile, ONNX Runtime or OpenVINO.

Everything around the pass stays as it is, so that two runtimes differ in `infer` alone: windows and
test-time augmentation call whatever pass there is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from adapters._torch import device as devices
from adapters._torch.network import SemanticNetwork
from adapters._torch.onnx_export import OUTPUT, TRIAL, ExportRequest, exported
from adapters._torch.padding import PadsToMultiple
from adapters._torch.sessions import Session, SessionSettings, open_session
from adapters._torch.windows import Forward
from bench.errors import Unsupported
from bench.records import Size, Target


def _no_threads() -> dict[str, int]:
    return {}


@dataclass(frozen=True)
class Runtime:
    """A forward pass.

    Attributes:
        forward: Maps pixels (B, 3, H, W) to logits (B, C, h, w).
        packages: Distributions that make it, beyond torch, for `versions`.
        threads: Library -> threads in effect, of libraries beyond torch.
    """

    forward: Forward
    packages: tuple[str, ...] = ()
    threads: Callable[[], dict[str, int]] = _no_threads

    def __call__(self, pixels: Tensor) -> Tensor:
        """Make the pass."""
        return self.forward(pixels)


def open_runtime(network: SemanticNetwork, target: Target, device: torch.device) -> Runtime:
    """Return the forward pass that a target asks for.

    Args:
        network: On the device, in the target's memory layout, in evaluation mode.
        target: Its `runtime`, and what decides the sizes of its inputs.
        device: As opened.

    Raises:
        Unsupported: If the runtime cannot be had here or cannot run the network.
    """
    if target.runtime == "eager":
        return Runtime(network.module)
    if target.runtime == "compile":
        return _compiled(network, target, device)
    return _exported(network, target, device)


def fixed_size(target: Target) -> Size | None:
    """The one (H, W) that the network will see on this target; None where it sees several.

    >>> fixed_size(Target(image_size=Size(96, 128)))
    Size(height=96, width=128)
    >>> fixed_size(Target()) is None
    True
    """
    if target.window is not None:
        return target.window.size
    scaled = target.test_time is not None and target.test_time.scales != (1.0,)
    return None if scaled else target.image_size


def _around(module: nn.Module, make: Callable[[nn.Module, int], nn.Module]) -> nn.Module:
    """Replace a network by another pass through it; padding to a multiple stays torch's, outside of it."""
    if isinstance(module, PadsToMultiple):
        return PadsToMultiple(make(module.module, module.multiple), module.multiple)
    return make(module, 1)


# --------------------------------------------------------------------------- torch.compile


def _compiled(network: SemanticNetwork, target: Target, device: torch.device) -> Runtime:
    """torch.compile with its default backend, tried once, so that what it cannot do is said before anything runs."""
    if device.type == "cpu":
        _check_compiler()
    from torch._inductor import config

    # Compiling in this process alone: its pool of helpers would stay beside the measurement.
    config.compile_threads = 1
    size = fixed_size(target)

    def compiled(module: nn.Module, _: int) -> nn.Module:
        made: Any = torch.compile(module, dynamic=None if size is not None else True)
        return made

    forward = _around(network.module, compiled)
    layout = torch.channels_last if target.channels_last else torch.contiguous_format
    trial = torch.zeros(target.batch_size, 3, *(size or TRIAL), device=device).to(memory_format=layout)
    try:
        with torch.inference_mode(), devices.autocast(device, target.precision):
            forward(trial)
    except RuntimeError as error:  # the base of what its front and back end raise
        reason = " ".join(str(error).split())[:300]
        raise Unsupported(f"torch.compile cannot compile this network: {reason}; use runtime eager") from None
    return Runtime(forward)


def _check_compiler() -> None:
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise Unsupported(
            f"runtime compile builds its kernels with a C++ compiler, and there is no {compiler} here; install one "
            "with: sudo apt-get install g++, or name it in the variable CXX"
        )


# --------------------------------------------------------------------------- ONNX Runtime and OpenVINO


class _Pass(nn.Module):
    """A pass through a session: the same memory seen as a tensor on either side."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits for pixels (B, 3, H, W), float32, on the CPU."""
        return torch.from_numpy(self._session.run(pixels.contiguous().numpy(), OUTPUT))


def _exported(network: SemanticNetwork, target: Target, device: torch.device) -> Runtime:
    kind = target.runtime
    assert kind in ("onnxruntime", "openvino")
    if device.type != "cpu":
        raise Unsupported(
            f"runtime {kind} runs on the CPU here; use device cpu, or runtime eager or compile on {device}"
        )
    if target.channels_last:
        raise Unsupported(f"runtime {kind} chooses its own memory layout; leave channels_last out of its target")
    size = fixed_size(target)
    settings = SessionSettings(
        threads=target.threads or devices.allowed_cores(),
        precision=target.precision,
        deterministic=target.deterministic,
        static=size is not None,
    )
    sessions: list[Session] = []

    def opened(module: nn.Module, multiple: int) -> nn.Module:
        padded = size and Size(*(-(-side // multiple) * multiple for side in size))
        file = exported(ExportRequest(module, network.architecture, padded, multiple))
        sessions.append(open_session(kind, file, settings))
        return _Pass(sessions[0])

    forward = _around(network.module, opened)
    return Runtime(forward, (*sessions[0].packages, "onnx", "onnxscript"), sessions[0].threads)
