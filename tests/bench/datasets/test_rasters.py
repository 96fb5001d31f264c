"""Polygons and run lengths give the masks that pycocotools gives, pixel for pixel."""

from __future__ import annotations

import numpy as np
import pytest

from bench.datasets._rasters import painted, polygon_mask, run_lengths_of_text, segmentation_mask, stacked
from bench.predictions import run_lengths
from bench.records import Size

coco = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed (extra: dev)")


def by_pycocotools(points, size):
    return coco.decode(coco.merge(coco.frPyObjects([list(points)], *size))).astype(bool)


@pytest.mark.parametrize("seed", range(200))
def test_a_polygon_is_filled_as_pycocotools_fills_it(seed):
    rng = np.random.default_rng(seed)
    size = Size(*rng.integers(1, 40, 2).tolist())
    corners = int(rng.integers(3, 12))
    # Some leave the image, some are on whole pixels or halves, many cross themselves.
    points = rng.uniform(-0.3, 1.3, (corners, 2)) * (size.width, size.height)
    if seed % 3:
        points = np.round(points * 2) / 2
    assert np.array_equal(polygon_mask(points.ravel(), size), by_pycocotools(points.ravel(), size))


def test_a_line_there_and_back_leaves_no_trace():
    # Two squares joined by a slanted line that is walked twice.
    squares = [1, 1, 3, 1, 3, 3, 1, 3]
    far = [7, 5, 9, 5, 9, 9, 7, 9]
    joined = [*squares, 1, 1, *far, 7, 5, 1, 1]
    expected = polygon_mask(squares, Size(10, 10)) | polygon_mask(far, Size(10, 10))
    assert expected.sum() == 4 + 8
    assert np.array_equal(polygon_mask(joined, Size(10, 10)), expected)


@pytest.mark.parametrize("seed", range(50))
def test_run_lengths_as_text_are_read_as_pycocotools_writes_them(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random(tuple(rng.integers(1, 300, 2))) < rng.choice([0.0, 0.01, 0.5, 0.999, 1.0])
    text = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert run_lengths_of_text(text) == run_lengths(mask)
    size = Size(*mask.shape)
    assert np.array_equal(segmentation_mask({"size": list(size), "counts": text}, size), mask)


@pytest.mark.parametrize(
    "wrong",
    [None, "text", [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, 6, 7]], {"size": [4, 5], "counts": [20]}, 
     {"size": [5, 4], "counts": [19]}, {"size": [5, 4]}, {"size": [5, 4], "counts": "o"}],
)  # fmt: skip
def test_a_segmentation_of_another_form_or_size_is_an_error(wrong):
    with pytest.raises(ValueError, match=r"."):
        segmentation_mask(wrong, Size(5, 4))


def test_a_small_object_lies_on_a_large_one_and_a_crowd_below_both():
    large, small, crowd = np.zeros((3, 4, 4), bool)
    large[:3], small[1, 1], crowd[1, 1:3] = True, True, True
    made = stacked([small, crowd, large], [1, 2, 3], [False, True, False], Size(4, 4))
    assert painted(made, background=9).tolist() == [[3, 3, 3, 3], [3, 1, 3, 3], [3, 3, 3, 3], [9, 9, 9, 9]]
