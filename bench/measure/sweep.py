"""Images per second by batch size: 1, 2, 4 … until memory is full or a larger batch is not worth it."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

from bench.measure.memory import peak_rss_bytes, reset_peak_rss
from bench.measure.out_of_memory import Refusal, attempt, free_host_bytes
from bench.measure.pipelined import Flow, pipelined
from bench.measure.under_load import UnderLoad, watched
from bench.records import Throughput
from bench.records.throughput import Rate, Sweep, SweepEnd, SweepPoint
from bench.score.stats.student import quantile

BLOCKS = 5
"""Blocks of a rate, from whose differences its interval comes."""

PATIENCE = 2
"""Sizes in a row without enough gain that end a sweep: kernels change with the shape, so that a rate may dip at
one size (a small U-Net: 599 images/s one by one, 576 by two; another like it went on to 1,025 by 32)."""


def sweep(model: UnderLoad, asked: Throughput, *, also: int) -> Sweep:
    """Measure one batch size after the other.

    A batch size that the model refuses is passed over, until one was measured: an exported model may have
    a fixed batch.

    Args:
        model: The model, warmed up.
        asked: Settings that say where the sweep ends.
        also: Batch size that is tried last where every power of two was refused: the target's own.
    """
    points: list[SweepPoint] = []
    best: SweepPoint | None = None
    without_gain = 0
    ended: SweepEnd = "largest_batch"
    for size in _sizes(asked.largest_batch):
        point = _would_not_fit(points, size) or _measured(model, size, asked)
        points.append(point)
        if point.ended in ("oom_device", "oom_host"):
            ended = "memory"
            break
        if point.rate is None:
            if best is None:
                continue
            ended = "unsupported"
            break
        if best is not None and best.rate and point.rate.images_per_s < (1 + asked.sweep_gain) * best.rate.images_per_s:
            without_gain += 1
        else:
            best, without_gain = point, 0
        if without_gain == PATIENCE:
            ended = "gain"
            break
        if 2 * size / point.rate.images_per_s > asked.max_s:
            ended = "time"
            break
    if best is None and ended != "memory":
        ended = "unsupported"
        if also not in _sizes(asked.largest_batch):
            points.append(_measured(model, also, asked))
            best = points[-1] if points[-1].rate else None
    return Sweep(points=tuple(points), chosen_batch=best.batch_size if best else None, stopped_by=ended)


def _sizes(largest: int) -> list[int]:
    """1, 2, 4 … up to the largest."""
    return [2**k for k in range(largest.bit_length())]


def _measured(model: UnderLoad, size: int, asked: Throughput) -> SweepPoint:
    model.adapter.reset_peak_device_bytes()
    reset_peak_rss()
    rate = attempt(lambda: measure_rate(model, size, asked, name=f"sweep_{size}"), device=model.job.target.device)
    if isinstance(rate, Refusal):
        return SweepPoint(batch_size=size, ended=rate.ended, reason=rate.reason)
    return SweepPoint(
        batch_size=size,
        ended="measured",
        rate=rate,
        peak_device_bytes=model.adapter.peak_device_bytes(),
        host_rss_peak_bytes=peak_rss_bytes(),
    )


def _would_not_fit(points: Sequence[SweepPoint], size: int) -> SweepPoint | None:
    """A batch size that is not tried, because the host's memory would not hold it; None if it may be.

    From one size to the next the peak rose by so much; from the next to this one it will rise by twice that.
    """
    peaks = [point.host_rss_peak_bytes for point in points[-2:] if point.host_rss_peak_bytes is not None]
    free = free_host_bytes()
    if len(peaks) < 2 or free is None or (more := 2 * (peaks[1] - peaks[0])) <= free:
        return None
    reason = f"not tried: about {more / 2**30:.1f} GiB more would be needed, {free / 2**30:.1f} GiB are free"
    return SweepPoint(batch_size=size, ended="oom_host", reason=reason)


def measure_rate(model: UnderLoad, size: int, asked: Throughput, *, name: str) -> Rate:
    """Warm up with a batch size, then push batches through; the pass is cut into blocks afterwards.

    Args:
        model: The model, with its images.
        size: Images per batch.
        asked: Settings that say how long to measure; each block should have one batch at least.
        name: Name of the raw times: `<name>_ns` and `<name>_images`, one value per block.
    """
    model.warm_up(size)

    def more(elapsed_ns: int, started: int) -> bool:
        few = started < BLOCKS and elapsed_ns < asked.max_s * 1e9
        return not started or few or elapsed_ns < asked.min_s * 1e9

    with watched() as watch:
        flow = pipelined(model.adapter, lambda number: model.batch(number * size, size), model.clock, more)
    block_ns, block_images = blocks_of(flow)
    model.raw |= {f"{name}_ns": np.array(block_ns), f"{name}_images": np.array(block_images)}
    return rate_of(block_ns, block_images, disturbed=watch.disturbed)


def blocks_of(flow: Flow) -> tuple[list[int], list[int]]:
    """Cut a pass into `BLOCKS` of equally many batches, but for one more or less; fewer where it has fewer batches.

    Returns:
        Nanoseconds, from the end of the block before, and images of each.

    >>> blocks_of(Flow(70, (10, 20, 30, 40, 50, 60, 70), (4,) * 7))
    ([20, 20, 10, 10, 10], [8, 8, 4, 4, 4])
    """
    parts = np.array_split(np.arange(len(flow.images)), min(BLOCKS, len(flow.images)))
    ends = [0, *(flow.done_ns[part[-1]] for part in parts)]
    return np.diff(ends).tolist(), [sum(flow.images[i] for i in part) for part in parts]


def rate_of(block_ns: Sequence[int], block_images: Sequence[int], *, disturbed: bool = False) -> Rate:
    """Return images per second with a 95 % interval by Student's t over blocks.

    >>> rate = rate_of([10**9, 10**9], [99, 101])
    >>> round(rate.low, 3), rate.images_per_s, round(rate.high, 3)
    (87.294, 100.0, 112.706)
    """
    images, wall_s = sum(block_images), sum(block_ns) / 1e9
    rate = images / wall_s
    rates = np.array(block_images) / np.array(block_ns) * 1e9
    reach = None
    if len(rates) > 1:
        reach = quantile(len(rates) - 1) * float(rates.std(ddof=1)) / sqrt(len(rates))
    return Rate(
        images_per_s=rate,
        low=None if reach is None else rate - reach,
        high=None if reach is None else rate + reach,
        images=images,
        wall_s=wall_s,
        blocks=len(rates),
        disturbed=disturbed,
    )
