"""From masks in memory to COCO's AP: this harness against pycocotools and others, in one run, on one core.

    taskset -c 0 python tests/benchmarks/bench_mask_ap.py [--images 1000]

Synthetic images as in COCO: 480 × 640, about 7 truths and 30 detections of 20 classes. Each
candidate starts from dense masks and ends with the twelve figures, which must agree. pycocotools
and the evaluators that follow its interface encode the masks first. Prints seconds and the ratio to
ours; exit code 1 if pycocotools is not beaten by a factor of 10.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from bench.plugins import load_metric
from bench.predictions import Instances
from bench.records import ClassSpec
from bench.score.statistics import Collector

SIZE, CLASSES, GOAL = (480, 640), 20, 10.0
SPECS = tuple(ClassSpec(name=str(c), is_thing=True, colour=(0, 0, 0)) for c in range(CLASSES))
METRIC = load_metric("mask_ap")
Pairs = list[tuple[Instances, Instances]]


def scene(random: np.random.Generator) -> tuple[Instances, Instances]:
    """Ellipses as truths; detections are most of them moved a little, and made-up ones."""
    truths = int(random.integers(3, 12))
    shapes = [_ellipse(random) for _ in range(truths)]
    class_ids = random.integers(0, CLASSES, truths)
    found = [(_moved(random, s), c) for s, c in zip(shapes, class_ids, strict=True) for _ in range(2)]
    found += [(_ellipse(random), int(random.integers(0, CLASSES))) for _ in range(30 - len(found))]
    scores = random.random(len(found))
    return _instances(shapes, class_ids, np.ones(truths)), _instances(
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
        from bench.metrics._instances import _parts, _things

        rows = self._collector.statistics([str(i) for i in range(self._number)]).arrays["rows"]
        by_class = _things(rows, SPECS)
        every = {c: one.curves() for c, one in by_class.items()}
        return [float(np.nanmean([c.precision for c in every.values()])), *map(float, _parts(by_class, every).values())]


class CocoLike:
    """Any evaluator with pycocotools' interface."""

    def __init__(self, coco: type, evaluator: type) -> None:
        self._coco, self._evaluator = coco, evaluator
        self._images: list[dict[str, object]] = []
        self._truths: list[dict[str, object]] = []
        self._results: list[dict[str, object]] = []

    def add(self, pair: tuple[Instances, Instances]) -> None:
        image_id = len(self._images) + 1
        self._images.append({"id": image_id, "height": SIZE[0], "width": SIZE[1]})
        for one, target in zip(pair, (True, False), strict=True):
            encoded = coco_mask.encode(np.asfortranarray(one.masks.transpose(1, 2, 0).view(np.uint8)))
            areas = coco_mask.area(encoded)
            for run, class_id, score, area in zip(encoded, one.class_ids, one.scores, areas, strict=True):
                segmentation = {"size": run["size"], "counts": run["counts"].decode()}
                row = {"image_id": image_id, "category_id": int(class_id) + 1, "segmentation": segmentation}
                if target:
                    row |= {"id": len(self._truths) + 1, "area": float(area), "iscrowd": 0, "bbox": [0, 0, 1, 1]}
                    self._truths.append(row)
                else:
                    self._results.append({**row, "score": float(score)})

    def figures(self) -> list[float]:
        categories = [{"id": c + 1, "name": str(c)} for c in range(CLASSES)]
        with contextlib.redirect_stdout(io.StringIO()):
            truth = self._coco()
            truth.dataset = {"images": self._images, "annotations": self._truths, "categories": categories, "info": {}}
            truth.createIndex()
            evaluation = self._evaluator(truth, truth.loadRes(self._results), "segm")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return [float(v) for v in evaluation.stats[:12]]


def candidates(images: int) -> dict[str, Ours | CocoLike]:
    """Ours, and every evaluator that is installed."""
    found: dict[str, Ours | CocoLike] = {"ours": Ours(images)}
    for name, module, coco, evaluator in (
        ("pycocotools", "pycocotools", "coco.COCO", "cocoeval.COCOeval"),
        ("faster-coco-eval", "faster_coco_eval", "COCO", "COCOeval_faster"),
        ("hotcoco", "hotcoco", "COCO", "COCOeval"),
    ):
        try:
            found[name] = CocoLike(*(_attribute(module, path) for path in (coco, evaluator)))
        except (ImportError, AttributeError):
            print(f"{name}: not installed")
    return found


def _attribute(module: str, path: str) -> type:
    *folders, name = path.split(".")
    return getattr(importlib.import_module(".".join([module, *folders])), name)


def timed(call: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=1000)
    images = parser.parse_args().images
    Ours(1).add(scene(np.random.default_rng(1)))  # compile or load the kernels
    contenders = candidates(images)
    spent = dict.fromkeys(contenders, 0.0)
    random = np.random.default_rng(0)
    for number in range(images):  # made and dropped one at a time: a thousand images of masks fill any memory
        pair = scene(random)
        order = list(contenders) if number % 2 else list(reversed(contenders))
        for name in order:
            seconds, _ = timed(lambda name=name, pair=pair: contenders[name].add(pair))  # type: ignore[misc]
            spent[name] += seconds
    figures = {}
    for name, contender in contenders.items():
        seconds, figures[name] = timed(contender.figures)
        spent[name] += seconds
    print(f"{images} images, from masks to twelve figures, one core")
    for name, seconds in spent.items():
        agrees = np.allclose(figures[name], figures["pycocotools"], rtol=0, atol=1e-12)
        print(
            f"{name:<18}{seconds:8.2f} s {1e3 * seconds / images:8.3f} ms/image {seconds / spent['ours']:6.1f}×  "
            + (
                "equal"
                if agrees
                else f"differs by {np.abs(np.subtract(figures[name], figures['pycocotools'])).max():.1e}"
            )
        )
    return int(spent["pycocotools"] < GOAL * spent["ours"])


if __name__ == "__main__":
    sys.exit(main())
