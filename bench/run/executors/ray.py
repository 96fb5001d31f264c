"""Jobs as tasks of a Ray cluster, whose nodes share the folders of results, data and code.

Which job begins on which node is decided here, as for the devices of one machine (`placement.py`); Ray is told the node
and what the job takes of it, all of its processors and GPUs for one that measures, so that tasks of others that count
with it wait as well.
"""

from __future__ import annotations

import logging
import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from concurrent import futures
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from bench.errors import BenchError
from bench.measure.devices import Machine, this_machine
from bench.measure.gpus import VISIBLE
from bench.records import Job
from bench.records.names import harness_root, python_path
from bench.records.store.runs import utc_now
from bench.run.executor import Ended, Event, Helpers, Notice, PythonOf, Started, takes_several_gpus
from bench.run.executors.on_node import Assignment, carry_out
from bench.run.executors.placement import Placement, PlacementQueue, QueuedExecutor, Slot
from bench.run.process import PATIENCE_S, ProcessEnd
from bench.run.workers import FreshInterpreters

T = TypeVar("T")

ANSWER_S = 120.0
"""Seconds that the nodes get to say what they are."""
INHERITED = ("BENCH_", "XDG_", "HF_", "TORCH_", "SEGBENCH_")
"""Variables of the command that begin so are those of its tasks, too."""


@dataclass(frozen=True)
class _Node:
    """A node of the cluster: its name here, Ray's id of it, what it is, and its processors and GPUs as Ray counts."""

    name: str
    id: str
    machine: Machine
    cpus: float
    gpus: float


@dataclass
class _RunningJob:
    placement: Placement
    started_at: str


class RayExecutor(QueuedExecutor):
    """Carries jobs out on the nodes of a Ray cluster."""

    def __init__(self, address: str | None, *, share_node: bool = False) -> None:
        """Join a cluster and ask its nodes what they are.

        Args:
            address: Address of the cluster's head; None = as `RAY_ADDRESS` says, else a cluster of this machine alone.
            share_node: True if a job that measures has only its device to itself, instead of its node.

        Raises:
            BenchError: If Ray is not installed, or there is no cluster, or no node of it can do anything.
        """
        self._ray = _joined(address)
        nodes = _described(self._ray)
        self._nodes = {node.name: node for node in nodes}
        self.machine = _measuring(nodes)
        self._notes = deque(_differences(nodes, self.machine))
        slots = {node.name: _slots(node) for node in nodes}
        self._board = PlacementQueue(slots, alike=self.machine.identity, share_node=share_node)
        self._task = self._ray.remote(_on_node)
        self._flying: dict[Any, _RunningJob] = {}
        self._events: deque[Event] = deque()

    def expect(self, jobs: Iterable[Job], python_of: PythonOf | None = None) -> None:
        """Take note of the jobs that are going to be submitted."""
        super().expect(jobs, python_of)
        self._events.extend(Notice(line) for line in self._notes)
        self._notes.clear()

    def helpers(self) -> Helpers | None:
        """Return processes on all nodes; they take a processor as Ray counts, when no job has it."""
        return _OnNodes(self._ray)

    def wait(self) -> Event:
        """Return the next that happens; raises `BenchError` if no node is left that could do what waits."""
        self._start()
        if self._events:
            return self._events.popleft()
        if not self._flying:
            raise BenchError(
                f"no node of the Ray cluster is left that can do a job on {self._board.stuck or 'any device'}; what "
                "has ended is kept: the same command goes on from here once there are nodes again"
            )
        (ready, *_), _ = self._ray.wait([*self._flying], num_returns=1)
        return self._ended(ready)

    def cancel(self) -> None:
        """End the jobs in flight: gently at first, so that workers can end what they have started."""
        flying, self._flying = [*self._flying], {}
        for force in (False, True):
            for one in flying:
                self._ray.cancel(one, force=force)
            _, flying = self._ray.wait(flying, num_returns=len(flying), timeout=PATIENCE_S) if flying else ([], [])

    def close(self) -> None:
        """Leave the cluster."""
        self.cancel()
        self._ray.shutdown()

    def _start(self) -> None:
        for placement in self._board.placed():
            node, job = self._nodes[placement.node], placement.task.job
            slots = len(_slots(node))
            takes = (
                (node.cpus, node.gpus) if placement.whole else (node.cpus / slots, float(job.target.device != "cpu"))
            )
            assigned = Assignment(
                placement.task, placement.slots[0], placement.whole, node=node.name, alike=self.machine.identity
            )
            task = self._task.options(
                num_cpus=takes[0],
                num_gpus=takes[1],
                max_retries=0,
                name=f"{job.kind} {job.case_id}",
                scheduling_strategy=_at(node.id),
            )
            self._flying[task.remote(assigned)] = _RunningJob(placement, utc_now())
            self._events.append(Started(placement.task, placement.place))

    def _ended(self, ready: Any) -> Event:
        flight = self._flying.pop(ready)
        placement = flight.placement
        end, lost, said = self._result(ready, placement.node)
        beside = self._board.beside(placement)
        self._board.free(placement)
        if lost and not self._is_alive(placement.node):
            self._board.lose(placement.node)
        self._events.extend(Notice(line) for line in said)
        return Ended(placement.task, end, flight.started_at, placement.place, lost=lost, beside=beside)

    def _result(self, ready: Any, node: str) -> tuple[ProcessEnd | None, str, tuple[str, ...]]:
        errors = self._ray.exceptions
        try:
            end, said = self._ray.get(ready)
        except errors.OutOfMemoryError:
            killed = ProcessEnd(exit_code=None, signal="SIGKILL", timed_out=False, wall_s=0.0, kernel_oom_kills=1)
            return killed, "", ()
        except errors.RayTaskError as error:
            raise error.as_instanceof_cause() from None
        except errors.RayError as error:
            return None, f"node {node} was lost ({type(error).__name__})", ()
        return end, "", tuple(said)

    def _is_alive(self, name: str) -> bool:
        own = self._nodes[name].id
        return any(node["NodeID"] == own and node["Alive"] for node in self._ray.nodes())


class _OnNodes(futures.Executor):
    """Functions as tasks of the cluster."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._flying: list[Any] = []

    def submit(self, function: Callable[..., T], /, *arguments: Any, **named: Any) -> futures.Future[T]:
        task = (
            self._ray.remote(function)
            .options(num_cpus=1, name=getattr(function, "__name__", "helper"))
            .remote(*arguments, **named)
        )
        self._flying.append(task)
        found: futures.Future[T] = task.future()
        return found

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - as in the contract
        if cancel_futures:
            for task in self._flying:
                self._ray.cancel(task, force=True)
        self._flying.clear()


def _on_node(assigned: Assignment) -> tuple[ProcessEnd, list[str]]:
    """Do a job on the node that Ray calls this on."""
    shown = os.environ.pop(VISIBLE, None)  # what the machine is does not depend on what Ray lends of it
    job = assigned.task.job
    gpus = shown if shown is None or takes_several_gpus(job) else shown.split(",")[0]
    said: list[str] = []
    end = carry_out(replace(assigned, gpus=gpus or None), FreshInterpreters(), said.append)
    return end, said


def _what_are_you() -> Machine:
    os.environ.pop(VISIBLE, None)
    return this_machine()


def _joined(address: str | None) -> Any:
    try:
        import ray
    except ImportError:
        raise BenchError(
            "--executor ray needs the package ray, which is not installed here. Install it on every node with: "
            "pip install 'segbench[ray]'"
        ) from None
    variables = {name: value for name, value in os.environ.items() if name.startswith(INHERITED)}
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(
            address=address,
            runtime_env={"env_vars": {**variables, "PYTHONPATH": python_path()}},
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise BenchError(
            f"--executor ray: no Ray cluster could be joined at {address or 'this machine'}: {error}. Start one with "
            "ray start --head, and name its address with --address HOST:6379"
        ) from None
    for number, handler in before.items():  # Ray takes TERM for itself
        signal.signal(number, handler)
    return ray


def _described(ray: Any) -> list[_Node]:
    """Ask every node that lends processors what it is."""
    alive = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) > 0]
    hosts = Counter(node["NodeManagerHostname"] for node in alive)
    probe = ray.remote(_what_are_you)
    asked = [
        probe.options(num_cpus=0, max_retries=0, scheduling_strategy=_at(node["NodeID"])).remote() for node in alive
    ]
    found = []
    for node, answer in zip(alive, asked, strict=True):
        host, own = node["NodeManagerHostname"], node["NodeID"]
        name = host if hosts[host] == 1 else f"{host}/{own[:6]}"
        try:
            machine = ray.get(answer, timeout=ANSWER_S)
        except ray.exceptions.RayError as error:
            raise BenchError(
                f"--executor ray: node {name} does not answer: {error}. Every node needs this checkout at "
                f"{harness_root()} and the same packages"
            ) from None
        resources: Mapping[str, float] = node["Resources"]
        found.append(_Node(name, own, machine, resources["CPU"], resources.get("GPU", 0.0)))
    if not found:
        raise BenchError("--executor ray: no node of the cluster lends a processor; start one with: ray start")
    return sorted(found, key=lambda node: node.name)


def _measuring(nodes: list[_Node]) -> Machine:
    """Return the machine that measures: with a GPU if there is one, and of the kind that there are most of."""
    counts = Counter(node.machine.identity for node in nodes)
    return max((node.machine for node in nodes), key=lambda m: (m.device != "cpu", counts[m.identity], m.words))


def _differences(nodes: list[_Node], measuring: Machine) -> list[str]:
    kinds = Counter(node.machine.words for node in nodes)
    if len({node.machine.identity for node in nodes}) == 1:
        return [f"{len(nodes)} nodes: {measuring.words}"]
    listed = "; ".join(f"{count} x {words}" for words, count in kinds.most_common())
    return [
        f"{len(nodes)} nodes of several kinds ({listed}). What is measured, and trainings for a number of seconds, run "
        f"on one kind alone: {measuring.words}"
    ]


def _slots(node: _Node) -> tuple[Slot, ...]:
    alike = node.machine.identity
    if node.gpus < 1:
        return (Slot(alike=alike, device="cpu"),)
    return tuple(
        Slot(name=f"GPU {n + 1} of {int(node.gpus)}", alike=alike, device="cuda") for n in range(int(node.gpus))
    )


def _at(node: str) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node, soft=False)
