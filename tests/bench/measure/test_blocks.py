"""Tests which blocks of samples count: a machine that others use, scripted block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from bench.measure.telemetry import Telemetry
from bench.measure.timing import Timed, time_model
from bench.records import Measurement, Target
from bench.records.predictions import RgbImage
from bench.records.store.samples import END_TO_END, STAGED
from tests.bench.builders import make_job
from tests.bench.measure.scripted import ScriptedAdapter, ScriptedClock, ScriptedMachine, blank

BLOCKS = Measurement(
    warmup_min_iterations=4,
    warmup_min_s_cpu=0.0,
    warmup_window=2,
    min_s=0.0,
    min_samples=1,
    percentiles=(),
    median_half_width=10.0,
    max_s=30.0,
    block_s=0.01,
    block_retries=2,
    pipelined_s=0.0,
)


def changed(**changes) -> Measurement:
    return BLOCKS.model_copy(update=changes)


class Blanks:
    """Some images that are all black."""

    def __init__(self, count: int) -> None:
        self.ids = tuple(f"image-{number}" for number in range(count))

    def image(self, image_id: str) -> RgbImage:
        return blank()


def used_in(blocks: Iterable[int]) -> Callable[[int], float]:
    """Another process uses half of the cores in some blocks, whose counters are read at their beginnings and ends."""
    disturbed = set(blocks)
    return lambda span: 0.5 if span % 2 == 0 and span // 2 in disturbed else 0.0


def timed_on(machine: ScriptedMachine, telemetry: Telemetry, measurement: Measurement, images: int = 8) -> Timed:
    adapter = ScriptedAdapter(ScriptedClock(), (0, 1000, 0))
    job = make_job(kind="time", measurement=measurement, target=Target())
    return time_model(adapter, Blanks(images), job, telemetry, adapter.clock, machine.counters, machine.wall_s)


def time_beside(disturbed: Iterable[int], measurement: Measurement, images: int = 8) -> Timed:
    return timed_on(ScriptedMachine(used_in(disturbed)), Telemetry("cpu"), measurement, images)


def flagged(timed: Timed, name: str) -> str:
    return next((flag.text for flag in timed.flags if flag.name == name), "")


def test_a_disturbed_block_is_measured_again_and_kept_as_rejected():
    timed = time_beside([0], BLOCKS)
    assert timed.samples.block_accepted.tolist() == [False, True]
    assert "1 of 2 blocks were disturbed" in flagged(timed, "blocks_rejected")


def test_a_machine_that_is_never_quiet_gives_flagged_numbers_after_its_retries():
    timed = time_beside(range(1000), BLOCKS)
    assert timed.samples.block_accepted.tolist() == [False, False, False]
    assert timed.samples.usable(END_TO_END).sum() == timed.samples.usable(STAGED).sum() > 0
    assert "every block was disturbed" in flagged(timed, "busy_machine")


def test_a_cap_below_the_first_retry_still_leaves_numbers():
    timed = time_beside(range(1000), changed(max_s=0.005))
    assert len(timed.samples.block_accepted) == 1
    assert timed.samples.usable(END_TO_END).any()


@pytest.mark.parametrize("disturbed", [[1, 2, 3, 4], [0, 1, 3], [0, 2, 4]])
def test_the_stop_rule_looks_only_at_the_samples_that_will_be_used(disturbed):
    timed = time_beside(disturbed, changed(min_s=0.025, busy_allowance=100.0))
    assert flagged(timed, "stop_rule") == ""
    accepted = timed.samples.block_accepted
    assert timed.samples.block_wall_s[accepted].sum() >= 0.025


def seconds(timed: Timed) -> float:
    return float(timed.samples.block_wall_s.sum())


@pytest.mark.parametrize("disturbed", [range(1000), [n for n in range(1000) if n % 4], range(0, 1000, 2)])
def test_a_machine_that_stays_busy_takes_at_most_half_as_long_again(disturbed):
    timed = time_beside(disturbed, changed(min_s=0.2, median_half_width=0.0, max_s=5.0))
    assert seconds(timed) <= 1.5 * 0.2 + 2 * 0.01  # blocks have begun when the time is up
    assert timed.samples.usable(END_TO_END).any()
    assert flagged(timed, "busy_machine") or flagged(timed, "blocks_rejected")
    assert timed.interference.blocks == len(timed.samples.block_accepted)
    assert timed.interference.foreign_share > 0.05


def test_without_enough_undisturbed_blocks_all_count_so_that_the_interval_shows_the_disturbance():
    timed = time_beside([0, 2, *range(3, 1000)], changed(min_s=0.1))
    assert not timed.samples.block_accepted.any()
    assert timed.samples.usable(END_TO_END).sum() == (timed.samples.clock == END_TO_END).sum()
    assert "blocks were disturbed" in flagged(timed, "busy_machine")


def test_with_enough_undisturbed_blocks_these_alone_are_used_and_the_open_condition_is_flagged():
    timed = time_beside(range(8, 1000), changed(min_s=0.2))
    assert timed.samples.block_accepted.tolist()[:9] == [True] * 8 + [False]
    assert "the machine stayed busy" in flagged(timed, "stop_rule")
    assert seconds(timed) < 0.2


def test_a_few_disturbed_blocks_are_measured_again_until_the_stop_rule_holds():
    timed = time_beside([2, 7], changed(min_s=0.1, busy_allowance=1.0))
    assert flagged(timed, "stop_rule") == ""
    assert timed.samples.block_wall_s[timed.samples.block_accepted].sum() >= 0.1


def test_the_two_clocks_time_the_same_image_one_after_the_other_only_at_the_end_of_a_round():
    samples = time_beside([], changed(min_s=1.0)).samples
    (again,) = (samples.image_index[1:] == samples.image_index[:-1]).nonzero()
    # A clock's last image of a round of 8 may be the one that the other clock has just timed: there is no other left.
    place_in_round = (again + 1) // 2 % 8
    assert len(samples.image_index) > 1000
    assert set(place_in_round.tolist()) <= {7}


@pytest.mark.parametrize("images", [1, 2, 3, 8])
def test_each_clock_times_every_image(images):
    samples = time_beside([], BLOCKS, images).samples
    for clock in (END_TO_END, STAGED):
        assert set(samples.image_index[samples.clock == clock].tolist()) == set(range(images))


class Gpu(Telemetry):
    """Slow in some blocks, without a GPU."""

    def __init__(self, slow: Iterable[int]) -> None:
        super().__init__("cpu")
        self._slow, self._block = set(slow), -1

    def slowed(self, start_s: float, end_s: float) -> str | None:
        self._block += 1
        return "its clock fell" if self._block in self._slow else None


def time_on(gpu: Gpu, **changes) -> Timed:
    return timed_on(ScriptedMachine(), gpu, changed(**changes))


@pytest.fixture(autouse=True)
def _no_cool_down(monkeypatch):
    monkeypatch.setattr("bench.measure.timing.COOL_DOWN_S", 0.0)


def test_a_block_on_a_slowed_gpu_is_measured_again():
    timed = time_on(Gpu([1, 2]), min_s=0.025)
    assert timed.samples.block_accepted.tolist()[:4] == [True, False, False, True]
    assert "slowed down in 2 of" in flagged(timed, "gpu_slowed")
    assert flagged(timed, "blocks_rejected") == ""


@pytest.mark.parametrize("first", [0, 1])
def test_a_gpu_that_stays_slow_is_timed_as_it_is_after_the_retries_and_flagged(first):
    timed = time_on(Gpu(range(first, 1000)), min_s=0.035)
    accepted = timed.samples.block_accepted.tolist()
    assert accepted[: first + 3] == [True] * first + [False, False, True]
    assert flagged(timed, "stop_rule") == ""
    assert flagged(timed, "gpu_slowed")
