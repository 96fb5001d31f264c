"""The error budget: TIDE's own numbers where it is installed, and each kind of error drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from bench.metric import load_metric
from bench.records import ClassSpec
from bench.records.predictions import Instances
from tests.bench.metrics import coco_oracle

METRIC = load_metric("error_budget")
CLASSES = tuple(ClassSpec(name=n, is_thing=True, colour=(0, 0, 0)) for n in ("A", "B", "C"))
SIZE = (60, 80)
TIDE_NAMES = {
    "class": "Cls", "location": "Loc", "both": "Both", "duplicate": "Dupe", "background": "Bkg", "missed": "Miss",
}  # fmt: skip


def boxes(*corners):
    masks = np.zeros((len(corners), *SIZE), bool)
    for mask, (top, left, height, width) in zip(masks, corners, strict=True):
        mask[top : top + height, left : left + width] = True
    return masks


def made(masks, class_ids, scores=None, crowd=None):
    count = len(masks)
    return Instances(
        masks,
        np.array(class_ids, np.int64).reshape(count),
        np.ones(count) if scores is None else np.array(scores, float).reshape(count),
        np.zeros(count, bool) if crowd is None else np.array(crowd, bool),
    )


def scored(pairs):
    rows = [np.insert(METRIC.observe(t, p, CLASSES).table, 0, i, axis=1) for i, (t, p) in enumerate(pairs)]
    return METRIC.score(np.concatenate(rows), CLASSES, seed=0)


def counted(target, predicted):
    counts = scored([(target, predicted)]).counts
    return {name.removesuffix(" errors"): n for name, n in counts.items() if n}


OBJECT = (10, 10, 20, 20)


@pytest.mark.parametrize(
    ("box", "class_id", "expected"),
    [
        ((10, 10, 20, 20), 0, {}),
        ((10, 22, 20, 20), 0, {"location": 1}),  # IoU 8 · 20 / (800 - 160) = 0.25
        ((10, 10, 20, 20), 1, {"class": 1}),
        ((10, 22, 20, 20), 1, {"both": 1, "missed": 1}),
        ((40, 50, 20, 20), 0, {"background": 1, "missed": 1}),
        ((10, 29, 20, 20), 0, {"background": 1, "missed": 1}),  # IoU 20 / 780
    ],
)
def test_each_detection_has_the_kind_that_tide_gives_it(box, class_id, expected):
    assert counted(made(boxes(OBJECT), [0]), made(boxes(box), [class_id], [0.9])) == expected


def test_a_second_detection_of_a_found_object_is_a_duplicate():
    target = made(boxes(OBJECT), [0])
    assert counted(target, made(boxes(OBJECT, OBJECT), [0, 0], [0.9, 0.8])) == {"duplicate": 1}


def test_fixing_a_kind_gains_what_it_costs():
    target = made(boxes(OBJECT, (40, 40, 15, 15)), [0, 0])
    # One is found; the other is found with the wrong class: recall 1/2 at precision 1 is an AP of 51 / 101.
    predicted = made(boxes(OBJECT, (40, 40, 15, 15)), [0, 1], [0.9, 0.8])
    score = scored([(target, predicted)])
    assert score.value == pytest.approx(51 / 101)
    assert score.parts["class"] == pytest.approx(50 / 101)
    assert {name for name, gain in score.parts.items() if gain} == {"class"}
    # Missed altogether: only not asking for it helps.
    score = scored([(target, made(boxes(OBJECT), [0], [0.9]))])
    assert score.parts["missed"] == pytest.approx(50 / 101)
    assert score.counts["missed errors"] == 1


def test_of_two_errors_on_one_object_only_the_surer_one_becomes_right():
    target = made(boxes(OBJECT), [0])
    # Both are 8 to 12 pixels off: one could be made right, the other goes.
    predicted = made(boxes((10, 22, 20, 20), (10, 0, 20, 18)), [0, 0], [0.6, 0.8])
    score = scored([(target, predicted)])
    assert (score.value, score.parts["location"]) == (0.0, pytest.approx(1.0))
    assert score.counts["location errors"] == 2


def test_a_detection_in_a_crowd_is_no_error():
    target = made(boxes(OBJECT, (30, 40, 25, 30)), [0, 0], crowd=[False, True])
    assert counted(target, made(boxes(OBJECT, (32, 42, 10, 10)), [0, 0], [0.9, 0.8])) == {}


def random_pairs(seed):
    random = np.random.default_rng(seed)
    pairs = []
    for _ in range(int(random.integers(1, 6))):
        count = int(random.integers(0, 6))
        corners = [(*random.integers(0, 45, 2), *random.integers(6, 30, 2)) for _ in range(count)]
        target = made(boxes(*corners), random.integers(0, 3, count))
        shaken = [
            (max(0, t + int(random.integers(-6, 7))), max(0, x + int(random.integers(-6, 7))), h, w)
            for t, x, h, w in corners for _ in range(int(random.integers(0, 3)))
        ]  # fmt: skip
        shaken += [(*random.integers(0, 45, 2), *random.integers(6, 30, 2)) for _ in range(2)]
        pairs.append((target, made(boxes(*shaken), random.integers(0, 3, len(shaken)), random.random(len(shaken)))))
    return pairs


@pytest.mark.parametrize("seed", range(25))
def test_the_headline_is_cocos_ap_at_one_half(seed):
    pairs = random_pairs(seed)
    score = scored(pairs)
    # TIDE takes the best object that is free; COCO's choice differs only where an object is taken: never above 0.5
    # for masks that do not overlap, seldom for these.
    expected = coco_oracle.figures(coco_oracle.evaluate(pairs, (0, 1, 2)))["AP50"]
    assert (score.value is None) == (expected is None)
    if expected is not None:
        assert score.value == pytest.approx(expected, abs=0.02)


# Left out: a recall that lies exactly on one of the 101 points, which TIDE makes as x / 100 and COCO as a linspace.
@pytest.mark.parametrize("seed", [seed for seed in range(60) if seed != 13])
def test_every_gain_equals_tides(seed):
    tidecv = pytest.importorskip("tidecv")
    # Every class has an object and a detection: TIDE counts a class that is predicted and nowhere true as an AP of 0,
    # and drops one without either.
    last = made(boxes((0, 0, 9, 9), (20, 0, 9, 9), (40, 0, 9, 9)), [0, 1, 2])
    pairs = [
        *random_pairs(seed),
        (last, made(boxes((0, 50, 9, 9), (20, 50, 9, 9), (40, 50, 9, 9)), [0, 1, 2], [0.01] * 3)),
    ]
    ground_truth, found = tidecv.Data("truth"), tidecv.Data("found")
    for image, (target, predicted) in enumerate(pairs):
        ground_truth.add_image(image, str(image))
        for mask, c in zip(target.masks, target.class_ids, strict=True):
            ground_truth.add_ground_truth(image, int(c), mask=encoded(mask))
        for mask, c, s in zip(predicted.masks, predicted.class_ids, predicted.scores, strict=True):
            found.add_detection(image, int(c), float(s), mask=encoded(mask))
    tide = tidecv.TIDE()
    run = tide.evaluate(ground_truth, found, mode=tidecv.TIDE.MASK)
    errors = tide.get_main_errors()["found"]
    score = scored(pairs)
    assert 100 * score.value == pytest.approx(run.ap, abs=1e-6)
    for name, gain in score.parts.items():
        assert 100 * gain == pytest.approx(errors[TIDE_NAMES[name]], abs=1e-6), name


def encoded(mask):
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
