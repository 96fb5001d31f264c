"""Cityscapes' AP equals cityscapesScripts' on every kind of case."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from cityscapesscripts.evaluation.evalInstanceLevelSemanticLabeling import evaluateMatches

from bench.metric import load_metric
from bench.records import ClassSpec
from bench.records.predictions import Instances

METRIC = load_metric("cityscapes_ap")
NAMES = ("car", "person")
CLASSES = tuple(ClassSpec(name=n, is_thing=n != "road", colour=(0, 0, 0)) for n in ("road", *NAMES))


def official_ap(pairs):
    """`evaluateMatches` on what `assignGt2Preds` would make of the masks; (classes, thresholds)."""
    matches = {}
    for number, (target, predicted) in enumerate(pairs):
        found = {"groundTruth": {n: [] for n in NAMES}, "prediction": {n: [] for n in NAMES}}
        for g, (mask, class_id, crowd) in enumerate(zip(target.masks, target.class_ids, target.crowd, strict=True)):
            found["groundTruth"][CLASSES[class_id].name].append(
                {
                    "instID": 24 if crowd else 24000 + g,
                    "pixelCount": int(mask.sum()),
                    "medDist": -1,
                    "distConf": 0.0,
                    "matchedPred": [],
                    "mask": mask,
                }
            )
        for mask, class_id, score in zip(predicted.masks, predicted.class_ids, predicted.scores, strict=True):
            if not mask.any():
                continue
            name, void = CLASSES[class_id].name, np.zeros_like(mask) if target.void is None else target.void
            one = {
                "pixelCount": int(mask.sum()),
                "confidence": float(score),
                "voidIntersection": int((mask & void).sum()),
            }
            matched = []
            for ground_truth in found["groundTruth"][name]:
                shared = int((ground_truth["mask"] & mask).sum())
                if shared:
                    matched.append({**ground_truth, "intersection": shared})
                    ground_truth["matchedPred"].append({**one, "intersection": shared})
            found["prediction"][name].append({**one, "matchedGt": matched})
        matches[number] = found
    arguments = SimpleNamespace(
        overlaps=np.arange(0.5, 1.0, 0.05),
        minRegionSizes=[100],
        distanceThs=[float("inf")],
        distanceConfs=[-float("inf")],
        distanceAvailable=False,
        instLabels=list(NAMES),
    )
    return evaluateMatches(matches, arguments)[0]


def box_masks(random, count, size):
    masks = np.zeros((count, *size), bool)
    for mask in masks:
        top, left = random.integers(0, size[0]), random.integers(0, size[1])
        height, width = random.integers(2, 40, 2)
        mask[top : top + height, left : left + width] = True
    return masks


def disjoint(masks):
    """Each pixel stays with the last mask that has it."""
    covered = np.cumsum(masks[::-1], axis=0)[::-1]
    return masks & (covered == 1)


def random_pair(random):
    size = (90, 120)
    count = int(random.integers(0, 7))
    masks = disjoint(box_masks(random, count, size))
    masks = masks[masks.any(axis=(1, 2))]
    count = len(masks)
    crowd = random.random(count) < 0.2
    void = ~masks.any(axis=0) & (random.random(size) < random.choice([0.0, 0.6]))
    target = Instances(masks, random.integers(1, 3, count), np.ones(count), crowd, void=void)
    moved = [np.roll(m, random.integers(-3, 4, 2), (0, 1)) for m in masks for _ in range(random.integers(0, 3))]
    found = np.concatenate([np.array(moved, bool).reshape(-1, *size), box_masks(random, 3, size)])
    class_ids = random.integers(1, 3, len(found))
    return target, Instances(found, class_ids, np.round(random.random(len(found)), 1), np.zeros(len(found), bool))


def scored(pairs):
    rows = [np.insert(METRIC.observe(t, p, CLASSES).table, 0, i, axis=1) for i, (t, p) in enumerate(pairs)]
    return METRIC.score(np.concatenate(rows), CLASSES, seed=0)


@pytest.mark.parametrize("seed", range(60))
def test_ap_of_every_class_equals_cityscapes_scripts(seed):
    random = np.random.default_rng(seed)
    pairs = [random_pair(random) for _ in range(int(random.integers(1, 6)))]
    score = scored(pairs)
    try:
        expected = official_ap(pairs)
    except IndexError:  # cityscapesScripts cannot integrate where every detection of a class is left out
        assert 0.0 in score.per_class.values()
        return
    for row, name in zip(expected, NAMES, strict=True):
        value = score.per_class[name]
        assert value == (None if np.isnan(row).any() else pytest.approx(row.mean(), abs=1e-12)), name
    if np.isnan(expected).all():
        assert score.value is None
    else:
        assert score.value == pytest.approx(np.nanmean(expected), abs=1e-12)
        assert score.parts["AP50"] == pytest.approx(np.nanmean(expected[:, 0]), abs=1e-12)


def test_a_perfect_detector_has_an_ap_of_one_and_objects_below_100_pixels_are_not_asked_for():
    masks = np.zeros((2, 60, 60), bool)
    masks[0, :20, :20] = True
    masks[1, 40:49, 40:51] = True  # 99 pixels
    target = Instances(masks, np.array([1, 1]), np.ones(2), np.zeros(2, bool))
    assert scored([(target, replace(target, scores=np.array([0.9, 0.8])))]).value == 1.0
    first = Instances(masks[:1], np.array([1]), np.array([0.9]), np.zeros(1, bool))
    assert scored([(target, first)]).value == 1.0
    # The detection of the small object is wrong, but ranks below the right one.
    both = replace(target, scores=np.array([0.9, 0.8]))
    assert scored([(replace(first, scores=np.ones(1)), both)]).value == 1.0
    small = Instances(masks[1:], np.array([1]), np.ones(1), np.zeros(1, bool))
    assert "at least 100 pixels" in scored([(small, first)]).undefined_because


def test_a_false_alarm_on_void_is_forgiven_and_one_elsewhere_is_not():
    masks = np.zeros((2, 60, 60), bool)
    masks[0, :20, :20] = True
    masks[1, 30:50, 30:50] = True
    target = Instances(masks[:1], np.array([1]), np.ones(1), np.zeros(1, bool))
    predicted = Instances(masks, np.array([1, 1]), np.array([0.5, 0.9]), np.zeros(2, bool))
    # precision 0 at recall 0 after the false alarm, then 1/2 at recall 1: (0 + 1/2) / 2
    assert scored([(target, predicted)]).value == pytest.approx(0.25)
    assert scored([(replace(target, void=masks[1]), predicted)]).value == 1.0


def test_the_interval_holds_the_score():
    random = np.random.default_rng(5)
    score = scored([random_pair(random) for _ in range(15)])
    assert score.low <= score.value <= score.high
