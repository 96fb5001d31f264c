"""Describes what is measured beside latency: memory, energy and operations (`profile`), and load (`throughput`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from bench.records.base import Record

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
