"""Memory: of this process as the kernel counts it, of the device as torch and its driver do."""

from __future__ import annotations

import gc
import resource
import sys
import time
from pathlib import Path

import numpy as np

from bench.adapter import Adapter
from bench.measure.devices import kernel_bytes
from bench.measure.telemetry import INTERVAL_S, Series, Telemetry, known
from bench.records import MemoryUse, Missing, explained

NO_SAMPLES = "the driver (NVML) gave no samples of this GPU; see with: bench doctor"
NO_PROC = Missing("this system has no /proc/self/status to read it from")


def reset_peak_rss() -> bool:
    """Start a new peak of resident memory; whether the kernel can (Linux; see proc(5), clear_refs).

    Where it cannot, as in some containers, the peak goes on covering the life of the process.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def peak_rss_bytes() -> int | None:
    """Return the peak resident memory of this process in bytes: VmHWM, or getrusage's figure elsewhere."""
    peak = kernel_bytes("VmHWM")
    if peak is not None:
        return peak
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class MemoryPass:
    """The readings around one model: made before it is built, then told of the build and of the end.

    Args:
        telemetry: Entered; its sampler reads the GPU in a process of its own.
        device: Device of the target.
    """

    def __init__(self, telemetry: Telemetry, device: str) -> None:
        self._telemetry, self._device = telemetry, device
        self._started_anew = True
        telemetry.wait_for_gpu()
        self._start_s = time.monotonic()
        self._before = self._settled()
        self._after_build: int | None = None
        self._build_peak: int | None = None

    def model_built(self, adapter: Adapter) -> None:
        """Read what the build came to, and start the peaks of the batches."""
        self._build_peak = peak_rss_bytes()
        self._after_build = self._settled()
        adapter.reset_peak_device_bytes()

    def _settled(self) -> int | None:
        """Return the resident memory without garbage, None where there is no /proc; the peak starts anew."""
        gc.collect()
        self._started_anew = reset_peak_rss() and self._started_anew
        return kernel_bytes("VmRSS")

    def result(self, adapter: Adapter, *, weights_bytes: int | None, batches: int, batch_size: int) -> MemoryUse:
        """Return what was found, once the batches are predicted and the device is idle."""
        peak = peak_rss_bytes()
        if self._device.startswith("cuda"):
            time.sleep(2 * INTERVAL_S)  # allocators keep what they hold, so one more sample sees the peak
        peaks = [value for value in (self._build_peak, peak) if value is not None]
        return MemoryUse(
            **explained(
                {
                    "host_rss_before_bytes": NO_PROC if self._before is None else self._before,
                    "host_rss_model_bytes": _difference(self._after_build, self._before),
                    "host_rss_batch_bytes": _difference(peak, self._after_build),
                    "host_rss_peak_bytes": max(peaks) if peaks else NO_PROC,
                    "weights_bytes": Missing("the adapter tells none") if weights_bytes is None else weights_bytes,
                    **self._of_device(adapter),
                }
            ),
            peak_started_anew=self._started_anew,
            batches=batches,
            batch_size=batch_size,
        )

    def _of_device(self, adapter: Adapter) -> dict[str, int | Missing]:
        names = ("torch_peak_allocated_bytes", "torch_peak_reserved_bytes", "device_used_delta_bytes")
        if self._device == "cpu":
            return dict.fromkeys(names, Missing("the device is the processor, which has no memory of its own"))
        allocated = adapter.peak_device_bytes()
        reserved = adapter.peak_reserved_bytes()
        none = Missing("the adapter tells none: its framework does not allocate through torch")
        found = (none if allocated is None else allocated, none if reserved is None else reserved, self._used_delta())
        return dict(zip(names, found, strict=True))

    def _used_delta(self) -> int | Missing:
        if not self._device.startswith("cuda"):
            return Missing("only NVIDIA's driver is asked how much of its device is used")
        before = self._telemetry.gpu_samples(0.0, self._start_s)
        return used_delta(before, self._telemetry.gpu_samples(self._start_s, time.monotonic()))


def used_delta(before: Series, during: Series) -> int | Missing:
    """Return the largest use of a device above the median of what was used before, bytes.

    Args:
        before, during: Samples of `bench.measure.telemetry`; `memory_used_bytes` is read.
    """
    if not before or not during:
        return Missing(NO_SAMPLES)
    idle, used = known(before, "memory_used_bytes"), known(during, "memory_used_bytes")
    if not idle.size or not used.size:
        return Missing("the driver (NVML) does not tell how much memory of this GPU is used")
    return round(float(used.max() - np.median(idle)))


def _difference(later: int | None, earlier: int | None) -> int | Missing:
    return NO_PROC if later is None or earlier is None else later - earlier
