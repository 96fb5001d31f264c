"""Device, precision and threads: checked, set explicitly, and read back."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

import cv2
import torch
from pydantic import JsonValue
from torch import nn
from torch.overrides import TorchFunctionMode

from adapters._torch.casts import cast_weights
from adapters._torch.runtimes.cpu_sessions import allowed_cores as allowed_cores
from bench.adapter import BaseAdapter, DeviceTimer, package_versions
from bench.errors import Unsupported
from bench.records import Operations, Precision, Runtime, Target
from bench.records.flag import Flag
from bench.records.predictions import RgbImage

if TYPE_CHECKING:
    from adapters._torch.input import InputContract
    from adapters._torch.matching import LoadedWeights
    from adapters._torch.runtimes.runtime import Runtime as Pass

AMPERE = (8, 0)
"""Lowest CUDA compute capability with TF32 and bf16 arithmetic."""

_AUTOCAST: dict[str, torch.dtype] = {"fp16": torch.float16, "bf16": torch.bfloat16}

TORCHS_OWN = ("eager", "compile", "cuda_graphs")
"""Runtimes in which torch makes the pass, under autocast."""

UNTRAINED_SEED = 0
"""The seed of the weights of a network that is built without a weight file."""

DRAWING = (
    *(torch.Tensor.normal_, torch.Tensor.uniform_),
    *(nn.init.normal_, nn.init.uniform_, nn.init.kaiming_normal_, nn.init.kaiming_uniform_),
)
"""What fills a tensor at random, as torch hands it to a `TorchFunctionMode`."""

INT8_RUNTIMES = ("onnxruntime", "openvino")
"""This is what runs a network in 8-bit integers; see `adapters._torch.runtimes.quantisation`."""


def open_device(name: str) -> torch.device:
    """Return the device of a target or recipe; `auto` is `cuda` where there is one, else `cpu`.

    Raises:
        Unsupported: If this build of torch cannot use that device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return torch.device("cpu")
    if name == "mps":
        if not torch.backends.mps.is_available():
            raise Unsupported(
                f"device 'mps' needs a Mac with an Apple GPU, and torch {torch.__version__} finds none here"
            )
        return torch.device("mps")
    match = re.fullmatch(r"cuda(?::(\d+))?", name)
    if match is None:
        raise Unsupported(f"device {name!r} is not one that torch adapters run on; use cpu, cuda, cuda:1 or mps")
    if not torch.cuda.is_available():
        raise Unsupported(f"device {name!r} needs a CUDA device, and torch {torch.__version__} finds none here")
    index, count = int(match.group(1) or 0), torch.cuda.device_count()
    if index >= count:
        raise Unsupported(f"device {name!r} is not here; the last CUDA device is cuda:{count - 1}")
    return torch.device("cuda", index)


def check_precision(device: torch.device, precision: Precision, runtime: Runtime = "eager") -> None:
    """Refuse arithmetic that the device does not have.

    Raises:
        Unsupported: For fp16 and tf32 on a CPU, for tf32 on an Apple GPU, for tf32 and bf16 on a CUDA device before
            Ampere, and for int8 where torch itself makes the pass.
    """
    if precision == "int8":
        if runtime not in INT8_RUNTIMES:
            raise Unsupported(f"int8 is made of an exported network, not by runtime {runtime}; use runtime onnxruntime")
    elif device.type == "cpu":
        if precision in ("fp16", "tf32"):
            raise Unsupported(f"{precision} needs a CUDA device; a CPU runs fp32 and bf16")
    elif device.type == "mps":
        if precision == "tf32":
            raise Unsupported("tf32 needs a CUDA device; an Apple GPU runs fp32, fp16 and bf16")
    elif precision in ("tf32", "bf16"):
        capability = torch.cuda.get_device_capability(device)
        if capability < AMPERE:
            name = torch.cuda.get_device_name(device)
            raise Unsupported(f"{precision} needs compute capability 8.0; {name} has {capability[0]}.{capability[1]}")


def autocast(device: torch.device, precision: Precision, *, remember: bool = True) -> AbstractContextManager[None]:
    """Return the context of a forward pass: fp16 and bf16 are automatic mixed precision.

    Without `remember` a weight is cast at each of its uses within the pass, not at the first alone.
    """
    dtype = _AUTOCAST.get(precision)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None, cache_enabled=remember)


def apply_settings(precision: Precision, *, cudnn_benchmark: bool, deterministic: bool) -> None:
    """Set torch's process-wide arithmetic flags; nothing is left to its defaults.

    `deterministic` warns, rather than fails, for the few operations that have no deterministic
    kernel; on CUDA it also needs `CUBLAS_WORKSPACE_CONFIG`, which is set if it is not.
    """
    tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = cudnn_benchmark and not deterministic
    torch.backends.cudnn.deterministic = deterministic
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if deterministic != torch.are_deterministic_algorithms_enabled():
        # Only where it changes something: the call imports torch's compiler, which takes seconds.
        torch.use_deterministic_algorithms(deterministic, warn_only=True)


def set_threads(threads: int | None) -> None:
    """Set the CPU threads of torch and OpenCV; None means every core this process may run on.

    torch takes the number of inter-op threads once per process; a later call leaves it.
    """
    count = threads or allowed_cores()
    torch.set_num_threads(count)
    cv2.setNumThreads(count)
    with suppress(RuntimeError):
        torch.set_num_interop_threads(count)


def threads_in_effect() -> dict[str, int]:
    """Read back the threads of each library."""
    return {
        "torch": torch.get_num_threads(),
        "torch_interop": torch.get_num_interop_threads(),
        "opencv": cv2.getNumThreads(),
    }


class _Undrawn(TorchFunctionMode):
    """Fills parameters with zeros where they would be drawn at random."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        target = args[0] if args else (kwargs or {}).get("tensor")
        if func not in DRAWING or not isinstance(target, nn.Parameter):
            return func(*args, **(kwargs or {}))
        with torch.no_grad():
            return target.zero_()


@contextmanager
def seeded(seed: int, *, drawn: bool = True) -> Iterator[None]:
    """Seed torch's generator of the CPU, for fresh weights, and leave it afterwards as it was.

    Not `drawn` is for a network whose parameters are all loaded next: drawing them is most of what making one takes.
    """
    with torch.random.fork_rng(devices=[]), nullcontext() if drawn else _Undrawn():
        torch.manual_seed(seed)
        yield


def describe(module: nn.Module, device: torch.device) -> dict[str, JsonValue]:
    """Return facts of a network for `bench.adapter.Adapter.describe`."""
    parameters = list(module.parameters())
    return {
        "parameters": sum(p.numel() for p in parameters),
        "trainable_parameters": sum(p.numel() for p in parameters if p.requires_grad),
        "weights_bytes": sum(t.numel() * t.element_size() for t in module.state_dict().values()),
        "device_name": device_name(device),
        "threads": {**threads_in_effect()},
    }


def synchronize(device: torch.device) -> None:
    """Wait until the device is idle; a CPU always is."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def device_name(device: torch.device) -> str:
    """Return the name of the device as torch tells it; `cpu` for a CPU, `mps` for an Apple GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def reset_peak_bytes(device: torch.device) -> None:
    """Start a new peak of allocated device memory."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: torch.device) -> int | None:
    """Return the peak bytes that torch allocated on the device since the last reset; None on a CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def _highest_clock_khz(device: torch.device) -> int:
    """Return the highest clock of the multiprocessors; 2 GHz, which few exceed, where this torch does not tell."""
    return int(getattr(torch.cuda.get_device_properties(device), "clock_rate", 0)) or 2_000_000


class CudaTimer:
    """A pair of CUDA events on the device's current stream; a `bench.adapter.DeviceTimer`."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.current_stream(device)
        self._begin = torch.cuda.Event(enable_timing=True)
        self._end = torch.cuda.Event(enable_timing=True)
        self._device = device

    def hold(self, ms: float) -> None:
        """Spin on the device for so many milliseconds at its highest clock, and so for longer at a lower one."""
        with torch.cuda.stream(self._stream):
            torch.cuda._sleep(round(ms * _highest_clock_khz(self._device)))

    def start(self) -> None:
        """Record the first event behind the work queued so far."""
        self._begin.record(self._stream)

    def stop(self) -> None:
        """Record the second event."""
        self._end.record(self._stream)

    def elapsed_ms(self) -> float:
        """Return the device time between the two events, in milliseconds; waits for the second."""
        self._end.synchronize()
        return float(self._begin.elapsed_time(self._end))


class OnTorchDevice(BaseAdapter):
    """The part of `bench.adapter.BaseAdapter` that is the same for every network on a torch device.

    An adapter that inherits from it calls `open` in `build`, and `ready` with its network; where
    `infer` is not torch's own it keeps what makes it as `_runtime`.
    """

    _device: torch.device
    _target: Target
    _streams: dict[str, torch.cuda.Stream]
    _calibration: tuple[RgbImage, ...] = ()
    _network: Any
    _contract: InputContract
    _loaded: LoadedWeights | None = None
    _runtime: Pass | None = None
    training_follows: bool = False
    """Set before `build` where `train` is called after it: weights may then be drawn anew where they do not fit."""

    def open(self, target: Target) -> torch.device:
        """Open the target's device with its arithmetic, threads and kernels, and keep both.

        Raises:
            Unsupported: If the device, or its arithmetic, cannot be had here.
        """
        self._target, self._device = target, open_device(target.device)
        self._asked_size = target.image_size
        self._streams = {}
        self.stages_overlap = self._device.type == "cuda"  # no stage keeps anything of a batch in the adapter
        self.check_precision(self._device, target.precision, target.runtime)
        set_threads(target.threads)
        apply_settings(target.precision, cudnn_benchmark=target.cudnn_benchmark, deterministic=target.deterministic)
        return self._device

    def check_precision(self, device: torch.device, precision: Precision, runtime: Runtime = "eager") -> None:
        """Refuse arithmetic that the device does not have; a network that has less of it refuses more."""
        check_precision(device, precision, runtime)

    def ready(self, module: nn.Module) -> None:
        """Move a network to the opened device for prediction, in the target's layout and precision."""
        module.to(self._device).to(memory_format=self._memory_format).eval()
        dtype = _AUTOCAST.get(self._target.precision)
        # An export starts from whole weights, and so does a training that follows.
        if dtype is not None and self._target.runtime in TORCHS_OWN and not self.training_follows:
            cast_weights(module, dtype)

    @property
    def _memory_format(self) -> torch.memory_format:
        return torch.channels_last if self._target.channels_last else torch.contiguous_format

    def calibrate(self, images: Sequence[RgbImage]) -> None:
        """Keep the images that int8 finds its ranges with; those that have no int8 refuse it in `build`."""
        self._calibration = tuple(images)

    def synchronize(self) -> None:
        """Wait until the device is idle."""
        synchronize(self._device)

    def queued(self) -> torch.cuda.Event | None:
        """Return a CUDA event behind what is queued on the current stream; None on a CPU."""
        if self._device.type != "cuda":
            return None
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(self._device))
        return event

    @contextmanager
    def beside(self, mark: torch.cuda.Event | None) -> Iterator[None]:
        """Queue on a stream of its own, one for what waits for nothing and one for the rest; ends when it is idle.

        The two are kept: torch's allocator has memory of its own for every stream.
        """
        if self._device.type != "cuda":
            yield
            return
        role = "preprocess" if mark is None else "postprocess"
        if role not in self._streams:
            self._streams[role] = torch.cuda.Stream(self._device)
        stream = self._streams[role]
        if mark is not None:
            stream.wait_event(mark)
        with torch.cuda.stream(stream):
            yield
        stream.synchronize()

    def device_timer(self) -> DeviceTimer | None:
        """CUDA events, or None on a CPU."""
        return CudaTimer(self._device) if self._device.type == "cuda" else None

    def reset_peak_device_bytes(self) -> None:
        """Start a new peak of device memory."""
        reset_peak_bytes(self._device)

    def peak_device_bytes(self) -> int | None:
        """Return the peak bytes allocated by torch on the device; None on a CPU, and for a runtime that has its own."""
        return peak_bytes(self._device) if self._target.runtime in TORCHS_OWN else None

    def peak_reserved_bytes(self) -> int | None:
        """Return the peak bytes that torch's allocator held of the device; None as `peak_device_bytes`."""
        if self._device.type != "cuda" or self._target.runtime not in TORCHS_OWN:
            return None
        return torch.cuda.max_memory_reserved(self._device)

    def operations(self, images: Sequence[RgbImage]) -> Operations:
        """Count what one `infer` computes; only of torch's own pass, since it counts torch's operators."""
        runtime = self._target.runtime
        if runtime != "eager":
            raise Unsupported(f"torch does not see the operators of runtime {runtime}; runtime eager has the count")
        # Imported here: only a profile job counts.
        from adapters._torch.operations import operations_of

        return operations_of(self, images)

    def doubts(self, images: Sequence[RgbImage]) -> tuple[Flag, ...]:
        """Return what the runtime doubts of the network."""
        return self._runtime.doubts() if self._runtime is not None else ()

    def describe(self) -> dict[str, JsonValue]:
        """Return facts of the built network, of its preprocessing, and of how its weights were read."""
        facts = describe(self._network.module, self._device)
        facts = facts if self._runtime is None else self._runtime.describe(facts)
        facts["input_contract"] = self._contract.as_json(self._asked_size)
        if self._loaded is not None:
            facts["weights_read"] = self._loaded.as_json()
        return facts

    def versions(self) -> dict[str, str]:
        """Return versions of the adapter's packages, of what makes the pass, and of CUDA if torch is built for it."""
        found = package_versions([*self.packages, *(self._runtime.packages if self._runtime is not None else ())])
        if torch.version.cuda is not None:
            found["cuda"] = torch.version.cuda
            found["cudnn"] = str(torch.backends.cudnn.version())
        return found
