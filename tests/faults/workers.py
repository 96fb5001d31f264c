"""Workers that misbehave in every way a worker can: each is one row, and nothing of them is left."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

from bench.records import Outcome, Status
from bench.records.store.runs import newest_run, read_run
from tests.bench.suites import perfect, write_suite
from tests.faults.damages import quiet
from tests.faults.tally import Budget, Tally

ADAPTER = '''"""Misbehaves as its option says."""
import os, shutil, signal, subprocess, sys, threading, time
from pathlib import Path
import numpy as np
from bench.adapter import BaseAdapter
from bench.errors import BenchError
from bench.records.predictions import SemanticMap

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)  # left-by-a-fault"]
FOLDER = Path(sys.argv[-1])


def do(b):
    if b == "session": subprocess.Popen(SLEEP, start_new_session=True)
    if b == "session_without_environment": subprocess.Popen(SLEEP, start_new_session=True, env={})
    if b == "grandchild":
        code = "import subprocess; subprocess.Popen(" + repr(SLEEP) + ", start_new_session=True)"
        subprocess.run([sys.executable, "-c", code], start_new_session=True)
    if b == "group": subprocess.Popen(SLEEP)
    if b == "child_then_hang": subprocess.Popen(SLEEP, start_new_session=True); time.sleep(600)
    if b == "ignores_term":
        signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)
    if b == "exit_0": os._exit(0)
    if b == "sys_exit": sys.exit(0)
    if b == "keyboard": raise KeyboardInterrupt
    if b == "long_message": raise RuntimeError("m" * 5_000_000)
    if b == "surrogate": raise RuntimeError("cannot open 'caf\\udce9.png'")
    if b == "bench_surrogate": raise BenchError("cannot open 'caf\\udce9.png'")
    if b == "markup": raise BenchError("bad [/closing] tag | <img src=x onerror=alert(1)> \\0 \\x1b[31m")
    if b == "closes_files": os.closerange(0, 64)
    if b == "elsewhere": os.chdir("/")
    if b == "umask": os.umask(0o777)
    if b == "removes_its_folder": shutil.rmtree(FOLDER)
    if b == "removes_its_job": (FOLDER / "job.json").unlink(missing_ok=True)
    if b == "own_garbage": (FOLDER / "outcome.json").write_text("{"); os._exit(1)
    if b == "binary_log": sys.stdout.buffer.write(os.urandom(1 << 20)); sys.stdout.flush()
    if b == "thread_that_stays": threading.Thread(target=time.sleep, args=(600,)).start()
    if b == "recursion": do.__wrapped__ = do; (lambda f: f(f))(lambda f: f(f))
    if b == "kill": os.kill(os.getpid(), signal.SIGKILL)
    if b == "segfault": os.kill(os.getpid(), signal.SIGSEGV)
    if b == "no_str":
        class E(Exception):
            def __str__(self): raise ValueError("no str")
        raise E
    if b == "poisons":
        for other in FOLDER.parent.glob("predict-*/outcome.json"): other.write_text(other.read_text().replace("0", "1"))
    if b == "memory":
        eaten = []
        while True: eaten.append(np.ones(64 * 2**20, np.uint8))


class Adapter(BaseAdapter):
    def build(self, model, task, target, weights): self.b, self.done = model.options["b"], False
    def preprocess(self, images): return list(images)
    def infer(self, batch):
        if not self.done:
            self.done = True
            do(self.b)
        return batch
    def postprocess(self, raw, sizes):
        maps = [np.full(size, 200 if self.b == "label_200" else 0, np.uint8) for size in sizes]
        if self.b == "none": return [None for _ in sizes]
        if self.b == "floats": maps = [one.astype(float) for one in maps]
        if self.b == "too_few": maps = maps[1:]
        return [SemanticMap(one) for one in maps]
    def describe(self): return {"device_name": "cpu"}
    def versions(self): return {}
'''
BEHAVIOURS = (
    "session", "session_without_environment", "grandchild", "group", "child_then_hang", "ignores_term", "exit_0",
    "sys_exit", "keyboard", "long_message", "surrogate", "bench_surrogate", "markup", "closes_files", "elsewhere",
    "umask", "removes_its_folder", "removes_its_job", "own_garbage", "binary_log", "thread_that_stays", "recursion",
    "kill", "segfault", "no_str", "poisons", "memory", "label_200", "none", "floats", "too_few",
)  # fmt: skip
MAY_BE_OK = {"session", "session_without_environment", "grandchild", "group", "closes_files", "elsewhere", "umask",
             "binary_log", "thread_that_stays", "poisons", "removes_its_job"}  # fmt: skip


def campaign(tally: Tally, folder: Path, budget: Budget, seed: int) -> None:
    """Run one misbehaving model beside one that behaves, again and again, and then ask for the report."""
    chance, left, number = random.Random(seed), budget.left(tally), 0
    adapters = folder / "adapters"
    (adapters / "evil" / "models").mkdir(parents=True, exist_ok=True)
    (adapters / "evil" / "adapter.py").write_text(ADAPTER)
    (adapters / "evil" / "models" / "m.yaml").write_text(
        "description: d\ntask: semantic\ntrainable: false\noptions: {b: x}\n"
    )
    os.environ["BENCH_ADAPTERS"], os.environ["BENCH_MEMORY_SHARE"] = str(adapters), "0.05"
    try:
        while left():
            ahead = list(BEHAVIOURS)
            chance.shuffle(ahead)
            while ahead and left():
                number += 1
                tally.add("misbehaving worker", _trial(folder / f"evil-{number}", ahead.pop()))
    finally:
        del os.environ["BENCH_ADAPTERS"], os.environ["BENCH_MEMORY_SHARE"]


def _trial(folder: Path, behaviour: str) -> str | None:
    folder.mkdir()
    models = [perfect(), {"name": "evil/m", "label": "evil", "options": {"b": behaviour}}]
    suite = write_suite(folder, models, timeouts={"predict_s": 8.0})
    results = folder / "results"
    words = ["run", str(suite), "--results", str(results), "--kind", "predict"]
    code, said = quiet(words)
    if code not in (0, 1):
        return f"{behaviour}: the run ended with {code}: {said[-300:]}"
    cases = {case.case.model.label: case for case in read_run(newest_run(results)).cases}
    honest, evil = cases["fake/perfect"], cases["evil"].predict
    if behaviour != "poisons" and honest.scores is None:
        return f"{behaviour}: the honest model has no scores"
    if evil is None or evil.outcome is None:
        return None if behaviour in ("removes_its_folder", "removes_its_job") else f"{behaviour}: has no outcome"
    if evil.outcome.status is Status.OK and behaviour not in MAY_BE_OK:
        return f"{behaviour}: ended ok"
    if behaviour == "memory" and evil.outcome.status is not Status.OOM_HOST:
        return f"memory: ended {evil.outcome.status}: {evil.outcome.reason}"
    if behaviour == "poisons" and not _held_back(evil.outcome):
        return f"poisons: neither refused nor flagged: {evil.outcome.reason}"
    time.sleep(0.05)
    left = [p for p in Path("/proc").glob("[0-9]*/cmdline") if b"left-by-a-fault" in _words(p)]
    if left:
        return f"{behaviour}: left {len(left)} processes"
    code, said = quiet(words)
    if code not in (0, 1):
        return f"{behaviour}: the next run ended with {code}: {said[-300:]}"
    cases = {case.case.model.label: case for case in read_run(newest_run(results)).cases}
    return None if cases["fake/perfect"].scores is not None else f"{behaviour}: the honest model has no scores"


def _held_back(outcome: Outcome) -> bool:
    """Whether a worker that writes elsewhere was refused by the kernel, or is flagged where that has no Landlock."""
    refused = outcome.status is Status.CRASHED and "PermissionError" in (outcome.reason or "")
    return refused or any(flag.name == "wrote_elsewhere" for flag in outcome.facts.flags)


def _words(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
