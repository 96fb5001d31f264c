"""LVIS's AP equals that of its own evaluator: 300 detections of an image, the federated rule, groups by frequency."""

from __future__ import annotations

import contextlib
import io
import json
import logging

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from bench.metric import load_metric
from bench.metrics.lvis_ap import surest
from bench.records import ClassSpec
from bench.records.predictions import Instances

FREQUENCIES = ("rare", "common", "frequent", "frequent", "rare")
CLASSES = tuple(
    ClassSpec(name=f"c{n}", is_thing=True, colour=(n, 0, 0), frequency=group) for n, group in enumerate(FREQUENCIES)
)
SIZE = (60, 80)
PARTS = {
    "AP50": "AP50", "AP75": "AP75", "AP_small": "APs", "AP_medium": "APm", "AP_large": "APl", "AP_rare": "APr",
    "AP_common": "APc", "AP_frequent": "APf", "AR_300": "AR@300", "AR_small": "ARs@300", "AR_medium": "ARm@300",
}  # fmt: skip
"""Our name of a part -> LVIS's."""


def boxes(rng, count, jitter_of=None):
    masks = np.zeros((count, *SIZE), bool)
    for n in range(count):
        if jitter_of is not None and len(jitter_of) and rng.random() < 0.8:
            masks[n] = np.roll(jitter_of[rng.integers(len(jitter_of))], rng.integers(-3, 4, 2), (0, 1))
            continue
        y, x, h, w = rng.integers(0, 40), rng.integers(0, 60), rng.integers(3, 20), rng.integers(3, 20)
        masks[n, y : y + h, x : x + w] = True
    return masks


def scene(rng, detections):
    """Ground truth of an image that was looked through for some classes, and detections of all of them."""
    count = int(rng.integers(1, 7))
    ids = rng.integers(0, 4, count)
    looked_for = {*ids.tolist(), int(rng.integers(5))}
    not_exhaustive = [c for c in looked_for if rng.random() < 0.3]
    unchecked = tuple(sorted(({*range(5)} - looked_for) | {*not_exhaustive}))
    masks = boxes(rng, count)
    ground_truth = Instances(masks, ids, np.ones(count), np.zeros(count, bool), unchecked=unchecked)
    guess_ids = np.where(rng.random(detections) < 0.7, rng.choice(ids, detections), rng.integers(0, 5, detections))
    guess = Instances(
        boxes(rng, detections, masks), guess_ids, rng.permutation(detections) / detections, np.zeros(detections, bool)
    )
    return ground_truth, guess, sorted(looked_for - {*ids.tolist()}), not_exhaustive


def evaluated(scenes, folder):
    """Results of LVIS's own evaluator."""
    lvis = pytest.importorskip("lvis")
    logging.getLogger("lvis").setLevel(logging.ERROR)
    categories = [{"id": n + 1, "name": c.name, "frequency": c.frequency[0]} for n, c in enumerate(CLASSES)]
    images, annotations, results = [], [], []
    for number, (ground_truth, guess, negative, partial) in enumerate(scenes, start=1):
        images.append({"id": number, "height": SIZE[0], "width": SIZE[1], "neg_category_ids": [c + 1 for c in negative],
                       "not_exhaustive_category_ids": [c + 1 for c in partial], "coco_url": "x/x.jpg"})  # fmt: skip
        for mask, class_id in zip(ground_truth.masks, ground_truth.class_ids.tolist(), strict=True):
            row = {"id": len(annotations) + 1, "image_id": number, "category_id": class_id + 1, "bbox": [0, 0, 1, 1]}
            annotations.append({**row, "area": float(mask.sum()), "segmentation": encoded(mask)})
        for mask, class_id, score in zip(guess.masks, guess.class_ids.tolist(), guess.scores.tolist(), strict=True):
            results.append(
                {"image_id": number, "category_id": class_id + 1, "score": score, "segmentation": encoded(mask)}
            )
    file = folder / "lvis.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = lvis.LVIS(str(file))
        evaluation = lvis.LVISEval(dataset, lvis.LVISResults(dataset, results, max_dets=300), "segm")
        evaluation.run()
    return evaluation.get_results()


def encoded(mask):
    found = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": found["size"], "counts": found["counts"].decode()}


def scored(scenes):
    metric = load_metric("lvis_ap")
    rows = [metric.observe(ground_truth, guess, CLASSES).table for ground_truth, guess, *_ in scenes]
    stacked = np.concatenate([np.insert(table, 0, number, axis=1) for number, table in enumerate(rows)])
    return metric.score(stacked, CLASSES, seed=0)


@pytest.mark.parametrize("detections", [8, 320])
def test_every_figure_is_that_of_lviss_own_evaluator(tmp_path, monkeypatch, detections):
    monkeypatch.setattr(np, "float", float, raising=False)  # which NumPy 2 no longer has
    rng = np.random.default_rng(detections)
    scenes = [scene(rng, detections) for _ in range(5)]
    expected, found = evaluated(scenes, tmp_path), scored(scenes)
    assert found.value == pytest.approx(expected["AP"], abs=1e-9)
    for ours, theirs in PARTS.items():
        value = found.parts[ours]
        assert (-1 if value is None else value) == pytest.approx(expected[theirs], abs=1e-9), ours


def test_only_the_300_surest_detections_of_an_image_count():
    rng = np.random.default_rng(1)
    ground_truth, guess, *_ = scene(rng, 350)
    kept = surest(guess, 300)
    assert sorted(kept.scores.tolist()) == sorted(guess.scores.tolist())[50:]
    assert scored([(ground_truth, guess)]).value == scored([(ground_truth, kept)]).value


def test_groups_that_no_class_is_in_are_not_there():
    rng = np.random.default_rng(2)
    ground_truth, guess, *_ = scene(rng, 20)
    metric = load_metric("lvis_ap")
    plain = tuple(ClassSpec(name=c.name, is_thing=True, colour=c.colour) for c in CLASSES)
    rows = np.insert(metric.observe(ground_truth, guess, plain).table, 0, 0, axis=1)
    assert not {"AP_rare", "AP_common", "AP_frequent"} & set(metric.score(rows, plain, seed=0).parts)
    assert "frequency" not in plain[0].model_dump_json()
    assert ClassSpec.from_json(CLASSES[0].to_json()) == CLASSES[0]
