"""Functions that the interpreter calls at each step of the harness: by them a model could work where no clock looks."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

from bench.records import Flag


def _hooks() -> dict[str, Any]:
    """Name -> what is called at each call or line, or None."""
    found = {
        "sys.setprofile": sys.getprofile(),
        "sys.settrace": sys.gettrace(),
        "threading.setprofile": getattr(threading, "_profile_hook", None),
        "threading.settrace": getattr(threading, "_trace_hook", None),
    }
    monitoring = getattr(sys, "monitoring", None)  # Python 3.12
    get_tool: Callable[[int], Any] | None = getattr(monitoring, "get_tool", None)
    return found if get_tool is None else found | {f"sys.monitoring tool {n}": get_tool(n) for n in range(6)}


_AT_IMPORT = _hooks()
"""Those of whoever runs the harness, such as coverage or a debugger; this is imported before a model is built."""


class Hooks:
    """Watches whether anything is called at each step of the interpreter that was not when this was imported."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._seen: dict[str, None] = {}

    def look(self) -> None:
        """Note what is in use now."""
        for name, hook in _hooks().items():
            if hook is not None and hook is not _AT_IMPORT[name]:
                self._seen[name] = None

    def verdict(self) -> Flag | None:
        """Return what is wrong with what was seen; None if nothing was."""
        if not self._seen:
            return None
        return Flag(
            name="hooked_interpreter",
            seen=f"while it was timed, {' and '.join(self._seen)} was in use, by which a model can work before the "
            "clock starts",
            advice="take the profiler or tracer out of the adapter, and time without it",
        )
