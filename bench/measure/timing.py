"""Time one model in one process by protocol 1: warm up, sample in blocks, push through, audit."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.adapter import Adapter
from bench.measure.audits import (
    ClockAudit,
    cached_answers,
    forgotten_synchronisation,
    implausible_device_time,
)
from bench.measure.counters import LEAST_WATCHED_S, Edge, between, read_edge
from bench.measure.devices import allowed_cores
from bench.measure.elsewhere import Helpers, work_moved_between_clocks, work_outside_the_clock
from bench.measure.first_looks import FirstLooks
from bench.measure.held_back import HeldBack
from bench.measure.hooks import Hooks
from bench.measure.interference import RepeatBudget, interference, process_times, used_by
from bench.measure.phases import during
from bench.measure.push_through import Pushed, push_through
from bench.measure.rounds import Rounds
from bench.measure.rows import Rows, block_flags
from bench.measure.stages import BatchTime, Clock, end_to_end, no_garbage_collection, staged
from bench.measure.telemetry import Telemetry
from bench.measure.timed_images import ImageSource, TimedImages
from bench.measure.unchanged import InputWatch
from bench.measure.unseen_images import UnseenImages, work
from bench.measure.witness import Witness
from bench.records import Flag, Interference, Job
from bench.records.predictions import Prediction
from bench.records.store.samples import END_TO_END, STAGED, Samples
from bench.score.stats.stop_rule import WarmUp, next_check, unmet_conditions

LEAST_QUIET_BLOCKS = 3
"""Fewest undisturbed blocks that stand for the model on a busy machine."""
COOL_DOWN_S = 1.0
"""Pause after a block in which the GPU slowed down."""

Counters = Callable[[tuple[int, ...]], Edge]
"""Reads the machine's counters for some cores; `read_edge` outside tests."""
Wall = Callable[[], float]
"""Seconds of the monotonic clock by which blocks and limits are; `time.monotonic` outside tests."""


@dataclass(frozen=True)
class Timed:
    """The results of timing one model.

    Attributes:
        samples: Raw samples, nanoseconds.
        audited: Image id -> prediction of the timed pass, for a share of the images, then for some that were held back.
        flags: Doubts.
        invalid: Reasons not to use the numbers.
        time_to_steady_s: Seconds until the warm-up rule held; None if it never did.
        interference: Interference of other processes while it was sampled.
        peak_device_bytes: Peak of the device memory with one batch at a time; where stages overlap, pushing through
            takes more.
    """

    samples: Samples
    audited: dict[str, Prediction]
    flags: tuple[Flag, ...]
    invalid: tuple[Flag, ...]
    time_to_steady_s: float | None
    interference: Interference
    peak_device_bytes: int | None


def time_model(
    adapter: Adapter,
    source: ImageSource,
    job: Job,
    telemetry: Telemetry,
    clock: Clock = time.perf_counter_ns,
    counters: Counters = read_edge,
    wall_s: Wall = time.monotonic,
) -> Timed:
    """Time a built model.

    Args:
        adapter: Adapter, built for the job.
        source: Images to draw from.
        job: Job, for the measurement, the batch size, the task and the seed of the order.
        telemetry: Telemetry, which is told of each block's edge.
        clock: Host clock, nanoseconds.
        counters: Reads what the machine did, at the edges of blocks.
        wall_s: Clock of blocks and limits, that of the counters.

    Raises:
        ShapeError: If a prediction breaks the contract.
    """
    return _Session(adapter, source, job, telemetry, clock, counters, wall_s).run()


class _Session:
    """State of one timing job."""

    def __init__(
        self,
        adapter: Adapter,
        source: ImageSource,
        job: Job,
        telemetry: Telemetry,
        clock: Clock,
        counters: Counters,
        wall_s: Wall,
    ) -> None:
        assert job.measurement is not None
        self._adapter, self._job, self._m = adapter, job, job.measurement
        self._telemetry, self._clock, self._counters, self._wall_s = telemetry, clock, counters, wall_s
        self._cores = allowed_cores()
        self._clock_audit = ClockAudit(clock)
        self._images = TimedImages(source, job, self._m, clock)
        self._inputs = InputWatch(self._images.arrays, self._images.ids, job.model.label)
        self._flags: list[Flag] = []
        self._invalid: list[Flag] = []
        self._witness = Witness(self._images.ids, self._m.audit_fraction, self._images.checked)
        first, batch_size = job.replicate == 0, job.target.batch_size
        self._never_seen = UnseenImages(adapter, self._images.arrays, batch_size, clock, first=first)
        others = sorted(set(source.ids) - set(self._images.ids)) if self._m.audit_fraction else []
        forms = {work(image) for image in self._images.arrays}
        self._held_back = HeldBack(adapter, source, others, job, clock, lambda image: work(image) in forms)
        self._first_looks = FirstLooks(adapter, self._images, clock, first=first)
        self._rounds = Rounds(self._images.batches)
        self._watched_from: tuple[int, Edge] | None = None
        self._hooks = Hooks(job.cpu_affinity)

    def run(self) -> Timed:
        """Warm up, sample, push through, audit."""
        before = process_times()
        began_s = time.monotonic()
        warm_up = self._warm_up()
        steady_s = None if any(flag.name == "not_steady" for flag in self._flags) else sum(warm_up.total_ns) / 1e9
        sampled_s = time.monotonic()
        helpers = Helpers(self._telemetry.pids)
        rows = self._sample()
        worked = helpers.verdict(time.monotonic() - sampled_s)
        self._invalid += [] if worked is None else [worked]
        core_seconds = (time.monotonic() - began_s) * len(self._cores)
        by = used_by(before, process_times(), own=os.getpid(), core_seconds=core_seconds)
        self._audit_what_was_not_timed()
        pushed = self._push_through()
        self._inputs.check()
        self._audit(rows)
        samples = self._as_samples(rows, warm_up, pushed)
        seen = interference(rows.counters, by)
        doubts = tuple(self._flags), tuple(self._invalid)
        audited = {**self._witness.kept, **self._held_back.kept}
        return Timed(samples, audited, *doubts, steady_s, seen, pushed.peak_device_bytes)

    @during("push_through")
    def _push_through(self) -> Pushed:
        if not self._m.pipelined_s:
            return Pushed(peak_device_bytes=self._adapter.peak_device_bytes())
        pushed = push_through(
            self._adapter,
            self._images.batch,
            self._clock,
            self._m.pipelined_s,
            batches=self._rounds.batches,
            encoded=self._images.bytes_of if self._images.encoded else None,
            keep=lambda number: self._witness.chose(self._images.positions(number)),
            device=self._job.target.device,
        )
        self._flags += pushed.flags
        for number, read in pushed.kept:
            self._witness.look(read, self._images.positions(number))
        return pushed

    def _time(self, kind: int, number: int) -> BatchTime:
        timed_by = end_to_end if kind == END_TO_END else staged
        encoded = self._images.bytes_of(number) if self._images.encoded else None
        timed = timed_by(self._adapter, self._images.batch(number), self._clock, encoded=encoded)
        self._inputs.after_batch(self._images.positions(number))
        if not timed.read.plain:
            self._images.checked(timed.predictions, self._images.positions(number))
        return timed

    @during("warm_up")
    def _warm_up(self) -> WarmUp:
        m = self._m
        min_s = m.warm_up_s(self._job.target.device)
        shapes = sorted({image.shape[:2] for image in self._images.arrays})
        rule = WarmUp(m, min_s=min_s, buckets=shapes)
        number = 0
        while rule.unmet() and not rule.capped() and not (rule.overdue() and self._busy_meanwhile(rule)):
            timed = self._time(END_TO_END, number)
            self._images.checked(timed.predictions, self._images.positions(number))
            rule.add(timed.total_ns, [image.shape[:2] for image in self._images.batch(number)])
            self._first_looks.warmed.add(self._images.positions(number)[0])
            number += 1
        if rule.unmet():
            ended = "warm-up ended at its cap" if rule.capped() else "the machine stayed busy, so warm-up ended early"
            self._flag(
                "not_steady",
                f"{ended}: {', '.join(rule.unmet())}",
                advice="close other programs, or raise measurement.warmup_max_s",
            )
        # The staged clock's events and extra waits are warmed up, too; what they take is not kept.
        self._time(STAGED, number)
        return rule

    def _busy_meanwhile(self, rule: WarmUp) -> bool:
        """Return whether other processes disturbed the last window of the warm-up; asked from when it is overdue.

        The counters are read here only, so that a warm-up that ends in time is not interrupted by it.
        """
        count = len(rule.total_ns)
        if self._watched_from is None:
            self._watched_from = count, self._counters(self._cores)
        since, edge = self._watched_from
        if count - since < self._m.warmup_window or self._wall_s() - edge.wall_s < LEAST_WATCHED_S:
            return False
        end = self._counters(self._cores)
        self._watched_from = count, end
        return between(edge, end, len(self._cores)).disturbed

    @during("sample")
    def _sample(self) -> Rows:
        """Sample in blocks until the stop rule holds for the samples that will be used.

        A disturbed block is measured again, as long as that is worth it (`RepeatBudget`). On a machine that stays busy
        the undisturbed blocks are used if they alone hold enough samples, else all: a flagged number beats an empty
        table.
        """
        rows, patience = Rows(), RepeatBudget(self._m)
        check, started = next_check(0, self._m), self._wall_s()
        while True:
            self._block(rows)
            patience.add(rows.counters[-1])
            elapsed_s = self._wall_s() - started
            capped = elapsed_s >= self._m.max_s
            if patience.given_up(rows.by_clock()[0]):
                self._sample_as_it_is(rows, patience, started)
                break
            if not capped and not any(rows.accepted) and len(rows.accepted) <= self._m.block_retries:
                continue
            counted = rows.end_to_end_ns()
            if len(counted) < check and not capped:
                continue
            unmet = unmet_conditions(counted, rows.elapsed_s(), self._m)
            check = next_check(len(counted), self._m)
            if not unmet:
                break
            if capped:
                self._flag(
                    "stop_rule",
                    f"the cap of {self._m.max_s:g} s was reached with {', '.join(unmet)}",
                    advice="use an idle machine, or raise measurement.max_s",
                )
                break
        self._flags += block_flags(rows, self._m.block_retries)
        return rows

    def _sample_as_it_is(self, rows: Rows, patience: RepeatBudget, started: float) -> None:
        """End the sampling on a machine that stays busy.

        The conditions on time and number of samples are still waited for, the one on the interval is not: it is as
        wide as the disturbance makes it.
        """
        if sum(rows.accepted) < LEAST_QUIET_BLOCKS or len(rows.end_to_end_ns()) < patience.samples_wanted:
            rows.accepted = [False] * len(rows.accepted)  # as `Samples.usable` has it, all of them count
            while not self._enough_of_all(rows, patience, self._wall_s() - started):
                self._block(rows)
                rows.accepted[-1] = False
        unmet = unmet_conditions(rows.end_to_end_ns(), rows.elapsed_s(), self._m)
        if unmet:
            self._flag(
                "stop_rule",
                f"the machine stayed busy, so sampling ended early: {', '.join(unmet)}",
                advice="use an idle machine, or raise measurement.busy_allowance",
            )

    def _enough_of_all(self, rows: Rows, patience: RepeatBudget, elapsed_s: float) -> bool:
        total_ns = rows.by_clock()[0]
        enough = len(total_ns) >= patience.samples_wanted and rows.elapsed_s() >= self._m.min_s
        return enough or elapsed_s >= self._m.max_s or patience.over(elapsed_s, total_ns)

    def _block(self, rows: Rows) -> None:
        """Take samples for `block_s`, the two host clocks in turn, and now and then an image never seen."""
        self._first_looks.perhaps(rows)
        block = len(rows.counters)
        self._telemetry.mark()
        with no_garbage_collection() as of_garbage_ns:
            edge, deadline = self._counters(self._cores), self._wall_s() + self._m.block_s
            while True:
                self._one(rows, END_TO_END, self._rounds.next(END_TO_END), block)
                self._one(rows, STAGED, self._rounds.next(STAGED), block)
                self._never_seen.perhaps()
                self._held_back.perhaps()
                self._hooks.look()
                if self._wall_s() >= deadline:
                    break
            end = self._counters(self._cores)
        self._hooks.look(at_edge=True)
        rows.collected_ns += of_garbage_ns
        self._telemetry.mark()
        counters, slowed = between(edge, end, len(self._cores)), self._telemetry.slowed(edge.wall_s, end.wall_s)
        rows.counters.append(counters)
        rows.slowed.append(slowed)
        # A GPU that stays slow is timed as it is, and flagged.
        in_a_row = next((n for n, reason in enumerate(reversed(rows.slowed)) if reason is None), len(rows.slowed))
        again = 0 < in_a_row <= self._m.block_retries
        rows.accepted.append(not counters.disturbed and not again)
        if again:
            time.sleep(COOL_DOWN_S)

    def _one(self, rows: Rows, kind: int, number: int, block: int) -> None:
        before = resource.getrusage(resource.RUSAGE_SELF)
        timed = self._time(kind, number)
        after = resource.getrusage(resource.RUSAGE_SELF)
        rows.clock.append(kind)
        rows.total_ns.append(timed.total_ns)
        rows.stage_ns.append(timed.stage_ns or (0, 0, 0))
        rows.decode_ns.append(timed.decode_ns or 0)
        rows.device_ns.append(-1 if timed.device_ns is None else timed.device_ns)
        rows.image_index.append(self._images.positions(number)[0])
        rows.block.append(block)
        rows.switches.append(after.ru_nivcsw - before.ru_nivcsw)
        rows.faults.append(after.ru_majflt - before.ru_majflt)
        self._never_seen.timed(self._images.positions(number), timed.predictions)
        self._witness.after_batch(timed.read, self._images.positions(number))
        rows.outside_ns.append(timed.outside_ns + timed.read.freed_ns(self._clock))

    @during("audit")
    def _audit_what_was_not_timed(self) -> None:
        """Predict audited images that a short run did not come to."""
        for index in self._witness.missing:
            number = next(n for n in range(len(self._images.ids)) if index in self._images.positions(n))
            self._witness.look(self._time(END_TO_END, number).read, self._images.positions(number))
        self._never_seen.enough()
        self._held_back.rest()

    def _flag(self, name: str, seen: str, advice: str = "") -> None:
        self._flags.append(Flag(name=name, seen=seen, advice=advice))

    @during("audit")
    def _audit(self, rows: Rows) -> None:
        stages = [(d, s[1]) for d, s in zip(rows.device_ns, rows.stage_ns, strict=True) if d >= 0]
        for doubt, refused in (self._clock_audit.verdict(), self._never_seen.verdict(self._alike_ns(rows))):
            if doubt is not None:
                (self._invalid if refused else self._flags).append(doubt)
        wrong = (
            implausible_device_time([d for d, _ in stages], [s for _, s in stages]),
            work_outside_the_clock(rows.outside_ns, rows.total_ns, rows.collected_ns)
            or work_moved_between_clocks(*rows.by_clock()),
            self._witness.verdict(),
            *self._hooks.verdicts(),
        )
        self._invalid += [reason for reason in wrong if reason is not None]
        adapter, images, clock, looks = self._adapter, self._images, self._clock, self._first_looks
        looks.rest(rows)
        forgot = forgotten_synchronisation(adapter, images.batch(0), clock, looks.gaps)
        cached = cached_answers(adapter, images.arrays, self._job.target.batch_size, clock, looks.ratios)
        self._invalid += [] if forgot is None else [forgot]
        self._flags += [] if cached is None else [cached]

    def _alike_ns(self, rows: Rows) -> list[int]:
        """End-to-end samples of batches that are like those of images never seen; none where they began at files."""
        if self._images.encoded:
            return []
        return [
            total
            for clock, total, first in zip(rows.clock, rows.total_ns, rows.image_index, strict=True)
            if clock == END_TO_END and self._never_seen.positions.issuperset(self._images.positions_from(first))
        ]

    def _as_samples(self, rows: Rows, warm_up: WarmUp, pushed: Pushed) -> Samples:
        return Samples(
            **rows.arrays(),
            image_ids=np.array(self._images.ids, dtype=np.str_),
            batch_size=np.array(self._job.target.batch_size, dtype=np.int64),
            warmup_ns=np.array(warm_up.total_ns, dtype=np.int64),
            decode_ns=np.array(self._images.decode_ns, dtype=np.int64),
            pipelined_ns=np.array(pushed.wall_ns, dtype=np.int64),
            pipelined_images=np.array(pushed.images, dtype=np.int64),
            audit_index=np.array(self._witness.positions, dtype=np.int32),
            stage_decode_ns=np.array(rows.decode_ns if self._images.encoded else [], dtype=np.int64),
        )
