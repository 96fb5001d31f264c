"""The clocks: what they charge to whom, on a device whose every nanosecond is scripted."""

from __future__ import annotations

import gc
import time
import weakref

import pytest

from bench.measure.pipelined import for_seconds, pipelined
from bench.measure.stages import end_to_end, no_garbage_collection, spare_the_collector, staged
from tests.bench.measure.scripted import ScriptedAdapter, ScriptedClock, blank

HOST_NS, DEVICE_NS = (10, 200, 3000), (40_000, 500_000, 6_000_000)
"""No sum of any of these equals a sum of others, so a misplaced charge shows."""


def scripted(*, events: bool = False) -> ScriptedAdapter:
    return ScriptedAdapter(ScriptedClock(), HOST_NS, DEVICE_NS, events=events)


def test_end_to_end_waits_for_the_device_at_both_ends_and_nowhere_else():
    adapter = scripted()
    end_to_end(adapter, [blank()], adapter.clock)
    assert adapter.calls == ["synchronize", "preprocess", "infer", "postprocess", "synchronize"]


def test_end_to_end_charges_host_and_device_work_of_all_stages():
    adapter = scripted()
    timed = end_to_end(adapter, [blank()], adapter.clock)
    assert timed.total_ns == sum(HOST_NS) + sum(DEVICE_NS)
    assert (timed.stage_ns, timed.device_ns) == (None, None)


def test_work_left_over_from_before_is_not_charged():
    for timed_by in (end_to_end, staged):
        adapter = scripted()
        adapter.queued_ns = 70_000_000
        assert timed_by(adapter, [blank()], adapter.clock).total_ns == sum(HOST_NS) + sum(DEVICE_NS)


def test_the_staged_clock_waits_for_the_device_at_each_boundary():
    adapter = scripted()
    staged(adapter, [blank()], adapter.clock)
    boundary = "synchronize"
    assert adapter.calls == [boundary, "preprocess", boundary, "infer", boundary, "postprocess", boundary]


def test_each_stage_pays_for_the_device_work_it_started():
    adapter = scripted()
    timed = staged(adapter, [blank()], adapter.clock)
    assert timed.stage_ns == tuple(h + d for h, d in zip(HOST_NS, DEVICE_NS, strict=True))
    assert timed.total_ns == sum(timed.stage_ns)


def test_a_pause_at_the_boundaries_is_charged_to_nobody():
    adapter = scripted()

    def pause() -> None:
        adapter.clock.now_ns += 10**9

    assert (
        staged(adapter, [blank()], adapter.clock, pause=pause).stage_ns
        == staged(adapter, [blank()], adapter.clock).stage_ns
    )


def test_device_time_is_what_the_events_around_infer_say():
    adapter = scripted(events=True)
    timed = staged(adapter, [blank()], adapter.clock)
    assert timed.device_ns == DEVICE_NS[1]
    around = [call for call in adapter.calls if call in ("event", "infer")]
    assert around == ["event", "infer", "event"]


def test_predictions_have_the_sizes_of_the_images_that_went_in():
    adapter = scripted()
    images = [blank(4, 6), blank(5, 3)]
    for timed_by in (end_to_end, staged):
        sizes = [prediction.size for prediction in timed_by(adapter, images, adapter.clock).predictions]
        assert sizes == [(4, 6), (5, 3)]


def test_the_throughput_pass_waits_only_at_its_ends_and_counts_what_it_pushed_through():
    # 3210 ns of host time per batch: batches start at 0, 3210, 6420 and 9630 ns, and 12840 ns is past 10 µs.
    adapter = scripted()
    flow = pipelined(adapter, lambda number: [blank()] * 2, adapter.clock, for_seconds(10e-6))
    assert flow.images == (2,) * 4
    assert flow.wall_ns == 4 * (sum(HOST_NS) + sum(DEVICE_NS))
    assert [i for i, call in enumerate(adapter.calls) if call == "synchronize"] == [0, len(adapter.calls) - 1]


class _Cycle:
    def __init__(self) -> None:
        self.own = self


@pytest.fixture
def collector_as_before():
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("collector_as_before")
def test_collections_between_blocks_pass_over_what_was_loaded_and_still_take_new_garbage():
    loaded = [[] for _ in range(50_000)]
    spare_the_collector()
    assert len(gc.get_objects()) < len(loaded)
    dropped = weakref.ref(_Cycle())
    with no_garbage_collection():
        assert dropped() is None


class _WorksAtItsEnd(_Cycle):
    def __del__(self) -> None:
        time.sleep(1.0)


@pytest.mark.usefixtures("collector_as_before")
@pytest.mark.parametrize(("waited_s", "found"), [(0, True), (60, False)])
def test_what_garbage_does_when_it_is_collected_is_told_and_what_others_did_meanwhile_is_not(waited_s, found):
    spare_the_collector()  # or looking through what was loaded takes a quarter of a second on a busy machine
    readings = iter([0, 0, 0, waited_s * 10**9])
    with no_garbage_collection(lambda: next(readings)) as of_garbage_ns:
        _WorksAtItsEnd()
    assert (of_garbage_ns[0] > 0) is found
