"""Distances between surfaces equal a full distance transform and MONAI's; misses cost the diagonal and are counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from bench.errors import PluginError, ShapeError
from bench.metric import load_metric, metric_names
from bench.metrics._surfaces import class_distances, nearest_distances, surface_points
from bench.records import ClassSpec, Spacing
from bench.records.predictions import SemanticMap

SPACINGS = (None, Spacing(1.0, 1.0), Spacing(0.7, 0.7), Spacing(3.0, 0.5), Spacing(0.31, 2.9, 5.0))


def specs(count, background=None):
    return tuple(ClassSpec(name=f"c{i}", colour=(0, 0, 0), is_background=i == background) for i in range(count))


def full_transform(mask, other, steps):
    """Distances of the surface of `mask` to that of `other`, by erosion and a distance transform of the whole image."""
    cross = ndimage.generate_binary_structure(mask.ndim, 1)
    own, theirs = (m & ~ndimage.binary_erosion(m, cross) for m in (mask, other))
    return ndimage.distance_transform_edt(~theirs, sampling=steps)[own]


def oracle(target, predicted, class_id, steps):
    seen = (predicted == class_id) & (target != 255)
    true = target == class_id
    if not true.any() or not seen.any():
        return None
    return full_transform(true, seen, steps), full_transform(seen, true, steps)


@st.composite
def maps(draw):
    """Noise, blobs, single pixels, lines and frames of any size, with void, and a spacing."""
    height, width, count = draw(st.integers(1, 40)), draw(st.integers(1, 40)), draw(st.integers(1, 4))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["noise", "blobs", "dots", "lines", "full"]))

    def one():
        labels = np.zeros((height, width), np.uint8)
        if kind == "noise":
            labels = random.integers(0, count, (height, width)).astype(np.uint8)
        elif kind == "blobs":
            values = ndimage.gaussian_filter(random.normal(size=(count, height, width)), (0, 4, 4))
            labels = values.argmax(axis=0).astype(np.uint8)
        elif kind == "dots":
            for c in range(1, count):
                labels[random.integers(height), random.integers(width)] = c
        elif kind == "lines":
            for c in range(1, count):
                labels[random.integers(height)] = c
                labels[:, random.integers(width)] = c
        labels[random.random((height, width)) < draw_void] = 255
        return labels

    draw_void = draw(st.sampled_from([0.0, 0.05]))
    return one(), one(), count, draw(st.sampled_from(SPACINGS))


@given(maps())
@settings(max_examples=600, deadline=None)
def test_distances_equal_those_of_a_distance_transform_of_the_whole_image(drawn):
    target, predicted, count, spacing = drawn
    steps = (1.0, 1.0) if spacing is None else spacing[:2]
    found = {
        one.class_id: one
        for one in class_distances(SemanticMap(target, spacing=spacing), SemanticMap(predicted), specs(count))
    }
    for class_id in range(count):
        expected = oracle(target, predicted, class_id, steps)
        if expected is not None:
            np.testing.assert_allclose(np.sort(found[class_id].to_predicted), np.sort(expected[0]), atol=1e-9)
            np.testing.assert_allclose(np.sort(found[class_id].to_target), np.sort(expected[1]), atol=1e-9)
        elif class_id in found:
            assert found[class_id].missed != found[class_id].invented


@pytest.mark.parametrize("seed", range(20))
def test_distances_in_a_volume_equal_those_of_a_distance_transform(seed):
    random = np.random.default_rng(seed)
    shape, steps = tuple(random.integers(1, 14, 3)), random.choice([0.4, 1.0, 2.5], 3)
    values = ndimage.gaussian_filter(random.normal(size=(2, 3, *shape)), (0, 0, 1, 1, 1))
    true, seen = (one.argmax(axis=0) for one in values)
    for class_id in range(3):
        points, others = (surface_points(m, 3).of(class_id) for m in (true, seen))
        if len(points) and len(others):
            found = nearest_distances(points, others, steps)
            expected = full_transform(true == class_id, seen == class_id, steps)
            np.testing.assert_allclose(np.sort(found), np.sort(expected), atol=1e-9)


def score_of(name, pairs, classes, spacing=None):
    metric = load_metric(name)
    observed = [metric.observe(SemanticMap(t, spacing=spacing), SemanticMap(p), classes) for t, p in pairs]
    return metric.score(np.stack(observed), classes, seed=0)


@pytest.mark.slow
def test_values_equal_monais_in_millimetres():
    monai = pytest.importorskip("monai.metrics")
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    for spacing in (Spacing(1.0, 1.0), Spacing(0.8, 2.0)):
        for _ in range(25):
            values = ndimage.gaussian_filter(random.normal(size=(2, 2, 32, 40)), (0, 0, 5, 5))
            true, seen = (one.argmax(axis=0).astype(np.uint8) for one in values)
            if not true.any() or not seen.any():
                continue
            one_hot = [torch.from_numpy(np.stack([m == 0, m == 1])[None].astype(np.float32)) for m in (seen, true)]
            settings_ = {"include_background": False, "spacing": list(spacing[:2])}
            expected = {
                "hausdorff": monai.compute_hausdorff_distance(*one_hot, **settings_),
                "hd95": monai.compute_hausdorff_distance(*one_hot, percentile=95, **settings_),
                "assd": monai.compute_average_surface_distance(*one_hot, symmetric=True, **settings_),
                "nsd@2": monai.compute_surface_dice(*one_hot, class_thresholds=[2.0], **settings_),
            }
            for name, value in expected.items():
                found = score_of(name, [(true, seen)], specs(2, background=0), spacing).value
                assert found == pytest.approx(float(value), rel=1e-6), name


def test_a_missed_and_an_invented_class_take_the_diagonal_and_are_counted():
    empty, square = np.zeros((30, 40), np.uint8), np.zeros((30, 40), np.uint8)
    square[5:15, 5:15] = 1
    classes = specs(2, background=0)
    pairs = [(square, square), (square, empty), (empty, square), (empty, empty)]
    for name, unit in (("hausdorff", 50.0), ("hd95", 50.0), ("assd", 50.0)):
        score = score_of(name, pairs, classes)
        # distances 0, 50 (diagonal of 30 × 40), 50, and none where the class is nowhere
        assert score.value == pytest.approx(2 * unit / 3)
        assert score.counts == {"missed": 1, "invented": 1}
        assert score.dialects["where_both_are"] == 0
        assert (score.unit, score.bounds) == ("px", (0.0, None))
    for name in ("nsd", "boundary_f1"):
        score = score_of(name, pairs, classes)
        assert score.value == pytest.approx(1 / 3)
        assert score.unit is None
    # Missing more never makes it better.
    worse = [(square, empty)] * 2 + pairs[2:]
    assert score_of("hd95", worse, classes).value > score_of("hd95", pairs, classes).value


def test_both_conventions_of_hd95_are_told_apart():
    true, seen = np.zeros((1, 101), np.uint8), np.zeros((1, 101), np.uint8)
    true[0, 0] = 1
    seen[0, :21] = 1
    # to_predicted = [0]; to_target = 0 … 20: their 95th percentiles are 0 and 19, of all 22 together 18.95
    score = score_of("hd95", [(true, seen)], specs(2, background=0))
    assert score.value == pytest.approx(19.0)
    assert score.dialects["pooled"] == pytest.approx(np.percentile([0, *range(21)], 95))
    score = score_of("assd", [(true, seen)], specs(2, background=0))
    assert score.value == pytest.approx(210 / 22)
    assert score.dialects["mean_of_directed"] == pytest.approx(5.0)


def test_millimetres_and_pixels_are_not_averaged():
    square = np.zeros((9, 9), np.uint8)
    square[2:5, 2:5] = 1
    classes, metric = specs(2, background=0), load_metric("hd95")
    observed = [
        metric.observe(SemanticMap(square, spacing=s), SemanticMap(square), classes) for s in (None, Spacing(1, 1))
    ]
    score = metric.score(np.stack(observed), classes, seed=0)
    assert score.value is None
    assert "1 of 2 images have a known spacing" in score.undefined_because


def test_the_unit_is_millimetres_where_the_spacing_is_known():
    true, seen = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    true[5:10, 5:10] = 1
    seen[5:10, 7:12] = 1
    score = score_of("hausdorff", [(true, seen)], specs(2, background=0), Spacing(1.0, 0.5))
    assert (score.value, score.unit) == (pytest.approx(1.0), "mm")


@given(maps())
@settings(max_examples=100, deadline=None)
def test_a_perfect_prediction_has_no_distance_and_swapping_both_changes_nothing(drawn):
    target, predicted, count, _ = drawn
    target = np.where(target == 255, 0, target).astype(np.uint8)
    predicted = np.where(predicted == 255, 0, predicted).astype(np.uint8)
    for name in ("hausdorff", "hd95", "assd", "nsd", "boundary_f1"):
        perfect = score_of(name, [(target, target)], specs(count))
        assert perfect.value == (0.0 if perfect.unit else 1.0)
        one, other = (score_of(name, [pair], specs(count)) for pair in ((target, predicted), (predicted, target)))
        assert one.value == pytest.approx(other.value)


def test_a_tolerance_is_part_of_the_name(draw):
    assert load_metric("nsd@1.5").name == "nsd@1.5"
    assert "1.5 mm" in load_metric("nsd@1.5").definition
    for wrong in ("nsd@", "nsd@0", "nsd@-1", "nsd@x", "nsd@inf", "nsd@2.0", "mean_iou@2", "nds@2"):
        with pytest.raises(PluginError, match=wrong.partition("@")[0]):
            load_metric(wrong)
    assert all("@" not in name for name in metric_names())


def test_the_tolerance_includes_its_end():
    true, seen = np.zeros((9, 20), np.uint8), np.zeros((9, 20), np.uint8)
    true[:, 5:7] = 1
    seen[:, 8:10] = 1
    # columns 5, 6 to 8: distances 3, 2; columns 8, 9 to 6: 2, 3
    for name, expected in (("nsd@2", 0.5), ("nsd@1.9", 0.0), ("nsd@3", 1.0), ("boundary_f1@2", 0.5)):
        assert score_of(name, [(true, seen)], specs(2, background=0)).value == pytest.approx(expected), name


def test_the_interval_is_the_bootstrap_of_the_mean_over_images():
    random = np.random.default_rng(1)
    pairs = []
    for _ in range(12):
        values = ndimage.gaussian_filter(random.normal(size=(2, 2, 24, 24)), (0, 0, 4, 4))
        pairs.append(tuple(one.argmax(axis=0).astype(np.uint8) for one in values))
    score = score_of("assd", pairs, specs(2))
    assert score.low < score.value < score.high


def test_a_target_with_an_unknown_id_is_refused():
    with pytest.raises(ShapeError, match="class id 7"):
        score_of("hd95", [(np.uint8([[0, 7]]), np.uint8([[0, 0]]))], specs(2))
