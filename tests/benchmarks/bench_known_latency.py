"""Measures models of known latency: 5 ms, 20 ms, and both modes of 10/20 ms must be timed right to 2 %.

    python tests/benchmarks/bench_known_latency.py [--seconds 5]

Run it on an idle machine. The fakes wait by the clock, so their latency is known to some microseconds;
what is compared is the median that the protocol measures in this process. Printed are the true and
the measured milliseconds of the whole and of each stage. Exit code 1 if one is more than 2 % off.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.fake.adapter import Adapter
from bench.data.formats.by_name import open_dataset
from bench.measure.telemetry import Telemetry
from bench.measure.timing import time_model
from bench.records import DatasetSpec, Job, Measurement, Target, TaskSpec
from bench.records.predictions import RgbImage
from bench.records.store.samples import END_TO_END, STAGED, STAGES, Samples
from bench.suite.model_configs import resolve_model

TOLERANCE = 0.02
BIMODAL_BOUNDARY_MS = 15.0


@dataclass(frozen=True)
class Line:
    """One comparison, in milliseconds."""

    what: str
    true: float
    measured: NDArray[np.float64]

    @property
    def error(self) -> float:
        return float(np.median(self.measured)) / self.true - 1


class Shapes:
    """Small images without their ground truth."""

    def __init__(self) -> None:
        self._dataset = open_dataset("shapes", {"preset": "easy", "size": [64, 64], "test": 64})
        self.ids = tuple(self._dataset.ids("test"))
        self.classes = self._dataset.classes

    def image(self, image_id: str) -> RgbImage:
        return self._dataset.image(image_id)


def measured(config: str, images: Shapes, seconds: float) -> Samples:
    """Time one fake by the protocol, shortened, in this process."""
    model = resolve_model(f"fake/{config}", label=None, options={}, weights=None)
    job = Job(
        kind="time",
        key="",
        key_parts={},
        case_id=config,
        model=model,
        dataset=DatasetSpec(name="shapes", label="shapes"),
        task=TaskSpec(kind="semantic", classes=images.classes),
        target=Target(threads=1),
        measurement=Measurement(quick=True, min_s=seconds, max_s=3 * seconds, pipelined_s=0.0),
        dataset_fingerprint="",
        harness_root="",
        adapters_root="",
    )
    adapter = Adapter()
    adapter.build(model, job.task, job.target, None)
    with Telemetry("cpu") as telemetry:
        timed = time_model(adapter, images, job, telemetry)
    for doubt in (*timed.flags, *timed.invalid):
        print(f"{config}: {doubt}")
    return timed.samples


def lines(config: str, stages_ms: tuple[float, float, float], images: Shapes, seconds: float) -> list[Line]:
    samples = measured(config, images, seconds)
    found = [Line(f"{config} end to end", sum(stages_ms), samples.total_ns[samples.usable(END_TO_END)] / 1e6)]
    by_stage = samples.stage_ns[samples.usable(STAGED)] / 1e6
    return found + [
        Line(f"{config} {stage}", true, by_stage[:, k])
        for k, (stage, true) in enumerate(zip(STAGES, stages_ms, strict=True))
    ]


def bimodal_lines(images: Shapes, seconds: float) -> list[Line]:
    samples = measured("bimodal", images, seconds)
    total = samples.total_ns[samples.usable(END_TO_END)] / 1e6
    return [
        Line("bimodal, fast mode", 10.0, total[total < BIMODAL_BOUNDARY_MS]),
        Line("bimodal, slow mode", 20.0, total[total >= BIMODAL_BOUNDARY_MS]),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Time models of known latency.")
    parser.add_argument("--seconds", type=float, default=5.0, help="least seconds of sampling per model")
    seconds = parser.parse_args().seconds
    images = Shapes()
    table = [
        *lines("slow_5ms", (1.0, 3.0, 1.0), images, seconds),
        *lines("slow_20ms", (2.0, 15.0, 3.0), images, seconds),
        *bimodal_lines(images, seconds),
    ]
    print(f"{'':<24}{'true ms':>10}{'median ms':>12}{'error':>9}{'samples':>10}")
    for line in table:
        missed = "" if abs(line.error) <= TOLERANCE else "  MISSED"
        print(
            f"{line.what:<24}{line.true:>10.1f}{np.median(line.measured):>12.4f}{line.error:>9.2%}"
            f"{len(line.measured):>10}{missed}"
        )
    return int(any(abs(line.error) > TOLERANCE for line in table))


if __name__ == "__main__":
    raise SystemExit(main())
