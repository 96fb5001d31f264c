"""Timing a whole model by the real clock: fakes of known latencies, which note how long they took themselves.

Their latencies are minima: a busy machine can only add to them, and what it adds is in the notes, too. So samples are
held against the notes; `tests/benchmarks/bench_known_latency.py` holds the strict bounds on an idle machine.
"""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from adapters.fake.adapter import Adapter as FakeAdapter
from bench.errors import ShapeError
from bench.measure.telemetry import Telemetry
from bench.measure.timing import Timed, time_model
from bench.measure.witness import LEAST
from bench.records import Measurement
from bench.records.store.samples import END_TO_END, STAGED, Samples
from bench.suite.model_configs import resolve_model
from tests.bench.builders import make_job
from tests.bench.measure.test_timing import BRIEF, Noise, changed, names

pytestmark = pytest.mark.alone

NOISE_OF_A_BUSY_MACHINE = {"busy_machine", "blocks_rejected", "stop_rule", "not_steady"}


def time_fake(config: str, measurement: Measurement = BRIEF, adapter: FakeAdapter | None = None) -> Timed:
    model = resolve_model(f"fake/{config}", label=None, options={}, weights=None)
    job = make_job(kind="time", model=model, measurement=measurement)
    adapter = adapter or FakeAdapter()
    adapter.build(model, job.task, job.target, None)
    with Telemetry("cpu") as telemetry:
        return time_model(adapter, Noise(), job, telemetry)


class NotesItself(FakeAdapter):
    """Notes how long each stage of each batch of timed images took, ns, by the clock that the harness reads."""

    timed = frozenset(Noise().image(image_id).tobytes() for image_id in Noise.ids)

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[list[int]] = []

    def preprocess(self, images):
        self.now: list[int] = []
        if images[0].tobytes() in self.timed:  # and not one that was changed, or made up
            self.notes.append(self.now)
        return self.noted(super().preprocess, images)

    def infer(self, batch):
        return self.noted(super().infer, batch)

    def postprocess(self, raw, sizes):
        return self.noted(super().postprocess, raw, sizes)

    def noted(self, stage, *arguments):
        start_ns = time.perf_counter_ns()
        result = stage(*arguments)
        self.now.append(time.perf_counter_ns() - start_ns)
        return result


def time_beside_notes(config: str, measurement: Measurement) -> tuple[Timed, np.ndarray]:
    """A timing, and what the fake notes of the samples of its first block: (samples, stages)."""
    adapter = NotesItself()
    timed = time_fake(config, measurement, adapter)
    first = len(timed.samples.warmup_ns) + 1  # behind the warm-up of the staged clock
    return timed, np.array(adapter.notes[first : first + int((timed.samples.block == 0).sum())])


def beyond_ms(samples_ns: np.ndarray, notes_ns: np.ndarray) -> float:
    """How much longer samples took than the fake did, at best: what the harness adds, unless it is interrupted."""
    beyond = samples_ns[: len(notes_ns)] - notes_ns
    assert (beyond >= 0).all(), "a sample is shorter than what the fake did in it"
    return float(np.percentile(beyond, 10)) / 1e6


@pytest.fixture(scope="module")
def noted_5ms() -> tuple[Timed, np.ndarray]:
    return time_beside_notes("slow_5ms", changed(BRIEF, block_s=0.3))


@pytest.fixture(scope="module")
def slow_5ms(noted_5ms) -> Timed:
    return noted_5ms[0]


def test_a_model_of_5_ms_is_timed_as_5_ms(noted_5ms):
    timed, notes = noted_5ms
    total = timed.samples.total_ns[timed.samples.clock == END_TO_END]
    assert (total >= 5_000_000).all()
    assert beyond_ms(total, notes[0::2].sum(axis=1)) < 0.3


def test_stages_of_1_3_and_1_ms_are_told_apart(noted_5ms):
    timed, notes = noted_5ms
    stages = timed.samples.stage_ns[timed.samples.clock == STAGED]
    assert (stages >= [1_000_000, 3_000_000, 1_000_000]).all()
    assert [beyond_ms(stages[:, k], notes[1::2, k]) < 0.3 for k in range(3)] == [True] * 3


def test_an_honest_model_raises_no_doubt_about_itself(slow_5ms):
    """In one of three timings, for what others do beside one in 40; see `test_cheats.py`."""
    timings = itertools.chain([slow_5ms], (time_fake("slow_5ms") for _ in range(2)))
    assert any(timed.invalid == () and names(timed.flags) <= NOISE_OF_A_BUSY_MACHINE for timed in timings)


def test_both_clocks_are_sampled_alike_and_alternate(slow_5ms):
    assert slow_5ms.samples.clock.tolist() == [END_TO_END, STAGED] * (len(slow_5ms.samples.clock) // 2)


def test_every_sample_lies_in_a_block_with_counters(slow_5ms):
    samples = slow_5ms.samples
    assert set(samples.block.tolist()) == set(range(len(samples.block_accepted)))
    assert (samples.block_wall_s >= 0.3).all()


def test_the_throughput_pass_reads_the_clock_that_times(slow_5ms):
    assert slow_5ms.samples.pipelined_ns >= 5_000_000 * slow_5ms.samples.pipelined_images > 0


def test_all_images_are_timed_once_before_any_is_timed_twice(slow_5ms):
    first_eight = slow_5ms.samples.image_index[slow_5ms.samples.clock == END_TO_END][:8]
    assert sorted(first_eight.tolist()) == list(range(8))


def test_a_share_of_the_timed_predictions_is_kept(slow_5ms):
    # A tenth of 8 images, but no fewer than four.
    assert len(slow_5ms.audited) == LEAST == 4
    assert [slow_5ms.samples.image_ids[i] for i in slow_5ms.samples.audit_index] == list(slow_5ms.audited)


@pytest.mark.slow
def test_a_model_of_20_ms_is_timed_as_20_ms():
    timed, notes = time_beside_notes("slow_20ms", changed(BRIEF, min_samples=10, max_s=20.0, block_s=0.6))
    total = timed.samples.total_ns[timed.samples.clock == END_TO_END]
    assert (total >= 20_000_000).all()
    assert beyond_ms(total, notes[0::2].sum(axis=1)) < 0.6


def test_a_prediction_of_the_wrong_shape_ends_the_timing():
    with pytest.raises(ShapeError, match="wrong_shape"):
        time_fake("wrong_shape")


def test_samples_survive_the_disk(slow_5ms, tmp_path):
    slow_5ms.samples.save(tmp_path / "samples.npz")
    np.testing.assert_array_equal(Samples.load(tmp_path / "samples.npz").total_ns, slow_5ms.samples.total_ns)
