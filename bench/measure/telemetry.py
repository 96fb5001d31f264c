"""Clocks, temperature, power and load beside a measurement, and what they say about it.

The processor is read at the edges of blocks, outside the clock. A GPU is read by a process of its
own at 20 Hz, so that asking never delays the model. A counter that the driver refuses costs that
counter only.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.measure.devices import allowed_cores

INTERVAL_S = 0.05
SLOWDOWN_BITS = {
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
"""Bits of nvmlDeviceGetCurrentClocksEventReasons that make a timing unfit (nvml.h)."""
POWER_CAP_BIT = 0x04
"""Normal on data-centre GPUs: noted, so that only like is compared with like."""

Series = dict[str, NDArray[np.float64]]


class Telemetry:
    """Context manager around the measurement of one model."""

    def __init__(self, device: str) -> None:
        """Prepare; nothing is read before the context is entered.

        Args:
            device: `cpu`, `cuda` or `cuda:<index>`.
        """
        self._device = device
        self._edges: list[dict[str, float]] = []
        self._sampler: subprocess.Popen[bytes] | None = None
        self._gpu: Series = {}
        self._file: Path | None = None

    def __enter__(self) -> Telemetry:
        """Start the GPU's sampler, where there is a GPU to sample."""
        if self._device.startswith("cuda"):
            handle, name = tempfile.mkstemp(suffix=".npz")
            os.close(handle)
            self._file = Path(name)
            index = self._device.partition(":")[2] or "0"
            command = [sys.executable, "-m", "bench.measure.telemetry", index, name]
            self._sampler = subprocess.Popen(command, stdin=subprocess.PIPE)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the sampler and take what it read."""
        if self._sampler is None or self._file is None or self._sampler.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError):
            self._sampler.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._sampler.wait(timeout=10)
        self._sampler.kill()
        if self._file.stat().st_size:
            with np.load(self._file) as archive:
                self._gpu = {name: archive[name] for name in archive.files}
        self._file.unlink()

    def mark(self) -> None:
        """Read the processor's state at a block's edge."""
        self._edges.append({"monotonic_s": time.monotonic(), **_cpu_state()})

    def flags(self) -> tuple[str, ...]:
        """What the GPU's own counters say against the measurement."""
        return gpu_flags(self._gpu)

    def save(self, path: Path) -> None:
        """Write `telemetry.npz`: `cpu_*` per block edge, `gpu_*` per sample; nan = not readable."""
        names = sorted({name for edge in self._edges for name in edge})
        cpu = {f"cpu_{n}": np.array([edge.get(n, math.nan) for edge in self._edges], dtype=np.float64) for n in names}
        np.savez_compressed(path, **cpu, **{f"gpu_{name}": series for name, series in self._gpu.items()})  # type: ignore[arg-type]


def gpu_flags(series: Series) -> tuple[str, ...]:
    """Apply the throttle rules to what was sampled."""
    flags = []
    reasons = series.get("event_reasons", np.array([]))
    seen = reasons[~np.isnan(reasons)].astype(np.int64)
    slowed = [name for bit, name in SLOWDOWN_BITS.items() if (seen & bit).any()]
    thermal = series.get("thermal_violation_ns", np.array([]))
    thermal = thermal[~np.isnan(thermal)]
    if slowed or (thermal.size and thermal[-1] > thermal[0]):
        why = ", ".join(slowed) or "thermal violation"
        flags.append(f"throttled: the GPU slowed down ({why}); let it cool down and run the timing jobs again")
    if (seen & POWER_CAP_BIT).any():
        share = 100 * float(np.mean((seen & POWER_CAP_BIT) > 0))
        flags.append(
            f"power_capped: the power limit held the clock down {share:.0f} % of the time; compare like with like"
        )
    return tuple(flags)


def _cpu_state() -> dict[str, float]:
    state = {"load_1min": os.getloadavg()[0]}
    megahertz = [
        int(text) / 1e3
        for core in allowed_cores()
        if (text := _text(f"/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq")) is not None
    ]
    if megahertz:
        state["mhz"] = sum(megahertz) / len(megahertz)
    temperature = _text("/sys/class/thermal/thermal_zone0/temp")
    if temperature is not None:
        state["celsius"] = int(temperature) / 1e3
    pressure = _text("/proc/pressure/cpu")
    if pressure is not None:
        state["pressure_some_us"] = float(pressure.splitlines()[0].rpartition("total=")[2])
    return state


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return None


def gpu_questions(nvml: ModuleType | Any, handle: object) -> dict[str, Callable[[], float]]:
    """Name -> question for one GPU, in the order they are asked."""
    return {
        "sm_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
        "memory_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM),
        "celsius": lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
        "power_mw": lambda: nvml.nvmlDeviceGetPowerUsage(handle),
        "utilisation_percent": lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu,
        "memory_used_bytes": lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used,
        "event_reasons": lambda: nvml.nvmlDeviceGetCurrentClocksEventReasons(handle),
        "power_violation_ns": lambda: (
            nvml.nvmlDeviceGetViolationStatus(handle, nvml.NVML_PERF_POLICY_POWER).violationTime
        ),
        "thermal_violation_ns": lambda: (
            nvml.nvmlDeviceGetViolationStatus(handle, nvml.NVML_PERF_POLICY_THERMAL).violationTime
        ),
        "energy_mj": lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle),
    }


def sample_gpu(nvml: ModuleType | Any, index: int, keep_on: Callable[[], bool]) -> Series:
    """Sample one GPU until `keep_on` says no; a question that is refused once is not asked again.

    Args:
        nvml: The module pynvml, or one that answers like it.
        index: NVML index of the GPU.
        keep_on: Waits one interval and tells whether to go on.
    """
    nvml.nvmlInit()
    try:
        questions = gpu_questions(nvml, nvml.nvmlDeviceGetHandleByIndex(index))
        rows: list[dict[str, float]] = []
        while keep_on():
            row = {"monotonic_s": time.monotonic()}
            for name, question in list(questions.items()):
                try:
                    row[name] = float(question())
                except nvml.NVMLError:
                    del questions[name]
            rows.append(row)
    finally:
        nvml.nvmlShutdown()
    names = sorted({name for row in rows for name in row})
    return {name: np.array([row.get(name, math.nan) for row in rows], dtype=np.float64) for name in names}


def _main() -> None:
    """The sampler's process: sample until standard input closes, then write what was read."""
    try:
        import pynvml
    except ImportError:
        return

    def keep_on() -> bool:
        # Standard input never carries anything: it becomes readable only when the parent closes it or ends.
        return not select.select([sys.stdin], [], [], INTERVAL_S)[0]

    with contextlib.suppress(pynvml.NVMLError):
        np.savez(sys.argv[2], **sample_gpu(pynvml, int(sys.argv[1]), keep_on))  # type: ignore[arg-type]


if __name__ == "__main__":
    _main()
