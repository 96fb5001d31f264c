"""Clocks, temperature, power and load beside a measurement, and what they say about it.

The processor is read at the edges of blocks, outside the clock. A GPU is read by a process of its
own at 20 Hz, so that asking never delays the model. A counter that the driver refuses costs that
counter only.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.measure.devices import allowed_cores, text_of
from bench.measure.gpu_sharing import GpuUsers
from bench.measure.gpus import Gpu, gpu_of, visible_gpus
from bench.records import Flag

INTERVAL_S = 0.05
SLOWDOWN_BITS = {
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
"""Bits of nvmlDeviceGetCurrentClocksEventReasons that make a timing unfit (nvml.h)."""
MIN_CLOCK_SHARE = 0.95
"""A block whose median SM clock is below this share of the first good block's is measured again."""
POWER_CAP_BIT = 0x04
"""Normal on data-centre GPUs: noted, so that only like is compared with like."""

NOT_WATCHED = Flag(
    name="gpu_not_watched",
    seen="the driver (NVML) gave no samples of the GPU, so that its clock, heat and other users are not known",
    advice="see what the driver answers with: bench doctor",
)

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
        self._rows = _GrowingFile()
        self._usual_mhz: float | None = None
        self._users: GpuUsers | None = None

    def __enter__(self) -> Telemetry:
        """Start the GPU's sampler, where there is a GPU to sample."""
        if self._device.startswith("cuda"):
            self._rows = _GrowingFile(tempfile.mkstemp(suffix=".jsonl"))
            address = gpu_address(self._device, visible_gpus())
            self._users = GpuUsers(address).__enter__()
            command = [sys.executable, "-m", "bench.measure.telemetry", str(address), str(self._rows.path)]
            self._sampler = subprocess.Popen(command, stdin=subprocess.PIPE)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the sampler and take what it read."""
        if self._users is not None:
            self._users.__exit__()
        if self._sampler is None or self._sampler.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError):
            self._sampler.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._sampler.wait(timeout=10)
        self._sampler.kill()
        self._sampler.wait()
        self._rows.close()

    @property
    def pids(self) -> tuple[int, ...]:
        """Processes that sample beside the worker."""
        return () if self._sampler is None else (self._sampler.pid,)

    def mark(self) -> None:
        """Read the processor's state, and who uses the GPU, at a block's edge."""
        if self._users is not None:
            self._users.look()
        self._edges.append({"monotonic_s": time.monotonic(), **_cpu_state()})

    def slowed(self, start_s: float, end_s: float) -> str | None:
        """Return why the GPU makes a block unfit, or None; always None on a CPU.

        Args:
            start_s, end_s: Edges of the block, `time.monotonic`.
        """
        reason, median_mhz = gpu_slowed(self.gpu_samples(start_s, end_s), self._usual_mhz)
        if reason is None and self._usual_mhz is None:
            self._usual_mhz = median_mhz
        return reason

    def gpu_samples(self, start_s: float, end_s: float) -> Series:
        """Return what was read of the GPU between two instants, `time.monotonic`; empty on a CPU."""
        return as_series([row for row in self._rows.read() if start_s <= row["monotonic_s"] <= end_s])

    def wait_for_gpu(self, patience_s: float = 10.0) -> None:
        """Return once the sampler has read the GPU, has ended, or has had enough time; at once on a CPU."""
        end_s = time.monotonic() + patience_s
        while self._sampler is not None and self._sampler.poll() is None and not self._rows.read():
            if time.monotonic() > end_s:
                return
            time.sleep(INTERVAL_S)

    def flags(self) -> tuple[Flag, ...]:
        """Return what the GPU's own counters, and its other users, say against the measurement."""
        if self._users is None:
            return ()
        rows = self._rows.read()
        shared = self._users.flag()
        return (*(() if rows else (NOT_WATCHED,)), *gpu_flags(as_series(rows)), *(() if shared is None else (shared,)))

    def save(self, path: Path) -> None:
        """Write `telemetry.npz`: `cpu_*` per block edge, `gpu_*` per sample; nan = not readable."""
        cpu = {f"cpu_{name}": series for name, series in as_series(self._edges).items()}
        gpu = {f"gpu_{name}": series for name, series in as_series(self._rows.read()).items()}
        np.savez_compressed(path, **cpu, **gpu)  # type: ignore[arg-type]  # hints: a flag may be among them


class _GrowingFile:
    """Rows that another process appends to a temporary file, one JSON object a line."""

    def __init__(self, opened: tuple[int, str] | None = None) -> None:
        self.path = None if opened is None else Path(opened[1])
        self._file = None if opened is None else os.fdopen(opened[0], encoding="ascii")
        self._rows: list[dict[str, float]] = []
        self._rest = ""

    def read(self) -> list[dict[str, float]]:
        """Return all rows so far."""
        if self._file is not None:
            *lines, self._rest = (self._rest + self._file.read()).split("\n")
            self._rows += [json.loads(line) for line in lines]
        return self._rows

    def close(self) -> None:
        """Read the last rows and remove the file."""
        self.read()
        if self._file is not None and self.path is not None:
            self._file.close()
            self._file = None
            self.path.unlink()


def gpu_address(device: str, gpus: Sequence[Gpu]) -> int | str:
    """Return the UUID of the GPU that a framework calls `cuda` or `cuda:<index>`; its number where there is none.

    Args:
        device: Device as a target names it.
        gpus: GPUs that this process can use, see `bench.measure.gpus.visible_gpus`.

    >>> gpu_address("cuda:1", [Gpu(0, "GPU-a", "A"), Gpu(3, "GPU-b", "B")]), gpu_address("cuda:1", [])
    ('GPU-b', 1)
    """
    gpu = gpu_of(device, gpus)
    if gpu is None:
        return int(device.partition(":")[2] or "0")
    return gpu.uuid or gpu.index


def as_series(rows: list[dict[str, float]]) -> Series:
    """Rows -> one array per name, nan where a row lacks it."""
    names = sorted({name for row in rows for name in row})
    return {name: np.array([row.get(name, math.nan) for row in rows], dtype=np.float64) for name in names}


def known(series: Series, name: str) -> NDArray[np.float64]:
    """Return the values of a series that could be read; empty where none could."""
    values = series.get(name, np.array([]))
    return values[~np.isnan(values)]


def gpu_slowed(series: Series, usual_mhz: float | None) -> tuple[str | None, float | None]:
    """Apply the rules of one block: (why it is unfit or None, its median SM clock or None).

    Args:
        series: Samples of the block.
        usual_mhz: Median SM clock of the first good block; None while there is none.
    """
    seen = known(series, "event_reasons").astype(np.int64)
    slowed = [name for bit, name in SLOWDOWN_BITS.items() if (seen & bit).any()]
    thermal, mhz = known(series, "thermal_violation_ns"), known(series, "sm_mhz")
    median_mhz = float(np.median(mhz)) if mhz.size else None
    if slowed or (thermal.size and thermal[-1] > thermal[0]):
        return ", ".join(slowed) or "thermal violation", median_mhz
    if usual_mhz is not None and median_mhz is not None and median_mhz < MIN_CLOCK_SHARE * usual_mhz:
        return f"its clock fell from {usual_mhz:.0f} to {median_mhz:.0f} MHz", median_mhz
    return None, median_mhz


def gpu_flags(series: Series) -> tuple[Flag, ...]:
    """Apply the throttle rules to all that was sampled."""
    flags = []
    why, _ = gpu_slowed(series, None)
    if why is not None:
        seen = f"the GPU slowed down ({why})"
        flags.append(Flag(name="throttled", seen=seen, advice="let it cool down and run the timing jobs again"))
    capped = (known(series, "event_reasons").astype(np.int64) & POWER_CAP_BIT) > 0
    if capped.any():
        seen = f"the power limit held the clock down {100 * float(np.mean(capped)):.0f} % of the time"
        flags.append(
            Flag(name="power_capped", seen=seen, advice="compare it only with timings under the same power limit")
        )
    return tuple(flags)


def _cpu_state() -> dict[str, float]:
    state = {"load_1min": os.getloadavg()[0]}
    megahertz = [
        int(text) / 1e3
        for core in allowed_cores()
        if (text := text_of(f"/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq")) is not None
    ]
    if megahertz:
        state["mhz"] = sum(megahertz) / len(megahertz)
    temperature = text_of("/sys/class/thermal/thermal_zone0/temp")
    if temperature is not None:
        state["celsius"] = int(temperature) / 1e3
    pressure = text_of("/proc/pressure/cpu")
    if pressure is not None:
        state["pressure_some_us"] = float(pressure.splitlines()[0].rpartition("total=")[2])
    return state


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


def sample_gpu(
    nvml: ModuleType | Any,
    address: int | str,
    keep_on: Callable[[], bool],
    tell: Callable[[dict[str, float]], None] | None = None,
) -> Series:
    """Sample one GPU until `keep_on` says no; a question that is refused once is not asked again.

    Args:
        nvml: The module pynvml, or one that answers like it.
        address: NVML index or UUID of the GPU.
        keep_on: Waits one interval and tells whether to go on.
        tell: Gets each row as soon as it is read.
    """
    nvml.nvmlInit()
    try:
        by = nvml.nvmlDeviceGetHandleByIndex if isinstance(address, int) else nvml.nvmlDeviceGetHandleByUUID
        questions = gpu_questions(nvml, by(address))
        rows: list[dict[str, float]] = []
        while keep_on():
            row = {"monotonic_s": time.monotonic()}
            for name, question in list(questions.items()):
                try:
                    row[name] = float(question())
                except (nvml.NVMLError, AttributeError):
                    # Refused by the driver, or unknown to these bindings.
                    del questions[name]
            rows.append(row)
            if tell is not None:
                tell(row)
    finally:
        nvml.nvmlShutdown()
    return as_series(rows)


def _main() -> None:
    """The sampler's process: append a row per interval to a file until standard input closes."""
    try:
        import pynvml
    except ImportError:
        return

    def keep_on() -> bool:
        # Standard input never carries anything: it becomes readable only when the parent closes it or ends.
        return not select.select([sys.stdin], [], [], INTERVAL_S)[0]

    _leave_the_worker_its_cores()
    address = int(sys.argv[1]) if sys.argv[1].isdigit() else sys.argv[1]
    with Path(sys.argv[2]).open("a", encoding="ascii", buffering=1) as file, contextlib.suppress(pynvml.NVMLError):
        sample_gpu(pynvml, address, keep_on, lambda row: print(json.dumps(row), file=file))


def _leave_the_worker_its_cores() -> None:
    """Move to the cores that the worker, whose pinning is inherited, does not use; stay where there are no others."""
    if not hasattr(os, "sched_setaffinity"):
        return
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))  # The kernel keeps it to what this process may have.
    others = os.sched_getaffinity(0) - own
    os.sched_setaffinity(0, others or own)


if __name__ == "__main__":
    _main()
