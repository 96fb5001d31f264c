"""Boundary IoU of label maps equals the official procedure applied to one mask per class."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import ShapeError
from bench.metric import load_metric
from bench.metrics.boundary_iou import boundary_counts, boundary_width, class_boundaries
from bench.records import Size
from bench.records.predictions import SemanticMap


def official_boundary(mask, dilation_ratio=0.02):
    """`mask_to_boundary` of boundary-iou-api, on one binary mask: zero padding, d erosions by 3 × 3."""
    height, width = mask.shape
    dilation = max(1, round(dilation_ratio * np.sqrt(height**2 + width**2)))
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=dilation)
    return (mask.astype(np.uint8) - eroded[1 : height + 1, 1 : width + 1]).astype(bool)


def official_counts(target, predicted, num_classes):
    counts = np.zeros((num_classes, 2), dtype=np.int64)
    for class_id in range(num_classes):
        true = official_boundary(target == class_id)
        seen = official_boundary((predicted == class_id) & (target != 255))
        counts[class_id] = (true & seen).sum(), (true | seen).sum()
    return counts


@st.composite
def blobs(draw):
    """A target with void and a prediction that resembles it, of any size and with up to six classes."""
    height, width = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    num_classes = draw(st.integers(1, 6))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    coarse = random.integers(0, num_classes + 1, (6, 5)).astype(np.uint8)
    target = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)
    shift = draw(st.integers(-3, 3))
    predicted = np.roll(target, shift, axis=draw(st.integers(0, 1)))
    predicted[predicted == num_classes] = draw(st.sampled_from([0, 255]))
    target[target == num_classes] = 255
    return target, predicted, num_classes


@given(blobs())
@settings(max_examples=150, deadline=None)
def test_counts_equal_the_official_procedure_on_one_mask_per_class(maps):
    target, predicted, num_classes = maps
    np.testing.assert_array_equal(
        boundary_counts(target, predicted, num_classes=num_classes), official_counts(target, predicted, num_classes)
    )


def test_a_large_image_with_a_wide_boundary_equals_the_official_procedure():
    random = np.random.default_rng(3)
    target, predicted = (
        cv2.resize(random.integers(0, 5, (6, 8)).astype(np.uint8), (640, 480), 0, 0, 0, 0) for _ in "ab"
    )
    assert boundary_width(Size(480, 640)) == 16
    np.testing.assert_array_equal(
        boundary_counts(target, predicted, num_classes=5), official_counts(target, predicted, 5)
    )


def test_a_border_between_classes_3_and_5_is_no_boundary_of_class_2():
    # Eroding the label map and subtracting it, as Detectron2 does, finds 5 - 3 = 2 along the border.
    labels = np.full((8, 8), 3, dtype=np.uint8)
    labels[:, 4:] = 5
    eroded = cv2.erode(labels, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    assert 2 in labels - eroded
    # d = 1: each half is 8 × 4 with a rim of 8 · 4 - 6 · 2 = 20 pixels
    counts = boundary_counts(labels, labels, num_classes=6)
    assert counts.tolist() == [[0, 0], [0, 0], [0, 0], [20, 20], [0, 0], [20, 20]]


def test_the_rim_lies_inside_the_object_and_along_the_image_border(draw):
    labels = draw("""
        11111..
        11111..
        11111..
        11111..
        .......""").labels
    expected = draw("""
        1111111
        1...111
        1...111
        1111111
        1111111""").labels
    np.testing.assert_array_equal(class_boundaries(labels, 1), expected.astype(bool))


def test_a_right_prediction_beside_void_is_perfect_whatever_it_says_about_the_void(draw, classes):
    target = draw("""
        11##..
        11##..
        11##..""")
    predicted = draw("""
        111...
        1111..
        11....""")
    metric = load_metric("boundary_iou")
    score = metric.score(metric.observe(target, predicted, classes(2))[None], classes(2), seed=0)
    assert score.per_class == {"class 0": 1.0, "class 1": 1.0}


def test_a_sloppy_outline_costs_more_boundary_iou_than_iou(classes):
    target = np.zeros((100, 100), np.uint8)
    target[20:80, 20:80] = 1
    predicted = np.zeros_like(target)
    predicted[22:78, 22:78] = 1
    # d = round(0.02 · 141.4) = 3. Rims: 60² - 54² = 684 and 56² - 50² = 636; the two squares' rims
    # share the ring between 56² and 54²: 220 -> 220 / (684 + 636 - 220) = 0.2
    pair = SemanticMap(target), SemanticMap(predicted)
    boundary, area = load_metric("boundary_iou"), load_metric("mean_iou")
    sloppy = boundary.score(boundary.observe(*pair, classes(2))[None], classes(2), seed=0)
    assert sloppy.per_class["class 1"] == pytest.approx(0.2)
    assert sloppy.pixels == 1100 + int(boundary.observe(*pair, classes(2))[0, 1])
    assert area.score(area.observe(*pair, classes(2))[None], classes(2), seed=0).per_class["class 1"] > 0.87


def test_counts_are_pooled_over_images_before_they_are_divided(classes):
    stack = np.array([[[1, 2], [0, 0]], [[0, 6], [3, 4]]])
    score = load_metric("boundary_iou").score(stack, classes(2), seed=0)
    # pooled 1/8 and 3/4; per image: image 1 has class 0 only, 1/2; image 2 0/6 and 3/4
    assert score.value == pytest.approx((1 / 8 + 3 / 4) / 2)
    assert score.dialects["per_image"] == pytest.approx((1 / 2 + 3 / 8) / 2)


def test_a_target_id_outside_the_label_space_is_refused():
    with pytest.raises(ShapeError, match="class id 4"):
        boundary_counts(np.uint8([[0, 4]]), np.uint8([[0, 0]]), num_classes=3)
