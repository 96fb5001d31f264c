"""Checks that a timing is what it claims to be, without knowing the framework.

Each audit looks twice before it speaks: a first suspicion is measured again, because a busy
machine can imitate one of these defects once, but hardly twice in a row. The first look compares a few
passes with what was sampled (`first_looks`); only the second takes pairs of its own.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Sequence

import numpy as np

from bench.adapter import Adapter
from bench.measure.stages import Clock, end_to_end, staged
from bench.measure.unseen_images import work
from bench.records import Flag
from bench.records.predictions import RgbImage
from bench.score.stats.intervals import median_interval

GAP_PAIRS = range(3, 9)
"""Fewest and most pairs of batches (with and without a gap) of one look, stop excluded."""
CACHE_PAIRS = range(7, 16)
"""Fewest and most pairs of batches (seen and new); 7 are the fewest with a 95 % interval of a median."""
LOOK_S = 3.0
"""A look takes fewer pairs where it would take longer than this."""
MIN_DROP_OF_STAGE = 0.5
"""A stage that gets this much faster after an idle gap was waiting for the stage before it …"""
MIN_DROP_OF_TOTAL = 0.1
"""… if the difference is also this much of the whole."""
CACHE_BAND = (0.9, 1.1)
"""Same image over new images: a ratio of medians outside this band is flagged."""


def gap_s(total_ns: int) -> float:
    """Return the seconds of an idle gap in which what a batch left in flight drains."""
    return min(max(1.2 * total_ns / 1e9, 0.002), 2.0)


def forgotten_synchronisation(
    adapter: Adapter, images: Sequence[RgbImage], clock: Clock, pairs: Sequence[tuple[object, object]] = ()
) -> Flag | None:
    """Return what is wrong if a stage's work was still in flight when it claimed to be done.

    After `synchronize` the device must be idle. If it is not, an idle gap lets the unfinished work
    drain, and the stage after the gap gets faster than without the gap. An honest stage does not.

    Args:
        adapter: The model.
        images: Batch of the second look.
        clock: Host clock.
        pairs: First look: nanoseconds of the three stages, without and with gaps between them. Without any, both
            looks are the same.
    """
    if pairs and _in_flight(pairs) is None:
        return None
    total_ns = end_to_end(adapter, images, clock).total_ns
    pause_s = gap_s(total_ns)

    def with_gaps() -> object:
        return staged(adapter, images, clock, pause=lambda: time.sleep(pause_s)).stage_ns

    def look() -> tuple[str, str] | None:
        count = _affordable(GAP_PAIRS, 2 * total_ns / 1e9 + 2 * pause_s)
        return _in_flight([(staged(adapter, images, clock).stage_ns, with_gaps()) for _ in range(count)])

    found = look() if pairs or look() is not None else None
    if found is None:
        return None
    culprit, seen = found
    return Flag(
        name="forgot_sync",
        seen=f"work of {culprit} was still in flight after synchronize(): {seen}",
        advice="make the adapter's synchronize() wait for its device",
    )


def _in_flight(pairs: Sequence[tuple[object, object]]) -> tuple[str, str] | None:
    """Return the stage whose work was in flight, and what was seen of it; None if there is none."""
    before, after = np.median(np.array(pairs, dtype=np.float64), axis=0)
    drop = before - after
    for stage, culprit in ((1, "preprocess"), (2, "infer")):
        if drop[stage] > MIN_DROP_OF_STAGE * before[stage] and drop[stage] > MIN_DROP_OF_TOTAL * before.sum():
            victim = ("preprocess", "infer", "postprocess")[stage]
            seen = f"{victim} took {before[stage] / 1e6:.2f} ms, but {after[stage] / 1e6:.2f} ms after a pause"
            return culprit, seen
    return None


def cached_answers(
    adapter: Adapter, images: Sequence[RgbImage], batch_size: int, clock: Clock, ratios: Sequence[float] = ()
) -> Flag | None:
    """Return what is wrong if an image that was just seen is answered faster, or slower, than a new one.

    New images are earlier ones of the same shape, and with as many prompts, with one pixel changed, so
    the work is alike but no cache can know them. MLPerf's TEST04 asks the same question. Neighbours on
    the machine only ever add time, and to some batches more than to others; so the fastest batches must
    differ as the medians do, and which of a pair comes first is drawn: a fixed order can fall in step
    with a neighbour's time slices.

    Args:
        adapter: The model.
        images: The timed images.
        batch_size: Images of a batch.
        clock: Host clock.
        ratios: First look: time for batches that the model had seen over that for the same, changed. Without any,
            both looks are the same.
    """
    salts = itertools.count(time.perf_counter_ns())

    def look() -> float | None:
        """Return the ratio of the medians, same over new; None if that or the ratio of minima is within the band."""
        first, rng = images[0], random.Random("cache audit")
        alike = [image for image in images if work(image) == work(first)]
        pairs = _affordable(CACHE_PAIRS, 2 * end_to_end(adapter, [first] * batch_size, clock).total_ns / 1e9)
        same: list[int] = []
        new: list[int] = []
        for pair in range(pairs):
            seen = [first] * batch_size
            fresh = [with_changed_pixel(alike[(pair + i) % len(alike)], next(salts)) for i in range(batch_size)]
            for batch, times in rng.sample([(seen, same), (fresh, new)], 2):
                times.append(end_to_end(adapter, batch, clock).total_ns)
        ratio, of_fastest = float(np.median(same) / np.median(new)), min(same) / min(new)
        faster, slower = max(ratio, of_fastest) < CACHE_BAND[0], min(ratio, of_fastest) > CACHE_BAND[1]
        return ratio if (faster or slower) and not _overlap(same, new) else None

    suspected = suspicious(ratios) if ratios else look() is not None
    ratio = look() if suspected else None
    if ratio is None:
        return None
    return Flag(
        name="cached_or_content_dependent",
        seen=f"a repeated image takes {ratio:.2f} times as long as a new one",
        advice="if the model caches answers, switch that off",
    )


def suspicious(ratios: Sequence[float]) -> bool:
    """Return whether images that were seen and the same, changed, take times apart, by the ratios of some of them."""
    return not CACHE_BAND[0] <= np.median(ratios) <= CACHE_BAND[1]


def with_changed_pixel(image: RgbImage, salt: int) -> RgbImage:
    """Return the image with one pixel changed.

    As many consecutive salts as it has pixels, 255 times over, all give another one: an image that came twice
    would be known to a cache the second time, and hide it.
    """
    pixels = image.shape[0] * image.shape[1]
    row, column = divmod(salt % pixels, image.shape[1])
    changed = image.copy()
    changed[row, column] = (changed[row, column].astype(np.int64) + 1 + (salt // pixels) % 255).astype(np.uint8)
    return changed


def _affordable(pairs: range, pair_s: float) -> int:
    """Return as many pairs as fit into a check, but no fewer than it takes.

    >>> [_affordable(range(3, 9), pair_s) for pair_s in (0.01, 0.6, 10.0)]
    [8, 5, 3]
    """
    return int(min(max(LOOK_S / max(pair_s, 1e-9), pairs[0]), pairs[-1]))


def _overlap(a: Sequence[int], b: Sequence[int]) -> bool:
    """Return whether the 95 % intervals of two medians overlap; True where there are too few values for an interval."""
    of_a, of_b = median_interval(a), median_interval(b)
    return of_a is None or of_b is None or (of_a.low <= of_b.high and of_b.low <= of_a.high)


def implausible_device_time(device_ns: Sequence[int], infer_ns: Sequence[int]) -> Flag | None:
    """Return what is wrong if the device claims to have worked longer than the host waited for it."""
    if not device_ns:
        return None
    device, host = float(np.median(device_ns)), float(np.median(infer_ns))
    if device <= 1.02 * host:
        return None
    return Flag(
        name="implausible_device_time",
        seen=f"events say {device / 1e6:.3f} ms of infer, the synchronised host clock {host / 1e6:.3f} ms, so the "
        "events are on another stream, or synchronize() does not wait",
        advice="record the events on the stream that infer uses, and make synchronize() wait for its device",
    )


class ClockAudit:
    """Compares the clock that times with the kernel's raw clock over a whole job.

    The clocks cannot be read at once, and on a busy machine another process may run between two readings for longer
    than a clock drifts in a short job. So the clock that times is read between two readings of the other, a few times,
    and what the closest of them leave open is no drift.
    """

    WARN, REFUSE = 1e-3, 1e-2
    READINGS = 3

    def __init__(self, clock: Clock, raw: Callable[[], int] | None = None) -> None:
        """Read both clocks for the first time."""
        self._clock, self._raw = clock, raw or _raw_clock
        self._start = self._read()

    def verdict(self) -> tuple[Flag | None, bool]:
        """Return (what was seen, whether the timing must not be used)."""
        (start_width, *start), (end_width, *end) = self._start, self._read()
        timed, raw = end[0] - start[0], end[1] - start[1]
        apart = max(0.0, abs(timed - raw) - (start_width + end_width) / 2)
        drift = apart / raw if raw > 0 else 0.0
        if drift <= self.WARN:
            return None, False
        seen = f"the timing clock and the raw clock differ by {100 * drift:.2f} %"
        return Flag(name="clock_drift", seen=seen, advice="check the host's clock"), drift > self.REFUSE

    def _read(self) -> tuple[int, int, float]:
        """Return (width, timed, raw) of the closest reading: the raw clock is less than half a width off."""
        readings = []
        for _ in range(self.READINGS):
            before, timed, after = self._raw(), self._clock(), self._raw()
            readings.append((after - before, timed, (before + after) / 2))
        return min(readings)


def _raw_clock() -> int:
    return (
        time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW) if hasattr(time, "CLOCK_MONOTONIC_RAW") else time.monotonic_ns()
    )
