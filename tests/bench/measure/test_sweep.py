"""Batch sweeps on a simulated clock: where they end, what they choose, and that full memory is a result."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import ShapeError, Unsupported
from bench.measure import sweep as sweep_module
from bench.measure.sweep import rate_of, sweep
from bench.records import Throughput
from bench.records.throughput import Rate
from tests.bench.measure.simulated import MS, PerBatch, loaded

ASKED = Throughput(min_s=1.0, max_s=100.0, largest_batch=32)


@pytest.fixture(autouse=True)
def _much_memory(monkeypatch):
    """The memory of the machine under test decides nothing here, unless a test says so."""
    monkeypatch.setattr(sweep_module, "free_host_bytes", lambda: None)


def sizes(found):
    return [point.batch_size for point in found.points]


def test_rates_of_known_latencies_are_exact():
    # 4 ms and 1 ms an image: 1 in 5 ms, 2 in 6, 4 in 8, 8 in 12, 16 in 20, 32 in 36.
    found = sweep(loaded(lambda size: (4 + size) * MS), ASKED, also=1)
    rates = [point.rate.images_per_s for point in found.points]
    assert rates == pytest.approx([1000 * size / (4 + size) for size in (1, 2, 4, 8, 16, 32)])
    assert (found.chosen_batch, found.stopped_by) == (32, "largest_batch")


def test_the_sweep_ends_where_two_doublings_gain_too_little_and_keeps_the_batch_before():
    # Images/s are 1000 n / (4 + n): by 8 it is 667, by 16 800 (+20 %), by 32 889 (+33 % over 8), by 64 941, by 128 970.
    found = sweep(loaded(lambda size: (4 + size) * MS), Throughput(min_s=1.0, sweep_gain=0.25), also=1)
    assert sizes(found) == [1, 2, 4, 8, 16, 32, 64, 128]
    assert (found.chosen_batch, found.stopped_by) == (32, "gain")


def test_a_model_without_any_gain_from_batches_is_measured_three_times():
    found = sweep(loaded(lambda size: 5 * size * MS), ASKED, also=1)
    assert (sizes(found), found.chosen_batch, found.stopped_by) == ([1, 2, 4], 1, "gain")


def test_a_rate_that_dips_at_one_size_does_not_end_the_sweep():
    # 200 images/s one by one, 182 by two, 333 by four.
    found = sweep(loaded(lambda size: (11 if size == 2 else 4 + 2 * size if size > 2 else 5) * MS), ASKED, also=1)
    assert sizes(found)[:4] == [1, 2, 4, 8]
    assert found.chosen_batch == 32


def test_the_largest_batch_need_not_be_a_power_of_two():
    found = sweep(loaded(lambda size: MS), Throughput(min_s=0.1, largest_batch=6), also=1)
    assert sizes(found) == [1, 2, 4]


def test_a_batch_that_would_outlast_the_limit_is_not_tried():
    # A batch of 4 takes 3.5 s; one of 8 would take 7 s at most, which is more than max_s.
    asked = Throughput(min_s=1.0, max_s=6.0)
    found = sweep(loaded(lambda size: round(size**0.9 * 1000) * MS), asked, also=1)
    assert (sizes(found), found.chosen_batch, found.stopped_by) == ([1, 2, 4], 4, "time")


def test_blocks_draw_on_all_images_in_turn():
    model = loaded(lambda size: 100 * MS)
    whole, firsts = model.batch, []
    model.batch = lambda first, size: firsts.append(first) or whole(first, size)
    sweep(model, Throughput(min_s=1.0, largest_batch=1), also=1)
    # Five blocks of two batches: the images go on where the last block ended.
    assert firsts == list(range(10))


class Full(PerBatch):
    """Memory holds four images."""

    error: Exception

    def infer(self, batch):
        if len(batch) > 4:
            raise self.error
        return super().infer(batch)


class OutOfMemoryError(RuntimeError):
    """Named as torch names it."""


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "oom_device"),
        (RuntimeError("CUDNN_STATUS_ALLOC_FAILED in conv"), "oom_device"),
        (MemoryError("Unable to allocate 8 GiB"), "oom_host"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "oom_host"),
    ],
)
def test_full_memory_ends_the_sweep_with_what_was_measured_until_then(error, ended):
    Full.error = error
    model = loaded(lambda size: 5 * MS, Full)
    found = sweep(model, ASKED, also=1)
    assert sizes(found) == [1, 2, 4, 8]
    assert (found.points[-1].ended, found.points[-1].rate) == (ended, None)
    assert found.points[-1].reason == str(error)
    assert (found.chosen_batch, found.stopped_by) == (4, "memory")
    model.answer(0, 4)  # and the model goes on


def test_another_failure_is_not_taken_for_full_memory():
    Full.error = RuntimeError("shapes do not match")
    with pytest.raises(RuntimeError, match="shapes do not match"):
        sweep(loaded(lambda size: 5 * MS, Full), ASKED, also=1)


class Fixed(PerBatch):
    """Exported for batches of one size."""

    size = 4

    def preprocess(self, images):
        if len(images) != self.size:
            raise Unsupported(f"this file was exported for batches of {self.size}")
        return super().preprocess(images)


@pytest.mark.parametrize(("fixed", "tried"), [(1, [1, 2]), (4, [1, 2, 4, 8]), (6, [1, 2, 4, 8, 16, 32, 6])])
def test_a_fixed_batch_is_found_and_the_others_are_unsupported(fixed, tried):
    Fixed.size = fixed
    found = sweep(loaded(lambda size: 5 * MS, Fixed), ASKED, also=6)
    assert sizes(found) == tried
    assert (found.chosen_batch, found.stopped_by) == (fixed, "unsupported")
    assert [p.batch_size for p in found.points if p.ended == "measured"] == [fixed]
    assert found.points[-2 if fixed == 6 else -1].reason == f"this file was exported for batches of {fixed}"


def test_a_model_that_refuses_every_batch_has_no_choice():
    Fixed.size = 100
    found = sweep(loaded(lambda size: 5 * MS, Fixed), ASKED, also=6)
    assert (found.chosen_batch, found.stopped_by) == (None, "unsupported")


class Wrong(PerBatch):
    def postprocess(self, raw, sizes):
        return super().postprocess(raw, sizes)[:1]


def test_what_comes_out_of_a_larger_batch_is_held_against_the_contract():
    with pytest.raises(ShapeError, match="returned 1 predictions for 2 images"):
        sweep(loaded(lambda size: 5 * MS, Wrong), ASKED, also=1)


def test_a_batch_that_host_memory_would_not_hold_is_not_tried(monkeypatch):
    # 100 MiB an image; from batch 2 to 4 the peak rises by 200 MiB, so batch 8 needs 400 MiB more.
    peaks = iter([size * 100 * 2**20 for size in (1, 2, 4)])
    monkeypatch.setattr(sweep_module, "peak_rss_bytes", lambda: next(peaks))
    monkeypatch.setattr(sweep_module, "free_host_bytes", lambda: 399 * 2**20)
    found = sweep(loaded(lambda size: 5 * MS), ASKED, also=1)
    assert sizes(found) == [1, 2, 4, 8]
    assert (found.points[-1].ended, found.stopped_by, found.chosen_batch) == ("oom_host", "memory", 4)
    assert found.points[-1].reason == "not tried: about 0.4 GiB more would be needed, 0.4 GiB are free"


def test_the_interval_of_a_rate_is_students_over_blocks():
    rng = np.random.default_rng(0)
    images = rng.integers(90, 110, 5)
    rate = rate_of([10**9] * 5, images.tolist())
    # 2.776 is the 97.5 % quantile of Student's t with four degrees of freedom.
    reach = 2.7764451 * images.std(ddof=1) / np.sqrt(5)
    assert rate.images_per_s == pytest.approx(images.mean())
    assert (rate.low, rate.high) == pytest.approx((images.mean() - reach, images.mean() + reach))


def test_one_block_has_no_interval():
    assert rate_of([2 * 10**9], [100]) == Rate(images_per_s=50.0, images=100, wall_s=2.0, blocks=1)
