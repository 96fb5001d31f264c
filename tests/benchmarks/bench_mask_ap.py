"""From masks in memory to COCO's AP: this harness against pycocotools and others, in one run, on one core.

    taskset -c 0 python tests/benchmarks/bench_mask_ap.py [--images 1000]

Synthetic images as in COCO: 480 × 640, about 7 ground truth and 30 detections of 20 classes. Each
candidate starts from dense masks and ends with the twelve figures, which must agree. pycocotools
and the evaluators that follow its interface encode the masks first, each with its own encoder.
Prints seconds and the ratio to ours, and what the 95 % interval costs on top, which the others do
not have. Exit code 1 if pycocotools is not beaten by a factor of 10 or its figures differ from ours.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.metric import load_metric
from bench.metrics._average_precision import coco_parts, rows_by_class
from bench.metrics._bootstrap import DRAWS
from bench.records import ClassSpec
from bench.records.predictions import Instances
from bench.records.store.statistics import Collector

SIZE, CLASSES, GOAL = (480, 640), 20, 10.0
SPECS = tuple(ClassSpec(name=str(c), is_thing=True, colour=(0, 0, 0)) for c in range(CLASSES))
METRIC = load_metric("mask_ap")
Result = TypeVar("Result")


def scene(random: np.random.Generator) -> tuple[Instances, Instances]:
    """Ellipses as ground truth; detections are most of them moved a little, and made-up ones."""
    ground_truths = int(random.integers(3, 12))
    shapes = [_ellipse(random) for _ in range(ground_truths)]
    class_ids = random.integers(0, CLASSES, ground_truths)
    found = [(_moved(random, s), c) for s, c in zip(shapes, class_ids, strict=True) for _ in range(2)]
    found += [(_ellipse(random), int(random.integers(0, CLASSES))) for _ in range(30 - len(found))]
    scores = random.random(len(found))
    return _instances(shapes, class_ids, np.ones(ground_truths)), _instances(
        [s for s, _ in found], [c for _, c in found], scores
    )


def _ellipse(random: np.random.Generator) -> tuple[float, ...]:
    radii = np.exp(random.uniform(np.log(8), np.log(160), 2))
    return (*(random.random(2) * (SIZE[1], SIZE[0])), *radii, random.uniform(0, 180))


def _moved(random: np.random.Generator, shape: tuple[float, ...]) -> tuple[float, ...]:
    x, y, a, b, angle = shape
    dx, dy = random.normal(0, 0.08, 2) * (a, b)
    return (x + dx, y + dy, a * random.uniform(0.85, 1.15), b * random.uniform(0.85, 1.15), angle)


def _instances(shapes: list[tuple[float, ...]], class_ids: object, scores: NDArray[np.float64]) -> Instances:
    masks = np.zeros((len(shapes), *SIZE), dtype=np.uint8)
    for mask, (x, y, a, b, angle) in zip(masks, shapes, strict=True):
        cv2.ellipse(mask, (int(x), int(y)), (max(1, int(a)), max(1, int(b))), angle, 0, 360, 1, -1)
    crowd = np.zeros(len(shapes), dtype=bool)
    return Instances(masks.astype(bool), np.asarray(class_ids, dtype=np.int64), scores, crowd)


class Ours:
    """Observes image by image, then scores; the interval over images is left out, as the others have none."""

    def __init__(self, images: int) -> None:
        self._collector, self._number = Collector(images), 0

    def add(self, pair: tuple[Instances, Instances]) -> None:
        self._collector.add("rows", self._number, METRIC.observe(*pair, SPECS))
        self._number += 1

    def figures(self) -> list[float]:
        rows = self.rows()
        by_class = rows_by_class(rows, SPECS)
        every = {c: one.curves() for c, one in by_class.items()}
        ap = float(np.nanmean([c.precision for c in every.values()]))
        return [ap, *(-1.0 if part is None else part for part in coco_parts(by_class, every).values())]  # -1 as COCO's

    def rows(self) -> NDArray[np.float64]:
        return self._collector.statistics([str(i) for i in range(self._number)]).arrays["rows"]


class CocoLike:
    """Any evaluator with pycocotools' interface."""

    def __init__(self, coco: Any, evaluator: Any, mask: Any) -> None:
        self._coco, self._evaluator, self._mask = coco, evaluator, mask
        self._images: list[dict[str, object]] = []
        self._ground_truths: list[dict[str, object]] = []
        self._results: list[dict[str, object]] = []

    def add(self, pair: tuple[Instances, Instances]) -> None:
        image_id = len(self._images) + 1
        self._images.append({"id": image_id, "height": SIZE[0], "width": SIZE[1]})
        for one, target in zip(pair, (True, False), strict=True):
            encoded = self._mask.encode(np.asfortranarray(one.masks.transpose(1, 2, 0).view(np.uint8)))
            areas = self._mask.area(encoded)
            for run, class_id, score, area in zip(encoded, one.class_ids, one.scores, areas, strict=True):
                segmentation = {"size": run["size"], "counts": run["counts"]}
                row = {"image_id": image_id, "category_id": int(class_id) + 1, "segmentation": segmentation}
                if target:
                    row |= {"id": len(self._ground_truths) + 1, "area": float(area), "iscrowd": 0, "bbox": [0, 0, 1, 1]}
                    self._ground_truths.append(row)
                else:
                    self._results.append({**row, "score": float(score)})

    def figures(self) -> list[float]:
        categories = [{"id": c + 1, "name": str(c)} for c in range(CLASSES)]
        with contextlib.redirect_stdout(io.StringIO()):
            ground_truth = self._coco()
            ground_truth.dataset = {
                "images": self._images,
                "annotations": self._ground_truths,
                "categories": categories,
                "info": {},
            }
            ground_truth.createIndex()
            evaluation = self._evaluator(ground_truth, ground_truth.loadRes(self._results), "segm")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return [float(v) for v in evaluation.stats[:12]]


def rivals() -> dict[str, CocoLike]:
    """Every evaluator that is installed."""
    found: dict[str, CocoLike] = {}
    for name, module, coco, evaluator in (
        ("pycocotools", "pycocotools", "coco.COCO", "cocoeval.COCOeval"),
        ("faster-coco-eval", "faster_coco_eval", "COCO", "COCOeval_faster"),
        ("hotcoco", "hotcoco", "COCO", "COCOeval"),
        ("ultrafast-pycocotools", "ultrafast_pycocotools", "COCO", "COCOeval"),
    ):
        try:
            parts = [_attribute(module, path) for path in (coco, evaluator, "mask")]
        except ModuleNotFoundError:
            print(f"{name}: not installed")
        else:
            found[name] = CocoLike(*parts)
    return found


def _attribute(module: str, path: str) -> Any:
    *folders, name = path.split(".")
    return getattr(importlib.import_module(".".join([module, *folders])), name)


def timed(call: Callable[[], Result]) -> tuple[float, Result]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def report(spent: dict[str, float], figures: dict[str, list[float]], images: int) -> bool:
    """Print the table; return whether pycocotools agrees and is beaten by the goal."""
    print(f"{images} images, from masks to twelve figures, one core")
    off = {name: float(np.abs(np.subtract(ours, figures["ours"])).max()) for name, ours in figures.items()}
    for name, seconds in spent.items():
        agrees = "equal" if off[name] <= 1e-12 else f"differs by {off[name]:.1e}"
        per_image, ratio = 1e3 * seconds / images, seconds / spent["ours"]
        print(f"{name:<22}{seconds:8.2f} s {per_image:8.3f} ms/image {ratio:6.1f}×  {agrees}")
    return off["pycocotools"] <= 1e-12 and spent["pycocotools"] >= GOAL * spent["ours"]


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=1000)
    images = parser.parse_args().images
    cv2.setNumThreads(1)
    warm = Ours(1)
    warm.add(scene(np.random.default_rng(1)))
    warm.figures()  # compiles the kernels or loads them
    ours = Ours(images)
    contenders: dict[str, Ours | CocoLike] = {"ours": ours, **rivals()}
    spent = dict.fromkeys(contenders, 0.0)
    random = np.random.default_rng(0)
    for number in range(images):  # made and dropped one at a time: a thousand images of masks fill any memory
        pair = scene(random)
        for name in list(contenders) if number % 2 else reversed(contenders):
            seconds, _ = timed(partial(contenders[name].add, pair))
            spent[name] += seconds
    figures: dict[str, list[float]] = {}
    for name, contender in contenders.items():
        seconds, figures[name] = timed(contender.figures)
        spent[name] += seconds
    reached = report(spent, figures, images)
    seconds, _ = timed(partial(METRIC.bootstrap, ours.rows(), SPECS, seed=0))
    print(f"the interval over images, {DRAWS} draws: {seconds:.2f} s")
    return int(not reached)


if __name__ == "__main__":
    sys.exit(main())
