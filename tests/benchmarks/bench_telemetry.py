"""Measures what the telemetry's own process costs, on an idle machine: `python tests/benchmarks/bench_telemetry.py`

Prints its CPU time while it samples at 20 Hz, in percent of one core (goal < 1): that of a long run
minus that of a short one, so that its start is not in it. It samples the first GPU where there is a driver; else a
scripted driver that answers at once, which leaves the sampler's own work.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.measure.gpus import visible_gpus
from bench.records.names import harness_root

SHORT_S = 2.0
DRIVER = """
import types
class NVMLError(Exception): pass
NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU, NVML_PERF_POLICY_POWER, NVML_PERF_POLICY_THERMAL = range(5)
def answer(*_): return 1
nvmlInit = nvmlShutdown = nvmlDeviceGetHandleByIndex = nvmlDeviceGetClockInfo = nvmlDeviceGetTemperature = answer
nvmlDeviceGetPowerUsage = nvmlDeviceGetCurrentClocksEventReasons = nvmlDeviceGetTotalEnergyConsumption = answer
def nvmlDeviceGetUtilizationRates(*_): return types.SimpleNamespace(gpu=1)
def nvmlDeviceGetMemoryInfo(*_): return types.SimpleNamespace(used=1)
def nvmlDeviceGetViolationStatus(*_): return types.SimpleNamespace(violationTime=1)
"""


def cpu_s(seconds: float, folder: Path, environment: dict[str, str]) -> tuple[float, int]:
    """CPU seconds of a sampler that runs so long, its start included, and the rows it wrote."""
    rows = folder / "rows.jsonl"
    rows.write_text("")
    command = [sys.executable, "-m", "bench.measure.telemetry", "0", str(rows)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as sampler:
        while not rows.stat().st_size:
            time.sleep(0.01)
        time.sleep(seconds)
        assert sampler.stdin is not None
        sampler.stdin.close()
        _, _, usage = os.wait4(sampler.pid, 0)
        sampler.returncode = 0  # waited for above, for the sake of its usage
    return usage.ru_utime + usage.ru_stime, len(rows.read_text().splitlines())


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what telemetry costs.")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the long run")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as scratch:
        folder, path = Path(scratch), [str(harness_root())]
        gpus = [gpu.name for gpu in visible_gpus()]
        if not gpus:
            (folder / "pynvml.py").write_text(DRIVER)
            path.insert(0, scratch)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"}
        short_s, few = cpu_s(SHORT_S, folder, environment)
        long_s, many = cpu_s(SHORT_S + seconds, folder, environment)
    share = (long_s - short_s) / seconds
    print(f"sampling {gpus[0] if gpus else 'a scripted driver'}: {(many - few) / seconds:.1f} rows per second")
    print(f"CPU time of the sampler: {100 * share:.2f} % of one core")


if __name__ == "__main__":
    main()
