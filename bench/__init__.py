"""`segbench`: one metric code path and one timing protocol for segmentation models of any framework.

For scripts and notebooks: `bench.load_run` gives the tables of a run, `bench.compare` what changed between two,
`bench.load_model` a model that predicts, and `bench.score` scores predictions in memory. `import bench` itself loads
none of what they need.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.report.frames import load_run
    from bench.run.compare.in_process import compare
    from bench.run.predict.in_process import load_model
    from bench.score.in_memory import score

__version__ = "0.2.0"

__all__ = ["__version__", "compare", "load_model", "load_run", "score"]

_OPENS_ON = {
    "compare": "bench.run.compare.in_process",
    "load_model": "bench.run.predict.in_process",
    "load_run": "bench.report.frames",
}
"""Function -> the module that has it."""


def __getattr__(name: str) -> Any:
    """Load what is asked for; `bench.score` is a package that can be called, see there."""
    if name in _OPENS_ON:
        return getattr(importlib.import_module(_OPENS_ON[name]), name)
    if name == "score":
        return importlib.import_module("bench.score")
    raise AttributeError(f"module 'bench' has no attribute {name!r}")
