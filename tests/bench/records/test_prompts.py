"""Prompts from true masks: known answers, and agreement with a loop that tries every pixel."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest

from bench.dataset import GroundTruth, objects_of
from bench.errors import ShapeError
from bench.records.predictions import Instances, PromptedMasks, SemanticMap
from bench.records.prompts import PromptedImage, prompts_of

L_SHAPE = """
    ##......
    ##......
    ##......
    #####...
    #####...
    #####...
    ........"""
RING = """
    .......
    .#####.
    .#...#.
    .#...#.
    .#...#.
    .#####.
    ......."""
LONE = """
    ......
    ....#.
    ......"""
ALL = """
    #####
    #####
    #####"""
CORNER = """
    ###...
    ###...
    ###...
    ......"""
TWO_PARTS = """
    #.....
    ......
    ...###
    ...###
    ...###"""


def mask(picture):
    return np.array([[cell == "#" for cell in row] for row in textwrap.dedent(picture).split()])


def prompt(picture, kind):
    (place,) = prompts_of(PromptedMasks(mask(picture)[None], np.ones(1)), kind).xy.tolist()
    return tuple(place)


@pytest.mark.parametrize(
    ("picture", "point"),
    [
        # (2, 4) lies in a square of 3 x 3 that is wholly of the L, and so do (1, 4) and (3, 4); of row 4, the first
        (L_SHAPE, (1, 4)),
        (RING, (1, 1)),  # every pixel of a line one pixel wide is at distance 1; the first one wins
        (LONE, (4, 1)),
        (ALL, (1, 1)),  # outside the image is not of the object, so the middle row is farthest
        (CORNER, (1, 1)),
        (TWO_PARTS, (4, 3)),
    ],
)
def test_a_point_lies_as_deep_inside_the_object_as_a_pixel_can(picture, point):
    assert prompt(picture, "point") == point


@pytest.mark.parametrize(
    ("picture", "box", "centre"),
    [
        (L_SHAPE, (0, 0, 4, 5), (2, 2.5)),
        (RING, (1, 1, 5, 5), (3, 3)),
        (LONE, (4, 1, 4, 1), (4, 1)),
        (ALL, (0, 0, 4, 2), (2, 1)),
        (CORNER, (0, 0, 2, 2), (1, 1)),
        (TWO_PARTS, (0, 0, 5, 4), (2.5, 2)),
    ],
)
def test_a_box_holds_all_parts_of_the_object_and_its_centre_may_lie_outside_of_it(picture, box, centre):
    assert prompt(picture, "box") == box
    assert prompt(picture, "centre") == centre


def farthest_pixel(true):
    """Column and row of the pixel with the largest squared distance to any pixel that is not of the mask."""
    height, width = true.shape
    outside = [(r, c) for r in range(-1, height + 1) for c in range(-1, width + 1)]
    outside = [(r, c) for r, c in outside if not (0 <= r < height and 0 <= c < width and true[r, c])]
    best = None
    for row in range(height):
        for column in range(width):
            if true[row, column]:
                squared = min((row - r) ** 2 + (column - c) ** 2 for r, c in outside)
                if best is None or squared > best[0]:
                    best = (squared, (column, row))
    return best[1]


@pytest.mark.parametrize("seed", range(40))
def test_points_and_boxes_agree_with_a_loop_over_all_pixels(seed):
    random = np.random.default_rng(seed)
    true = random.random((random.integers(1, 14), random.integers(1, 14))) < random.choice([0.5, 0.8, 0.97])
    true[0, 0] |= not true.any()
    objects = PromptedMasks(true[None], np.ones(1))
    rows, columns = np.nonzero(true)
    assert tuple(prompts_of(objects, "point").xy[0]) == farthest_pixel(true)
    assert prompts_of(objects, "box").xy[0].tolist() == [columns.min(), rows.min(), columns.max(), rows.max()]


def instances(masks, crowd=None):
    masks = np.asarray(masks, dtype=bool)
    count = len(masks)
    return Instances(
        masks=masks,
        class_ids=np.arange(count, dtype=np.int64),
        scores=np.ones(count),
        crowd=np.zeros(count, dtype=bool) if crowd is None else np.array(crowd),
    )


def test_crowds_and_hidden_instances_are_not_asked_for_and_the_rest_keep_their_order():
    first, hidden, crowd, last = mask(LONE), mask(LONE) & False, mask(LONE), np.roll(mask(LONE), -1, axis=1)
    ground_truth = instances([first, hidden, crowd, last], crowd=[False, False, True, False])
    objects = GroundTruth(SemanticMap(np.zeros((3, 6), np.uint8)), instances=ground_truth).of("prompted")
    assert [np.argwhere(one).tolist() for one in objects.masks] == [[[1, 4]], [[1, 3]]]
    assert objects.scores.tolist() == [1, 1]


def test_a_data_set_without_instances_has_no_prompted_ground_truth():
    assert GroundTruth(SemanticMap(np.zeros((3, 6), np.uint8))).of("prompted") is None


@pytest.mark.parametrize(("kind", "width"), [("point", 2), ("box", 4), ("centre", 2)])
def test_an_image_without_objects_has_no_prompts(kind, width):
    nothing = objects_of(instances(np.zeros((0, 3, 4))))
    assert prompts_of(nothing, kind).xy.shape == (0, width)
    assert len(prompts_of(nothing, kind)) == 0


def test_an_object_without_a_pixel_is_refused():
    with pytest.raises(ShapeError, match="object 1 has no pixel"):
        prompts_of(PromptedMasks(np.array([[[True]], [[False]]]), np.ones(2)), "box")


def test_a_prompted_image_is_an_image_whose_copies_keep_their_prompts_and_whose_parts_have_none():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    prompts = prompts_of(PromptedMasks(np.ones((1, 2, 4), dtype=bool), np.ones(1)), "box")
    image = PromptedImage(pixels, prompts)
    assert (image == pixels).all()
    assert image.base is None  # nothing leads from it to what it was made of
    assert not np.shares_memory(image, pixels)
    assert image.copy().prompts is prompts
    assert not hasattr(image[:1], "prompts")
