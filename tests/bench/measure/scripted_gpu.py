"""A driver for the sampler's own process: a GPU that draws and holds more while a file lies there."""

from __future__ import annotations

import os
from pathlib import Path

from bench.records.names import harness_root

IDLE_W, LOADED_W = 100, 300
IDLE_BYTES, LOADED_BYTES = 1 << 30, 3 << 30
DRIVER = f"""
import os, time
class NVMLError(Exception): pass
NVML_CLOCK_SM, NVML_CLOCK_MEM = 1, 2
last, joules = time.monotonic(), 0.0
def loaded(): return os.path.exists(os.environ["SCRIPTED_LOAD"])
def nvmlInit(): pass
def nvmlShutdown(): pass
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetTotalEnergyConsumption(handle):
    global last, joules
    now = time.monotonic()
    joules += ({LOADED_W} if loaded() else {IDLE_W}) * (now - last)
    last = now
    return round(joules * 1e3)
class nvmlDeviceGetMemoryInfo:
    def __init__(self, handle): self.used = {LOADED_BYTES} if loaded() else {IDLE_BYTES}
"""


def install(folder: Path, monkeypatch) -> Path:
    """Make the sampler find this driver; returns the file that stands for a load."""
    load = folder / "load"
    (folder / "pynvml.py").write_text(DRIVER)
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{harness_root()}")
    monkeypatch.setenv("SCRIPTED_LOAD", str(load))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return load
