"""Describes how a model did under load: `throughput.json`. Scenarios bear the names of MLPerf Inference's."""

from __future__ import annotations

from typing import Literal

from bench.records.base import RECORDS_VERSION, Record
from bench.records.protocol import Scenario

Ended = Literal["measured", "oom_device", "oom_host", "unsupported"]
"""This says how a measurement under load ended; running out of memory is a result."""

SweepEnd = Literal["gain", "largest_batch", "memory", "unsupported", "time"]
"""Why no larger batch was tried: too little gain, the suite's limit, memory full, refused, or too slow for `max_s`."""


class Rate(Record):
    """Images per second of batches that are pushed through; see `bench.measure.pipelined`.

    Attributes:
        images_per_s: All images over all seconds.
        low, high: 95 % interval by Student's t over blocks; None with one block.
        images, wall_s, blocks: Support of the rate: images, seconds and blocks.
        disturbed: True if other processes or the hypervisor used more than the protocol allows.
    """

    images_per_s: float
    low: float | None = None
    high: float | None = None
    images: int
    wall_s: float
    blocks: int
    disturbed: bool = False


class SweepPoint(Record):
    """One batch size.

    Attributes:
        batch_size: Images per `infer` call.
        ended: Way in which it ended; `measured` if it could be measured.
        reason: Reason why it could not be measured; empty where it was.
        rate: Images per second; None where it could not be measured.
        peak_device_bytes: Bytes of the device allocator with this batch size; None on a CPU.
        host_rss_peak_bytes: Bytes of the process with this batch size.
    """

    batch_size: int
    ended: Ended
    reason: str = ""
    rate: Rate | None = None
    peak_device_bytes: int | None = None
    host_rss_peak_bytes: int | None = None


class Sweep(Record):
    """Images per second by batch size.

    Attributes:
        points: Points in the order of measurement.
        chosen_batch: The last that was worth it; None if none could be measured.
        stopped_by: Reason why the sweep ended.
    """

    points: tuple[SweepPoint, ...]
    chosen_batch: int | None
    stopped_by: SweepEnd


class TailLatency(Record):
    """An upper bound of a percentile of latency by LoadGen's early stopping, or what it lacks.

    Attributes:
        percentile: The percentile, between 0 and 100.
        ms: Latency within which, with 99 % confidence, at least `percentile` % of all queries end; None with too few
            queries.
        queries: Number of queries.
        needed: Fewest queries that support the percentile.
        slower: Queries that were slower than `ms`.
    """

    percentile: float
    ms: float | None = None
    queries: int
    needed: int
    slower: int = 0

    @property
    def missing(self) -> str | None:
        """Return what a table says in place of the value; None where there is one."""
        return None if self.ms is not None else f"needs {self.needed} queries, has {self.queries}"


class Streamed(Record):
    """`single_stream` and `multi_stream`: the next query is asked when the last one is answered.

    Attributes:
        images_per_query: One, or the suite's `streams`.
        tail: The scenario's result.
        median_ms: Median latency of a query; None if none was answered.
        wall_s: Seconds of all queries.
        disturbed: True if other processes or the hypervisor used more than the protocol allows.
    """

    images_per_query: int
    tail: TailLatency
    median_ms: float | None
    wall_s: float
    disturbed: bool = False


class Offline(Record):
    """`offline`: all images are there from the start.

    Attributes:
        batch_size: The sweep's choice, or the target's without a sweep.
        rate: The scenario's result.
    """

    batch_size: int
    rate: Rate


class ServerTrial(Record):
    """Queries that arrive at random at one rate.

    Attributes:
        queries_per_s: Mean rate of arrivals.
        planned, answered: Queries; a trial ends as soon as more are over the bound than may be.
        over, allowed_over: Queries over the bound, and how many of those planned may be.
        passed: True if the bound holds at this rate.
        median_ms, percentile_ms: Upper nearest rank, from scheduled arrival to completion; None where the
            trial ended early, because those still in line would have been later.
        disturbed: True if other processes or the hypervisor used more than the protocol allows.
    """

    queries_per_s: float
    planned: int
    answered: int
    over: int
    allowed_over: int
    passed: bool
    median_ms: float | None = None
    percentile_ms: float | None = None
    disturbed: bool = False


class Served(Record):
    """`server`: the largest rate of Poisson arrivals at which the latency bound holds.

    Attributes:
        bound_ms, percentile: Bound on the latency, and the percentile that must stay within it.
        largest_batch: Most waiting queries that were answered together.
        resolution: The search ends when passing and failing rates are this close, relative.
        trials: Trials in the order they were made.
        queries_per_s: Largest rate that passed; None if none did.
        fails_at: Smallest rate that failed; None if none did.
        missing: Reason why there is no rate; None where there is one.
    """

    bound_ms: float
    percentile: float
    largest_batch: int
    resolution: float
    trials: tuple[ServerTrial, ...] = ()
    queries_per_s: float | None = None
    fails_at: float | None = None
    missing: str | None = None


class Loads(Record):
    """Everything a throughput job measured.

    Attributes:
        sweep, single_stream, multi_stream, offline, server: None where the suite does not ask for it, or
            it is among `refused`.
        refused: Scenario -> why it could not be measured.
    """

    records_version: int = RECORDS_VERSION
    sweep: Sweep | None = None
    single_stream: Streamed | None = None
    multi_stream: Streamed | None = None
    offline: Offline | None = None
    server: Served | None = None
    refused: dict[Scenario, str] = {}
