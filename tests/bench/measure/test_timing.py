"""The rules by which a whole model is timed, on a scripted device, clock and machine.

`test_known_latencies.py` times fakes by the real clock.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from bench.measure.first_looks import FirstLooks
from bench.measure.rows import Rows
from bench.measure.telemetry import Telemetry
from bench.measure.timed_images import ImageSource, TimedImages
from bench.measure.timing import Timed, time_model
from bench.records import Flag, Measurement, Target
from bench.records.predictions import RgbImage
from bench.records.store.samples import END_TO_END, STAGED
from tests.bench.builders import make_job, make_model
from tests.bench.measure.scripted import Contents, IdleGap, Lazy, ScriptedAdapter, ScriptedClock, ScriptedMachine

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


MS = 1_000_000
SCRIPTED = changed(BRIEF, block_s=0.01, max_s=0.05, pipelined_s=0.0)


def time_scripted(
    adapter: ScriptedAdapter,
    measurement: Measurement,
    machine: ScriptedMachine | None = None,
    *,
    source: ImageSource | None = None,
    batch_size: int = 1,
    replicate: int = 0,
) -> Timed:
    """Time on scripted clocks and counters: nothing of the machine under test decides anything."""
    target = Target(batch_size=batch_size)
    job = make_job(kind="time", model=make_model(), measurement=measurement, target=target, replicate=replicate)
    machine = machine or ScriptedMachine()
    telemetry, source = Telemetry("cpu"), source or Noise()
    return time_model(adapter, source, job, telemetry, adapter.clock, machine.counters, machine.wall_s)


def names(flags: Sequence[Flag]) -> set[str]:
    return {flag.name for flag in flags}


def test_the_throughput_pass_of_a_model_without_a_device_is_as_fast_as_its_latency():
    adapter = ScriptedAdapter(ScriptedClock(), (MS, 3 * MS, MS))
    samples = time_scripted(adapter, changed(SCRIPTED, pipelined_s=0.05)).samples
    assert (samples.pipelined_ns, samples.pipelined_images) == (50 * MS, 10)
    assert set(samples.total_ns.tolist()) == {5 * MS}


def test_each_process_keeps_predictions_of_other_images():
    def chosen() -> frozenset[str]:
        brief = changed(BRIEF, min_samples=2, min_s=0.0, max_s=0.01, block_s=0.01, pipelined_s=0.0)
        return frozenset(time_scripted(ScriptedAdapter(ScriptedClock(), (0, 1000, 0)), brief).audited)

    # 70 ways to choose four of eight: ten times the same by chance once in 70^9.
    assert len({chosen() for _ in range(10)}) > 1


def test_the_two_modes_of_a_bimodal_model_are_both_found():
    images = [Noise().image(image_id).tobytes() for image_id in Noise.ids]
    adapter = Contents(lambda content: 20 * MS if content in images[::2] else 10 * MS)
    samples = time_scripted(adapter, changed(SCRIPTED, min_samples=48, block_s=0.1, max_s=1.0)).samples
    total = samples.total_ns[samples.clock == END_TO_END]
    # Half of the images of each round of 8.
    assert total[:48].tolist().count(10 * MS) == total[:48].tolist().count(20 * MS) == 24
    assert set(total.tolist()) == {10 * MS, 20 * MS}


@pytest.mark.parametrize("replicate", [0, 1])
def test_a_model_that_forgets_to_synchronise_is_invalid_in_every_process(monkeypatch, replicate):
    adapter = Lazy(ScriptedClock(), (MS, MS, MS), (0, 8 * MS, 0))
    monkeypatch.setattr("bench.measure.audits.time.sleep", IdleGap(adapter))
    (reason,) = refusals(time_scripted(adapter, SCRIPTED, replicate=replicate), "forgot_sync")
    assert str(reason).startswith("forgot_sync: work of infer was still in flight after synchronize()")


@pytest.mark.parametrize("replicate", [0, 4])
def test_a_model_that_remembers_its_answers_is_flagged_and_invalid_in_every_process(replicate):
    seen: set[bytes] = set()

    def cost_ns(content: bytes) -> int:
        known = content in seen
        seen.add(content)
        return MS if known else 5 * MS

    timed = time_scripted(Contents(cost_ns), SCRIPTED, replicate=replicate)
    assert "cached_or_content_dependent" in names(timed.flags)
    assert len(refusals(timed, "answered_from_memory")) == 1


def refusals(timed: Timed, name: str) -> list[Flag]:
    """Reasons of this name; a scripted clock, which stands still while time goes on, is refused for that, too."""
    return [reason for reason in timed.invalid if reason.name == name]


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


def test_batches_count_once_per_batch():
    adapter = ScriptedAdapter(ScriptedClock(), (MS, 3 * MS, MS))
    samples = time_scripted(adapter, SCRIPTED, batch_size=4).samples
    assert samples.batch_size == 4
    assert set(samples.total_ns.tolist()) == {5 * MS}


# ------------------------------------------------------------------ rules, on a scripted device


class Unsteady(ScriptedAdapter):
    """Every call takes a tenth longer than the last, up to 10 µs."""

    def infer(self, batch: Sequence[RgbImage]) -> Sequence[RgbImage]:
        self.host_ns = (0, min(self.host_ns[1] * 11 // 10, 10_000), 0)
        return super().infer(batch)


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
    timed = time_scripted(adapter, measurement, ScriptedMachine(tick_s=0.01))
    assert flagged(timed, "not_steady").startswith("warm-up ended at its cap")
    assert len(timed.samples.warmup_ns) == 12


def test_a_machine_that_stays_busy_ends_the_wait_for_a_steady_model():
    machine = ScriptedMachine(lambda _: 0.5)

    class NeverSteady(ScriptedAdapter):
        def infer(self, batch: Sequence[RgbImage]) -> Sequence[RgbImage]:
            machine.now_s += 0.02
            self.host_ns = (0, self.host_ns[1] * 11 // 10, 0)
            return super().infer(batch)

    measurement = changed(SCRIPTED, warmup_max_iterations=1000, warmup_tolerance=0.0)
    timed = time_scripted(NeverSteady(ScriptedClock(), (0, 1000, 0)), measurement, machine)
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
    timed = time_scripted(adapter, changed(SCRIPTED, min_s=30.0))
    said = flagged(timed, "stop_rule")
    assert said.startswith("the cap of 0.05 s was reached with 0.")
    assert "of 30 s measured; use an idle machine" in said


def test_sampling_ends_at_a_checkpoint_once_the_rule_holds():
    adapter = ScriptedAdapter(ScriptedClock(), (0, 1000, 0))
    timed = time_scripted(adapter, changed(SCRIPTED, max_s=5.0, block_s=0.05))
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
