"""Lesions, skeletons, holes and bands equal SciPy's and scikit-image's, and known answers drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from bench.metric import load_metric
from bench.metrics._regions import betti_numbers, skeleton
from bench.metrics.trimap_iou import band
from bench.records import ClassSpec
from bench.records.predictions import SemanticMap

EIGHT = np.ones((3, 3), int)


def specs(count):
    return tuple(ClassSpec(name=f"c{i}", colour=(0, 0, 0), is_background=i == 0) for i in range(count))


def score_of(name, pairs, classes):
    metric = load_metric(name)
    observed = np.stack([metric.observe(SemanticMap(t), SemanticMap(p), classes) for t, p in pairs])
    return metric.score(observed, classes, seed=0)


@st.composite
def masks(draw):
    """Noise of any density, blobs, and nets of lines; bool, (H, W)."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.integers(1, 36)), draw(st.integers(1, 36))
    kind = draw(st.sampled_from(["noise", "blobs", "lines"]))
    if kind == "noise":
        return random.random(size) < draw(st.floats(0, 1))
    if kind == "blobs":
        return ndimage.gaussian_filter(random.normal(size=size), 2) > draw(st.floats(-0.2, 0.2))
    mask = np.zeros(size, bool)
    for _ in range(draw(st.integers(1, 5))):
        mask[random.integers(size[0])] = True
        mask[:, random.integers(size[1])] = True
    return ndimage.binary_dilation(mask, EIGHT, draw(st.integers(1, 3)))


@given(masks())
@settings(max_examples=500, deadline=None)
def test_skeletons_equal_scikit_images(mask):
    morphology = pytest.importorskip("skimage.morphology")
    found = skeleton(np.pad(mask, 1))[1:-1, 1:-1]
    np.testing.assert_array_equal(found, morphology.skeletonize(mask))


@given(masks())
@settings(max_examples=500, deadline=None)
def test_regions_and_holes_equal_scipys_labels_and_the_euler_number(mask):
    regions, holes = betti_numbers(np.pad(mask, 1))
    assert regions == ndimage.label(mask, EIGHT)[1]
    # Euler number of 8-connected pixels, as vertices - edges + faces of the closed squares.
    padded = np.pad(mask, 1)
    vertices = (padded[1:, 1:] | padded[:-1, 1:] | padded[1:, :-1] | padded[:-1, :-1]).sum()
    edges = (padded[1:] | padded[:-1]).sum() + (padded[:, 1:] | padded[:, :-1]).sum()
    assert regions - holes == int(vertices) - int(edges) + int(mask.sum())


def lesions_by_hand(true, seen):
    (a, n), (b, m) = ndimage.label(true, EIGHT), ndimage.label(seen, EIGHT)
    dice, found = 0.0, 0
    for i in range(1, n + 1):
        touched = {j for j in np.unique(b[a == i]) if j}
        merged = np.isin(b, list(touched))
        found += bool(touched)
        dice += 2 * ((a == i) & merged).sum() / ((a == i).sum() + merged.sum())
    false = sum(1 for j in range(1, m + 1) if not (true & (b == j)).any())
    return n, found, m, false, dice


@given(masks(), st.integers(0, 2**32 - 1))
@settings(max_examples=300, deadline=None)
def test_lesions_equal_a_loop_over_scipys_labels(true, seed):
    random = np.random.default_rng(seed)
    seen = np.roll(true, random.integers(-2, 3, 2), (0, 1)) ^ (random.random(true.shape) < 0.05)
    n, found, m, false, dice = lesions_by_hand(true, seen)
    pair = [(true.astype(np.uint8), seen.astype(np.uint8))]
    f1 = score_of("lesion_f1", pair, specs(2))
    if not n + m:
        assert f1.value is None
        return
    assert f1.counts == {"true": n, "found": found, "predicted": m, "false": false}
    precision, recall = (m - false) / m if m else 0.0, found / n if n else 0.0
    expected = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    assert f1.value == pytest.approx(expected)
    assert score_of("lesion_dice", pair, specs(2)).value == pytest.approx(dice / (n + false))


@given(masks(), masks())
@settings(max_examples=200, deadline=None)
def test_cldice_equals_the_papers_code(true, seen):
    morphology = pytest.importorskip("skimage.morphology")
    height, width = np.minimum(true.shape, seen.shape)
    true, seen = true[:height, :width], seen[:height, :width]
    value = score_of("cldice", [(true.astype(np.uint8), seen.astype(np.uint8))], specs(2)).value
    if not true.any() and not seen.any():
        assert value is None
    elif not true.any() or not seen.any():
        assert value == 0.0
    else:
        lines = morphology.skeletonize(seen), morphology.skeletonize(true)
        precision, sensitivity = (
            np.sum(line * mask) / np.sum(line) for line, mask in zip(lines, (true, seen), strict=True)
        )
        expected = 2 * precision * sensitivity / (precision + sensitivity) if precision + sensitivity else 0.0
        assert value == pytest.approx(expected)


def test_a_cut_vessel_loses_a_region_and_a_closed_ring_gains_a_hole(draw):
    target = draw("""
        .......
        .111111
        .......""").labels
    cut = draw("""
        .......
        .11.111
        .......""").labels
    score = score_of("betti_error", [(target, cut)], specs(2))
    assert (score.value, score.parts) == (1.0, {"b0": 1.0, "b1": 0.0})
    ring = draw("""
        111
        1.1
        111""").labels
    open_ring = draw("""
        111
        1.1
        1.1""").labels
    assert score_of("betti_error", [(ring, open_ring)], specs(2)).parts == {"b0": 0.0, "b1": 1.0}
    # both images: (1 + 1) / 2; overlap hardly changes
    assert score_of("betti_error", [(target, cut), (target, target)], specs(2)).value == 0.5


def test_what_is_predicted_on_void_is_no_lesion_no_line_and_no_hole(draw):
    target = draw("""
        11...##
        11...##
        .....##""").labels
    predicted = draw("""
        11....1
        11....1
        .......""").labels
    classes = specs(2)
    for name in ("lesion_f1", "lesion_dice", "cldice"):
        assert score_of(name, [(target, predicted)], classes).value == 1.0, name
    assert score_of("betti_error", [(target, predicted)], classes).value == 0.0


def test_a_lesion_in_two_pieces_is_found_once(draw):
    target = draw("""
        111111
        ......
        ...1..""").labels
    predicted = draw("""
        11..11
        ......
        1.....""").labels
    score = score_of("lesion_f1", [(target, predicted)], specs(2))
    assert score.counts == {"true": 2, "found": 1, "predicted": 3, "false": 1}
    # the first lesion: 2 · 4 / (6 + 4); the second 0; a false region
    assert score_of("lesion_dice", [(target, predicted)], specs(2)).value == pytest.approx(0.8 / 3)


@given(masks(), st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_the_band_is_where_a_square_holds_another_label(mask, width):
    labels = mask.astype(np.uint8)
    expected = np.zeros_like(mask)
    for y, x in np.ndindex(mask.shape):
        window = labels[max(0, y - width) : y + width + 1, max(0, x - width) : x + width + 1]
        expected[y, x] = window.min() != window.max()
    np.testing.assert_array_equal(band(labels, width), expected)


def test_trimap_iou_judges_the_band_alone():
    target, predicted = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    target[:, 10:] = 1
    predicted[:, 12:] = 1
    predicted[0, 0] = 1  # far from the outline: costs nothing
    # a band of columns 7 to 12 at width 3: class 0 has 3 of 5 columns, class 1 has 1 of 3
    assert score_of("trimap_iou@3", [(target, predicted)], specs(2)).value == pytest.approx((3 / 5 + 1 / 3) / 2)


def test_foreground_means_leave_the_background_out(draw):
    target = draw("..1122").labels
    predicted = draw("..1222").labels
    classes = specs(3)
    iou = score_of("foreground_mean_iou", [(target, predicted)], classes)
    assert iou.value == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert iou.dialects["with_background"] == pytest.approx((1 + 1 / 2 + 2 / 3) / 3)
    assert iou.per_class["c0"] is None
    assert score_of("foreground_mean_dice", [(target, predicted)], classes).value == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_without_a_background_every_class_is_foreground(draw, classes):
    pair = [(draw("..1122").labels, draw("..1222").labels)]
    assert score_of("foreground_mean_iou", pair, classes(3)).value == score_of("mean_iou", pair, classes(3)).value
