"""Measures what share of a run goes into verification and recovery: hashing, manifests, locks and atomic writes.

    python -m tests.benchmarks.bench_verification [--suite suites/quick.yaml] [--goal 0.02]

Runs a suite once, as `bench run` does, with a clock around each function that is there to verify or to recover, in the
parent and in every worker. Numerator and denominator are of the same run, so that a busy machine slows both. Of
functions that call each other the outermost counts. Exit code 1 where the share is above the goal.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from bench.records.names import harness_root

TIMED = {
    "bench.records.store.files": ["content_sha256", "sha256_of", "write_atomically", "write_record"],
    "bench.records.store.manifest": [
        "record_facts", "withdraw_facts", "fact_states", "damage_of", "damage_of_job", "manifest_damage",
        "recorded_sha256",
    ],
    "bench.records.predictions": [
        "SemanticMap.content_hash", "Instances.content_hash", "Panoptic.content_hash", "PromptedMasks.content_hash",
    ],
    "bench.measure.unchanged": ["InputWatch.__init__", "InputWatch.check"],
    "bench.run.planning.fingerprints": ["Fingerprints.of"],
    "bench.run.planning.code_keys": ["code_of_kind", "refuse_changed_code"],
    "bench.run.environments.record": ["provenance_now"],
    "bench.run.orphans": ["end_orphans", "_children"],
    "bench.run.worker.process": ["hold", "check_tree", "_write"],
    "bench.run.worker.confinement": ["confine"],
    "bench.records.store.training_log": ["read_training_log"],
    "bench.records.store.runs": ["find_trained", "set_aside"],
}  # fmt: skip
"""Module -> its functions, and methods, that would not be needed if nothing ever went wrong."""

CLOCK = """
import atexit, functools, importlib.abc, importlib.machinery, json, os, sys, threading, time

TIMED = json.loads(os.environ["BENCH_TIMED"])
spent, depth = {}, threading.local()


def clocked(function, name):
    @functools.wraps(function)
    def timed(*arguments, **named):
        if getattr(depth, "inside", False):
            return function(*arguments, **named)
        depth.inside, began = True, time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            depth.inside = False
            calls, seconds = spent.get(name, (0, 0.0))
            spent[name] = calls + 1, seconds + time.perf_counter() - began
    return timed


class Loader(importlib.abc.Loader):
    def __init__(self, inner):
        self.inner = inner
    def __getattr__(self, name):
        return getattr(self.inner, name)
    def create_module(self, spec):
        return self.inner.create_module(spec)
    def exec_module(self, module):
        self.inner.exec_module(module)
        for dotted in TIMED[module.__name__]:
            owner, _, name = dotted.rpartition(".")
            holder = getattr(module, owner, None) if owner else module
            setattr(holder, name, clocked(vars(holder)[name], f"{module.__name__}.{dotted}"))


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name not in TIMED:
            return None
        found = importlib.machinery.PathFinder.find_spec(name, path, target)
        if found is not None:
            found.loader = Loader(found.loader)
        return found


sys.meta_path.insert(0, Finder())
os.register_at_fork(after_in_child=spent.clear)


@atexit.register
def tell():
    if spent:
        with open(os.path.join(os.environ["BENCH_TIMED_TO"], f"{os.getpid()}-{time.time_ns()}.json"), "w") as file:
            json.dump(spent, file)
"""


def main() -> int:
    """Run the suite and print a row for each function; 1 if they take more than the goal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", type=Path, default=harness_root() / "suites" / "quick.yaml")
    parser.add_argument("--goal", type=float, default=0.02, help="share of the run's time (default: 0.02)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-verification-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "clock").mkdir()
        (folder / "told").mkdir()
        (folder / "clock" / "sitecustomize.py").write_text(CLOCK, encoding="utf-8")
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(folder / "clock"), str(harness_root())]),
            "BENCH_TIMED": json.dumps(TIMED),
            "BENCH_TIMED_TO": str(folder / "told"),
            "BENCH_WRITABLE": str(folder / "told"),
        }
        words = [sys.executable, "-m", "bench.cli.main", "run", str(chosen.suite), "--results", str(folder / "results")]
        began = time.perf_counter()
        subprocess.run(words, env=environment, cwd=harness_root(), check=True, stdout=subprocess.DEVNULL)
        wall_s = time.perf_counter() - began
        calls: Counter[str] = Counter()
        seconds: Counter[str] = Counter()
        processes = list((folder / "told").iterdir())
        for file in processes:
            for function, (times, spent) in json.loads(file.read_text()).items():
                calls[function] += times
                seconds[function] += spent
    return _describe(calls, seconds, wall_s, len(processes), chosen.goal)


def _describe(calls: Counter[str], seconds: Counter[str], wall_s: float, processes: int, goal: float) -> int:
    print(f"{'function':<62} {'calls':>7} {'ms':>9} {'of the run':>11}")
    for function, spent in seconds.most_common():
        print(f"{function:<62} {calls[function]:>7} {1000 * spent:>9.1f} {100 * spent / wall_s:>9.3f} %")
    share = sum(seconds.values()) / wall_s
    print(f"{'all':<62} {sum(calls.values()):>7} {1000 * sum(seconds.values()):>9.1f} {100 * share:>9.3f} %")
    print(f"of a run of {wall_s:.1f} s in {processes} processes; the goal is {100 * goal:g} %")
    return int(share > goal)


if __name__ == "__main__":
    sys.exit(main())
