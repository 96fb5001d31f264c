"""Watches what a model may not change in its process, where it could work without a clock or change what is said.

The interpreter calls profile and trace functions at each step of the harness, and signal handlers between any two; the
clock, the collector and the harness itself are functions that can be replaced; and a thread may leave the cores that
its target allows it.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from bench.records import Flag

CALLED = {
    time: ("perf_counter_ns", "perf_counter", "monotonic", "monotonic_ns", "clock_gettime_ns", "sleep"),
    gc: ("collect", "disable", "enable"),
    resource: ("getrusage",),
    os: ("sched_getaffinity",),
}
"""Functions of the interpreter by which the harness measures."""
TASKS = Path("/proc/self/task")


def _hooks() -> dict[str, Any]:
    """Name -> what is called at each call or line, or by a timer; None, or nothing, where nothing is."""
    found = {
        "sys.setprofile": sys.getprofile(),
        "sys.settrace": sys.gettrace(),
        "threading.setprofile": getattr(threading, "_profile_hook", None),
        "threading.settrace": getattr(threading, "_trace_hook", None),
        "sys.setswitchinterval": sys.getswitchinterval(),
    }
    for kind in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF"):
        if any(signal.getitimer(getattr(signal, kind))):
            found[f"signal.setitimer({kind})"] = True
    monitoring = getattr(sys, "monitoring", None)  # Python 3.12
    get_tool: Callable[[int], Any] | None = getattr(monitoring, "get_tool", None)
    return found if get_tool is None else found | {f"sys.monitoring tool {n}": get_tool(n) for n in range(6)}


def _handlers() -> dict[str, Any]:
    """Name -> what is called by a signal."""
    handlers = {one.name: signal.getsignal(one) for one in signal.Signals}
    return {f"a handler of {name}": handler for name, handler in handlers.items() if callable(handler)}


def _own_functions() -> Iterator[tuple[str, Any]]:
    """Yield (name, what it is) of the functions by which the harness measures, and of its own."""
    for module, names in CALLED.items():
        yield from ((f"{module.__name__}.{name}", getattr(module, name)) for name in names)
    for name, module in sorted(sys.modules.items()):
        if name.startswith("bench.") and type(module) is ModuleType:
            yield from _functions_of(name, vars(module))


def _functions_of(place: str, within: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in list(within.items()):
        value = getattr(value, "__func__", value)  # of a class or static method
        if type(value) is FunctionType:
            yield f"{place}.{name}", (value, value.__code__)
        elif type(value) is type and value.__module__ == place:
            yield from _functions_of(f"{place}.{name}", dict(vars(value)))


@dataclass(frozen=True)
class Before:
    """The process as it was: hooks of whoever runs the harness, such as coverage or a debugger, and its functions."""

    hooks: dict[str, Any] = field(default_factory=lambda: _hooks() | _handlers())
    functions: dict[str, Any] = field(default_factory=lambda: dict(_own_functions()))


_REMEMBERED: list[Before] = []


def remember_the_harness() -> None:
    """Take note of this process as it is now: a worker does before it loads its adapter."""
    _REMEMBERED[:] = [Before()]


class Hooks:
    """Watches what is not as it was when the harness was remembered; in a process that is no worker, as it is now."""

    def __init__(self, cores: tuple[int, ...] | None = None) -> None:
        """Nothing was seen yet.

        Args:
            cores: Cores that the job may use; None if all.
        """
        self._before = _REMEMBERED[0] if _REMEMBERED else Before()
        self._cores = None if cores is None else frozenset(cores)
        self._seen: dict[str, None] = {}

    def look(self, *, at_edge: bool = False) -> None:
        """Note what is in use now; at the edge of a block signal handlers, too, of which there are many."""
        for name, hook in (_hooks() | _handlers() if at_edge else _hooks()).items():
            if hook is not None and hook != self._before.hooks.get(name):
                self._seen[name] = None

    def verdicts(self) -> Iterator[Flag]:
        """Yield what is wrong with what was seen, and with the harness and the threads as they are now."""
        if self._seen:
            yield Flag(
                name="hooked_interpreter",
                seen=f"while it was timed, {' and '.join(self._seen)} was in use, by which a model can work before the "
                "clock starts",
                advice="take the profiler, tracer or signal handler out of the adapter, and time without it",
            )
        functions = self._before.functions
        replaced = [name for name, is_now in _own_functions() if functions.get(name, is_now) != is_now]
        if replaced:
            yield Flag(
                name="changed_harness",
                seen=f"{', '.join(replaced[:3])} {'is' if len(replaced) == 1 else 'are'} not what the harness has "
                "there: since the adapter was loaded, something was put in the place of it",
                advice="take what replaces functions of the interpreter or the harness out of the adapter",
            )
        elsewhere = self._left_its_cores()
        if elsewhere:
            yield Flag(
                name="left_its_cores",
                seen=f"threads of the model ran on cores {', '.join(map(str, sorted(elsewhere)))}, which its target "
                "does not allow it",
                advice="leave the affinity of threads alone; ask for more with threads: in targets",
            )

    def _left_its_cores(self) -> set[int]:
        """Return the cores that threads may run on, and the job may not."""
        if self._cores is None or not TASKS.is_dir():
            return set()
        found: set[int] = set()
        for task in TASKS.iterdir():
            try:
                found |= os.sched_getaffinity(int(task.name))
            except OSError:  # it has ended
                continue
        return found - self._cores
