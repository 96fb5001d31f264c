"""Processor seconds that a worker spends on imports before it predicts, per adapter.

    python -m tests.benchmarks.bench_worker_imports [ADAPTER ...] [--top N]

One image of 32 x 32 is predicted, so that nearly all of a job is its start. Bytecode is written first; the table
gives processor seconds (user and system) of the whole process, which a busy machine changes little, and the
packages whose modules took longest to execute, by `-X importtime`.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tabulate import tabulate

from bench.records import Job
from bench.records.names import harness_root
from bench.records.store import layout
from bench.records.store.files import write_record
from bench.records.store.runs import read_job
from bench.run.environments.interpreters import Interpreters
from bench.run.planning.prepare import prepare
from bench.run.worker.environment import inherited_environment
from tests.bench.suites import write_suite

REPRESENTATIVES = {
    "fake": ("fake/noisy", "semantic", "mean_iou"),
    "unet": ("unet/transposed", "semantic", "mean_iou"),
    "deeplab": ("deeplab/small", "semantic", "mean_iou"),
    "smp": ("smp/unet_resnet18", "semantic", "mean_iou"),
    "torchvision": ("torchvision/lraspp_mobilenet_v3_large", "semantic", "mean_iou"),
    "transformers": ("transformers/segformer_b0", "semantic", "mean_iou"),
    "ultralytics": ("ultralytics/yolo11n_seg", "instance", "mask_ap"),
    "detectron2": ("detectron2/fcn", "semantic", "mean_iou"),
}
LINE = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| (\s*)(\S+)")
ONE = {"name": "shapes", "options": {"preset": "easy", "size": [64, 64], "train": 1, "val": 1, "test": 1}}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("adapters", nargs="*", default=[])
    parser.add_argument("--top", type=int, default=8)
    options = parser.parse_args()
    rows = []
    for adapter in options.adapters or REPRESENTATIVES:
        with tempfile.TemporaryDirectory() as folder:
            rows.append([adapter, *measured(*REPRESENTATIVES[adapter], Path(folder), options.top)])
            print(rows[-1], file=sys.stderr)
    print(tabulate(rows, headers=["adapter", "CPU s", "CPU s of imports", "modules", "longest (s)"]))


def measured(model: str, task: str, metric: str, folder: Path, top: int) -> list[object]:
    """CPU seconds of a predict job and of its imports, the number of modules, and the slowest packages."""
    data = {**ONE, "options": {**ONE["options"]}}
    suite = write_suite(folder, [model], task=task, metrics=[metric], datasets=[data])
    job = prepare(suite, Interpreters()).cases[0].predict
    run_once(job, folder / "warm")
    cpu_s = min(run_once(job, folder / f"plain{n}")[0] for n in range(2))
    lines = run_once(job, folder / "timed", "-X", "importtime")[1].splitlines()
    found = [LINE.match(line) for line in lines]
    by_package, modules = Counter[str](), 0
    for match in found:
        if match is not None:
            by_package[match.group(4).split(".")[0]] += int(match.group(1))
            modules += 1
    longest = ", ".join(f"{name} {micro / 1e6:.2f}" for name, micro in by_package.most_common(top))
    return [round(cpu_s, 2), round(sum(by_package.values()) / 1e6, 2), modules, longest]


def run_once(job: Job, folder: Path, *flags: str) -> tuple[float, str]:
    """Do the job in a fresh interpreter; its CPU seconds and its standard error."""
    folder.mkdir()
    write_record(folder / layout.JOB, job)
    environment = inherited_environment(job)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(
        [sys.executable, *flags, "-m", "bench.run.worker.process", str(folder)],
        env=environment, cwd=harness_root(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    view = read_job(folder)
    if view is None or view.outcome is None or not view.ok:
        print(f"{job.model.label}: {view.outcome if view else ended.stderr[-2000:]}", file=sys.stderr)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, ended.stderr


if __name__ == "__main__":
    os.environ.setdefault("TABULATE_INSTALL", "lib-only")
    main()
