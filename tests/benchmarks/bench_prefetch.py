"""Wall time of a predict job as a multiple of the slower of loading and predicting alone.

    python tests/benchmarks/bench_prefetch.py [--images 120] [--rounds 3]

Photographs of 2 megapixels, 1216 × 1664, JPEG of quality 90, each loaded from its file, and a model that
waits in `infer` as a host waits for a device. It is made half as slow as loading, equally slow, and twice
as slow. In every round three things take turns, in processes of the same environment: loading all images
one after another, predicting one of them as often, and the predict job, which does both and checks and
stores what was predicted. Each leaves its first image out, which pays for warming up. Exit code 1 if the
median ratio of any of the three is above 1.15.

A job that may use one core alone cannot load beside a model that needs that core; the job here may use all.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import cv2
import numpy as np
import yaml

from bench.cli.main import main as bench
from bench.measure.devices import allowed_cores

ROOT = Path(__file__).resolve().parent.parent.parent
HEIGHT, WIDTH, QUALITY, GOAL = 1216, 1664, 90, 1.15
ALONE = """
import json, sys, time
from pathlib import Path
from bench.adapter import predict
from bench.adapter import load_adapter
from bench.data.formats.by_name import open_dataset
from bench.records import Job
job = Job.from_json(Path(sys.argv[1]).read_text())
dataset = open_dataset(job.dataset.name, job.dataset.options)
ids = dataset.ids(job.dataset.test)
image = dataset.image(ids[0])
start = time.perf_counter()
for image_id in ids[1:]:
    dataset.image(image_id)
load_s = time.perf_counter() - start
adapter = load_adapter(job.model.adapter)
adapter.build(job.model, job.task, job.target, None)
predict(adapter, [image])
start = time.perf_counter()
for _ in ids[1:]:
    predict(adapter, [image])
print(json.dumps([load_s, time.perf_counter() - start]))
"""


def photograph(random: np.random.Generator) -> np.ndarray:
    """An image with detail at every scale, (H, W, 3)."""
    image = np.zeros((HEIGHT, WIDTH, 3), dtype=np.float32)
    for cells in (4, 16, 64, 256, WIDTH):
        noise = random.normal(0, 1, (cells * 3 // 4, cells, 3)).astype(np.float32)
        image += cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) * (56 / cells**0.25)
    return np.clip(image + 128, 0, 255).astype(np.uint8)


def write_all(folder: Path, images: int) -> float:
    """Write a data set that reads as `folder`, all of it to be scored; returns the megabytes of its images."""
    random = np.random.default_rng(0)
    for part in ("images", "masks"):
        for split in ("train", "val", "test"):
            (folder / part / split).mkdir(parents=True)
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    for split, count in (("train", 1), ("val", 1), ("test", images)):
        for index in range(count):
            path = folder / "images" / split / f"{split}{index:04d}.jpg"
            cv2.imwrite(str(path), photograph(random), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            cv2.imwrite(str(folder / "masks" / split / f"{path.stem}.png"), mask)
    (folder / "classes.yaml").write_text("[background, object]", encoding="utf-8")
    return sum(path.stat().st_size for path in (folder / "images").rglob("*.jpg")) / 1e6


def predict_job(scratch: Path, data: Path, infer_ms: float, name: str) -> Path:
    """Run one predict job and return its folder."""
    suite = scratch / f"{name}.yaml"
    model = {"name": "fake/slow_5ms", "options": {"behaviour": "slow", "infer_ms": infer_ms}}
    dataset = {"name": "folder", "options": {"root": str(data), "split_by": "folders"}}
    suite.write_text(yaml.safe_dump({"models": [model], "datasets": [dataset], "targets": {"device": "cpu"}}))
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        assert bench(["run", str(suite), "--results", str(scratch / "results"), "--kind", "predict"]) == 0
    (folder,) = (scratch / "results" / name).glob("*/jobs/predict-*")
    return folder


def alone(job_folder: Path) -> tuple[float, float]:
    """Seconds of loading all images, and of predicting as many, each by itself."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", ALONE, str(job_folder / "job.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=ROOT)
    load_s, predict_s = json.loads(done.stdout)
    return load_s, predict_s


def main() -> int:
    """Measure and print; 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    missed = False
    with tempfile.TemporaryDirectory() as temporary:
        scratch, data = Path(temporary), Path(temporary) / "data"
        megabytes = write_all(data, options.images)
        first = predict_job(scratch, data, 1.0, "first")
        load_ms = 1e3 * alone(first)[0] / (options.images - 1)
        megabytes /= options.images + 2
        print(f"{options.images} images of {megabytes:.2f} MB on average, {len(allowed_cores())} cores")
        print(f"loading takes {load_ms:.1f} ms an image")
        print("infer / load   load s   predict s   job s   job / slower of both")
        for share in (0.5, 1.0, 2.0):
            rows = []
            for number in range(options.rounds):
                folder = predict_job(scratch, data, share * load_ms, f"x{int(10 * share)}-{number}")
                outcome = json.loads((folder / "outcome.json").read_text())
                rows.append((*alone(folder), outcome["facts"]["predict_s"]))
            ratio = statistics.median(job / max(load, predict) for load, predict, job in rows)
            load_s, predict_s, job_s = (statistics.median(column) for column in zip(*rows, strict=True))
            print(f"{share:12.1f}   {load_s:6.2f}   {predict_s:9.2f}   {job_s:5.2f}   {ratio:.2f}")
            missed |= ratio > GOAL
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
