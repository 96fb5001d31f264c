"""Tests what is recorded of the machine, by a driver that refuses some of its counters."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from bench.measure import telemetry as telemetry_module
from bench.measure.telemetry import Telemetry, gpu_flags, gpu_slowed, sample_gpu
from bench.records.names import harness_root


class Refused(Exception):
    """What pynvml raises."""


class ScriptedDriver:
    """Answers like pynvml for one GPU; `refused` names questions it does not answer."""

    NVMLError = Refused
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = "sm", "memory", 0
    NVML_PERF_POLICY_POWER, NVML_PERF_POLICY_THERMAL = "power", "thermal"

    def __init__(self, *refused: str, reasons: tuple[int, ...] = (0,)) -> None:
        self.refused, self.reasons = refused, list(reasons)
        self.asked: list[str] = []
        self.open = False

    def nvmlInit(self) -> None:
        self.open = True

    def nvmlShutdown(self) -> None:
        self.open = False

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        self.asked.append(f"GPU number {index}")
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        self.asked.append(f"GPU named {uuid}")
        return uuid

    def _answer(self, name: str, value: object) -> object:
        self.asked.append(name)
        if name in self.refused:
            raise Refused(name)
        return value

    def nvmlDeviceGetClockInfo(self, handle: int, clock: str) -> object:
        return self._answer(f"clock {clock}", {"sm": 1980, "memory": 2619}[clock])

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> object:
        return self._answer("temperature", 41)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> object:
        return self._answer("power", 512_000)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> object:
        return self._answer("utilisation", SimpleNamespace(gpu=97))

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> object:
        return self._answer("memory", SimpleNamespace(used=3 << 30))

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: int) -> object:
        return self._answer("reasons", self.reasons.pop(0) if len(self.reasons) > 1 else self.reasons[0])

    def nvmlDeviceGetViolationStatus(self, handle: int, policy: str) -> object:
        return self._answer(f"violation {policy}", SimpleNamespace(violationTime=7))

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> object:
        return self._answer("energy", 123_456)


def times(count: int) -> Callable[[], bool]:
    left = iter(range(count))
    return lambda: next(left, None) is not None


def test_a_gpu_is_asked_everything_once_per_interval():
    series = sample_gpu(ScriptedDriver(), 0, times(3))
    assert {name: list(values) for name, values in series.items() if name != "monotonic_s"} == {
        "sm_mhz": [1980.0] * 3,
        "memory_mhz": [2619.0] * 3,
        "celsius": [41.0] * 3,
        "power_mw": [512_000.0] * 3,
        "utilisation_percent": [97.0] * 3,
        "memory_used_bytes": [float(3 << 30)] * 3,
        "event_reasons": [0.0] * 3,
        "power_violation_ns": [7.0] * 3,
        "thermal_violation_ns": [7.0] * 3,
        "energy_mj": [123_456.0] * 3,
    }
    assert list(series["monotonic_s"]) == sorted(series["monotonic_s"])


def test_a_refused_counter_costs_that_counter_only_and_is_not_asked_again():
    driver = ScriptedDriver("temperature", "violation thermal")
    series = sample_gpu(driver, 0, times(4))
    assert "celsius" not in series
    assert "thermal_violation_ns" not in series
    assert len(series["power_mw"]) == 4
    assert (driver.asked.count("temperature"), driver.asked.count("power")) == (1, 4)


@pytest.mark.parametrize(("address", "asked"), [(3, "GPU number 3"), ("GPU-8932", "GPU named GPU-8932")])
def test_a_gpu_is_found_by_number_or_by_name(address, asked):
    driver = ScriptedDriver()
    sample_gpu(driver, address, times(0))
    assert driver.asked == [asked]


def test_bindings_that_lack_a_question_cost_that_counter_only(monkeypatch):
    monkeypatch.delattr(ScriptedDriver, "nvmlDeviceGetCurrentClocksEventReasons")
    series = sample_gpu(ScriptedDriver(), 0, times(2))
    assert "event_reasons" not in series
    assert list(series["energy_mj"]) == [123_456.0] * 2


def test_each_row_is_told_as_soon_as_it_is_read():
    told: list[dict[str, float]] = []
    sample_gpu(ScriptedDriver(), 0, lambda: len(told) < 2, told.append)
    assert [row["sm_mhz"] for row in told] == [1980.0, 1980.0]


def slowed(usual_mhz: float | None, **series: list[float]) -> str | None:
    arrays = {name: np.array(values, dtype=np.float64) for name, values in series.items()}
    return gpu_slowed(arrays, usual_mhz)[0]


def test_a_block_whose_clock_fell_by_more_than_a_twentieth_is_unfit():
    # The median counts: one slow sample in three is no finding.
    assert slowed(2000.0, sm_mhz=[1901, 1000, 1901]) is None
    assert slowed(2000.0, sm_mhz=[1899, 2000, 1899]) == "its clock fell from 2000 to 1899 MHz"


def test_the_first_block_has_no_usual_clock_to_fall_from():
    assert gpu_slowed({"sm_mhz": np.array([300.0])}, None) == (None, 300.0)


def test_heat_within_a_block_makes_it_unfit_whatever_the_clock():
    assert slowed(2000.0, sm_mhz=[2000], event_reasons=[0x40]) == "hardware thermal slowdown"
    assert slowed(2000.0, sm_mhz=[2000, 2000], thermal_violation_ns=[1, 2]) == "thermal violation"


def test_a_block_without_samples_is_not_blamed():
    assert slowed(2000.0) is None


# A driver for the sampler's own process: the module it imports as pynvml.
SLOWING_DRIVER = """
class NVMLError(Exception): pass
NVML_CLOCK_SM, NVML_CLOCK_MEM = 1, 2
asked = 0
def nvmlInit(): pass
def nvmlShutdown(): pass
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetClockInfo(handle, clock):
    global asked
    asked += 1
    return 2000 if asked <= 40 else 1500  # two questions a row
"""


def test_the_sampler_process_tells_of_a_clock_that_falls_while_it_still_runs(tmp_path, monkeypatch):
    (tmp_path / "pynvml.py").write_text(SLOWING_DRIVER)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{harness_root()}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    reasons: list[str | None] = []
    with Telemetry("cuda:0") as telemetry:
        end_s = time.monotonic() + 30
        while not any(reasons) and time.monotonic() < end_s:
            start_s = time.monotonic()
            time.sleep(0.2)
            reasons.append(telemetry.slowed(start_s, time.monotonic()))
    assert reasons[-1].startswith("its clock fell from 2000 to 1")
    telemetry.save(tmp_path / "telemetry.npz")
    with np.load(tmp_path / "telemetry.npz") as archive:
        assert set(archive["gpu_sm_mhz"]) == {2000.0, 1500.0}
        assert set(archive.files) == {"gpu_monotonic_s", "gpu_sm_mhz", "gpu_memory_mhz"}


def test_the_driver_is_let_go_when_sampling_breaks_off():
    driver = ScriptedDriver()

    def interrupted() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample_gpu(driver, 0, interrupted)
    assert not driver.open


def flag_names(**series: list[float]) -> list[str]:
    return [f.name for f in gpu_flags({n: np.array(values, dtype=np.float64) for n, values in series.items()})]


@pytest.mark.parametrize("bit", [0x08, 0x20, 0x40, 0x80])
def test_one_sample_of_a_slowdown_is_enough_to_flag(bit):
    assert flag_names(event_reasons=[0, 0, bit, 0]) == ["throttled"]


@pytest.mark.parametrize("bit", [0x00, 0x01, 0x02, 0x10])
def test_idle_and_chosen_clocks_are_no_throttling(bit):
    assert flag_names(event_reasons=[bit] * 4) == []


def test_a_growing_thermal_violation_is_throttling_and_an_old_one_is_not():
    assert flag_names(thermal_violation_ns=[5, 5, 9]) == ["throttled"]
    assert flag_names(thermal_violation_ns=[9, 9, 9]) == []


def test_a_power_cap_is_noted_with_its_share_of_the_time():
    (flag,) = gpu_flags({"event_reasons": np.array([4.0, 0.0, 4.0, 0.0])})
    assert (flag.name, flag.seen) == ("power_capped", "the power limit held the clock down 50 % of the time")


def test_samples_that_could_not_be_read_say_nothing():
    assert flag_names(event_reasons=[np.nan, np.nan], thermal_violation_ns=[np.nan]) == []
    assert gpu_flags({}) == ()


def test_a_sampled_slowdown_reaches_the_flags():
    assert gpu_flags(sample_gpu(ScriptedDriver(reasons=(0, 0x40, 0)), 0, times(3)))[0].name == "throttled"


def test_the_processor_is_read_at_each_edge_and_saved(tmp_path):
    with Telemetry("cpu") as telemetry:
        telemetry.mark()
        telemetry.mark()
    telemetry.save(tmp_path / "telemetry.npz")
    with np.load(tmp_path / "telemetry.npz") as archive:
        assert archive["cpu_monotonic_s"].shape == (2,)
        assert archive["cpu_monotonic_s"][1] >= archive["cpu_monotonic_s"][0]
        assert np.isfinite(archive["cpu_load_1min"]).all()
    assert telemetry.flags() == ()


def test_a_gpu_that_is_not_there_leaves_no_samples_and_no_process(tmp_path):
    # Index 99 exists nowhere; the sampler ends by itself and the measurement goes on.
    with Telemetry("cuda:99") as telemetry:
        telemetry.mark()
    telemetry.save(tmp_path / "telemetry.npz")
    with np.load(tmp_path / "telemetry.npz") as archive:
        assert [name for name in archive.files if name.startswith("gpu_")] == []


@pytest.mark.parametrize(("pinned", "moved_to"), [({0, 1}, {2, 3}), ({0, 1, 2, 3}, {0, 1, 2, 3})])
def test_the_sampler_leaves_the_worker_its_cores_where_there_are_others(monkeypatch, pinned, moved_to):
    now = [pinned]
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(now[-1]), raising=False)
    # The kernel keeps a process to the four cores that it may have.
    monkeypatch.setattr(
        os, "sched_setaffinity", lambda pid, cores: now.append({0, 1, 2, 3} & set(cores)), raising=False
    )
    telemetry_module._leave_the_worker_its_cores()
    assert now[-1] == moved_to
