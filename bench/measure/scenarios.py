"""The four scenarios of MLPerf Inference, under their names, with the early stopping of its LoadGen.

* `single_stream`: the next query is asked when the last one is answered; an image each; 90th percentile.
* `multi_stream`: the same with several images a query; 99th percentile.
* `offline`: all images are there from the start; images per second.
* `server`: queries of an image arrive at random (a Poisson process) and wait in one line. A latency runs
  from the moment a query was due to its completion, whether or not anybody was free to take it then:
  a slow answer delays those behind it and all of them count. The result is the largest rate at which a
  percentile stays within a bound.

No clock of their own: `UnderLoad` brings `clock` and `wait`, so that tests run on a simulated one.

Source: mlcommons/inference @ b66003e1, `loadgen/test_settings.h` (scenarios), `loadgen/results.cc`
(percentiles). Coordinated omission: G. Tene, How NOT to Measure Latency (2013).
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.measure.stages import Clock
from bench.measure.sweep import measure_rate
from bench.measure.under_load import UnderLoad, Wait, watched
from bench.records import Throughput
from bench.records.throughput import Offline, Served, ServerTrial, Streamed
from bench.score.stats.percentiles import allowed_over, as_fraction, samples_needed, tail_latency

SINGLE_STREAM_PERCENTILE = 90.0
MULTI_STREAM_PERCENTILE = 99.0

ALONE = 11
"""Queries that are asked alone before `server`, for where to begin: the fewest that support a median."""

FIRST_LOAD = 0.5
"""Share of the rate at which a model without pauses would answer, tried first."""


def stream(model: UnderLoad, asked: Throughput, images_per_query: int, percent: float, *, name: str) -> Streamed:
    """Ask one query after the other, for `min_s` and until the percentile is supported, or for `max_s`.

    Args:
        model: Model with its images.
        asked: Length of the measurement, with the other settings of the load.
        images_per_query: Images that come, and are predicted, together.
        percent: Percent of the result.
        name: Name of the raw latencies, `<name>_ns`.
    """
    model.warm_up(images_per_query)
    latencies: list[int] = []
    needed, start = samples_needed(percent), model.clock()
    with watched() as watch:
        while (elapsed_s := (model.clock() - start) / 1e9) < asked.max_s:
            if elapsed_s >= asked.min_s and len(latencies) >= needed:
                break
            latencies.append(_timed(model, len(latencies) * images_per_query, images_per_query))
    model.raw[f"{name}_ns"] = np.array(latencies, dtype=np.int64)
    return Streamed(
        images_per_query=images_per_query,
        tail=tail_latency(latencies, percent),
        median_ms=median(latencies) / 1e6 if latencies else None,
        wall_s=(model.clock() - start) / 1e9,
        disturbed=watch.disturbed,
    )


def _timed(model: UnderLoad, first: int, size: int) -> int:
    asked = model.clock()
    model.answer(first, size)
    return model.clock() - asked


def offline(model: UnderLoad, asked: Throughput, batch_size: int) -> Offline:
    """Push all images through in batches of one size, measured anew: the best of a sweep flatters itself."""
    return Offline(batch_size=batch_size, rate=measure_rate(model, batch_size, asked, name="offline"))


def server(model: UnderLoad, asked: Throughput) -> Served:
    """Search the largest rate of random arrivals at which the latency bound holds.

    Each trial has as many queries as fill `min_s`, and at least as many as the percentile needs. All trials draw
    from one stream of gaps between arrivals, stretched to the rate, so that no query waits longer at a lower one.
    """
    for size in range(1, asked.server_batch + 1):
        model.warm_up(size)
    alone_s = median(_timed(model, number, 1) for number in range(ALONE)) / 1e9
    unanswered = Served(
        bound_ms=asked.latency_bound_ms,
        percentile=asked.percentile,
        largest_batch=asked.server_batch,
        resolution=asked.server_resolution,
    )
    if alone_s * 1e3 > asked.latency_bound_ms:
        seen = f"a query alone takes {alone_s * 1e3:.3g} ms (median of {ALONE}), more than the bound"
        return unanswered.model_copy(update={"missing": seen})
    slowest = samples_needed(asked.percentile, above=0) / asked.max_s
    trials: list[ServerTrial] = []

    def passes(rate: float) -> bool:
        trials.append(_trial(model, asked, rate, number=len(trials)))
        return trials[-1].passed

    found = _bracket(passes, max(FIRST_LOAD / alone_s, slowest), asked.server_resolution, slowest)
    missing = None
    if found.low is None:
        failed = f"the bound did not hold at {found.high:.3g} queries/s"
        missing = f"{failed}; at half of that max_s ends before it can be told"
    return unanswered.model_copy(
        update={"trials": tuple(trials), "queries_per_s": found.low, "fails_at": found.high, "missing": missing}
    )


class _Bracket(NamedTuple):
    """The largest rate that passed and the smallest that failed, per second."""

    low: float | None
    high: float | None


def _bracket(passes: Callable[[float], bool], first: float, resolution: float, slowest: float) -> _Bracket:
    """Double or halve a rate until there is one that passed and one that failed, then bisect.

    Ends when they are close, or where a rate would be below `slowest`.
    """
    low: float | None = None
    high: float | None = None
    rate = first
    while rate >= slowest:
        if passes(rate):
            low = rate
        else:
            high = rate
        if low is not None and high is not None and high - low <= resolution * high:
            break
        rate = rate / 2 if low is None else 2 * rate if high is None else (low + high) / 2
    return _Bracket(low, high)


def _trial(model: UnderLoad, asked: Throughput, rate: float, *, number: int) -> ServerTrial:
    planned = _planned(rate, asked)
    gaps = np.random.default_rng(asked.seed).exponential(1e9 / rate, planned)
    arrivals_ns = gaps.cumsum().astype(np.int64)
    allowed = allowed_over(planned, asked.percentile)
    assert allowed is not None  # planned so
    with watched() as watch:
        latencies = serve(
            arrivals_ns,
            model.answer,
            largest_batch=asked.server_batch,
            bound_ns=round(asked.latency_bound_ms * 1e6),
            allowed_over=allowed,
            clock=model.clock,
            wait=model.wait,
        )
    model.raw |= {f"server_{number}_ns": latencies, f"server_{number}_arrivals_ns": arrivals_ns}
    over = int((latencies > asked.latency_bound_ms * 1e6).sum())
    whole = len(latencies) == planned
    return ServerTrial(
        queries_per_s=rate,
        planned=planned,
        answered=len(latencies),
        over=over,
        allowed_over=allowed,
        passed=over <= allowed,
        median_ms=_nearest_rank_ms(latencies, 50.0) if whole else None,
        percentile_ms=_nearest_rank_ms(latencies, asked.percentile) if whole else None,
        disturbed=watch.disturbed,
    )


def _nearest_rank_ms(latencies: NDArray[np.int64], percent: float) -> float:
    rank = int(len(latencies) * as_fraction(percent))
    return float(np.partition(latencies, rank)[rank]) / 1e6


def _planned(rate: float, asked: Throughput) -> int:
    """Queries of a trial: enough for the percentile with one over it and for `min_s`, if `max_s` has time for them.

    With few queries one over the bound too many fails a rate that would hold; with none over, fewer are enough.
    """
    fewest = samples_needed(asked.percentile, above=0)
    wanted = max(samples_needed(asked.percentile), int(rate * asked.min_s))
    return max(fewest, min(wanted, int(rate * asked.max_s)))


def serve(
    arrivals_ns: NDArray[np.int64],
    answer: Callable[[int, int], None],
    *,
    largest_batch: int,
    bound_ns: int,
    allowed_over: int,
    clock: Clock,
    wait: Wait,
) -> NDArray[np.int64]:
    """Answer queries as they come, first come first served, and return their latencies.

    Args:
        arrivals_ns: Nanoseconds from the start until each query is due, rising, shape (n,).
        answer: Answers the given number of queries from a number on, together; returns when they are done.
        largest_batch: Most waiting queries that are answered together.
        bound_ns: Ends when more than `allowed_over` queries were over this latency.
        allowed_over: Queries that may be over it.
        clock, wait: Nanoseconds.

    Returns:
        Completion minus due time of the queries answered, in order, nanoseconds, shape (m,), m <= n.
    """
    latencies = np.zeros(len(arrivals_ns), dtype=np.int64)
    start, first, over = clock(), 0, 0
    while first < len(arrivals_ns) and over <= allowed_over:
        ahead = int(arrivals_ns[first]) - (clock() - start)
        if ahead > 0:
            wait(ahead)
        due = int(np.searchsorted(arrivals_ns, clock() - start, side="right"))
        count = min(max(1, due - first), largest_batch)
        answer(first, count)
        done = clock() - start
        latencies[first : first + count] = done - arrivals_ns[first : first + count]
        over += int((latencies[first : first + count] > bound_ns).sum())
        first += count
    return latencies[:first]
