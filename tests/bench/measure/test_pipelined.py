"""The throughput pass: stages of different batches at once where that is possible, one after the other elsewhere."""

from __future__ import annotations

import itertools
import queue
import threading
import time
import weakref
from collections import Counter
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest

from bench.adapter import BaseAdapter, load_adapter
from bench.measure.pipelined import Flow, for_seconds, pipelined
from bench.measure.push_through import push_through
from bench.measure.sweep import blocks_of, measure_rate
from bench.measure.under_load import UnderLoad
from bench.records import Target, TaskSpec, Throughput
from bench.records.predictions import SemanticMap
from tests.bench.builders import CLASSES, make_job, make_model
from tests.bench.measure.scripted import blank

PATIENCE_S = 20.0


class Overlapping(BaseAdapter):
    """Hands the number of a batch, which is the height of its images, from stage to stage."""

    stages_overlap = True

    def __init__(self) -> None:
        self.now: Counter[str] = Counter()
        self.at_once = 0
        self.calls: list[tuple[str, int]] = []

    def build(self, model, task, target, weights):
        raise AssertionError("built by the test")

    def work(self, stage: str, number: int) -> None:
        self.calls.append((stage, number))
        self.now[stage] += 1
        self.at_once = max(self.at_once, self.now.total())
        self.stage(stage, number)
        self.now[stage] -= 1

    def stage(self, stage: str, number: int) -> None:
        """What a test has a stage do."""

    def preprocess(self, images):
        self.work("preprocess", images[0].shape[0])
        return images

    def infer(self, batch):
        self.work("infer", batch[0].shape[0])
        return batch

    def postprocess(self, raw, sizes):
        self.work("postprocess", raw[0].shape[0])
        return [SemanticMap(np.zeros(image.shape[:2], np.uint8)) for image in raw]


def numbered(number: int):
    return [blank(1 + number, 2)] * 2


def so_many(batches: int):
    return lambda elapsed_ns, started: started < batches


def pushed(adapter: BaseAdapter, more, **keywords) -> Flow:
    return pipelined(adapter, numbered, time.perf_counter_ns, more, **keywords)


class Meets(Overlapping):
    """Goes on when three batches are in a stage each."""

    def __init__(self) -> None:
        super().__init__()
        self.barrier = threading.Barrier(3)
        self.met = threading.Event()

    def stage(self, stage, number):
        if (stage, number) in (("preprocess", 3), ("infer", 2), ("postprocess", 1)):
            self.barrier.wait(PATIENCE_S)
            self.met.set()


def test_three_batches_are_in_a_stage_each_at_the_same_time():
    adapter = Meets()
    flow = pushed(adapter, so_many(5))
    assert adapter.met.is_set()
    assert flow.images == (2,) * 5


def test_stages_of_an_adapter_that_does_not_overlap_follow_each_other():
    adapter = Overlapping()
    adapter.stages_overlap = False
    pushed(adapter, so_many(3))
    assert adapter.at_once == 1
    assert [stage for stage, _ in adapter.calls] == ["preprocess", "infer", "postprocess"] * 3


@pytest.mark.parametrize("overlap", [False, True])
def test_every_batch_is_told_of_in_order_with_its_own_predictions(overlap):
    adapter, seen = Overlapping(), []
    adapter.stages_overlap = overlap
    flow = pushed(adapter, so_many(20), seen=lambda number, read: seen.append((number, read.predictions[0].size)))
    assert seen == [(number, (1 + number, 2)) for number in range(20)]
    assert flow.count == 40
    assert list(flow.done_ns) == sorted(flow.done_ns)
    assert flow.done_ns[-1] == flow.wall_ns


@pytest.mark.parametrize("overlap", [False, True])
def test_a_pass_that_may_not_begin_pushes_nothing(overlap):
    adapter = Overlapping()
    adapter.stages_overlap = overlap
    assert pushed(adapter, so_many(0)).images == ()


class Fails(Overlapping):
    where = ""

    def stage(self, stage, number):
        if (stage, number) == (self.where, 3):
            raise ValueError(f"fails in {stage}")


@pytest.mark.parametrize("stage", ["preprocess", "infer", "postprocess"])
def test_an_error_of_any_stage_is_raised_and_no_thread_stays(stage):
    adapter, before = Fails(), threading.active_count()
    adapter.where = stage
    with pytest.raises(ValueError, match=f"fails in {stage}"):
        pushed(adapter, so_many(1000))
    assert threading.active_count() == before
    assert len(adapter.calls) < 30


# ------------------------------------------------------------------ the rate is that of the slowest stage

STAGES_MS = (12.0, 20.0, 12.0)


def sleeping(*, overlap: bool):
    adapter = load_adapter("fake")
    named = dict(zip(("preprocess_ms", "infer_ms", "postprocess_ms"), STAGES_MS, strict=True))
    model = make_model(options={"behaviour": "slow", "stages_overlap": overlap, **named})
    adapter.build(model, TaskSpec(kind="semantic", classes=CLASSES), Target(), None)
    return adapter


@pytest.mark.alone
def test_sleeping_stages_take_the_slowest_of_them_where_they_overlap_and_their_sum_elsewhere():
    cycle_ms = {}
    for overlap, batch_ms in ((False, sum(STAGES_MS)), (True, max(STAGES_MS))):
        flow = pushed(sleeping(overlap=overlap), so_many(25))
        # Beside the 25 cycles the first batch comes to infer, and the last one from it.
        cycle_ms[overlap] = (flow.wall_ns / 1e6 - (sum(STAGES_MS) - batch_ms)) / 25
        assert cycle_ms[overlap] >= batch_ms
    # 20 to 44; a busy machine lengthens each stage, and so the sum of them by more than the slowest.
    assert cycle_ms[True] < 0.75 * cycle_ms[False]


@pytest.mark.alone
def test_offline_and_the_sweep_push_through_in_the_same_way():
    images = [blank() for _ in range(4)]
    rates = {}
    for overlap in (False, True):
        adapter, job = sleeping(overlap=overlap), make_job(kind="throughput")
        model = UnderLoad(adapter, images, [f"image-{i}" for i in range(4)], job)
        rates[overlap] = measure_rate(model, 2, Throughput(min_s=0.6, max_s=5.0), name="offline")
        assert rates[overlap].images_per_s <= 2000 / (max(STAGES_MS) if overlap else sum(STAGES_MS))
        assert rates[overlap].blocks == 5
    assert rates[True].images_per_s > rates[False].images_per_s / 0.75


class Stream:
    """Work of a device that is done in the order in which it was queued."""

    def __init__(self) -> None:
        self.queued: queue.SimpleQueue[tuple[float, threading.Event, threading.Event | None] | None]
        self.queued = queue.SimpleQueue()
        threading.Thread(target=self._compute, daemon=True).start()

    def _compute(self) -> None:
        while (work := self.queued.get()) is not None:
            seconds, done, after = work
            assert after is None or after.wait(PATIENCE_S)
            time.sleep(seconds)
            done.set()

    def queue(self, seconds: float, after: threading.Event | None = None) -> threading.Event:
        done = threading.Event()
        self.queued.put((seconds, done, after))
        return done


class OnStreams(Overlapping):
    """Computes on a device whose default stream all threads share, unless they are beside."""

    host_s, device_s = 0.012, 0.020

    def __init__(self) -> None:
        super().__init__()
        self.default, self.current = Stream(), threading.local()

    def queued(self):
        return self.default.queue(0.0)

    @contextmanager
    def beside(self, mark):
        self.current.stream = Stream()
        if mark is not None:
            self.current.stream.queue(0.0, after=mark)
        yield
        assert self.current.stream.queue(0.0).wait(PATIENCE_S)
        self.current.stream.queued.put(None)
        del self.current.stream

    def stage(self, stage, number):
        stream = getattr(self.current, "stream", self.default)
        if stage == "infer":
            self.computed = stream.queue(self.device_s)
        elif stage == "preprocess":
            time.sleep(self.host_s)
        else:
            time.sleep(0.003)  # so that the next infer is queued before what reads this one
            assert stream.queue(0.0).wait(PATIENCE_S)
            time.sleep(self.host_s)


class OnOneStream(OnStreams):
    def beside(self, mark):
        return nullcontext()


@pytest.mark.alone
def test_a_device_that_serves_in_order_does_not_run_dry_since_reading_has_a_stream_of_its_own():
    cycles_s = {kind: pushed(kind(), so_many(25)).wall_ns / 25e9 for kind in (OnStreams, OnOneStream)}
    # 20 to 32 ms, of which the device works for 20; a busy machine delays both alike.
    assert cycles_s[OnStreams] < 0.85 * cycles_s[OnOneStream]
    assert cycles_s[OnOneStream] > OnStreams.device_s + 0.8 * OnStreams.host_s


def test_a_batch_is_read_only_when_it_was_computed_and_held_until_then():
    class Batches(OnStreams):
        held: list[weakref.ref] = []

        def preprocess(self, images):
            self.held.append(weakref.ref(batch := np.array([image.shape[0] for image in images])))
            return batch

        def infer(self, batch):
            return self.default.queue(0.005), weakref.ref(batch)

        def postprocess(self, raw, sizes):
            computed, batch = raw
            assert self.current.stream.queue(0.0).wait(PATIENCE_S)
            assert computed.is_set()
            assert batch() is not None
            return [SemanticMap(np.zeros(size, np.uint8)) for size in sizes]

    adapter = Batches()
    pushed(adapter, so_many(10))
    assert [one() for one in adapter.held] == [None] * 10


def test_no_more_than_three_batches_are_under_way():
    class Counts(Overlapping):
        under_way = most = 0

        def stage(self, stage, number):
            self.under_way += stage == "preprocess"
            self.most = max(self.most, self.under_way)
            if stage == "postprocess":
                time.sleep(0.002)
                self.under_way -= 1

    adapter = Counts()
    pushed(adapter, so_many(30))
    assert adapter.most == 3


# ------------------------------------------------------------------ memory


class OutOfMemoryError(RuntimeError):
    """Named as torch names it."""


class FullWithTwo(Overlapping):
    """Memory holds one batch at a time."""

    peak = 7

    def stage(self, stage, number):
        self.peak += 1
        if stage == "infer" and number == 3:
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    def peak_device_bytes(self):
        return self.peak


def push(adapter: BaseAdapter):
    keep = {"batches": 4, "keep": lambda number: True}
    ticks = itertools.count(0, 1_000_000)  # on a busy machine, few batches would fit into so little time
    return push_through(adapter, numbered, lambda: next(ticks), 0.02, device="cuda", **keep)


def test_memory_that_does_not_hold_several_batches_costs_the_throughput_and_not_the_timing():
    found = push(FullWithTwo())
    assert (found.wall_ns, found.images) == (0, 0)
    (flag,) = found.flags
    assert flag.name == "no_throughput"
    assert "CUDA out of memory" in flag.seen


def test_the_peak_of_memory_is_that_of_one_batch_after_the_other():
    assert push(FullWithTwo()).peak_device_bytes == 7


def test_another_error_of_the_pass_is_not_taken_for_full_memory():
    adapter = Fails()
    adapter.where = "postprocess"
    with pytest.raises(ValueError, match="fails in postprocess"):
        push(adapter)


# ------------------------------------------------------------------ blocks


@pytest.mark.parametrize("batches", [1, 3, 5, 7, 100])
def test_blocks_of_a_pass_have_all_of_its_time_and_images(batches):
    done = np.cumsum(np.random.default_rng(batches).integers(1, 100, batches))
    flow = Flow(int(done[-1]), tuple(done.tolist()), (3,) * batches)
    block_ns, block_images = blocks_of(flow)
    assert (sum(block_ns), sum(block_images)) == (flow.wall_ns, flow.count)
    assert len(block_ns) == min(5, batches)
    assert max(block_images) - min(block_images) <= 3


def test_the_time_of_a_pass_ends_it_after_the_batch_that_runs():
    class Takes44Ms(Overlapping):
        stages_overlap = False
        now_ns = 0

        def stage(self, stage, number):
            self.now_ns += 44_000_000 if stage == "infer" else 0

    adapter = Takes44Ms()
    flow = pipelined(adapter, numbered, lambda: adapter.now_ns, for_seconds(0.05))
    assert len(flow.images) == 2  # the second begins before 50 ms
    assert flow.wall_ns == 88_000_000
