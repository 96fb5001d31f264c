"""Polygons give the masks that pycocotools gives, pixel for pixel, alone and all of an image at once."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.formats.polygons import FARTHEST, corners_of, polygon_mask, polygon_masks
from bench.records import Size

coco = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed (extra: dev)")


def by_pycocotools(polygons, size):
    """The union of polygons, each x1, y1, x2, y2, …"""
    return coco.decode(coco.merge(coco.frPyObjects([list(points) for points in polygons], *size))).astype(bool)


def drawn(rng, size):
    """Corners of a polygon, some outside of the image, many of whose edges cross."""
    points = rng.uniform(-0.3, 1.3, (int(rng.integers(3, 12)), 2)) * (size.width, size.height)
    # On whole pixels and halves edges meet centres of pixels exactly; elsewhere they do not.
    return (np.round(points * 2) / 2 if rng.random() < 0.7 else points).ravel()


@pytest.mark.parametrize("seed", range(200))
def test_a_polygon_is_filled_as_pycocotools_fills_it(seed):
    rng = np.random.default_rng(seed)
    size = Size(*rng.integers(1, 40, 2).tolist())
    points = drawn(rng, size)
    assert np.array_equal(polygon_mask(points, size), by_pycocotools([points], size))


@pytest.mark.parametrize("seed", range(30))
def test_objects_of_an_image_are_drawn_as_each_is_alone(seed):
    rng = np.random.default_rng(seed)
    size = Size(*rng.integers(20, 120, 2).tolist())
    objects = [[drawn(rng, size) for _ in range(int(rng.integers(1, 4)))] for _ in range(int(rng.integers(1, 9)))]
    masks = polygon_masks([[corners_of(points) for points in one] for one in objects], size)
    assert masks.shape == (len(objects), *size)
    assert masks.dtype == np.bool_
    for mask, one in zip(masks, objects, strict=True):
        assert np.array_equal(mask, by_pycocotools(one, size))


@pytest.mark.parametrize("seed", range(40))
def test_edges_that_are_nearly_upright_or_nearly_flat_are_walked_as_pycocotools_walks_them(seed):
    rng = np.random.default_rng(seed)
    size = Size(300, 300)
    # Steps of one point to the side along hundreds, where a division that is off by one would show.
    x = np.array([0.0, rng.uniform(0, 3), rng.uniform(290, 300), rng.uniform(297, 300)])
    y = np.array([rng.uniform(0, 4), 299.0, rng.uniform(295, 300), rng.uniform(0, 2)])
    points = np.stack([x, y] if seed % 2 else [y, x], axis=1).ravel()
    assert np.array_equal(polygon_mask(points, size), by_pycocotools([points], size))


@pytest.mark.parametrize(("across", "down"), [(3, 294), (4, 392), (5, 122), (25, 58), (25, 116)])
@pytest.mark.parametrize("start", range(5))
def test_a_crossing_where_a_division_is_off_by_one_is_where_pycocotools_has_it(across, down, start):
    # An edge so many points of the finer grid across and down; a crossing, divided, comes out a point too low.
    fine = np.array([0, start, across, start + down, 200, start + 100])
    points, size = fine / 5, Size(90, 50)
    assert np.array_equal(polygon_mask(points, size), by_pycocotools([points], size))


def test_a_polygon_much_larger_than_the_image_fills_it():
    points = [-5000.0, -7000.0, 9000.0, -7000.0, 9000.0, 8000.0, -5000.0, 8000.0]
    assert polygon_mask(points, Size(30, 40)).all()
    assert np.array_equal(by_pycocotools([points], Size(30, 40)), polygon_mask(points, Size(30, 40)))


def test_a_polygon_beside_the_image_and_one_between_centres_cover_nothing():
    assert not polygon_mask([50, 1, 60, 1, 60, 9], Size(10, 20)).any()
    assert not polygon_mask([3.1, 3.1, 3.2, 3.1, 3.2, 3.2], Size(10, 20)).any()


def test_no_object_is_no_mask_and_an_object_without_polygons_an_empty_one():
    assert polygon_masks([], Size(4, 5)).shape == (0, 4, 5)
    assert not polygon_masks([[]], Size(4, 5)).any()


def test_a_line_there_and_back_leaves_no_trace():
    # Two squares joined by a slanted line that is walked twice.
    squares = [1, 1, 3, 1, 3, 3, 1, 3]
    far = [7, 5, 9, 5, 9, 9, 7, 9]
    joined = [*squares, 1, 1, *far, 7, 5, 1, 1]
    expected = polygon_mask(squares, Size(10, 10)) | polygon_mask(far, Size(10, 10))
    assert expected.sum() == 4 + 8
    assert np.array_equal(polygon_mask(joined, Size(10, 10)), expected)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -2 * FARTHEST])
def test_a_coordinate_that_is_no_place_is_refused(wrong):
    with pytest.raises(ValueError, match="a coordinate is no finite number of pixels"):
        corners_of([1, 1, wrong, 4, 5, 6])


@pytest.mark.parametrize("wrong", [[1, 2, 3, 4], [1, 2, 3, 4, 5, 6, 7], [[1, 2], [3, 4], [5, 6]]])
def test_a_polygon_has_three_pairs_in_one_list(wrong):
    with pytest.raises(ValueError, match="a polygon needs three or more pairs of numbers"):
        corners_of(wrong)
