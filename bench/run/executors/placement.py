"""Decides which job may begin where: jobs that measure have a node to themselves, the others share it by its slots.

Pure, and linear in the number of jobs: nothing here looks at all nodes, or at all jobs that wait.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from bench.errors import BenchError
from bench.records import Job
from bench.run.executor import MEASURING, Helpers, PythonOf, Task, is_relative_to_machine, takes_several_gpus
from bench.run.helpers import processes_of_this_machine


@dataclass(frozen=True)
class Slot:
    """A part of a node that carries out one job at a time: a GPU, some cores, or all of the node.

    Attributes:
        name: Name such as `cuda:0` or `cpu:0-3`, unlike any other of the node; empty for all of the node.
        alike: Kind of the slot, as `Machine.identity`: what is measured in one run is measured on slots of one kind.
        device: `cpu` or `cuda`, what a job can use here; None for whatever it asks for.
        cores: Cores that a job gets which shares the node; None for all that are allowed.
        measuring_cores: Cores that a job gets which has the node to itself; None for all that are allowed.
        gpu: `CUDA_VISIBLE_DEVICES` of its jobs; None leaves it alone.
    """

    name: str = ""
    alike: str = ""
    device: str | None = None
    cores: tuple[int, ...] | None = None
    measuring_cores: tuple[int, ...] | None = None
    gpu: str | None = None


@dataclass(frozen=True)
class Placement:
    """A job and where it runs.

    Attributes:
        task: The job.
        node: Name of the node.
        slots: Slots of the node that the job takes; it is pinned to the first.
        whole: True if nothing else runs on the node.
    """

    task: Task
    node: str
    slots: tuple[Slot, ...]
    whole: bool

    @property
    def place(self) -> str:
        """Return where in words: the node, and what of it."""
        return " ".join(filter(None, (self.node, self.slots[0].name)))

    @property
    def gpus(self) -> str | None:
        """Return `CUDA_VISIBLE_DEVICES` of the worker: one GPU, or all for a training that spreads over several."""
        shown = [slot.gpu for slot in self.slots if slot.gpu is not None]
        return ",".join(shown if takes_several_gpus(self.task.job) else shown[:1]) if shown else None


CPU = "cpu"
Class = tuple[str | None, str]
"""Slots that are as good as each other: by their device, and by what their machine is like."""


class Request(NamedTuple):
    """Hold what a job wants: a kind of device, a machine like the one that measures, a node for itself."""

    device: str
    measures: bool
    whole: bool


class PlacementQueue:
    """Keeps who works where, and who waits.

    Jobs wait in the order in which they came; one that finds no place holds those up that came after it and want
    the same.
    """

    def __init__(
        self,
        nodes: Mapping[str, tuple[Slot, ...]],
        *,
        alike: str,
        share_node: bool = False,
        alone: Callable[[Job], bool] = lambda _: False,
        may_share: Callable[[], bool] = lambda: True,
    ) -> None:
        """Take the nodes.

        Args:
            nodes: Name -> slots of each node.
            alike: `Slot.alike` of those that may measure.
            share_node: True if a job that measures has only its slot to itself, instead of its node.
            alone: Whether a job that does not measure has its node to itself all the same.
            may_share: Whether a job may begin on a node beside others now.
        """
        self._alike = alike
        self._share, self._alone, self._may_share = share_node, alone, may_share
        self._slots: dict[str, tuple[Slot, ...]] = {}
        self._free: dict[Class, OrderedDict[tuple[str, int], None]] = {}
        self._idle: dict[Class, OrderedDict[str, None]] = {}
        self._at_once: dict[Request, int] = {}
        self._busy: dict[str, dict[str, Placement]] = {}
        self._met: dict[str, dict[str, Job]] = {}
        self._waiting: dict[Request, deque[tuple[int, Task]]] = {}
        self._queued, self._came = 0, 0
        for name, slots in nodes.items():
            self.add(name, slots)

    def add(self, node: str, slots: tuple[Slot, ...]) -> None:
        """Take a node in."""
        self._slots[node] = slots
        self._busy[node] = {}
        self._at_once.clear()
        self._open(node, slots)

    @property
    def nodes(self) -> tuple[str, ...]:
        """Return the nodes that are there."""
        return tuple(self._slots)

    def check(self, jobs: Iterable[Job]) -> None:
        """Refuse a job for which there is no place, whatever ends.

        Raises:
            BenchError: Naming the device that it wants, and what there is.
        """
        for device, measures in dict.fromkeys((_device(job), is_relative_to_machine(job)) for job in jobs):
            if self._fitting(device, measures):
                continue
            there = sorted({slot.name or slot.device or "" for slots in self._slots.values() for slot in slots})
            what = "can measure a job" if measures else "can do a job"
            raise BenchError(
                f"no place {what} whose target's device is {device!r}: there are {', '.join(there) or 'none'}. Change "
                "'device' in the suite's targets or recipe, leave these cases out with --case, or name other devices"
            )

    def at_once(self, job: Job) -> int:
        """Return how many jobs of this kind can be done at the same time, at least 1."""
        request = self._request(job)
        if request not in self._at_once:
            fitting = {*self._fitting(request.device, request.measures)}
            counts = [sum(_class(slot) in fitting for slot in slots) for slots in self._slots.values()]
            self._at_once[request] = max(1, sum(map(bool, counts)) if request.whole else sum(counts))
        return self._at_once[request]

    def hungry(self) -> bool:
        """Return whether more places are free than jobs wait."""
        return self._queued < sum(map(len, self._free.values()))

    def submit(self, task: Task) -> None:
        """Queue a job."""
        self._waiting.setdefault(self._request(task.job, alone=task.alone), deque()).append((self._came, task))
        self._queued, self._came = self._queued + 1, self._came + 1

    def placed(self) -> Iterator[Placement]:
        """Yield jobs that may begin now, each with its place, which is taken from then on."""
        in_order = sorted((waiting[0][0], request) for request, waiting in self._waiting.items() if waiting)
        for _, request in in_order:
            waiting = self._waiting[request]
            while waiting and (found := self._find(request)) is not None:
                node, slots, whole = found
                self._queued -= 1
                placement = Placement(waiting.popleft()[1], node, slots, whole)
                self._begin(placement)
                yield placement

    @property
    def stuck(self) -> str | None:
        """Return the device of a job that waits though nothing is in flight; None where there is none."""
        waiting = [request.device for request, tasks in self._waiting.items() if tasks]
        return waiting[0] if waiting and not any(self._busy.values()) else None

    def free(self, placement: Placement) -> None:
        """Give a place back; nothing happens if its node is gone."""
        node = placement.node
        self._met.pop(placement.task.job.key, None)
        if node not in self._slots or self._busy[node].pop(placement.task.job.key, None) is None:
            return
        self._open(node, placement.slots)

    def beside(self, placement: Placement) -> tuple[Job, ...]:
        """Return the jobs that have been on the node at the same time as a job; to be asked before it is freed."""
        return tuple(self._met.get(placement.task.job.key, {}).values())

    def lose(self, node: str) -> tuple[Placement, ...]:
        """Take a node out that is gone; returns what ran on it."""
        slots, busy = self._slots.pop(node, ()), self._busy.pop(node, {})
        self._at_once.clear()
        for number, slot in enumerate(slots):
            self._free[_class(slot)].pop((node, number), None)
            self._idle[_class(slot)].pop(node, None)
        return tuple(busy.values())

    def _begin(self, placement: Placement) -> None:
        own, there = placement.task.job, self._busy[placement.node]
        self._met[own.key] = {other.task.job.key: other.task.job for other in there.values()}
        for key in there:
            self._met[key][own.key] = own
        there[own.key] = placement

    def _request(self, job: Job, *, alone: bool = False) -> Request:
        measures = job.kind in MEASURING and not self._share
        whole = alone or measures or takes_several_gpus(job) or self._alone(job)
        return Request(_device(job), is_relative_to_machine(job), whole)

    def _find(self, request: Request) -> tuple[str, tuple[Slot, ...], bool] | None:
        for one in self._fitting(request.device, request.measures):
            if request.whole and (nodes := self._idle.get(one)):
                node = next(iter(nodes))
                slots = self._slots[node]
                self._close(node, slots)
                own = next(slot for slot in slots if _class(slot) == one)
                return node, (own, *(slot for slot in slots if slot is not own)), True
            if not request.whole and (free := self._free.get(one)):
                node, number = next(iter(free))
                if self._busy[node] and not self._may_share():
                    continue
                slot = self._slots[node][number]
                self._close(node, (slot,))
                return node, (slot,), False
        return None

    def _fitting(self, device: str, measures: bool) -> list[Class]:
        """Return the classes of slots that a job can be done in; those that fewer jobs can use come first."""
        fitting = [one for one in self._free if one[0] in (None, device) or device == CPU]
        fitting = [one for one in fitting if not measures or one[1] == self._alike]
        return sorted(fitting, key=lambda one: (one[0] != device, one[1]))

    def _close(self, node: str, slots: Iterable[Slot]) -> None:
        for slot in self._slots[node]:
            self._idle[_class(slot)].pop(node, None)
        for slot in slots:
            self._free[_class(slot)].pop((node, self._slots[node].index(slot)), None)

    def _open(self, node: str, slots: Iterable[Slot]) -> None:
        every = self._slots[node]
        for slot in slots:
            self._free.setdefault(_class(slot), OrderedDict())[node, every.index(slot)] = None
        if not self._busy[node]:
            for slot in every:
                self._idle.setdefault(_class(slot), OrderedDict())[node] = None


def number_of(cores: tuple[int, ...] | None) -> int | None:
    """Return how many cores a set has; None for all that are allowed."""
    return None if cores is None else len(cores)


def _class(slot: Slot) -> Class:
    return slot.device, slot.alike


def _device(job: Job) -> str:
    """Return the kind of device that a job wants: `cpu`, `cuda`, and so on."""
    return job.target.device.partition(":")[0]


class QueuedExecutor:
    """Holds what executors have in common whose board says which job may begin; see `bench.run.executor.Executor`."""

    _board: PlacementQueue
    is_here = False

    def helpers(self) -> Helpers | None:
        """Return processes of this machine."""
        return processes_of_this_machine()

    def expect(self, jobs: Iterable[Job], python_of: PythonOf | None = None) -> None:  # noqa: ARG002 - as in the contract
        """Take note of the jobs that are going to be submitted."""
        self._board.check(jobs)

    def at_once(self, job: Job) -> int:
        """Return how many jobs of this kind can be done at the same time."""
        return self._board.at_once(job)

    def hungry(self) -> bool:
        """Return whether another job would begin soon."""
        return self._board.hungry()

    def submit(self, task: Task) -> None:
        """Do a job as soon as there is a place for it."""
        self._board.submit(task)
