"""A report of very many cases and samples from a compacted run: seconds and memory for two numbers of cases.

    python -m tests.benchmarks.bench_compact [--cases 100000] [--samples 1000] [--goal-mib 1024] [--keep FOLDER]

The files are written by the writer of `bench compact`, from drawn samples of two processes for each case; drawing them
is counted as writing. The report reads every sample: as CSV with percentiles and intervals of each case, and as the
page with the best. Each step is a process of its own, a tenth of the cases comes first. Exit code 1 where a report of
all cases takes more memory than the goal, or more than half as much again as that of a tenth.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from bench.records import Score
from bench.records.store.samples import STAGED, Samples
from bench.report.compact.reading import markdown, write_csv
from bench.report.compact.writing import CASES, SAMPLES, About, writing
from bench.report.summary.rows import Row, ScoreCell

ABOUT = About(
    suite="many",
    run="2026-01-01T00-00-00",
    title="Very many cases",
    planned_at="2026-01-01T00:00:00Z",
    seed=0,
    metrics=("mean_iou",),
    headline="mIoU",
    higher_is_better=True,
    percentiles=(50.0, 90.0, 99.0),
    manifest="",
)
IMAGES = np.array([f"image {n:03d}" for n in range(100)])


def drawn(random: np.random.Generator, count: int, infer_ms: float) -> Samples:
    """Samples of a process, of which every second one is staged."""
    stage_ns = (np.array([0.2, infer_ms, 0.5]) * 1e6 * random.lognormal(0.0, 0.03, (count, 3))).astype(np.int64)
    clock = (np.arange(count) % 2).astype(np.int8)
    whole, none = np.zeros(count, dtype=np.int32), np.zeros(2)
    return Samples(
        clock=clock,
        total_ns=stage_ns.sum(axis=1),
        stage_ns=np.where((clock == STAGED)[:, None], stage_ns, 0),
        device_ns=np.full(count, -1, dtype=np.int64),
        image_index=(np.arange(count) % len(IMAGES)).astype(np.int32),
        block=(np.arange(count) >= count // 2).astype(np.int32),
        involuntary_switches=whole,
        major_faults=whole,
        image_ids=IMAGES,
        batch_size=np.array(1, dtype=np.int64),
        warmup_ns=stage_ns[:4].sum(axis=1),
        decode_ns=np.zeros(len(IMAGES), dtype=np.int64),
        pipelined_ns=np.array(0, dtype=np.int64),
        pipelined_images=np.array(0, dtype=np.int64),
        block_accepted=np.array([True, True]),
        block_wall_s=none,
        block_user_s=none,
        block_system_s=none,
        block_foreign_share=none,
        block_steal_share=none,
        block_involuntary_switches=np.zeros(2, dtype=np.int64),
        audit_index=np.zeros(0, dtype=np.int32),
    )


def write(folder: Path, cases: int, samples: int) -> None:
    """Write a compacted run."""
    random = np.random.default_rng(0)
    with writing(folder, ABOUT) as writer:
        for number in range(cases):
            value = float(random.uniform(0.3, 0.8))
            score = Score(
                metric="mean_iou",
                version=1,
                value=value,
                low=value - 0.01,
                high=value + 0.01,
                images=100,
                definition="drawn",
            )
            row = Row(
                case_id=f"model {number}@shapes@cpu fp32 b1",
                model=f"model {number}",
                dataset="shapes",
                target="cpu fp32 b1",
                status="ok",
                scores=(ScoreCell(label="mIoU", score=score),),
            )
            infer_ms = float(random.uniform(2, 20))
            writer.add(row, [drawn(random, samples // 2, infer_ms) for _ in range(2)])


def step(name: str, folder: Path, cases: int, samples: int) -> dict[str, float]:
    """Do a step in a process of its own; returns its CPU seconds and its largest resident set."""
    words = [sys.executable, "-m", "tests.benchmarks.bench_compact", "--step", name, "--keep", str(folder)]
    words += ["--cases", str(cases), "--samples", str(samples)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def carry_out(name: str, folder: Path, cases: int, samples: int) -> None:
    """Do a step here, and print what it took."""
    base = _peak_mib()
    if name == "write":
        write(folder, cases, samples)
    elif name == "csv":
        with (folder / "all.csv").open("w", encoding="utf-8", newline="") as stream:
            assert write_csv(folder, stream) == cases
    else:
        assert f"{cases} cases ({cases} ok), {cases * samples} timed batches" in markdown(folder)
    times = os.times()
    print(json.dumps({"s": times.user + times.system, "MiB": _peak_mib(), "imports MiB": base}))


def _peak_mib() -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


def main() -> int:
    """Print a row for each step and size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--samples", type=int, default=1_000, help="of each case")
    parser.add_argument("--goal-mib", type=float, default=1024.0)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--step", choices=("write", "csv", "page"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step is not None:
        carry_out(given.step, given.keep, given.cases, given.samples)
        return 0
    peaks: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for cases in (given.cases // 10, given.cases):
            folder = (given.keep or Path(temporary)) / f"{cases}"
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("write", "csv", "page"):
                if name == "write" and (folder / CASES).exists():
                    continue
                found = step(name, folder, cases, given.samples)
                peaks.setdefault(name, []).append(found["MiB"])
                print(
                    f"{cases:7d} cases {cases * given.samples:.0e} samples  {name:5} {found['s']:7.1f} s  "
                    f"{found['s'] * 1e3 / cases:6.2f} ms a case  {found['MiB']:6.0f} MiB at most, "
                    f"{found['imports MiB']:.0f} of them for imports",
                    flush=True,
                )
            size = sum((folder / name).stat().st_size for name in (CASES, SAMPLES)) / 2**20
            print(f"{cases:7d} cases: files of {size:.0f} MiB", flush=True)
    reports = [peaks[name] for name in ("csv", "page")]
    return int(any(all_ > given.goal_mib or all_ > 1.5 * tenth for tenth, all_ in reports))


if __name__ == "__main__":
    sys.exit(main())
