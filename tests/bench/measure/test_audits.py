"""Each audit sees its defect, and only its defect."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from bench.measure import audits
from bench.measure.audits import (
    ClockAudit,
    cached_answers,
    forgotten_synchronisation,
    implausible_device_time,
)
from bench.measure.stages import staged
from bench.records import Size
from bench.records.predictions import Prediction, RgbImage
from tests.bench.measure.scripted import ScriptedAdapter, ScriptedClock, blank

pytestmark = pytest.mark.alone  # audits compare real times

MS = 1_000_000


class IdleGap:
    """Stands in for `time.sleep`: the clock moves, and work in flight drains."""

    def __init__(self, adapter: Lazy) -> None:
        self._adapter = adapter

    def __call__(self, seconds: float) -> None:
        self._adapter.clock.now_ns += round(seconds * 1e9)
        self._adapter.drain(round(seconds * 1e9))


class Lazy(ScriptedAdapter):
    """`synchronize` waits for nothing; the stage after one that queued work waits for it."""

    def drain(self, ns: int) -> None:
        self.queued_ns = max(0, self.queued_ns - ns)

    def synchronize(self) -> None:
        self.calls.append("synchronize")

    def _wait(self) -> None:
        self.clock.now_ns += self.queued_ns
        self.queued_ns = 0

    def infer(self, batch: Sequence[RgbImage]) -> Sequence[RgbImage]:
        self._wait()
        return super().infer(batch)

    def postprocess(self, raw: Sequence[RgbImage], sizes: Sequence[Size]) -> list[Prediction]:
        self._wait()
        return super().postprocess(raw, sizes)


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


class Contents(ScriptedAdapter):
    """Takes as long as a rule over the image's content says."""

    def __init__(self, cost_ns: Callable[[bytes], int]) -> None:
        super().__init__(ScriptedClock())
        self._cost_ns = cost_ns

    def infer(self, batch: Sequence[RgbImage]) -> Sequence[RgbImage]:
        self.clock.now_ns += sum(self._cost_ns(image.tobytes()) for image in batch)
        return super().infer(batch)


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


def test_device_time_may_not_exceed_what_the_host_waited():
    assert implausible_device_time([4 * MS] * 5, [5 * MS] * 5) is None
    assert implausible_device_time([6 * MS] * 5, [5 * MS] * 5).name == "implausible_device_time"
    assert implausible_device_time([], []) is None


@pytest.mark.parametrize(
    ("timed_ns", "said", "refused"),
    [(1_000_000, False, False), (1_000_900, False, False), (1_005_000, True, False), (1_020_000, True, True)],
)
def test_a_clock_is_flagged_from_a_thousandth_and_refused_from_a_hundredth(timed_ns, said, refused):
    timed, raw = iter([0, timed_ns]), iter([0, 1_000_000])
    seen, refuse = ClockAudit(lambda: next(timed), lambda: next(raw)).verdict()
    assert (seen is not None, refuse) == (said, refused)
