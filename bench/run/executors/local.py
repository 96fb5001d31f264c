"""Jobs as processes of this machine: one at a time, predictions beside each other, or on several devices at once.

Each device has a thread, which blocks until its worker has ended; the calling thread blocks until one of them says
something. Nothing polls beside a measurement.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from queue import SimpleQueue

from bench.data.predictions import ADAPTER as FROM_FILES
from bench.errors import BenchError
from bench.measure.devices import Machine, allowed_cores, this_machine
from bench.measure.out_of_memory import free_host_bytes
from bench.records import Job
from bench.records.store.runs import utc_now
from bench.run.executor import Ended, Event, Notice, PythonOf, Started
from bench.run.executors.on_node import Assignment, carry_out
from bench.run.executors.placement import Placement, PlacementQueue, QueuedExecutor, Slot, number_of
from bench.run.workers import Workers

HERE = ""
"""Name of this machine among nodes: places need not say it."""
BESIDE = "beside"
"""Name of the place beside a prediction for another one; both may use all cores."""
LEAST_FREE_BYTES = 4 * 1024**3
"""Least available memory, in bytes, with which a job begins beside another one."""


class LocalExecutor(QueuedExecutor):
    """Carries jobs out on this machine."""

    is_here = True

    def __init__(
        self,
        workers_of: Callable[[int], Workers],
        slots: tuple[Slot, ...] = (),
        *,
        share_node: bool = False,
        beside: bool = False,
    ) -> None:
        """Take what the machine is divided into; nothing is started yet.

        Args:
            workers_of: Makes who starts the workers of one slot, given the number of slots.
            slots: Its parts; all of it as one if left out.
            share_node: True if a job that measures has only its slot to itself, instead of the machine.
            beside: True if, without parts, predictions on a processor of several cores run two at a time, and what
                the next framework imports is imported beside them. All else has the machine to itself.
        """
        first = slots[0] if slots else Slot()
        cores = first.cores if share_node else first.measuring_cores
        here = this_machine(number_of(cores))
        self.machine: Machine = replace(here, device=first.device or here.device)
        self._beside = beside and not slots and len(allowed_cores()) > 1
        whole = Slot(alike=self.machine.identity)
        self._slots = slots or ((whole, replace(whole, name=BESIDE)) if self._beside else (whole,))
        self._board = PlacementQueue(
            {HERE: self._slots},
            alike=self._slots[0].alike,
            share_node=share_node,
            alone=needs_machine if self._beside else lambda _: False,
            may_share=enough_memory if self._beside else lambda: True,
        )
        self._events: SimpleQueue[Event | BaseException] = SimpleQueue()
        shared = workers_of(1) if self._beside else None
        self._lanes = {slot.name: _Lane(shared or workers_of(len(self._slots)), self._events) for slot in self._slots}
        self._running: dict[str, Placement] = {}
        self._cancelled = False

    def expect(self, jobs: Iterable[Job], python_of: PythonOf | None = None) -> None:
        """Take note of the jobs that are going to be submitted."""
        coming = tuple(jobs)
        super().expect(coming)
        if any(slot.gpu is not None for slot in self._slots):
            _refuse_numbers(coming)
        for workers in self._workers():
            workers.expect(coming, python_of if self._beside else None)

    def wait(self) -> Event:
        """Return the next that happens.

        What was submitted begins here, when the caller has nothing else to do that could disturb it.
        """
        self._start()
        event = self._events.get()
        if isinstance(event, BaseException):
            raise event
        if isinstance(event, Ended):
            placement = self._running.pop(event.task.job.key)
            event = replace(event, beside=self._board.beside(placement))
            self._board.free(placement)
        return event

    def cancel(self) -> None:
        """End the jobs in flight."""
        self._cancelled = True
        for lane in self._lanes.values():
            lane.leave()
        for workers in self._workers():
            workers.stop()

    def close(self) -> None:
        """End whatever waits for further jobs."""
        self.cancel()
        for lane in self._lanes.values():
            lane.join()
        for workers in self._workers():
            workers.close()

    def _workers(self) -> list[Workers]:
        return [*dict.fromkeys(lane.workers for lane in self._lanes.values())]

    def _start(self) -> None:
        for placement in () if self._cancelled else self._board.placed():
            self._running[placement.task.job.key] = placement
            self._lanes[placement.slots[0].name].begin(placement)


class _Lane:
    """A thread that does one job after the other."""

    def __init__(self, workers: Workers, events: SimpleQueue[Event | BaseException]) -> None:
        self.workers = workers
        self._events = events
        self._given: SimpleQueue[Placement | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def begin(self, placement: Placement) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="executor", daemon=True)
            self._thread.start()
        self._given.put(placement)

    def leave(self) -> None:
        """Do nothing after the job in flight."""
        self._given.put(None)

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while (placement := self._given.get()) is not None:
            try:
                self._do(placement)
            except BaseException as error:  # what stops a run goes on where the run waits
                self._events.put(error)

    def _do(self, placement: Placement) -> None:
        task, place, started_at = placement.task, placement.place, utc_now()
        self._events.put(Started(task, place))
        assigned = Assignment(task, placement.slots[0], placement.whole, placement.gpus)
        end = carry_out(assigned, self.workers, lambda line: self._events.put(Notice(line)))
        self._events.put(Ended(task, end, started_at, place))


def needs_machine(job: Job) -> bool:
    """Return whether nothing runs beside a job, where predictions run beside each other.

    A prediction has no number that would change; it shares a processor, of which it leaves a part idle, but no GPU, and
    not the process of the command, which reads files of predictions.
    """
    return job.kind != "predict" or job.target.device != "cpu" or job.model.adapter == FROM_FILES


def enough_memory() -> bool:
    """Return whether another job may begin beside one; what needs more all the same is done again alone."""
    free = free_host_bytes()
    return free is None or free >= LEAST_FREE_BYTES


def _refuse_numbers(jobs: Iterable[Job]) -> None:
    """Refuse targets that name one GPU of several, where each job sees those that it is given."""
    for job in jobs:
        kind, _, number = job.target.device.partition(":")
        if kind != "cpu" and number not in ("", "0"):
            raise BenchError(
                f"{job.case_id}: target.device is {job.target.device!r}, but with --devices each job sees its own GPU "
                f"alone: write device: {kind} in the suite, or leave --devices out"
            )
