"""Summarises the raw samples of a case's timing jobs.

Three clocks, never mixed: `end_to_end` (the headline: latency of one request), `staged` (where the
time goes; the extra is the synchronisation overhead) and `device` (time the device was busy with
`infer`). Throughput is a pass of its own, not 1 / latency. Samples of all processes are pooled for
a value; its interval is over processes, of which it takes two. No sample is removed.

Source: the measurement protocol, `bench/README.md`; each formula is cited in the module it is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import AliasChoices, Field

from bench.records import Flag, Measurement, Record
from bench.records.protocol import Input
from bench.records.store.samples import DECODE, END_TO_END, STAGED, STAGES, Samples
from bench.score.stats.intervals import variance_components
from bench.score.stats.percentiles import percentile
from bench.score.stats.processes import latency_draws, latency_interval
from bench.score.stats.stop_rule import unmet_conditions
from bench.score.stats.trend import outliers, trend_of_processes

_NS_PER_MS = 1e6


class Timing(Record):
    """A percentile of one clock, with its 95 % interval and what supports it.

    Attributes:
        percentile: The percentile, between 0 and 100.
        ms_per_batch, ms_per_batch_low, ms_per_batch_high: Latency of a whole batch and its interval, that of a single
            process saying nothing of others.
        ms_per_image, ms_per_image_low, ms_per_image_high: The same divided by the batch size.
        samples: Batches there are.
        samples_needed: Batches the percentile takes.
        missing: Reason why the values are None; None where they are not.
    """

    percentile: float
    ms_per_batch: float | None = None
    ms_per_batch_low: float | None = None
    ms_per_batch_high: float | None = None
    ms_per_image: float | None = None
    ms_per_image_low: float | None = None
    ms_per_image_high: float | None = None
    samples: int
    samples_needed: int
    missing: str | None = None


class Spread(Record):
    """A number measured once per process: the median over processes and its range (not an interval)."""

    median: float
    low: float
    high: float


class Outliers(Record):
    """Samples far from the median, all of them kept.

    Attributes:
        samples: End-to-end samples.
        count: Further than 14.826 median absolute deviations from their process's median.
        after_switch: Number of these with an involuntary context switch during the sample.
        after_fault: Number of these with a major page fault during the sample.
        explained: Number of these with either.
    """

    samples: int
    count: int
    after_switch: int
    after_fault: int
    explained: int


class LatencySummary(Record):
    """The latency of one case.

    Attributes:
        quick: True if it was measured by the shortened protocol.
        replicates: Number of timing processes.
        batch_size: Images per batch.
        images: Distinct images timed.
        input: The form of the input at which the timed path began.
        end_to_end: The protocol's percentiles of the headline clock.
        stages: Stage -> median of the staged clock, `decode` among them where the path began at files; empty
            without staged samples.
        stage_tails: Stage -> highest percentile of the protocol, staged clock; empty where that is the median.
        staged_total: Median of the sum of the stages.
        sync_overhead: (sum of stages - end to end) / end to end, of medians.
        device_infer: Median time of `infer` between two events on the device, with the gaps in which the device waits
            for launches; None without device events.
        images_per_s: Throughput of a pass without waiting in between, see `bench.measure.pipelined`.
        first_call_ms: The first batch ever, end to end: it pays for compilation and caches.
        decode_ms_per_image: Reading or drawing an image before anything was timed.
        outliers: Outliers, counted and explained.
        blocks, blocks_rejected: Blocks of all processes: those that were sampled, and those of them that were rejected.
        between_variance_ms2, within_variance_ms2: Variance between and within processes of the end-to-end samples, ms²;
            None for one process.
        doubts: Flags that a verdict must take into account.
    """

    quick: bool
    replicates: int
    batch_size: int
    images: int
    input: Input = "array"
    end_to_end: tuple[Timing, ...]
    stages: dict[str, Timing]
    stage_tails: dict[str, Timing]
    staged_total: Timing | None
    sync_overhead: float | None = Field(validation_alias=AliasChoices("sync_overhead", "sync_tax"))  # before 0.3
    device_infer: Timing | None
    images_per_s: Spread | None
    first_call_ms: Spread | None
    decode_ms_per_image: Spread | None
    outliers: Outliers
    blocks: int
    blocks_rejected: int
    between_variance_ms2: float | None
    within_variance_ms2: float | None
    doubts: tuple[Flag, ...]

    def end_to_end_at(self, percent: float) -> Timing | None:
        """Return the timing of a percentile, None if the protocol did not ask for it."""
        return next((timing for timing in self.end_to_end if timing.percentile == percent), None)


def summarise_latency(samples: Sequence[Samples], measurement: Measurement, seed: int) -> LatencySummary:
    """Summarise the raw samples of a case.

    Args:
        samples: Raw samples, one per process (replicate), at least one.
        measurement: The protocol they were taken by.
        seed: Seed of the bootstrap.
    """
    batch_size = int(samples[0].batch_size)
    total = end_to_end_ms(samples)
    percentiles = sorted({50.0, *measurement.percentiles})  # the median is what models are compared by
    end_to_end = tuple(timing_of(total, percent, batch_size, seed) for percent in percentiles)
    staged = _stages_ms(samples)
    stages = {name: timing_of(values, 50.0, batch_size, seed) for name, values in staged.items()}
    highest = percentiles[-1]
    tails = {name: timing_of(values, highest, batch_size, seed) for name, values in staged.items()}
    whole = [np.sum(of_process, axis=0) for of_process in zip(*staged.values(), strict=True)]
    staged_total = timing_of(whole, 50.0, batch_size, seed)
    device_ns = [s.device_ns[s.usable(STAGED) & (s.device_ns >= 0)] for s in samples]
    device_infer = timing_of([ns / _NS_PER_MS for ns in device_ns], 50.0, batch_size, seed)
    headline = next(t for t in end_to_end if t.percentile == 50.0)
    variance = variance_components([values for values in total if len(values)])
    has_stages, has_device = staged_total.samples > 0, device_infer.samples > 0
    overhead = None
    if staged_total.ms_per_batch is not None and headline.ms_per_batch:
        overhead = staged_total.ms_per_batch / headline.ms_per_batch - 1
    doubts = (_stop_rule(samples, measurement), _replicates_differ(total), _not_stationary(total, seed))
    return LatencySummary(
        quick=measurement.quick,
        replicates=len(samples),
        batch_size=batch_size,
        images=len(set().union(*(_timed_images(s) for s in samples))),
        input="file" if samples[0].from_file else "array",
        end_to_end=end_to_end,
        stages=stages if has_stages else {},
        stage_tails=tails if has_stages and highest > 50.0 else {},
        staged_total=staged_total if has_stages else None,
        sync_overhead=overhead,
        device_infer=device_infer if has_device else None,
        images_per_s=_spread(
            [float(s.pipelined_images) / (float(s.pipelined_ns) / 1e9) for s in samples if s.pipelined_ns > 0]
        ),
        first_call_ms=_spread([float(s.warmup_ns[0]) / _NS_PER_MS for s in samples if len(s.warmup_ns)]),
        decode_ms_per_image=_spread([float(np.median(s.decode_ns)) / _NS_PER_MS for s in samples if len(s.decode_ns)]),
        outliers=_outliers(samples),
        blocks=sum(len(s.block_accepted) for s in samples),
        blocks_rejected=sum(int((~s.block_accepted).sum()) for s in samples),
        between_variance_ms2=None if variance is None else variance.between,
        within_variance_ms2=None if variance is None else variance.within,
        doubts=tuple(flag for flag in doubts if flag is not None),
    )


def _stages_ms(samples: Sequence[Samples]) -> dict[str, list[NDArray[np.float64]]]:
    """Stage -> usable staged samples of each process, ms per batch."""
    staged = [(s, s.usable(STAGED)) for s in samples]
    by_stage = {name: [s.stage_ns[usable, i] / _NS_PER_MS for s, usable in staged] for i, name in enumerate(STAGES)}
    if not all(s.from_file for s in samples):
        return by_stage
    return {DECODE: [s.stage_decode_ns[usable] / _NS_PER_MS for s, usable in staged], **by_stage}


def end_to_end_ms(samples: Sequence[Samples]) -> list[NDArray[np.float64]]:
    """Usable end-to-end samples of each process in the order they were taken, ms per batch."""
    return [s.total_ns[s.usable(END_TO_END)] / _NS_PER_MS for s in samples]


class TimedCase(NamedTuple):
    """Excerpt of a case's raw samples by which models are compared; all samples of all cases would be too much.

    Attributes:
        processes: Usable end-to-end samples of each process, ms per batch.
        batch_size: Images per batch.
    """

    processes: list[NDArray[np.float64]]
    batch_size: int

    @classmethod
    def of(cls, samples: Sequence[Samples]) -> TimedCase:
        """Keep that of the samples of a case; none may be there."""
        return cls(end_to_end_ms(samples), int(samples[0].batch_size) if samples else 1)


def end_to_end_draws(timed: TimedCase, percent: float, *, seed: int) -> NDArray[np.float64]:
    """Return draws of what an end-to-end percentile may be, given two processes or more, ms per image, shape (draws,).

    There are as many draws as of a score, so that both can be joined to a probability.
    """
    processes = [values for values in timed.processes if len(values)]
    return latency_draws(processes, percent, seed=seed) / timed.batch_size


def _timed_images(samples: Samples) -> set[str]:
    """Ids of the images that were in some batch; a slow model may not come round to all."""
    in_batch = samples.image_index[:, None] + np.arange(int(samples.batch_size))  # (n, batch)
    return {str(samples.image_ids[i]) for i in np.unique(in_batch % max(1, len(samples.image_ids)))}


def timing_of(processes: Sequence[NDArray[np.float64]], percent: float, batch_size: int, seed: int) -> Timing:
    """Return the percentile of all samples, ms per batch, with its interval."""
    processes = [values for values in processes if len(values)]
    pooled = np.concatenate([np.empty(0), *processes])
    found = percentile(pooled, percent)
    if found.value is None:
        return Timing(percentile=percent, samples=found.have, samples_needed=found.needed, missing=found.missing)
    interval = latency_interval(processes, percent, seed=seed)
    return Timing(
        percentile=percent,
        ms_per_batch=found.value,
        ms_per_batch_low=interval.low,
        ms_per_batch_high=interval.high,
        ms_per_image=found.value / batch_size,
        ms_per_image_low=interval.low / batch_size,
        ms_per_image_high=interval.high / batch_size,
        samples=found.have,
        samples_needed=found.needed,
    )


def _spread(values: Sequence[float]) -> Spread | None:
    if not values:
        return None
    return Spread(median=float(np.median(values)), low=min(values), high=max(values))


def _outliers(samples: Sequence[Samples]) -> Outliers:
    """Count per process: two processes may differ without any sample standing out."""
    switched, faulted, total = [], [], 0
    for s in samples:
        usable = s.usable(END_TO_END)
        far = outliers(s.total_ns[usable])
        switched.append(s.involuntary_switches[usable][far] > 0)
        faulted.append(s.major_faults[usable][far] > 0)
        total += int(usable.sum())
    switch, fault = np.concatenate(switched), np.concatenate(faulted)
    return Outliers(
        samples=total,
        count=len(switch),
        after_switch=int(switch.sum()),
        after_fault=int(fault.sum()),
        explained=int((switch | fault).sum()),
    )


# --------------------------------------------------------------------------- doubts


def _stop_rule(samples: Sequence[Samples], measurement: Measurement) -> Flag | None:
    """Look at the stop rule again with the samples that are used: a worker may have counted others."""
    for number, s in enumerate(samples):
        usable = s.usable(END_TO_END)
        elapsed_s = float(s.block_wall_s[np.unique(s.block[usable])].sum())
        unmet = unmet_conditions(s.total_ns[usable].tolist(), elapsed_s, measurement)
        if unmet:
            return Flag(
                name="stop_rule",
                seen=f"replicate {number + 1} of {len(samples)} ended with {', '.join(unmet)}",
                advice="use an idle machine, or raise measurement.max_s",
            )
    return None


def _replicates_differ(total: Sequence[NDArray[np.float64]]) -> Flag | None:
    variance = variance_components([values for values in total if len(values)])
    if variance is None or variance.between <= variance.within:
        return None
    return Flag(
        name="replicates_differ",
        seen=f"processes differ by {np.sqrt(variance.between):.3g} ms, the samples of one by "
        f"{np.sqrt(variance.within):.3g} ms (standard deviations)",
        advice="more replicates, not more iterations: raise measurement.replicates",
    )


def _not_stationary(total: Sequence[NDArray[np.float64]], seed: int) -> Flag | None:
    """Say that the interval of the median does not hold, as it leaves out where the measurement began or ended."""
    processes = [values for values in total if len(values)]
    trend = trend_of_processes(processes)
    if trend is None or not trend.matters:
        return None
    median = float(np.median(np.concatenate(processes)))
    interval = latency_interval(processes, 50.0, seed=seed)
    first, last = median * (1 - trend.change / 2), median * (1 + trend.change / 2)
    if all(interval.low <= level <= interval.high for level in (first, last)):
        return None
    return Flag(
        name="not_stationary",
        seen=f"end-to-end latency changed by {100 * trend.change:+.1f} % while measured ({trend.moving} of "
        f"{len(processes)} processes), from about {first:.3g} to {last:.3g} ms: the interval {interval.low:.3g} to "
        f"{interval.high:.3g} ms of the median does not hold for either end",
        advice="let the machine cool down, or raise measurement.warmup_min_s_cpu or _cuda",
    )
