"""Segmentations of COCO give the masks that pycocotools gives, pixel for pixel, and masks become one map."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.formats.rasters import (
    SegmentationError,
    painted,
    segmentation_masks,
    stacked,
)
from bench.records import Size
from bench.records.mask_runs import lengths_of_texts, run_lengths

coco = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed (extra: dev)")


@pytest.mark.parametrize("seed", range(50))
def test_run_lengths_as_text_are_read_as_pycocotools_writes_them(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random(tuple(rng.integers(1, 300, 2))) < rng.choice([0.0, 0.01, 0.5, 0.999, 1.0])
    text = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert lengths_of_texts([text])[0].tolist() == run_lengths(mask)
    size = Size(*mask.shape)
    assert np.array_equal(segmentation_masks([{"size": list(size), "counts": text}], size)[0], mask)


def test_polygons_and_run_lengths_of_one_image_keep_their_order():
    size = Size(6, 9)
    crowd = np.zeros(size, dtype=bool)
    crowd[2:4, 3:8] = True
    polygons = [[1, 0, 3, 0, 3, 2, 1, 2], [5, 3, 8, 3, 8, 6, 5, 6]]
    texts = coco.encode(np.asfortranarray(crowd.astype(np.uint8)))["counts"].decode()
    given = [polygons, {"size": [6, 9], "counts": texts}, {"size": [6, 9], "counts": run_lengths(crowd)}, polygons[1:]]
    masks = segmentation_masks(given, size)
    whole = coco.decode(coco.merge(coco.frPyObjects(polygons, *size))).astype(bool)
    second = coco.decode(coco.frPyObjects(polygons[1:], *size)[0]).astype(bool)
    for mask, expected in zip(masks, [whole, crowd, crowd, second], strict=True):
        assert np.array_equal(mask, expected)


@pytest.mark.parametrize(
    "wrong",
    [None, "text", [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, 6, 7]], [[1, 2, 3, 4, 5, None]], {"size": [4, 5], "counts": [20]},
     {"size": [5, 4], "counts": [19]}, {"size": [5, 4]}, {"size": [5, 4], "counts": "o"}],
)  # fmt: skip
def test_a_segmentation_of_another_form_or_size_is_an_error_that_says_which_it_is(wrong):
    sound = {"size": [5, 4], "counts": [20]}
    with pytest.raises(SegmentationError) as refused:
        segmentation_masks([sound, sound, wrong, sound], Size(5, 4))
    assert refused.value.position == 2
    assert str(refused.value)


def test_a_small_object_lies_on_a_large_one_and_a_crowd_below_both():
    large, small, crowd = np.zeros((3, 4, 4), bool)
    large[:3], small[1, 1], crowd[1, 1:3] = True, True, True
    made = stacked([small, crowd, large], [1, 2, 3], [False, True, False], Size(4, 4))
    assert painted(made, background=9).tolist() == [[3, 3, 3, 3], [3, 1, 3, 3], [3, 3, 3, 3], [9, 9, 9, 9]]


@pytest.mark.parametrize("seed", range(20))
def test_a_map_of_many_objects_is_that_of_painting_pixel_by_pixel(seed):
    rng = np.random.default_rng(seed)
    size, count = Size(9, 11), 6
    masks = rng.random((count, *size)) < rng.random((count, 1, 1))
    class_ids, crowd = rng.integers(0, 5, count), rng.random(count) < 0.3
    expected = np.full(size, 255)
    for y, x in np.ndindex(*size):
        here = [i for i in range(count) if masks[i, y, x]]
        if here:  # no crowd if there is another; of these the smallest; of equal ones the last
            top = min(here, key=lambda i: (crowd[i], masks[i].sum(), -i))
            expected[y, x] = class_ids[top]
    made = stacked(masks, class_ids.tolist(), crowd.tolist(), size)
    assert painted(made, background=255).tolist() == expected.tolist()
