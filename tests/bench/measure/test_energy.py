"""Energy above the idle machine, from counters that are scripted."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from bench.measure.energy import (
    Drawn,
    GpuMeter,
    PackageMeter,
    energy_pass,
    mean_watts,
    open_gpu_meter,
    open_meter,
    open_package_meter,
)
from bench.measure.telemetry import Telemetry, sample_gpu
from bench.records import EnergyUse, Missing
from tests.bench.measure import scripted_gpu
from tests.bench.measure.test_telemetry import ScriptedDriver, times

RANGE_UJ = 1_000_000_000


class Package:
    """A processor package whose counter and clock move when work is done."""

    def __init__(self, folder: Path, number: int = 0, name: str | None = None, start_uj: int = 0) -> None:
        self.zone = folder / f"intel-rapl:{number}"
        self.zone.mkdir(parents=True)
        (self.zone / "name").write_text(f"{name or f'package-{number}'}\n")
        (self.zone / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
        self.now_s, self.uj = 0.0, start_uj
        self.show()

    def show(self) -> None:
        (self.zone / "energy_uj").write_text(f"{self.uj % RANGE_UJ}\n")

    def draw(self, seconds: float, watts: float) -> None:
        self.now_s += seconds
        self.uj += round(seconds * watts * 1e6)
        self.show()

    def meter(self) -> PackageMeter:
        return PackageMeter([self.zone], clock=lambda: self.now_s)


def measured(package: Package, *, idle_w: float, load_w: float, seconds: float = 10.0, images: int = 40):
    """The pass on a machine that draws so much; warming up draws a lot and must not count."""

    def load() -> int:
        package.draw(seconds, load_w)
        return images

    return energy_pass(
        package.meter(),
        load,
        idle_s=5.0,
        warm_up=lambda: package.draw(3.0, 900.0),
        sleep=lambda idle_s: package.draw(idle_s, idle_w),
    )


def test_what_the_idle_machine_draws_is_taken_off(tmp_path):
    use = measured(Package(tmp_path), idle_w=10.0, load_w=30.0)
    # (30 - 10) W x 10 s / 40 images
    assert use.joules_per_image == pytest.approx(5.0)
    assert use.images_per_joule == pytest.approx(0.2)
    assert (use.idle_w, use.idle_s) == (pytest.approx(10.0), 5.0)
    assert (use.mean_w, use.seconds, use.images) == (pytest.approx(30.0), 10.0, 40)
    assert "RAPL" in use.method
    assert "other processes included" in use.covers


def test_a_pass_under_two_seconds_is_refused(tmp_path):
    refused = measured(Package(tmp_path), idle_w=10.0, load_w=30.0, seconds=1.9)
    assert refused == Missing("the load lasted 1.90 s; energy is measured over at least 2 s")


def test_a_load_that_draws_no_more_than_the_idle_machine_has_no_energy_per_image(tmp_path):
    use = measured(Package(tmp_path), idle_w=30.0, load_w=30.0)
    assert (use.joules_per_image, use.images_per_joule) == (None, None)
    assert "no more than the idle machine" in use.missing["joules_per_image"]
    assert use.mean_w == pytest.approx(30.0)


def test_a_counter_that_starts_again_is_carried_over(tmp_path):
    package = Package(tmp_path, start_uj=RANGE_UJ - 1_000_000)
    # From 999 J by 3 J: the counter of 1000 J then shows 2 J.
    drawn = package.meter().during(lambda: package.draw(1.5, 2.0))
    assert (package.zone / "energy_uj").read_text() == "2000000\n"
    assert drawn == Drawn(1.5, pytest.approx(2.0))


def test_packages_are_added_up_and_their_parts_and_the_platform_left_out(tmp_path):
    packages = [Package(tmp_path, 0), Package(tmp_path, 1)]
    others = [Package(tmp_path, 2, name="psys")]
    inner = tmp_path / "intel-rapl:0:0"
    inner.mkdir()
    (inner / "name").write_text("package-0\n")

    def work() -> None:
        packages[0].draw(1.0, 10.0)
        packages[1].draw(1.0, 7.0)
        others[0].draw(1.0, 100.0)

    meter = open_package_meter(tmp_path)
    assert isinstance(meter, PackageMeter)
    drawn = meter.during(work)
    assert drawn.watts * drawn.seconds == pytest.approx(17.0)


def test_a_machine_without_counters_says_so(tmp_path):
    missing = open_package_meter(tmp_path / "powercap")
    assert missing.reason.startswith(f"{tmp_path / 'powercap'} shows no energy counter of a processor package")


def test_counters_for_root_only_come_with_the_command_that_opens_them(tmp_path, monkeypatch):
    package = Package(tmp_path)
    read = Path.read_text

    def for_root_only(path: Path, *arguments, **settings) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, *arguments, **settings)

    monkeypatch.setattr(Path, "read_text", for_root_only)
    missing = open_package_meter(tmp_path)
    assert missing.reason.startswith(
        f"{package.zone / 'energy_uj'} may be read by root only; allow it with: sudo chmod"
    )


def test_a_counter_that_cannot_be_read_has_its_reason(tmp_path):
    (Package(tmp_path).zone / "energy_uj").unlink()
    assert "cannot be read" in open_package_meter(tmp_path).reason


def test_a_device_without_a_known_counter_says_so():
    assert open_meter("mps", Telemetry("cpu")) == Missing("no energy counter of device mps is known here")


# --------------------------------------------------------------------------- GPUs


class Sampled(Telemetry):
    """Telemetry that has already sampled."""

    def __init__(self, *refused: str, rows: int = 3) -> None:
        super().__init__("cpu")
        self._series = sample_gpu(ScriptedDriver(*refused), 0, times(rows))

    def gpu_samples(self, start_s, end_s):
        return self._series


def test_the_energy_counter_is_preferred_to_power():
    meter = open_gpu_meter(Sampled())
    assert isinstance(meter, GpuMeter)
    assert meter.method == "NVML total energy counter, sampled at 20 Hz"


def test_power_is_integrated_where_the_energy_counter_is_refused():
    meter = open_gpu_meter(Sampled("energy"))
    assert meter.method.startswith("NVML power, integrated over samples at 20 Hz")
    assert meter.during(lambda: None).watts == pytest.approx(512.0)


def test_a_gpu_that_tells_neither_has_no_meter():
    assert open_gpu_meter(Sampled("energy", "power")).reason.startswith("the driver (NVML) tells neither")


def test_fewer_than_two_samples_are_no_measurement():
    assert isinstance(open_gpu_meter(Sampled(rows=1)).during(lambda: None), Missing)


def test_the_counter_s_mean_power_is_its_growth_over_the_time_between_samples():
    samples = {"monotonic_s": np.array([0.0, 1.0, 2.0, 4.0]), "energy_mj": np.array([np.nan, 5e3, 9e3, 65e3])}
    # 60 J in 3 s; the first sample was refused.
    assert mean_watts(samples, counter=True) == pytest.approx(20.0)


def test_power_is_weighed_by_the_time_between_samples():
    samples = {"monotonic_s": np.array([0.0, 1.0, 4.0]), "power_mw": np.array([1e3, 3e3, 3e3])}
    # 2 J in the first second, 9 J in the next three.
    assert mean_watts(samples, counter=False) == pytest.approx(11 / 4)


@pytest.mark.slow
def test_energy_of_a_gpu_is_read_by_the_sampler_s_own_process(tmp_path, monkeypatch):
    load = scripted_gpu.install(tmp_path, monkeypatch)

    def loaded() -> int:
        time.sleep(2.1)
        return 10

    with Telemetry("cuda:0") as telemetry:
        meter = open_meter("cuda:0", telemetry)
        assert isinstance(meter, GpuMeter)
        use = energy_pass(meter, loaded, idle_s=0.5, warm_up=load.touch)
    assert isinstance(use, EnergyUse)
    assert use.idle_w == pytest.approx(scripted_gpu.IDLE_W, rel=0.1)
    assert use.mean_w == pytest.approx(scripted_gpu.LOADED_W, rel=0.1)
    assert use.joules_per_image == pytest.approx((use.mean_w - use.idle_w) * use.seconds / 10)
