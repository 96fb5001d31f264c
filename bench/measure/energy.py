"""Energy of a load above the idle machine: RAPL for processors, NVML for NVIDIA GPUs.

    joules per image = (mean power of the load − mean power of the idle machine) × seconds / images

A meter says what a piece of work drew; where no counter can be read there is no meter, but the reason.
Sources: Linux, Documentation/power/powercap/powercap.rst (energy_uj, max_energy_range_uj); nvml.h,
nvmlDeviceGetTotalEnergyConsumption and nvmlDeviceGetPowerUsage.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from bench.measure.devices import text_of
from bench.measure.telemetry import INTERVAL_S, Series, Telemetry, known
from bench.records import EnergyUse, Missing, explained

POWERCAP = Path("/sys/class/powercap")
MIN_S = 2.0
"""A shorter measurement would show the counters' own steps, of up to a tenth of a second."""


@dataclass(frozen=True)
class Drawn:
    """Hold what was drawn while some work was done."""

    seconds: float
    watts: float


class Meter(Protocol):
    """Reads power.

    Attributes:
        method: The counter, and the way in which it is read.
        covers: The parts of the machine whose energy it counts.
    """

    method: str
    covers: str

    def during(self, work: Callable[[], None]) -> Drawn | Missing:
        """Do some work and say what was drawn meanwhile."""
        ...


def energy_pass(
    meter: Meter,
    load: Callable[[], int],
    *,
    idle_s: float,
    warm_up: Callable[[], None],
    sleep: Callable[[float], None] = time.sleep,
) -> EnergyUse | Missing:
    """Measure the idle machine, then a load.

    Args:
        meter: Meter of the device.
        load: Predicts for some seconds, waits for the device, and returns the number of images.
        idle_s: Length of the idle baseline.
        warm_up: Predicts a little between the two, so that the load holds no first call.
        sleep: Function that waits during the idle baseline; `time.sleep` outside tests.
    """
    images = 0

    def loaded() -> None:
        nonlocal images
        images = load()

    idle = meter.during(lambda: sleep(idle_s))
    if isinstance(idle, Missing):
        return idle
    warm_up()
    drawn = meter.during(loaded)
    if isinstance(drawn, Missing):
        return drawn
    if drawn.seconds < MIN_S:
        return Missing(f"the load lasted {drawn.seconds:.2f} s; energy is measured over at least {MIN_S:g} s")
    joules = (drawn.watts - idle.watts) * drawn.seconds / images
    above = Missing("the load drew no more than the idle machine: something else was at work, or the counter is coarse")
    return EnergyUse(
        **explained({"joules_per_image": joules if joules > 0 else above}),
        method=meter.method,
        covers=meter.covers,
        idle_s=idle.seconds,
        idle_w=idle.watts,
        seconds=drawn.seconds,
        mean_w=drawn.watts,
        images=images,
    )


def open_meter(device: str, telemetry: Telemetry) -> Meter | Missing:
    """Return the meter of a target's device, or why there is none."""
    if device.startswith("cuda"):
        return open_gpu_meter(telemetry)
    if device == "cpu":
        return open_package_meter()
    return Missing(f"no energy counter of device {device} is known here")


# --------------------------------------------------------------------------- processors


class PackageMeter:
    """RAPL's counters of the processor packages, added up.

    Args:
        domains: Folders with `energy_uj` and `max_energy_range_uj`.
        clock: Seconds; `time.monotonic` outside tests.
    """

    method = "RAPL counters of the package domains, read before and after"
    covers = "the whole processor package, other processes included; not memory, GPU or power supply"

    def __init__(self, domains: Sequence[Path], clock: Callable[[], float] = time.monotonic) -> None:
        self._domains, self._clock = tuple(domains), clock
        self._ranges_uj = [_microjoules(domain / "max_energy_range_uj") for domain in self._domains]

    def during(self, work: Callable[[], None]) -> Drawn | Missing:
        """Do some work; a counter may start again from 0 once meanwhile, which takes it minutes."""
        start_s, before = self._clock(), self.microjoules()
        work()
        seconds, after = self._clock() - start_s, self.microjoules()
        used = [
            end - start if end >= start else end - start + full
            for start, end, full in zip(before, after, self._ranges_uj, strict=True)
        ]
        return Drawn(seconds, sum(used) / 1e6 / seconds)

    def microjoules(self) -> list[int]:
        """Return what each counter shows."""
        return [_microjoules(domain / "energy_uj") for domain in self._domains]


def open_package_meter(folder: Path = POWERCAP) -> PackageMeter | Missing:
    """Return the meter of all processor packages, or why there is none.

    Args:
        folder: Folder of the kernel's power-capping zones. `intel-rapl:<n>` is one, on AMD's processors too;
            a package is called `package-<n>`, and its parts, `intel-rapl:<n>:<m>`, are counted in it.
    """
    zones = [zone for zone in sorted(folder.glob("intel-rapl:*")) if re.fullmatch(r"intel-rapl:\d+", zone.name)]
    domains = [zone for zone in zones if (text_of(zone / "name") or "").startswith("package-")]
    if not domains:
        return Missing(
            f"{folder} shows no energy counter of a processor package (RAPL): a virtual machine, a container or a "
            "processor without one"
        )
    try:
        meter = PackageMeter(domains)
        meter.microjoules()
    except PermissionError as error:
        return Missing(
            f"{error.filename} may be read by root only; allow it with: sudo chmod a+r {folder}/intel-rapl:*/energy_uj"
        )
    except (OSError, ValueError) as error:
        return Missing(f"the energy counters of the processor (RAPL) cannot be read: {error}")
    return meter


def _microjoules(file: Path) -> int:
    return int(file.read_text(encoding="ascii"))


# --------------------------------------------------------------------------- GPUs


class GpuMeter:
    """Hold what the driver tells of one GPU, sampled by the telemetry's own process.

    Args:
        telemetry: Entered.
        counter: True reads the energy counter; False integrates power.
        clock: Clock as the sampler's; `time.monotonic` outside tests.
    """

    covers = "the whole GPU board, other processes included; not the host"

    def __init__(self, telemetry: Telemetry, *, counter: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._telemetry, self._counter, self._clock = telemetry, counter, clock
        rate = f"{1 / INTERVAL_S:g} Hz"
        self.method = (
            f"NVML total energy counter, sampled at {rate}"
            if counter
            else f"NVML power, integrated over samples at {rate}: the driver refuses the energy counter"
        )

    def during(self, work: Callable[[], None]) -> Drawn | Missing:
        """Do some work; its power is that between the first and the last sample within."""
        start_s = self._clock()
        work()
        end_s = self._clock()
        watts = mean_watts(self._telemetry.gpu_samples(start_s, end_s), counter=self._counter)
        return Missing("the GPU was sampled less than twice") if watts is None else Drawn(end_s - start_s, watts)


def open_gpu_meter(telemetry: Telemetry) -> GpuMeter | Missing:
    """Return the meter of the telemetry's GPU by the best counter that is not refused, or why there is none."""
    telemetry.wait_for_gpu()
    told = telemetry.gpu_samples(0.0, time.monotonic())
    if known(told, "energy_mj").size:
        return GpuMeter(telemetry, counter=True)
    if known(told, "power_mw").size:
        return GpuMeter(telemetry, counter=False)
    return Missing("the driver (NVML) tells neither energy nor power of this GPU; see with: bench doctor")


def mean_watts(samples: Series, *, counter: bool) -> float | None:
    """Return the mean power over samples of `bench.measure.telemetry`; None for fewer than two.

    Args:
        samples: `monotonic_s`, and `energy_mj` or `power_mw`.
        counter: Use the difference of the energy counter; else integrate power by the trapezoidal rule.
            Since Ampere, but for GA100, the driver's power is itself a mean over one second (nvml.h).
    """
    name = "energy_mj" if counter else "power_mw"
    values = samples.get(name, np.array([]))
    there = ~np.isnan(values)
    if there.sum() < 2:
        return None
    values, times = values[there] / 1e3, samples["monotonic_s"][there]
    seconds = float(times[-1] - times[0])
    joules = values[-1] - values[0] if counter else np.sum((values[1:] + values[:-1]) / 2 * np.diff(times))
    return float(joules) / seconds
