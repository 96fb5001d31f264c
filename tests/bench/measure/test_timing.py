"""Timing a whole model in this process: scripted devices for the rules, fakes for known latencies.

The fakes' latencies are minima: a busy machine can only add to them. So the lowest tenth of the samples is
compared, and `tests/benchmarks/bench_known_latency.py` holds the strict bounds on an idle machine.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import numpy as np
import pytest

from adapters.fake.adapter import Adapter as FakeAdapter
from bench.errors import ShapeError
from bench.measure.counters import Edge, read_edge
from bench.measure.first_looks import FirstLooks
from bench.measure.rows import Rows
from bench.measure.telemetry import Telemetry
from bench.measure.timed_images import TimedImages
from bench.measure.timing import Timed, time_model
from bench.measure.witness import LEAST
from bench.records import Flag, Measurement, Target
from bench.records.predictions import RgbImage
from bench.records.store.samples import END_TO_END, STAGED, Samples
from bench.suite.model_configs import resolve_model
from tests.bench.builders import make_job, make_model
from tests.bench.measure.scripted import ScriptedAdapter, ScriptedClock

pytestmark = pytest.mark.alone

BRIEF = Measurement(
    quick=True,
    replicates=1,
    images=8,
    warmup_min_iterations=4,
    warmup_min_s_cpu=0.0,
    warmup_window=2,
    warmup_tolerance=10.0,
    min_s=0.0,
    min_samples=20,
    percentiles=(),
    median_half_width=10.0,
    max_s=2.0,
    block_s=0.1,
    pipelined_s=0.05,
)


class Noise:
    """Images of random pixels; no two alike."""

    ids = tuple(f"image-{number}" for number in range(8))

    def image(self, image_id: str) -> RgbImage:
        rng = np.random.default_rng(int(image_id.rpartition("-")[2]))
        return rng.integers(0, 256, (16, 20, 3), dtype=np.uint8)


def changed(measurement: Measurement, **changes) -> Measurement:
    return measurement.model_copy(update=changes)


def time_fake(config: str, measurement: Measurement = BRIEF, batch_size: int = 1, replicate: int = 0) -> Timed:
    model = resolve_model(f"fake/{config}", label=None, options={}, weights=None)
    target = Target(batch_size=batch_size)
    job = make_job(kind="time", model=model, measurement=measurement, target=target, replicate=replicate)
    adapter = FakeAdapter()
    adapter.build(model, job.task, job.target, None)
    with Telemetry("cpu") as telemetry:
        return time_model(adapter, Noise(), job, telemetry)


def low_ms(values_ns: Sequence[int] | np.ndarray) -> float:
    return float(np.percentile(values_ns, 10)) / 1e6


def names(flags: Sequence[Flag]) -> set[str]:
    return {flag.name for flag in flags}


NOISE_OF_A_BUSY_MACHINE = {"busy_machine", "blocks_rejected", "stop_rule", "not_steady"}


@pytest.fixture(scope="module")
def slow_5ms() -> Timed:
    return time_fake("slow_5ms")


def test_a_model_of_5_ms_is_timed_as_5_ms(slow_5ms):
    total = slow_5ms.samples.total_ns[slow_5ms.samples.clock == END_TO_END]
    assert low_ms(total) == pytest.approx(5.0, rel=0.06)


def test_stages_of_1_3_and_1_ms_are_told_apart(slow_5ms):
    stages = slow_5ms.samples.stage_ns[slow_5ms.samples.clock == STAGED]
    assert [low_ms(stages[:, k]) for k in range(3)] == pytest.approx([1.0, 3.0, 1.0], rel=0.06)


def test_an_honest_model_raises_no_doubt_about_itself(slow_5ms):
    assert slow_5ms.invalid == ()
    assert names(slow_5ms.flags) <= NOISE_OF_A_BUSY_MACHINE


def test_both_clocks_are_sampled_alike_and_alternate(slow_5ms):
    assert slow_5ms.samples.clock.tolist() == [END_TO_END, STAGED] * (len(slow_5ms.samples.clock) // 2)


def test_every_sample_lies_in_a_block_with_counters(slow_5ms):
    samples = slow_5ms.samples
    assert set(samples.block.tolist()) == set(range(len(samples.block_accepted)))
    assert (samples.block_wall_s >= BRIEF.block_s).all()


def test_the_throughput_pass_of_a_model_without_a_device_is_as_fast_as_its_latency(slow_5ms):
    per_image_ms = slow_5ms.samples.pipelined_ns / slow_5ms.samples.pipelined_images / 1e6
    assert 4.99 < per_image_ms < 10


def test_all_images_are_timed_once_before_any_is_timed_twice(slow_5ms):
    first_eight = slow_5ms.samples.image_index[slow_5ms.samples.clock == END_TO_END][:8]
    assert sorted(first_eight.tolist()) == list(range(8))


def test_a_share_of_the_timed_predictions_is_kept(slow_5ms):
    # A tenth of 8 images, but no fewer than four.
    assert len(slow_5ms.audited) == LEAST == 4
    assert [slow_5ms.samples.image_ids[i] for i in slow_5ms.samples.audit_index] == list(slow_5ms.audited)


def test_each_process_keeps_predictions_of_other_images():
    def chosen() -> frozenset[str]:
        brief = changed(BRIEF, min_samples=2, min_s=0.0, max_s=0.01, block_s=0.01, pipelined_s=0.0)
        return frozenset(time_scripted(ScriptedAdapter(ScriptedClock(), (0, 1000, 0)), brief).audited)

    # 70 ways to choose four of eight: ten times the same by chance once in 70^9.
    assert len({chosen() for _ in range(10)}) > 1


@pytest.mark.slow
def test_a_model_of_20_ms_is_timed_as_20_ms():
    samples = time_fake("slow_20ms", changed(BRIEF, min_samples=10, max_s=20.0, pipelined_s=0.0)).samples
    assert low_ms(samples.total_ns[samples.clock == END_TO_END]) == pytest.approx(20.0, rel=0.03)


def test_the_two_modes_of_a_bimodal_model_are_both_found():
    samples = time_fake("bimodal", changed(BRIEF, min_samples=48, max_s=20.0, pipelined_s=0.0)).samples
    total = samples.total_ns[samples.clock == END_TO_END] / 1e6
    fast, slow = total[total < 15], total[total >= 15]
    assert min(len(fast), len(slow)) >= 3
    assert np.percentile(fast, 10) == pytest.approx(10.0, rel=0.06)
    assert np.percentile(slow, 10) == pytest.approx(20.0, rel=0.06)


def test_a_model_that_forgets_to_synchronise_is_invalid():
    (reason,) = time_fake("forgets_sync", changed(BRIEF, min_samples=6)).invalid
    assert str(reason).startswith("forgot_sync: work of infer was still in flight after synchronize()")


def test_every_later_process_of_a_case_tries_gaps_and_changed_images_too():
    forgets = time_fake("forgets_sync", changed(BRIEF, min_samples=6), replicate=1)
    assert names(forgets.invalid) == {"forgot_sync"}
    remembers = time_fake("cached", changed(BRIEF, min_samples=6), replicate=4)
    assert "cached_or_content_dependent" in names(remembers.flags)


@pytest.mark.parametrize(("first", "gaps", "changed_pixels"), [(True, 3, 7), (False, 1, 3)])
def test_first_looks_are_taken_between_blocks_and_those_that_are_left_at_the_end(
    monkeypatch, first, gaps, changed_pixels
):
    adapter = ScriptedAdapter(ScriptedClock(), (0, 1000, 0))
    job = make_job(kind="time", model=make_model(), measurement=SCRIPTED)
    looks = FirstLooks(adapter, TimedImages(Noise(), job, SCRIPTED, adapter.clock), adapter.clock, first=first)
    looks.perhaps(Rows())  # nothing is sampled yet
    rows = Rows(
        clock=[END_TO_END, STAGED], total_ns=[1000, 1000], stage_ns=[(0, 0, 0), (0, 1000, 0)], image_index=[2, 5]
    )
    for share, taken in ((0.0, 0), (1.0, 1)):
        monkeypatch.setattr("bench.measure.first_looks.SHARE", share)
        looks.perhaps(rows)
        assert (len(looks.gaps), len(looks.ratios)) == (taken, taken)
    for _ in range(2):
        looks.rest(rows)
        assert looks.gaps == [((0, 1000, 0), (0, 1000, 0))] * gaps
        assert looks.ratios == [1.0] * changed_pixels


def test_changed_images_that_arouse_a_suspicion_are_made_as_many_as_in_the_first_process():
    adapter = ScriptedAdapter(ScriptedClock(), (0, 1000, 0))
    job = make_job(kind="time", model=make_model(), measurement=SCRIPTED)
    looks = FirstLooks(adapter, TimedImages(Noise(), job, SCRIPTED, adapter.clock), adapter.clock, first=False)
    looks.ratios += [0.5, 0.5]
    looks.rest(Rows(clock=[END_TO_END], total_ns=[1000], stage_ns=[(0, 0, 0)], image_index=[2]))
    assert looks.ratios == [0.5, 0.5, 1.0, 1.0, 1.0]  # the median of five is in order


def test_a_model_that_remembers_its_answers_is_flagged_and_invalid():
    timed = time_fake("cached", changed(BRIEF, min_samples=6))
    assert "cached_or_content_dependent" in names(timed.flags)
    assert names(timed.invalid) == {"answered_from_memory"}


def test_a_prediction_of_the_wrong_shape_ends_the_timing():
    with pytest.raises(ShapeError, match="wrong_shape"):
        time_fake("wrong_shape")


def test_batches_count_once_per_batch():
    samples = time_fake("slow_5ms", changed(BRIEF, min_samples=6), batch_size=4).samples
    assert samples.batch_size == 4
    assert low_ms(samples.total_ns[samples.clock == END_TO_END]) == pytest.approx(5.0, rel=0.06)


# ------------------------------------------------------------------ rules, on a scripted device


class Others:
    """Counters of a machine on which other processes use a share of the cores, and a tick more at each reading."""

    def __init__(self, share: float = 0.0, tick_s: float = 0.0) -> None:
        self._share, self._tick_s, self._ticks, self._since_s = share, tick_s, 0, time.monotonic()

    def __call__(self, cores: tuple[int, ...]) -> Edge:
        edge, self._ticks = read_edge(cores), self._ticks + 1
        used_s = self._share * len(cores) * (edge.wall_s - self._since_s) + self._ticks * self._tick_s
        return dataclasses.replace(edge, busy_s=edge.user_s + edge.system_s + used_s, steal_s=0.0)


def time_scripted(adapter: ScriptedAdapter, measurement: Measurement, others: Others | None = None) -> Timed:
    job = make_job(kind="time", model=make_model(), measurement=measurement)
    return time_model(adapter, Noise(), job, Telemetry("cpu"), clock=adapter.clock, counters=others or Others())


class Unsteady(ScriptedAdapter):
    """Every call takes a tenth longer than the last, up to 10 µs."""

    def infer(self, batch: Sequence[RgbImage]) -> Sequence[RgbImage]:
        self.host_ns = (0, min(self.host_ns[1] * 11 // 10, 10_000), 0)
        return super().infer(batch)


SCRIPTED = changed(BRIEF, block_s=0.01, max_s=0.05, pipelined_s=0.0)


def flagged(timed: Timed, name: str) -> str:
    return next((flag.text for flag in timed.flags if flag.name == name), "")


def test_a_model_that_never_gets_steady_is_flagged_with_the_condition_that_is_unmet():
    adapter = Unsteady(ScriptedClock(), (0, 1000, 0))
    timed = time_scripted(adapter, changed(SCRIPTED, warmup_max_iterations=12, warmup_tolerance=0.02))
    assert "the last two windows differ by" in flagged(timed, "not_steady")
    assert timed.time_to_steady_s is None
    assert len(timed.samples.warmup_ns) == 12


def test_a_tick_of_another_process_during_a_few_iterations_does_not_end_the_warm_up():
    adapter = Unsteady(ScriptedClock(), (0, 1000, 0))
    measurement = changed(SCRIPTED, warmup_max_iterations=12, warmup_tolerance=0.0)
    timed = time_scripted(adapter, measurement, Others(tick_s=0.01))
    assert flagged(timed, "not_steady").startswith("warm-up ended at its cap")
    assert len(timed.samples.warmup_ns) == 12


def test_a_machine_that_stays_busy_ends_the_wait_for_a_steady_model():
    class NeverSteady(ScriptedAdapter):
        def infer(self, batch: Sequence[RgbImage]) -> Sequence[RgbImage]:
            time.sleep(0.02)
            self.host_ns = (0, self.host_ns[1] * 11 // 10, 0)
            return super().infer(batch)

    measurement = changed(SCRIPTED, warmup_max_iterations=1000, warmup_tolerance=0.0)
    timed = time_scripted(NeverSteady(ScriptedClock(), (0, 1000, 0)), measurement, Others(share=0.5))
    assert flagged(timed, "not_steady").startswith("the machine stayed busy, so warm-up ended early")
    assert len(timed.samples.warmup_ns) < 1000


def test_warm_up_ends_as_soon_as_the_model_is_steady():
    adapter = ScriptedAdapter(ScriptedClock(), (0, 10_000_000, 0))
    timed = time_scripted(adapter, changed(SCRIPTED, warmup_tolerance=0.02))
    # Every image shape twice and four iterations; then nothing is unmet. 8 images have one shape.
    assert timed.samples.warmup_ns.tolist() == [10_000_000] * 4
    assert timed.time_to_steady_s == pytest.approx(0.04)
    assert flagged(timed, "not_steady") == ""


def test_the_first_call_is_kept_among_the_warm_up_and_not_among_the_samples():
    class SlowOnce(ScriptedAdapter):
        def infer(self, batch: Sequence[RgbImage]) -> Sequence[RgbImage]:
            self.clock.now_ns += 5_000_000_000 if "infer" not in self.calls else 0
            return super().infer(batch)

    timed = time_scripted(SlowOnce(ScriptedClock(), (0, 1_000_000, 0)), SCRIPTED)
    assert timed.samples.warmup_ns[0] == 5_001_000_000
    assert timed.samples.total_ns.max() == 1_000_000


def test_what_is_unmet_when_the_cap_is_reached_is_named():
    adapter = ScriptedAdapter(ScriptedClock(), (0, 1000, 0))
    # However busy this machine is: it is never given up, so that the cap ends the sampling.
    timed = time_scripted(adapter, changed(SCRIPTED, min_s=30.0, busy_allowance=1e6))
    said = flagged(timed, "stop_rule")
    assert said.startswith("the cap of 0.05 s was reached with 0.")
    assert "of 30 s measured; use an idle machine" in said


def test_sampling_ends_at_a_checkpoint_once_the_rule_holds():
    adapter = ScriptedAdapter(ScriptedClock(), (0, 1000, 0))
    timed = time_scripted(adapter, changed(SCRIPTED, max_s=5.0, block_retries=0))
    assert flagged(timed, "stop_rule") == ""
    assert len(timed.samples.block_accepted) == 1


def test_device_events_that_claim_more_than_the_host_waited_are_invalid():
    class OnAnotherStream(ScriptedAdapter):
        def synchronize(self) -> None:
            self.queued_ns = 0

    adapter = OnAnotherStream(ScriptedClock(), (0, 1000, 0), (0, 5_000_000, 0), events=True)
    assert names(time_scripted(adapter, SCRIPTED).invalid) >= {"implausible_device_time"}


def test_device_events_are_kept_beside_the_staged_clock_only():
    adapter = ScriptedAdapter(ScriptedClock(), (0, 1000, 0), (0, 5_000_000, 0), events=True)
    samples = time_scripted(adapter, SCRIPTED).samples
    assert set(samples.device_ns[samples.clock == STAGED].tolist()) == {5_000_000}
    assert set(samples.device_ns[samples.clock == END_TO_END].tolist()) == {-1}


def test_a_clock_that_drifts_from_the_kernels_makes_the_timing_invalid():
    # The scripted clock hardly moves while real time passes: a drift of nearly 100 %.
    adapter = ScriptedAdapter(ScriptedClock(), (0, 1, 0))
    assert "clock_drift" in names(time_scripted(adapter, SCRIPTED).invalid)


def test_samples_survive_the_disk(slow_5ms, tmp_path):
    slow_5ms.samples.save(tmp_path / "samples.npz")
    np.testing.assert_array_equal(Samples.load(tmp_path / "samples.npz").total_ns, slow_5ms.samples.total_ns)
