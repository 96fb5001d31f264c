"""Describes how jobs are timed, how long they may take, and what else is measured: memory, energy, operations, load."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, model_validator

from bench.records.base import Record

JobKind = Literal["train", "export", "predict", "time", "profile", "throughput"]
"""Kinds of work of a worker; `export` only where a target's runtime runs an exported model."""

PROTOCOL_ID = 1

Input = Literal["array", "file"]
"""Beginning of the timed path: at RGB arrays, or at the bytes of image files, both in host memory."""


DISTINCT_IMAGES = 64
"""Images that every measurement goes round, or all there are; the mask work of a model depends on the content."""


class Measurement(Record):
    """The timing protocol, as data: its digest is in every record.

    Defaults are the protocol's; `quick` shortens them and marks the result.

    Attributes:
        protocol: Id of the protocol.
        input: The form of the input at which the timed path begins; with `file` decoding is a stage of its own and part
            of end to end.
        quick: Shortened run, marked as such in every report.
        replicates: Fresh worker processes per case; 0 times nothing, which suites write as `measurement: none`.
            More and shorter ones tell more than fewer and longer ones: the process is what intervals count.
        images: Distinct images that are timed (or all there are).
        order_seed: Seed of the image order and of the order of cases within a block.
        warmup_min_iterations, warmup_min_s_cpu, warmup_min_s_cuda, warmup_window,
        warmup_tolerance, warmup_max_iterations, warmup_max_s: The warm-up rule.
        min_s, min_samples, median_half_width, percentiles, max_s: The stop rule of each process; the samples that a
            percentile takes are those of all.
        block_s: Length of an accepted-or-rejected block of samples, seconds.
        block_retries: Number of times that a disturbed block is measured again.
        busy_allowance: Measuring disturbed blocks again may take this share of the time that an undisturbed sampling
            takes; a machine that stays busy is then timed as it is, and flagged.
        pipelined_s: Length of the throughput pass; 0 leaves it out.
        audit_fraction: Share of the timed images whose predictions are kept and compared: four images at least, others
            in each process; 0 leaves this out.
    """

    protocol: int = PROTOCOL_ID
    input: Input = "array"
    quick: bool = False
    replicates: int = Field(default=6, ge=0, le=1000)
    images: int = Field(default=DISTINCT_IMAGES, ge=1)
    order_seed: int = 0
    warmup_min_iterations: int = Field(default=10, ge=1)
    warmup_min_s_cpu: float = Field(default=1.0, ge=0)
    warmup_min_s_cuda: float = Field(default=3.0, ge=0)
    warmup_window: int = Field(default=20, ge=2)
    warmup_tolerance: float = Field(default=0.02, gt=0)
    warmup_max_iterations: int = Field(default=200, ge=1)
    warmup_max_s: float = Field(default=30.0, gt=0)
    min_s: float = Field(default=5.0, ge=0)
    min_samples: int = Field(default=50, ge=1)
    median_half_width: float = Field(default=0.015, gt=0)
    percentiles: tuple[Annotated[float, Field(ge=0, le=100)], ...] = (50.0, 90.0, 95.0)
    max_s: float = Field(default=60.0, gt=0)
    block_s: float = Field(default=1.0, ge=0.001)
    block_retries: int = Field(default=3, ge=0)
    busy_allowance: float = Field(default=0.5, ge=0)
    pipelined_s: float = Field(default=1.0, ge=0)
    audit_fraction: float = Field(default=0.1, ge=0, le=1)

    def warm_up_s(self, device: str) -> float:
        """Least seconds of warm-up on a device, such as `cpu` or `cuda:1`."""
        return self.warmup_min_s_cpu if device.partition(":")[0] == "cpu" else self.warmup_min_s_cuda

    def samples_of_each(self, needed: int) -> int:
        """Samples that each process takes so that all have as many as needed."""
        return -(-needed // max(1, self.replicates))

    @property
    def times(self) -> bool:
        """Return whether anything is timed by it."""
        return self.replicates > 0


QUICK: dict[str, JsonValue] = {
    "quick": True,
    "replicates": 1,
    "warmup_max_s": 5.0,
    "min_s": 2.0,
    "min_samples": 64,
    "median_half_width": 0.05,
    "percentiles": [50.0, 90.0],
    "max_s": 8.0,
    "pipelined_s": 0.5,
}
"""The fields of the protocol that `quick: true` changes, with their values."""


class Timeouts(Record):
    """Wall-clock limits per job, seconds; at the limit the worker gets TERM, then KILL."""

    train_s: float = Field(default=3600.0, gt=0)
    export_s: float = Field(default=1800.0, gt=0)
    predict_s: float = Field(default=1800.0, gt=0)
    time_s: float = Field(default=600.0, gt=0)
    profile_s: float = Field(default=600.0, gt=0)
    throughput_s: float = Field(default=1800.0, gt=0)

    def of(self, kind: JobKind) -> float:
        """Limit of a kind of job, seconds."""
        return float(getattr(self, f"{kind}_s"))


# --------------------------------------------------------------------------- beside latency

Scenario = Literal["single_stream", "multi_stream", "server", "offline"]
"""MLPerf Inference's names: one query after the other; several images a query; Poisson arrivals; all at once."""


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _distinct(value: tuple[Scenario, ...]) -> tuple[Scenario, ...]:
    if len(set(value)) < len(value):
        raise ValueError(f"names a scenario twice: {list(value)}")
    return value


class Profile(Record):
    """A pass of its own for what timing must not be disturbed by.

    Attributes:
        memory: Peak bytes on the device and in the host's memory.
        energy: Joules per image above the idle machine, where a counter can be read.
        operations: Floating-point operations, parameters and activations of one forward pass.
        device_busy: Time that the device computes, without the gaps in which it waits for launches.
        energy_s: Length of the energy pass, seconds; at most as long as no counter wraps around twice.
        idle_s: Length of the idle baseline before it, seconds.
    """

    memory: bool = True
    energy: bool = True
    operations: bool = True
    device_busy: bool = True
    energy_s: float = Field(default=10.0, ge=2.0, le=120.0)
    idle_s: float = Field(default=5.0, ge=0.5, le=120.0)


class Throughput(Record):
    """State how a model is put under load.

    Attributes:
        scenarios: Names of the loads; see `Scenario`.
        sweep: Double the batch size until memory is full or two sizes in a row gain less than `sweep_gain`.
        sweep_gain: Least relative gain of images/s that is worth a larger batch.
        largest_batch: Batch size at which the sweep ends in any case.
        min_s, max_s: Least and most length of each measurement, seconds. A percentile takes a number of
            queries; where `max_s` ends them earlier the result says what is missing.
        streams: Images per query of `multi_stream`.
        latency_bound_ms, percentile: `server`: this percentile of its latencies must stay within the bound.
        server_batch: `server`: largest number of waiting queries that are answered together.
        server_resolution: `server`: relative distance between the largest rate that holds the bound and the smallest
            that does not, at which the search ends.
        seed: `server`: seed of the arrival times.
    """

    scenarios: Annotated[tuple[Scenario, ...], BeforeValidator(_listed), AfterValidator(_distinct)] = (
        "single_stream",
        "offline",
    )
    sweep: bool = True
    sweep_gain: float = Field(default=0.03, ge=0)
    largest_batch: int = Field(default=256, ge=1)
    min_s: float = Field(default=5.0, gt=0)
    max_s: float = Field(default=120.0, gt=0)
    streams: int = Field(default=8, ge=1, le=4096)
    latency_bound_ms: float = Field(default=100.0, gt=0)
    percentile: float = Field(default=99.0, gt=0, lt=100)
    server_batch: int = Field(default=1, ge=1)
    server_resolution: float = Field(default=0.05, gt=0, lt=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _max_s_is_not_below_min_s(self) -> Throughput:
        if self.max_s < self.min_s:
            raise ValueError(f"max_s ({self.max_s:g}) is below min_s ({self.min_s:g})")
        return self


class Cost(Record):
    """Hold what the machine costs, for the price of a million images.

    Attributes:
        price_per_hour: Price per hour in the currency.
        currency: Currency as it is to be shown, such as EUR.
    """

    price_per_hour: float = Field(gt=0)
    currency: str = "EUR"
