"""Metrics of single objects equal an optimal assignment, the challenges' formulas written out, and known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, optimize

from bench.errors import PluginError
from bench.metric import load_metric
from bench.metrics._objects import match_objects
from bench.records import ClassSpec
from bench.records.predictions import Instances

CELL = (ClassSpec(name="cell", is_thing=True, colour=(0, 0, 0)),)
TWO = (*CELL, ClassSpec(name="nucleus", is_thing=True, colour=(0, 0, 0)))
THRESHOLDS = np.linspace(0.5, 0.95, 10)


def instances(labels, class_ids=None, scores=None, crowd=()):
    """Instances of a map of numbers, 0 = none."""
    numbers = [n for n in np.unique(labels) if n]
    masks = np.array([labels == n for n in numbers], dtype=bool).reshape(len(numbers), *labels.shape)
    return Instances(
        masks,
        np.zeros(len(numbers), np.int64) if class_ids is None else np.asarray(class_ids, np.int64),
        np.ones(len(numbers)) if scores is None else np.asarray(scores, float),
        np.isin(numbers, crowd),
    )


def label_map(random, size):
    """Regions of thresholded noise, numbered; some cut in two, some merged."""
    smooth = ndimage.gaussian_filter(random.normal(size=size), random.uniform(0.7, 2.5))
    labels, _ = ndimage.label(smooth > np.quantile(smooth, random.uniform(0.4, 0.95)))
    labels[:, random.integers(size[1])] *= random.integers(0, 2)
    return labels


def like(random, labels):
    """A prediction that resembles a map: shifted, with objects missing, merged and made up."""
    seen = np.roll(labels, random.integers(-1, 2, 2), axis=(0, 1))
    for number in np.unique(labels):
        if random.random() < 0.15:
            seen[seen == number] = 0
    others = label_map(random, labels.shape)
    return np.where((seen == 0) & (random.random() < 0.5), np.where(others > 0, others + 1000, 0), seen)


@st.composite
def label_maps(draw):
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.integers(1, 28)), draw(st.integers(1, 28))
    pairs = []
    for _ in range(draw(st.integers(1, 3))):
        true = label_map(random, size) if draw(st.booleans()) else np.zeros(size, int)
        pairs.append((true, like(random, true)))
    return pairs


def iou_table(true, seen):
    ids = [[n for n in np.unique(m) if n] for m in (true, seen)]
    shared = np.array([[((true == a) & (seen == b)).sum() for b in ids[1]] for a in ids[0]]).reshape(*map(len, ids))
    either = np.array([[((true == a) | (seen == b)).sum() for b in ids[1]] for a in ids[0]]).reshape(*map(len, ids))
    return shared, either


def optimal_matches(true, seen, threshold):
    shared, either = iou_table(true, seen)
    good = shared >= threshold * either - 1e-9 * either
    good &= shared > 0
    rows, columns = optimize.linear_sum_assignment(-good.astype(float))
    return int(good[rows, columns].sum()), *shared.shape


def fast_aji(true, seen):
    """`get_fast_aji` of HoVer-Net, written out."""
    shared, either = iou_table(true, seen)
    areas = np.array([(seen == n).sum() for n in np.unique(seen) if n])
    inter = union = 0
    used = set()
    for row, own in enumerate(n for n in np.unique(true) if n):
        ious = shared[row] / either[row] if shared.shape[1] else np.zeros(0)
        if ious.size and ious.max() > 0:
            best = int(ious.argmax())
            inter, union = inter + shared[row, best], union + either[row, best]
            used.add(best)
        else:
            union += (true == own).sum()
    union += sum(int(a) for i, a in enumerate(areas) if i not in used)
    return inter / union if union else None


def seg_values(true, seen):
    values = []
    for own in (n for n in np.unique(true) if n):
        mask, value = true == own, 0.0
        for other in (n for n in np.unique(seen) if n):
            shared = (mask & (seen == other)).sum()
            if shared > 0.5 * mask.sum():
                value = shared / (mask | (seen == other)).sum()
        values.append(value)
    return values


def score_of(name, pairs, classes=CELL):
    metric, collected = load_metric(name), []
    for number, (target, predicted) in enumerate(pairs):
        collected.append(np.insert(metric.observe(target, predicted, classes).table, 0, number, axis=1))
    return metric.score(np.concatenate(collected), classes, seed=0)


def mean(values):
    values = [v for v in values if v is not None]
    return sum(values) / len(values) if values else None


def same(found, expected):
    return found is None if expected is None else found == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
@given(label_maps())
@settings(max_examples=400, deadline=None)
def test_objects_of_label_maps_equal_an_optimal_assignment_and_the_formulas_written_out(maps):
    pairs = [(instances(true), instances(seen)) for true, seen in maps]
    counts = {t: [optimal_matches(true, seen, t) for true, seen in maps] for t in THRESHOLDS}
    tp, true, seen = np.sum(counts[0.5], axis=0)
    f1 = score_of("object_f1", pairs)
    assert same(f1.value, 2 * tp / (true + seen) if true + seen else None)
    assert same(f1.parts["precision"], tp / seen if seen else None)
    assert same(f1.parts["recall"], tp / true if true else None)
    f1s = [2 * sum(c[0] for c in counts[t]) / (true + seen) for t in THRESHOLDS] if true + seen else [None]
    assert same(f1.parts["F1_50_95"], mean(f1s))
    assert f1.counts == {"true": true, "predicted": seen, "matched": tp}
    by_image = [
        mean([c[i][0] / (c[i][1] + c[i][2] - c[i][0]) for c in counts.values()]) if sum(counts[0.5][i][1:]) else None
        for i in range(len(maps))
    ]
    assert same(score_of("dsb_score", pairs).value, mean(by_image))
    assert same(score_of("seg", pairs).value, mean([v for one in maps for v in seg_values(*one)]))
    assert same(score_of("aji", pairs).value, mean([fast_aji(*one) for one in maps]))
    errors = [abs(c[2] - c[1]) for c in counts[0.5]]
    assert same(score_of("count_error", pairs).value, mean(errors) if true + seen else None)


def test_pairs_are_matched_by_falling_iou_each_once():
    # Detection 0 fits object 0 best, and object 1 less; detection 1 fits object 1 alone, a little.
    ious = np.array([[0.8, 0.6], [0.0, 0.3]])
    assert match_objects(ious).tolist() == [0, 1]
    assert match_objects(ious[:1]).tolist() == [0, -1]


def square(*boxes, size=(40, 40)):
    masks = np.zeros((len(boxes), *size), bool)
    for mask, (top, left, side) in zip(masks, boxes, strict=True):
        mask[top : top + side, left : left + side] = True
    return masks


def made(masks, class_ids=None, scores=None, crowd=None):
    count = len(masks)
    return Instances(
        masks,
        np.asarray(class_ids if class_ids is not None else [0] * count, np.int64),
        np.asarray(scores if scores is not None else [1.0] * count, float),
        np.asarray(crowd if crowd is not None else [False] * count, bool),
    )


def test_detections_below_one_half_do_not_count():
    target = made(square((0, 0, 10), (20, 20, 10)))
    predicted = made(square((0, 0, 10), (20, 20, 10)), scores=[0.5, 0.49])
    assert score_of("object_f1", [(target, predicted)]).counts == {"true": 2, "predicted": 1, "matched": 1}


def test_a_detection_in_a_crowd_is_neither_right_nor_wrong_but_one_on_an_object_there_is():
    target = made(square((0, 0, 30), (2, 2, 8)), crowd=[True, False])
    inside = made(square((20, 20, 8)))
    assert score_of("object_f1", [(target, inside)]).counts == {"true": 1, "predicted": 0, "matched": 0}
    assert score_of("object_f1", [(target, made(square((2, 2, 8))))]).value == 1.0
    half_out = made(square((20, 26, 8)))
    assert score_of("object_f1", [(target, half_out)]).counts["predicted"] == 1


def test_objects_of_another_class_do_not_match():
    target, predicted = made(square((0, 0, 10)), [0]), made(square((0, 0, 10)), [1])
    score = score_of("object_f1", [(target, predicted)], TWO)
    assert (score.value, score.per_class) == (0.0, {"cell": 0.0, "nucleus": 0.0})


def test_recall_by_size_counts_true_objects_in_their_own_range():
    size = (200, 200)
    target = made(square((0, 0, 10), (20, 0, 32), (60, 60, 100), size=size))  # 100, 1024 and 10,000 pixels
    predicted = made(square((20, 0, 32), (60, 60, 100), size=size))
    parts = score_of("object_f1", [(target, predicted)]).parts
    assert [parts[f"recall_{name}"] for name in ("small", "medium", "large")] == [0.0, 1.0, 1.0]


def test_counting_too_few_has_a_negative_bias():
    pairs = [(made(square((0, 0, 10), (20, 20, 10))), made(square((0, 0, 10)))), (made(square()), made(square()))]
    score = score_of("count_error", pairs)
    assert (score.value, score.parts["bias"], score.unit) == (0.5, -0.5, "objects")


def test_images_without_objects_count_as_images_and_a_metric_without_any_object_is_undefined():
    nothing = made(square())
    score = score_of("object_f1", [(nothing, nothing)] * 3)
    assert (score.value, score.images) == (None, 3)
    assert "no image holds" in score.undefined_because


def test_an_object_predicted_twice_is_one_match_and_one_false_positive():
    target, predicted = made(square((0, 0, 10))), made(square((0, 0, 10), (0, 0, 10)))
    assert score_of("object_f1", [(target, predicted)]).counts == {"true": 1, "predicted": 2, "matched": 1}
    assert score_of("seg", [(target, predicted)]).value == 1.0


# --------------------------------------------------------------------------- surfaces of objects


def distance_score(name, pairs):
    metric = load_metric(name)
    return metric.score(np.stack([metric.observe(t, p, CELL) for t, p in pairs]), CELL, seed=0)


def full_distances(one, other):
    edges = [m & ~ndimage.binary_erosion(m) for m in (one, other)]
    return [ndimage.distance_transform_edt(~edges[1 - i])[edges[i]] for i in (0, 1)]


@pytest.mark.slow
@given(label_maps())
@settings(max_examples=100, deadline=None)
def test_distances_of_objects_equal_those_of_their_matched_masks_one_by_one(maps):
    worst = float(np.hypot(*maps[0][0].shape))
    values = {"object_hausdorff": [], "object_hd95": [], "object_assd": [], "object_nsd": []}
    missed = invented = 0
    for true, seen in maps:
        shared, either = iou_table(true, seen)
        good = 2 * shared >= either
        rows, columns = optimize.linear_sum_assignment(-(good * shared / np.maximum(either, 1)))
        pairs = [(r, c) for r, c in zip(rows, columns, strict=True) if good[r, c] and shared[r, c]]
        lost, extra = shared.shape[0] - len(pairs), shared.shape[1] - len(pairs)
        missed, invented = missed + lost, invented + extra
        ids = [[n for n in np.unique(m) if n] for m in (true, seen)]
        for r, c in pairs:
            directed = full_distances(true == ids[0][r], seen == ids[1][c])
            both = np.concatenate(directed)
            values["object_hausdorff"].append(both.max())
            values["object_hd95"].append(max(np.percentile(d, 95) for d in directed))
            values["object_assd"].append(both.mean())
            values["object_nsd"].append((both <= 2).mean())
        for name in values:
            values[name] += [0.0 if name == "object_nsd" else worst] * (lost + extra)
    for name, expected in values.items():
        score = distance_score(name, [(instances(true), instances(seen)) for true, seen in maps])
        assert score.value == (pytest.approx(np.mean(expected)) if expected else None), name
        assert score.counts == {"missed": missed, "invented": invented}


def test_missing_an_object_makes_distances_worse_though_those_of_the_found_ones_stay():
    target = made(square((0, 0, 10), (20, 20, 10)))
    all_found, one_found = made(square((1, 0, 10), (20, 20, 10))), made(square((20, 20, 10)))
    both, missing = (distance_score("object_hd95", [(target, one)]) for one in (all_found, one_found))
    assert both.value < missing.value
    assert missing.dialects["where_both_are"] == 0.0
    assert missing.counts == {"missed": 1, "invented": 0}
    assert load_metric("object_nsd@3").name == "object_nsd@3"
    with pytest.raises(PluginError, match="no tolerance"):
        load_metric("object_hd95@3")
