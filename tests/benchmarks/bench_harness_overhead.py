"""Measures what the harness itself costs, on an idle machine: `python tests/benchmarks/bench_harness_overhead.py`

Prints, each measured in this run:

* `bench --help`, wall milliseconds (goal < 200);
* a predict job of 200 images against a bare loop that draws, predicts and stores the same images with the same adapter
  in the same kind of process (goal <= 1.10), for a U-Net; model building is outside both;
* the CPU time of the parent while a timing job runs, in percent of one core (goal < 0.5);
* what a stage of a model that does nothing takes (goal < 50 µs).
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.cli.main import main
from bench.measure.floor import stage_floor_ns

ROOT = Path(__file__).resolve().parent.parent.parent
IMAGES = 200
SUITE = f"""
models: [{{name: unet/transposed, options: {{base_width: 8}}}}]
datasets: [{{name: shapes, options: {{preset: easy, size: [96, 96]}}, max_images: {IMAGES}}}]
targets: {{device: cpu, threads: 1}}
metrics: [mean_iou]
measurement: {{quick: true, min_s: 8.0, max_s: 10.0}}
"""
BARE_LOOP = """
import json, sys, time
from pathlib import Path
from bench.adapter import predict
from bench.adapter import load_adapter
from bench.data.formats.by_name import open_dataset
from bench.records.predictions import save_prediction
from bench.records import Job
job = Job.from_json(Path(sys.argv[1]).read_text())
dataset = open_dataset(job.dataset.name, job.dataset.options)
adapter = load_adapter(job.model.adapter)
adapter.build(job.model, job.task, job.target, None)
ids = dataset.ids(job.dataset.test)[: job.dataset.max_images]
predict(adapter, [dataset.image(ids[0])])
out = Path(sys.argv[2])
start = time.perf_counter()
for image_id in ids:
    (prediction,) = predict(adapter, [dataset.image(image_id)])
    save_prediction(prediction, out, image_id)
print(json.dumps(time.perf_counter() - start))
"""


def help_ms(repeats: int = 10) -> float:
    """Median wall time of `bench --help`."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([Path(sys.executable).with_name("bench"), "--help"], check=True, stdout=subprocess.DEVNULL)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def predict_loop_s(job_folder: Path) -> float:
    """Seconds the worker spent predicting, from its own record."""
    outcome = json.loads((job_folder / "outcome.json").read_text())
    return float(outcome["facts"]["predict_s"])


def main_benchmark() -> None:
    """Print the four figures."""
    print(f"bench --help: {help_ms():.0f} ms")
    print(f"a stage of a model that does nothing: {stage_floor_ns() / 1e3:.2f} µs")
    with tempfile.TemporaryDirectory() as scratch:
        suite = Path(scratch) / "overhead.yaml"
        suite.write_text(SUITE)
        ratios, shares = [], []
        for attempt in range(3):
            results = Path(scratch) / f"results{attempt}"
            arguments = ["run", str(suite), "--results", str(results)]
            assert main([*arguments, "--kind", "predict"]) == 0
            (folder,) = results.glob("overhead/*/jobs/predict-*")
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
            bare = subprocess.run(
                [sys.executable, "-c", BARE_LOOP, str(folder / "job.json"), str(Path(scratch) / f"bare{attempt}")],
                capture_output=True,
                text=True,
                check=True,
                env=environment,
                cwd=ROOT,
            )
            ratios.append(predict_loop_s(folder) / float(bare.stdout))
            before, start = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
            assert main([*arguments, "--kind", "time"]) == 0
            after, wall = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - start
            shares.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / wall)
        print(f"predict job / bare loop over {IMAGES} images: {', '.join(f'{r:.3f}' for r in ratios)}")
        print(f"parent while timing, reports included: {', '.join(f'{100 * s:.2f} %' for s in shares)} of one core")


if __name__ == "__main__":
    main_benchmark()
