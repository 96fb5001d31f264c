"""Compiled matching of one image follows COCO's greedy rule to the letter, whatever ties, crowds and caps there are."""

from __future__ import annotations

import numpy as np

from bench.metrics import _matching as matching
from bench.records.instances import Instances

NO_MASKS = np.zeros((0, 4, 4), dtype=bool)


def greedy(classes, scores, ious, areas, true_classes, true_areas, crowd, most):
    """`COCOeval.evaluateImg` for one image, written out: rows of detections, class by class, and what the cap left."""
    rows, left_out = [], 0
    for label in sorted({*classes}):
        ranked = sorted((d for d in range(len(classes)) if classes[d] == label), key=lambda d: -scores[d])
        left_out += len(ranked[most:])
        bits = {d: [0, 0] for d in ranked[:most]}
        for r, (low, high) in enumerate(matching.AREA_RANGES.values()):
            own = [g for g in range(len(true_classes)) if true_classes[g] == label]
            out = {g: crowd[g] or true_areas[g] < low or true_areas[g] > high for g in own}
            own.sort(key=lambda g: out[g])
            for t, threshold in enumerate(matching.IOU_THRESHOLDS):
                taken = set()
                for d in ranked[:most]:
                    best, iou = -1, min(threshold, 1 - 1e-10)
                    for g in own:
                        if g in taken and not crowd[g]:
                            continue
                        if best >= 0 and not out[best] and out[g]:
                            break
                        if ious[d, g] >= iou:
                            best, iou = g, ious[d, g]
                    if best >= 0:
                        taken.add(best)
                        bits[d][0] |= 1 << (10 * r + t)
                    if out[best] if best >= 0 else areas[d] < low or areas[d] > high:
                        bits[d][1] |= 1 << (10 * r + t)
        rows += [[2.0, label, scores[d], k, areas[d], *bits[d]] for k, d in enumerate(ranked[:most])]
    return rows, left_out


def test_rows_of_random_tables_are_those_of_the_written_out_rule():
    random = np.random.default_rng(0)
    levels = np.array([0, 0.3, *matching.IOU_THRESHOLDS, 0.5 - 1e-12, 1 - 1e-11, 1])
    sides = np.array([1, 32**2 - 1, 32**2, 32**2 + 1, 96**2, 96**2 + 1, 1e5])
    for _ in range(500):
        d, g = random.integers(0, 9), random.integers(0, 7)
        classes, true_classes = random.integers(0, 3, d), random.integers(0, 3, g)
        scores = random.choice([0.1, 0.5, 0.9], d) if random.random() < 0.7 else random.random(d)
        ious = random.choice(levels, (d, g))
        areas, true_areas = random.choice(sides, d), random.choice(sides, g)
        crowd, most = random.random(g) < 0.3, int(random.choice([1, 2, 100]))
        target = Instances(NO_MASKS, true_classes, np.ones(g), crowd)
        predicted = Instances(NO_MASKS, classes, scores, np.zeros(d, dtype=bool))
        found = matching.match_rows(target, predicted, ious, (true_areas, areas), most=most).table
        expected, left_out = greedy(classes, scores, ious, areas, true_classes, true_areas, crowd, most)
        assert found[1 + g :].tolist() == expected
        assert found[0].tolist() == [0, 0, 0, left_out, 0, 0, 0]
        assert found[1 : 1 + g, [0, 1, 4, 6]].tolist() == [
            [1, *row] for row in zip(true_classes, true_areas, crowd, strict=True)
        ]
