"""Mask AP: pycocotools' numbers on every kind of case, its known answers, and its interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.errors import ShapeError
from bench.metric import load_metric
from bench.metrics._average_precision import ClassRows
from bench.metrics._bootstrap import LeftOut
from bench.metrics.mask_ap import best_threshold
from bench.records import ClassSpec
from bench.records.predictions import Instances, SemanticMap
from bench.records.store.statistics import Collector
from tests.bench.metrics import coco_oracle

METRIC = load_metric("mask_ap")
CLASSES = tuple(ClassSpec(name=n, is_thing=n.isupper(), colour=(0, 0, 0)) for n in ("sky", "A", "B", "C", "D"))
THINGS = (1, 2, 3, 4)


def blobs(random, count, size, smallest=2.0, largest=0.6):
    rows, columns = np.indices(size)
    masks = np.zeros((count, *size), dtype=bool)
    for mask in masks:
        centre = random.random(2) * size
        radii = np.exp(random.uniform(np.log(smallest), np.log(max(smallest, largest * max(size))), 2)) / 2
        mask |= ((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2 <= 1
    return masks


def instances(masks, class_ids, scores=None, crowd=None):
    count = len(masks)
    return Instances(
        masks=np.ascontiguousarray(masks, dtype=bool),
        class_ids=np.asarray(class_ids, dtype=np.int64).reshape(count),
        scores=np.ones(count) if scores is None else np.asarray(scores, dtype=np.float64).reshape(count),
        crowd=np.zeros(count, bool) if crowd is None else np.asarray(crowd, dtype=bool).reshape(count),
    )


def random_pair(random, *, size, ties):
    ground_truths = int(random.integers(0, 9))
    masks = blobs(random, ground_truths, size)
    target = instances(masks, random.integers(1, 4, ground_truths), crowd=random.random(ground_truths) < 0.2)
    # Some detections are ground truth moved a little, some are made up; scores may be equal.
    moved = [np.roll(m, random.integers(-2, 3, 2), axis=(0, 1)) for m in masks if random.random() < 0.8]
    extra = blobs(random, int(random.integers(0, 6)), size)
    found = np.concatenate([np.array(moved, dtype=bool).reshape(-1, *size), extra])
    class_ids = random.integers(1, 5, len(found))
    class_ids[: len(moved)] = np.where(random.random(len(moved)) < 0.8, target.class_ids[: len(moved)], 2)
    scores = random.random(len(found))
    return target, instances(found, class_ids, np.round(scores, 1) if ties else scores)


def collected(pairs, metric=METRIC, classes=CLASSES):
    collector = Collector(len(pairs))
    for number, (target, predicted) in enumerate(pairs):
        collector.add("rows", number, metric.observe(target, predicted, classes))
    return collector.statistics([str(i) for i in range(len(pairs))]).arrays["rows"]


def scored(pairs, metric=METRIC):
    return metric.score(collected(pairs, metric), CLASSES, seed=0)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_all_twelve_figures_and_every_class_equal_pycocotools(seed, ties):
    random = np.random.default_rng(seed)
    size = tuple(int(n) for n in random.integers(5, 150, 2))
    pairs = [random_pair(random, size=size, ties=ties) for _ in range(int(random.integers(1, 7)))]
    evaluation = coco_oracle.evaluate(pairs, THINGS)
    found = scored(pairs)
    ours = {"AP": found.value, **found.parts}
    for name, expected in coco_oracle.figures(evaluation).items():
        assert ours[name] == (None if expected is None else pytest.approx(expected, abs=1e-12)), name
    for index, label in enumerate(THINGS):
        expected = coco_oracle.class_ap(evaluation, index)
        assert found.per_class[CLASSES[label].name] == (
            None if expected is None else pytest.approx(expected, abs=1e-12)
        )


def test_only_the_hundred_surest_detections_of_an_image_and_class_count():
    random = np.random.default_rng(0)
    mask = blobs(random, 1, (20, 20), smallest=9, largest=0.9)
    guesses = instances(np.repeat(mask, 130, axis=0), [1] * 130, np.linspace(1, 0.1, 130))
    guesses.masks[:120] = blobs(random, 120, (20, 20), smallest=2, largest=0.2)  # the right one comes at place 121
    pairs = [(instances(mask, [1]), guesses)]
    expected = coco_oracle.figures(coco_oracle.evaluate(pairs, THINGS))
    assert scored(pairs).value == pytest.approx(expected["AP"], abs=1e-12)
    assert scored(pairs).parts["AR_100"] < 1
    assert set(METRIC.bootstrap(collected(pairs), CLASSES, seed=0)) == {scored(pairs).value}  # one image, drawn once


def test_an_area_on_the_border_of_two_ranges_belongs_to_both():
    masks = np.zeros((2, 100, 140), bool)
    masks[0, :32, :32] = masks[1, 2:98, 42:138] = True
    pairs = [(instances(masks, [1, 1]), instances(masks, [1, 1], [0.9, 0.8]))]
    expected = coco_oracle.figures(coco_oracle.evaluate(pairs, THINGS))
    found = scored(pairs)
    assert {"AP": found.value, **found.parts} == {name: pytest.approx(v, abs=1e-12) for name, v in expected.items()}
    # small: the 32²; medium: both; large: the 96²
    assert [found.parts[f"AR_{size}"] for size in ("small", "medium", "large")] == [1, 1, 1]


def test_the_ap_of_a_group_is_to_the_bit_that_of_its_images_alone():
    random = np.random.default_rng(3)
    rows = collected([random_pair(random, size=(40, 50), ties=True) for _ in range(12)])
    groups = random.random((30, 12)) < 0.4
    groups[0] = False
    alone = [rows[chosen[rows[:, 0].astype(int)]] for chosen in groups]
    expected = [np.nan, *(METRIC.score(own, CLASSES, seed=0).value for own in alone[1:])]
    np.testing.assert_array_equal(METRIC.of_groups(rows, CLASSES, groups), np.array(expected, dtype=float))


def ultralytics_ap(recall, precision):
    """`compute_ap` of Ultralytics 8.4, `utils/metrics.py`: linear interpolation, then trapezoids."""
    mrec = np.concatenate(([0.0], recall, [recall[-1]], [1.0]))
    mpre = np.concatenate(([1.0], precision, [0.0], [0.0]))
    mpre = np.flip(np.maximum.accumulate(np.flip(mpre)))
    x = np.linspace(0, 1, 101)
    return np.trapezoid(np.interp(x, mrec, mpre), x)


def detector(found: int, ground_truths: int):
    """One image a ground truth; the first so many are found exactly."""
    mask = np.ones((1, 8, 8), bool)
    nothing = instances(np.zeros((0, 8, 8), bool), [])
    return [(instances(mask, [1]), instances(mask, [1], [0.9]) if i < found else nothing) for i in range(ground_truths)]


@pytest.mark.parametrize(
    ("found", "ours", "theirs"),
    [(20, 1.0, 0.995), (10, 51 / 101, 0.495)],
)
def test_a_perfect_detector_gets_one_here_and_less_by_ultralytics_own_formula(found, ours, theirs):
    assert scored(detector(found, 20)).value == pytest.approx(ours, abs=1e-12)
    recall = np.arange(1, found + 1) / 20
    assert ultralytics_ap(recall, np.ones(found)) == pytest.approx(theirs, abs=1e-9)


def test_areas_are_those_of_masks_where_a_bbox_in_the_results_would_change_them():
    rows, columns = np.indices((80, 80))
    thin = np.abs(rows - columns) <= 2  # a box of 80², an area below 32²
    assert thin.sum() < 32**2
    wrong = np.roll(thin, 30, axis=1)
    pairs = [(instances(thin[None], [1]), instances(np.stack([thin, wrong]), [1, 1], [0.8, 0.9]))]
    found = scored(pairs)
    plain = coco_oracle.figures(coco_oracle.evaluate(pairs, THINGS))
    boxed = coco_oracle.figures(coco_oracle.evaluate(pairs, THINGS, boxes=True))
    assert boxed["AP"] == plain["AP"] == pytest.approx(found.value, abs=1e-12)
    assert boxed["AP_small"] != plain["AP_small"]
    assert found.parts["AP_small"] == pytest.approx(plain["AP_small"], abs=1e-12)


def test_a_detection_on_a_crowd_counts_neither_for_nor_against():
    half = np.zeros((1, 10, 10), bool)
    half[:, :, :5] = True
    crowd, thing = instances(half, [1], crowd=[True]), instances(~half, [1])
    target = instances(np.concatenate([crowd.masks, thing.masks]), [1, 1], crowd=[True, False])
    inside = half.copy()
    inside[:, 5:] = False
    guess = instances(np.concatenate([inside, ~half]), [1, 1], [0.9, 0.5])
    assert scored([(target, guess)]).value == pytest.approx(1)


def test_images_without_objects_count_as_images_and_nothing_else():
    nothing = instances(np.zeros((0, 6, 6), bool), [])
    found = scored([(nothing, nothing), *detector(1, 1), (nothing, nothing)])
    assert (found.value, found.images) == (pytest.approx(1), 3)
    empty = scored([(nothing, nothing)])
    assert empty.value is None
    assert "no target holds an instance" in empty.undefined_because


def test_the_interval_is_over_images_and_the_draw_of_every_image_once_is_the_headline():
    random = np.random.default_rng(4)
    pairs = [random_pair(random, size=(40, 50), ties=False) for _ in range(25)]
    rows, found = collected(pairs), scored(pairs)
    aps = [ClassRows.of(rows, label).without(LeftOut.nothing(len(pairs)))[0] for label in THINGS]
    assert [None if np.isnan(ap) else ap for ap in aps] == [found.per_class[CLASSES[label].name] for label in THINGS]
    assert found.low < found.value < found.high


def test_a_draw_is_what_pycocotools_gives_for_the_drawn_images(kept_images):
    # Without equal scores in different images the copies of a detection follow one another, and the order among
    # copies changes no envelope: whole blocks, as here, and one copy after the other give the same AP.
    random = np.random.default_rng(5)
    pairs = [random_pair(random, size=(30, 30), ties=False) for _ in range(6)]
    draws = METRIC.bootstrap(collected(pairs), CLASSES, seed=7)
    weights = kept_images(len(pairs), 7)
    for draw in range(6):
        drawn = [pair for pair, times in zip(pairs, weights[draw].astype(int), strict=True) for _ in range(times)]
        expected = coco_oracle.figures(coco_oracle.evaluate(drawn, THINGS))["AP"]
        assert draws[draw] == pytest.approx(expected, abs=1e-12)


def test_other_forms_sizes_and_classes_are_refused():
    one, other = instances(np.ones((1, 4, 4), bool), [1]), instances(np.ones((1, 4, 5), bool), [1])
    with pytest.raises(ShapeError, match="not Instances and SemanticMap"):
        METRIC.observe(one, SemanticMap(np.zeros((4, 4), np.uint8)), CLASSES)
    with pytest.raises(ShapeError, match=r"\(4, 4\).*\(4, 5\)"):
        METRIC.observe(one, other, CLASSES)
    with pytest.raises(ShapeError, match="class 'sky' is predicted, which is stuff"):
        METRIC.observe(one, instances(np.ones((1, 4, 4), bool), [0]), CLASSES)
    with pytest.raises(ShapeError, match=r"class id 5 is predicted; valid ids are 0\.\.4"):
        METRIC.observe(one, instances(np.ones((1, 4, 4), bool), [5]), CLASSES)


def test_the_best_threshold_has_the_most_right_for_the_fewest_wrong_detections():
    masks = np.zeros((2, 12, 12), bool)
    masks[0, :4, :4], masks[1, 6:10, 6:10] = True, True
    elsewhere = np.roll(masks, 5, axis=2)
    target = instances(masks, [1, 1])
    found = instances(np.concatenate([masks, elsewhere]), [1] * 4, [0.44, 0.42, 0.3, 0.2])
    # from 0.35 to 0.40 both are found and nothing else; 0.40 is the nearer to 0.5
    assert best_threshold(collected([(target, found)])) == 0.4
    crowd = instances(masks, [1, 1], crowd=[True, True])
    assert best_threshold(collected([(crowd, found)])) is None
    assert best_threshold(collected([(target, instances(elsewhere, [1, 1], [0.9, 0.8]))])) is None


@pytest.mark.parametrize("seed", range(10))
def test_sizes_are_those_that_the_annotations_say_where_they_say_one(seed):
    random = np.random.default_rng(seed)
    pairs = []
    for _ in range(4):
        target, predicted = random_pair(random, size=(110, 130), ties=False)
        said = target.masks.sum(axis=(1, 2)) * random.choice([0.3, 1.0, 4.0], len(target.masks)) + 0.5
        pairs.append((replace(target, areas=said), predicted))
    expected = coco_oracle.figures(coco_oracle.evaluate(pairs, THINGS))
    found = scored(pairs)
    ours = {"AP": found.value, **found.parts}
    for name, value in expected.items():
        assert ours[name] == (None if value is None else pytest.approx(value, abs=1e-12)), name
    unsaid = [(replace(t, areas=np.full(len(t.masks), np.nan)), p) for t, p in pairs]
    assert scored(unsaid).parts == scored([(replace(t, areas=None), p) for t, p in pairs]).parts
