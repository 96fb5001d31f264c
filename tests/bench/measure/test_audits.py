"""Each audit sees its defect, and only its defect."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import numpy as np
import pytest

from bench.measure import audits
from bench.measure.audits import (
    ClockAudit,
    cached_answers,
    forgotten_synchronisation,
    implausible_device_time,
)
from bench.measure.elsewhere import work_moved_between_clocks
from bench.measure.stages import staged
from bench.measure.unseen_images import LEAST, UnseenImages
from bench.records.predictions import RgbImage
from tests.bench.measure.scripted import Contents, IdleGap, Lazy, ScriptedAdapter, ScriptedClock, blank

MS = 1_000_000


@pytest.fixture
def audit(monkeypatch) -> Callable[[ScriptedAdapter], str | None]:
    def audited(adapter: ScriptedAdapter) -> str | None:
        gap = IdleGap(adapter) if isinstance(adapter, Lazy) else lambda _: None
        monkeypatch.setattr("bench.measure.audits.time.sleep", gap)
        return forgotten_synchronisation(adapter, [blank()], adapter.clock)

    return audited


@pytest.mark.parametrize(("device_ns", "culprit"), [((0, 8 * MS, 0), "infer"), ((8 * MS, 0, 0), "preprocess")])
def test_the_stage_that_left_work_in_flight_is_named(audit, device_ns, culprit):
    adapter = Lazy(ScriptedClock(), (MS, MS, MS), device_ns)
    assert str(audit(adapter)).startswith(f"forgot_sync: work of {culprit} was still in flight")


def test_a_model_that_waits_for_its_device_has_forgotten_nothing(audit):
    assert audit(ScriptedAdapter(ScriptedClock(), (MS, MS, MS), (8 * MS, 8 * MS, 8 * MS))) is None


def test_a_little_work_in_flight_is_not_worth_a_word(audit):
    # 0.2 ms of postprocess's 1.2 ms: less than half of the stage.
    assert audit(Lazy(ScriptedClock(), (MS, MS, MS), (0, MS // 5, 0))) is None


@pytest.mark.parametrize(("waits", "passes"), [(True, 0), (False, 1 + 2 * 8)])
def test_a_second_look_is_taken_where_the_first_one_says_that_something_may_be_in_flight(monkeypatch, waits, passes):
    adapter = (ScriptedAdapter if waits else Lazy)(ScriptedClock(), (MS, MS, MS), (0, 8 * MS, 0))
    monkeypatch.setattr("bench.measure.audits.time.sleep", (lambda _: None) if waits else IdleGap(adapter))
    pairs = []
    for _ in range(3):
        without = staged(adapter, [blank()], adapter.clock).stage_ns
        gaps = staged(adapter, [blank()], adapter.clock, pause=lambda: audits.time.sleep(0.01)).stage_ns
        pairs.append((without, gaps))
    adapter.calls.clear()
    found = forgotten_synchronisation(adapter, [blank()], adapter.clock, pairs)
    assert (found is None) == waits
    assert adapter.calls.count("infer") == passes


def images() -> list[RgbImage]:
    return list(np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8))


def test_a_model_that_remembers_images_is_found():
    seen: set[bytes] = set()

    def cost_ns(content: bytes) -> int:
        known = content in seen
        seen.add(content)
        return MS if known else 5 * MS

    adapter = Contents(cost_ns)
    assert str(cached_answers(adapter, images(), 1, adapter.clock)).startswith(
        "cached_or_content_dependent: a repeated image takes 0.20 times as long"
    )


@pytest.mark.parametrize(("known_ns", "passes"), [(5 * MS, 0), (4 * MS, 1 + 2 * 15)])
def test_pairs_are_timed_where_changed_images_say_that_sampled_ones_may_be_remembered(known_ns, passes):
    seen = {image.tobytes() for image in images()}

    def cost_ns(content: bytes) -> int:
        known = content in seen
        seen.add(content)
        return known_ns if known else 5 * MS

    adapter = Contents(cost_ns)
    found = cached_answers(adapter, images(), 1, adapter.clock, [known_ns / (5 * MS)] * 3)
    assert (found is None) == (known_ns == 5 * MS)
    assert adapter.calls.count("infer") == passes


def test_a_model_that_takes_the_same_for_every_image_remembers_none():
    adapter = Contents(lambda _: 5 * MS)
    assert cached_answers(adapter, images(), 2, adapter.clock) is None


def test_noise_wider_than_the_difference_is_no_finding():
    rng = np.random.default_rng(1)
    adapter = Contents(lambda _: int(rng.integers(MS, 9 * MS)))
    assert cached_answers(adapter, images(), 1, adapter.clock) is None


def test_a_neighbour_that_delays_nearly_all_new_images_is_no_cache():
    first = images()[0].tobytes()
    new_ones = iter(range(10_000))

    def cost_ns(content: bytes) -> int:
        # One new image in eight gets away: noise adds time, a cache leaves none.
        return 5 * MS if content == first or next(new_ones) % 8 == 0 else 9 * MS

    adapter = Contents(cost_ns)
    assert cached_answers(adapter, images(), 1, adapter.clock) is None


def test_a_neighbour_that_delays_every_second_batch_is_no_memory(monkeypatch):
    monkeypatch.setattr("bench.measure.unseen_images.SystemRandom", lambda: random.Random(0))
    # What is never seen was always delayed while others were sampled.
    costs_ns = itertools.chain([9 * MS] * LEAST, itertools.cycle((3 * MS, 9 * MS)))
    adapter = Contents(lambda _: next(costs_ns))
    unseen = UnseenImages(adapter, images(), 1, adapter.clock, first=True)
    unseen.enough()
    assert unseen.verdict([3 * MS] * 40) == (None, False)


def test_a_neighbour_that_delays_most_samples_of_one_clock_is_no_work_that_was_moved_to_it():
    delayed = [9 * MS] * 80 + [3 * MS] * 20
    assert work_moved_between_clocks([3 * MS] * 100, delayed) is None
    assert work_moved_between_clocks([MS] * 100, delayed).name == "work_outside_the_clock"


def test_device_time_may_not_exceed_what_the_host_waited():
    assert implausible_device_time([4 * MS] * 5, [5 * MS] * 5) is None
    assert implausible_device_time([6 * MS] * 5, [5 * MS] * 5).name == "implausible_device_time"
    assert implausible_device_time([], []) is None


@pytest.mark.parametrize(
    ("timed_ns", "said", "refused"),
    [(1_000_000, False, False), (1_000_900, False, False), (1_005_000, True, False), (1_020_000, True, True)],
)
def test_a_clock_is_flagged_from_a_thousandth_and_refused_from_a_hundredth(timed_ns, said, refused):
    timed, raw = ScriptedClock(), ScriptedClock()
    audit = ClockAudit(timed, raw)
    timed.now_ns, raw.now_ns = timed_ns, 1_000_000
    seen, refuse = audit.verdict()
    assert (seen is not None, refuse) == (said, refused)


@pytest.mark.parametrize("paused", [*({n} for n in range(2 * 3 * ClockAudit.READINGS)), range(100)])
def test_another_process_that_runs_between_two_readings_of_clocks_is_no_drift(paused):
    readings, now_ns = itertools.count(), 0

    def clock() -> int:
        nonlocal now_ns
        now_ns += 30 * MS if next(readings) in paused else 0
        return now_ns

    audit = ClockAudit(clock, clock)
    now_ns += 1000 * MS
    assert audit.verdict() == (None, False)
