"""From COCO's two JSON files to AP at the size of COCO's validation split: this harness against others, in one run.

    taskset -c 0 python tests/benchmarks/bench_coco_scale.py [--root FOLDER] [--images 5000] [--rounds 3]

Synthetic: 36,541 objects as polygons and 100,000 detections as run lengths, of 80 classes, on images of 480 × 640, most
detections an object moved a little. Each candidate is a process of its own: it reads annotations and results and ends
with the twelve figures, which must agree. Printed are CPU seconds without and with the imports, the largest resident
set, and the ratio to this harness's AP alone; with the interval over images; and of `bench score --predictions` as a
whole, processes that it starts included. In each round indices of the files are made anew, by the first candidate;
matplotlib's list of fonts is made in the first round alone. `--root` keeps the files for another run. Others that are
not installed are passed over. Exit code 1 where figures differ, everything takes more than 10 s or 300 MiB, or AP alone
more than twice hotcoco's time.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

HEIGHT, WIDTH, CLASSES = 480, 640, 80
OBJECTS_PER_IMAGE, DETECTIONS_PER_IMAGE = 36_541 / 5000, 20
MOST_S, MOST_MIB, MOST_TIMES_HOTCOCO = 10.0, 300.0, 2.0
NAMES = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large")  # fmt: skip  # noqa: E501


# --------------------------------------------------------------------------- the files


def outline(random: np.random.Generator) -> np.ndarray[Any, Any]:
    """A wobbly blob of 12 to 50 corners, x and y, from 10 to 300 pixels wide."""
    corners = int(random.integers(12, 50))
    radius = np.exp(random.uniform(np.log(5), np.log(150))) * (1 + 0.25 * random.standard_normal(corners))
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    centre = random.random(2) * (WIDTH, HEIGHT)
    points = centre + np.abs(radius)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.clip(points, 0, (WIDTH, HEIGHT)).round(2)


def write_files(root: Path, images: int) -> None:
    """Write annotations, results and images."""
    from bench.data.formats.polygons import polygon_runs
    from bench.records import Size

    random = np.random.default_rng(0)
    size = Size(HEIGHT, WIDTH)
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    wanted = round(OBJECTS_PER_IMAGE * images)
    owners = np.sort(random.integers(0, images, wanted))
    for image in range(images):
        objects = [outline(random) for _ in range(int((owners == image).sum()))]
        class_ids = random.integers(1, CLASSES + 1, len(objects)).tolist()
        runs = polygon_runs([[points] for points in objects], size)
        for points, class_id, area in zip(objects, class_ids, runs.areas.tolist(), strict=True):
            low, high = points.min(axis=0), points.max(axis=0)
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image + 1, "category_id": class_id, "iscrowd": 0,
                 "area": float(area) + 0.5, "bbox": [*low.tolist(), *(high - low).tolist()],
                 "segmentation": [points.ravel().tolist()]}
            )  # fmt: skip
        found = []
        for number in range(DETECTIONS_PER_IMAGE):
            if objects and number < 0.7 * DETECTIONS_PER_IMAGE:
                which = int(random.integers(0, len(objects)))
                moved = objects[which] + random.normal(0, 3, 2) + random.normal(0, 1.5, objects[which].shape)
                found.append((np.clip(moved, 0, (WIDTH, HEIGHT)), class_ids[which]))
            else:
                found.append((outline(random), int(random.integers(1, CLASSES + 1))))
        texts = polygon_runs([[points] for points, _ in found], size).texts()
        results += [
            {"image_id": image + 1, "category_id": class_id, "score": round(float(random.random()), 4),
             "segmentation": {"size": [HEIGHT, WIDTH], "counts": text}}
            for text, (_, class_id) in zip(texts, found, strict=True)
        ]  # fmt: skip
    write_documents(root, images, annotations, results)


def write_documents(root: Path, images: int, annotations: list[dict[str, Any]], results: list[dict[str, Any]]) -> None:
    """Write the two JSON files, and the images as hard links to one."""
    import cv2

    (root / "annotations").mkdir(parents=True)
    (root / "val2017").mkdir()
    first = root / "val2017" / f"{1:012d}.jpg"
    cv2.imwrite(str(first), np.full((HEIGHT, WIDTH, 3), 127, dtype=np.uint8))
    for image in range(2, images + 1):
        os.link(first, root / "val2017" / f"{image:012d}.jpg")
    document = {
        "info": {},
        "images": [
            {"id": n, "file_name": f"{n:012d}.jpg", "height": HEIGHT, "width": WIDTH} for n in range(1, images + 1)
        ],
        "annotations": annotations,
        "categories": [{"id": n, "name": f"class {n}", "supercategory": "thing"} for n in range(1, CLASSES + 1)],
    }
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(document))
    (root / "results.json").write_text(json.dumps(results))


# --------------------------------------------------------------------------- the candidates


def ours(root: Path, *, interval: bool) -> list[float]:
    """Read and score as `bench score` does, in this process."""
    from bench.data.labels.dataset import open_labelled
    from bench.data.predictions.reading import open_predictions
    from bench.metric import load_metric
    from bench.metrics._average_precision import coco_parts, rows_by_class
    from bench.records import DatasetSpec, ModelSpec, TaskSpec
    from bench.score.scoring import observe_all, score_metric

    spec = DatasetSpec(name="coco", label="coco", options={"root": str(root)}, test="val")
    options = {"root": str(root / "results.json")}
    model = ModelSpec(
        name="predictions/files", label="files", description="", adapter="predictions", task="instance", options=options
    )
    dataset = open_labelled(spec)
    reader = open_predictions(model, spec, dataset)
    task, metric, ids = TaskSpec(kind="instance", classes=dataset.classes), load_metric("mask_ap"), dataset.ids("val")
    observed = observe_all([metric], task, dataset, ids, lambda image_id: reader.read(image_id, dataset.size(image_id)))
    if interval:
        score = score_metric(metric, task, observed, len(ids), seed=0)
        assert score.low is not None
        return [-1.0 if v is None else v for v in (score.value, *score.parts.values())]
    by_class = rows_by_class(observed.statistics.arrays["mask_matches"], task.classes)
    every = {c: one.curves() for c, one in by_class.items()}
    ap = float(np.nanmean([c.precision for c in every.values()]))
    return [ap, *(-1.0 if part is None else part for part in coco_parts(by_class, every).values())]


def coco_like(root: Path, coco: Any, evaluator: Any) -> list[float]:
    """Any evaluator with pycocotools' interface."""
    with contextlib.redirect_stdout(io.StringIO()):
        ground_truth = coco(str(root / "annotations" / "instances_val2017.json"))
        evaluation = evaluator(ground_truth, ground_truth.loadRes(str(root / "results.json")), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(v) for v in evaluation.stats[:12]]


def whole(root: Path) -> list[float]:
    """`bench score --predictions` as a user types it, with its processes, report and all."""
    results = Path(tempfile.mkdtemp(dir=os.environ[KEPT]))
    command = [sys.executable, "-m", "bench.cli.main", "score", "--results", str(results)]
    command += ["--predictions", str(root / "results.json"), "--dataset", "coco", "--set", f"root={root}", "--split", "val"]  # fmt: skip  # noqa: E501
    try:
        subprocess.run(command, check=True, capture_output=True)
        found = json.loads(next(results.glob("*/*/results.json")).read_text())["rows"][0]["scores"][0]["score"]
    except subprocess.CalledProcessError as error:
        raise SystemExit(error.stderr.decode()) from None
    assert found["low"] is not None
    return [-1.0 if found["value"] is None else found["value"], *(found["parts"][name] or -1.0 for name in NAMES[1:])]


KEPT = "BENCH_COCO_SCALE_RESULTS"
"""Variable with the folder of all results: ext4 passes over what was deleted in the last minutes whenever it makes a
file, so that to delete five thousand of them costs whoever comes next a millisecond each."""


def peak_mib() -> float:
    """Largest resident set of this process, MiB; `getrusage` would count that of the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


def run_one(name: str, root: Path) -> None:
    """Do one candidate and print what it took."""
    other = None
    if name == "pycocotools":
        other = (
            importlib.import_module("pycocotools.coco").COCO,
            importlib.import_module("pycocotools.cocoeval").COCOeval,
        )
    elif name == "hotcoco":
        hotcoco = importlib.import_module("hotcoco")
        other = hotcoco.COCO, hotcoco.COCOeval
    elif name != "bench score":
        from numba.core.registry import cpu_target

        import bench.data.labels.dataset
        import bench.data.predictions.reading
        import bench.score.scoring  # noqa: F401

        cpu_target.target_context.refresh()  # loads numba's own modules for arrays
    imported = time.process_time()
    if name == "bench score":
        figures = whole(root)
    elif other is not None:
        figures = coco_like(root, *other)
    else:
        figures = ours(root, interval=name == "ours, interval")
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    total = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    largest = max(peak_mib(), children.ru_maxrss / 1024 if children.ru_utime else 0.0)
    print(json.dumps({"s": total - imported, "total_s": total, "mib": largest, "figures": figures}))


def measured(name: str, root: Path, cache: Path) -> dict[str, Any] | None:
    """What a candidate took; None if it is not installed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(cache)}
    environment[KEPT] = str(cache.parent)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # modules are compiled once for a user
    environment["MPLCONFIGDIR"] = str(cache.parent / "matplotlib")  # its list of fonts is made once for a user
    words = [sys.executable, __file__, "--one", name, "--root", str(root)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        if "ModuleNotFoundError" in done.stderr and name == "hotcoco":
            return None
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(taken: dict[str, list[dict[str, Any]]], images: int) -> bool:
    """Print the table; return whether all goals are met."""
    print(
        f"{images} images, from two JSON files to twelve figures; medians of {len(next(iter(taken.values())))} rounds"
    )
    seconds = {name: median(one["s"] for one in rounds) for name, rounds in taken.items()}
    met = True
    for name, rounds in taken.items():
        total, mib = (median(one[key] for one in rounds) for key in ("total_s", "mib"))
        off = float(np.abs(np.subtract(rounds[0]["figures"], taken["pycocotools"][0]["figures"])).max())
        agrees = "equal" if off <= 1e-12 else f"differs by {off:.1e}"
        ratio = seconds[name] / seconds["ours, AP alone"]
        print(
            f"{name:<16}{seconds[name]:8.2f} s CPU {total:8.2f} s with imports {mib:7.0f} MiB {ratio:6.2f}×  {agrees}"
        )
        met &= off <= 1e-12 and (not name.startswith(("ours", "bench")) or (total <= MOST_S and mib <= MOST_MIB))
    if "hotcoco" in seconds:
        met &= seconds["ours, AP alone"] <= MOST_TIMES_HOTCOCO * seconds["hotcoco"]
    return bool(met)


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        run_one(given.one, given.root)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        root = given.root or Path(temporary, "coco")
        if not (root / "results.json").is_file():
            write_files(root, given.images)
        taken: dict[str, list[dict[str, Any]]] = {}
        for turn in range(given.rounds):
            for name in ("ours, AP alone", "hotcoco", "ours, interval", "pycocotools", "bench score"):
                found = measured(name, root, Path(temporary, f"cache {turn}"))
                if found is not None:
                    taken.setdefault(name, []).append(found)
        return int(not report(taken, given.images))


if __name__ == "__main__":
    sys.exit(main())
