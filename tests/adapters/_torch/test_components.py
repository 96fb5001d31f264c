"""Segments and instances from labels, against a flood fill pixel by pixel."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from adapters._torch.components import MAX_INSTANCES, instances_from_labels, panoptic_from_labels
from bench.records import ClassSpec, Size
from bench.records.predictions import check_prediction

CLASSES = tuple(ClassSpec(name=n, is_thing=n.isupper(), colour=(0, 0, 0)) for n in ("sky", "A", "sea", "B"))
THINGS = (1, 3)


def drawn(*rows):
    return np.array([[int(cell) for cell in row] for row in rows], dtype=np.uint8)


def sure(labels, probability=0.9):
    return np.full(labels.shape, probability, dtype=np.float32)


def random_scene(seed):
    """Labels in blotches with noise between them, and a probability per pixel."""
    random = np.random.default_rng(seed)
    size = random.integers(1, 40, 2)
    coarse = random.integers(0, 4, (size // 4 + 1))
    labels = np.kron(coarse, np.ones((4, 4), int))[: size[0], : size[1]].astype(np.uint8)
    noise = random.random(labels.shape) < 0.15
    labels[noise] = random.integers(0, 4, noise.sum())
    return labels, random.random(labels.shape).astype(np.float32)


def flood_fill(labels):
    """Components of things by their pixels, classes of stuff whole: [(class id, {(y, x), ...}), ...]."""
    height, width = labels.shape
    left = {(y, x) for y in range(height) for x in range(width)}
    found = []
    for class_id in (0, 2):
        region = {p for p in left if labels[p] == class_id}
        found += [(class_id, region)] if region else []
        left -= region
    while left:
        start = left.pop()
        region, waiting = {start}, [start]
        while waiting:
            y, x = waiting.pop()
            around = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            touching = {p for p in around if labels[p] == labels[start]}
            left -= touching
            region |= touching
            waiting += touching
        found.append((int(labels[start]), region))
    return found


def pixels(mask):
    return frozenset(zip(*(axis.tolist() for axis in np.nonzero(mask)), strict=True))


@pytest.mark.parametrize("min_area", [1, 3, 20])
@pytest.mark.parametrize("seed", range(20))
def test_segments_and_instances_are_those_of_a_flood_fill_with_mean_probabilities(seed, min_area):
    labels, probability = random_scene(seed)
    expected = {
        frozenset(region): (class_id, float(np.mean([float(probability[p]) for p in region])))
        for class_id, region in flood_fill(labels)
        if len(region) >= min_area
    }
    panoptic = panoptic_from_labels(labels, probability, CLASSES, min_area=min_area)
    segments = {pixels(panoptic.segment_ids == s.id): (s.class_id, s.score) for s in panoptic.segments}
    check_prediction(
        panoptic, kind="panoptic", num_classes=4, size=Size(*labels.shape), image_id="drawn", model="tested"
    )
    assert segments.keys() == expected.keys()
    for region, (class_id, score) in expected.items():
        assert segments[region] == (class_id, pytest.approx(score, abs=1e-9))

    things = {region: one for region, one in expected.items() if one[0] in THINGS}
    found = instances_from_labels(labels, probability, CLASSES, min_area=min_area)
    check_prediction(found, kind="instance", num_classes=4, size=Size(*labels.shape), image_id="drawn", model="tested")
    by_pixels = dict(zip(map(pixels, found.masks), zip(found.class_ids, found.scores, strict=True), strict=True))
    assert not found.crowd.any()
    assert np.all(np.diff(found.scores) <= 0)
    assert len(found.scores) == min(len(things), MAX_INSTANCES)
    for region, (class_id, score) in by_pixels.items():
        assert things[region] == (class_id, pytest.approx(score, abs=1e-9))


def test_a_class_that_touches_itself_at_a_corner_is_one_object():
    labels = drawn("1100", "1100", "0011", "0011")
    found = instances_from_labels(labels, sure(labels), CLASSES, min_area=1)
    assert np.array_equal(found.masks, [labels == 1])


def test_two_things_of_different_classes_that_touch_are_two_objects():
    labels = drawn("1133", "1133")
    found = panoptic_from_labels(labels, sure(labels), CLASSES, min_area=1)
    assert sorted(segment.class_id for segment in found.segments) == [1, 3]


def test_stuff_in_two_places_is_one_segment():
    labels = drawn("0110", "0110")
    found = panoptic_from_labels(labels, sure(labels), CLASSES, min_area=1)
    assert Counter(segment.class_id for segment in found.segments) == {0: 1, 1: 1}


def test_void_is_never_predicted_unless_a_minimal_area_is_asked_for():
    labels = drawn("0100", "0000", "3300")
    probability = sure(labels)
    assert panoptic_from_labels(labels, probability, CLASSES, min_area=1).segment_ids.min() > 0
    found = panoptic_from_labels(labels, probability, CLASSES, min_area=2)
    assert np.array_equal(found.segment_ids == 0, labels == 1)
    assert [(s.id, s.class_id) for s in found.segments] == [(1, 0), (2, 3)]


def test_an_image_without_things_has_no_instances_and_one_segment():
    labels = np.zeros((5, 7), dtype=np.uint8)
    assert instances_from_labels(labels, sure(labels), CLASSES, min_area=1).masks.shape == (0, 5, 7)
    (segment,) = panoptic_from_labels(labels, sure(labels), CLASSES, min_area=1).segments
    assert segment.score == pytest.approx(0.9)


def test_certainty_stays_within_one():
    labels = np.ones((300, 300), dtype=np.uint8)
    found = instances_from_labels(labels, sure(labels, 1.0), CLASSES, min_area=1)
    assert found.scores.tolist() == [1.0]


def test_of_very_many_instances_the_surest_are_kept():
    labels = np.zeros((40, 40), dtype=np.uint8)
    labels[::2, ::2] = 1  # 400 objects of one pixel
    probability = np.random.default_rng(0).random(labels.shape).astype(np.float32)
    found = instances_from_labels(labels, probability, CLASSES, min_area=1)
    expected = np.sort(probability[::2, ::2].ravel())[::-1][:MAX_INSTANCES]
    assert np.array_equal(found.scores, expected.astype(np.float64))
    assert [probability[mask].item() for mask in found.masks] == expected.tolist()
