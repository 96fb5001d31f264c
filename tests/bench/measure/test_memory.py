"""Memory around a model: what was there before, what it added, and what a batch added to that."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from bench.measure.memory import MemoryPass, used_delta
from bench.measure.telemetry import Telemetry
from bench.records import MemoryUse, Missing, ProfileResult, explained
from bench.records.names import harness_root
from tests.bench.measure import scripted_gpu
from tests.bench.measure.scripted import ScriptedAdapter, ScriptedClock

MIB = 1 << 20


def adapter() -> ScriptedAdapter:
    return ScriptedAdapter(ScriptedClock())


IN_A_FRESH_PROCESS = """
import numpy as np
from bench.measure.memory import MemoryPass
from bench.measure.telemetry import Telemetry
from tests.bench.measure.test_memory import MIB, adapter

def mebibytes(count):
    # Taken and not only promised; large enough for pages of its own.
    return np.ones(count * MIB, dtype=np.uint8)

with Telemetry("cpu") as telemetry:
    memory = MemoryPass(telemetry, "cpu")
    model = mebibytes(96)
    memory.model_built(adapter())
    mebibytes(160)
    print(memory.result(adapter(), weights_bytes=model.nbytes, batches=2, batch_size=1).to_json())
"""


def test_the_model_s_memory_stays_and_the_batch_s_is_a_peak_above_it():
    # In a process of its own: memory that earlier tests freed would be taken again without a trace.
    environment = {**os.environ, "PYTHONPATH": str(harness_root())}
    told = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS], capture_output=True, text=True, check=True, env=environment
    )
    use = MemoryUse.model_validate_json(told.stdout)
    assert use.host_rss_model_bytes >= 90 * MIB
    assert use.host_rss_batch_bytes >= 150 * MIB
    assert use.host_rss_peak_bytes >= use.host_rss_before_bytes + 240 * MIB
    assert use.weights_bytes == 96 * MIB
    if use.peak_started_anew:
        assert use.host_rss_model_bytes < 128 * MIB
        assert use.host_rss_batch_bytes < 192 * MIB


def test_a_processor_has_no_device_memory_and_says_so():
    with Telemetry("cpu") as telemetry:
        memory = MemoryPass(telemetry, "cpu")
        memory.model_built(adapter())
        use = memory.result(adapter(), weights_bytes=None, batches=2, batch_size=1)
    assert (use.torch_peak_allocated_bytes, use.torch_peak_reserved_bytes, use.device_used_delta_bytes) == (None,) * 3
    assert use.missing["device_used_delta_bytes"] == "the device is the processor, which has no memory of its own"
    assert use.missing["weights_bytes"] == "the adapter tells none"


def test_a_gpu_s_memory_is_what_its_driver_saw_above_what_was_used_before(tmp_path, monkeypatch):
    load = scripted_gpu.install(tmp_path, monkeypatch)
    with Telemetry("cuda:0") as telemetry:
        memory = MemoryPass(telemetry, "cuda:0")
        load.touch()
        memory.model_built(adapter())
        use = memory.result(adapter(), weights_bytes=None, batches=2, batch_size=1)
    assert use.device_used_delta_bytes == scripted_gpu.LOADED_BYTES - scripted_gpu.IDLE_BYTES
    assert use.missing["torch_peak_reserved_bytes"].startswith("the adapter tells none")


def test_one_odd_sample_before_the_model_does_not_count():
    before = {"memory_used_bytes": np.array([2e9, 5e9, 2e9])}
    during = {"memory_used_bytes": np.array([2e9, 6e9, np.nan, 3e9])}
    assert used_delta(before, during) == 4_000_000_000


@pytest.mark.parametrize("series", [{}, {"power_mw": np.array([1.0])}, {"memory_used_bytes": np.array([np.nan])}])
def test_a_driver_that_does_not_tell_leaves_a_reason_and_no_number(series):
    assert isinstance(used_delta(series, series), Missing)


@pytest.mark.parametrize(
    "fields",
    [
        {"memory": None, "energy": None, "operations": None},
        {"memory": None, "energy": None, "operations": None, "missing": {"memory": "so", "energy": "so"}},
    ],
)
def test_a_null_without_a_reason_is_refused(fields):
    with pytest.raises(ValidationError, match="null without a reason"):
        ProfileResult(**fields)


def test_a_profile_of_before_busy_time_was_measured_is_read_and_says_so():
    old = ProfileResult(
        memory=None, energy=None, operations=None, missing=dict.fromkeys(("memory", "energy", "operations"), "x")
    )
    assert old.device_busy is None
    assert "did not measure it" in old.missing["device_busy"]


def test_a_profile_reads_back_as_it_was_written():
    parts = ("memory", "energy", "operations", "device_busy")
    result = ProfileResult(**explained(dict.fromkeys(parts, Missing("not asked"))))
    assert ProfileResult.from_json(result.to_json()) == result
