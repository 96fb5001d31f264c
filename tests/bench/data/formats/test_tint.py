"""Class colours over an image, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.formats.tint import mixed, palette_of, rims
from bench.records import ClassSpec

CLASSES = tuple(ClassSpec(name=str(i), colour=(i, 255 - i, 2 * i % 256)) for i in range(3))


def test_a_pixel_is_half_image_and_half_class_where_it_is_chosen_and_itself_elsewhere():
    rng = np.random.default_rng(0)
    image, labels = rng.integers(0, 256, (40, 30, 3)).astype(np.uint8), rng.integers(0, 3, (40, 30))
    painted = mixed(image, palette_of(CLASSES)[labels], labels != 1)
    for class_id in (0, 2):
        where = labels == class_id
        assert np.array_equal(painted[where], np.round((image[where].astype(float) + CLASSES[class_id].colour) / 2))
    assert np.array_equal(painted[labels == 1], image[labels == 1])


def test_classes_beyond_255_have_colours_of_their_own_and_other_ids_are_white():
    many = tuple(ClassSpec(name=str(i), colour=(i % 256, i // 256, 7)) for i in range(300))
    assert palette_of(many)[299].tolist() == [43, 1, 7]
    assert palette_of(many)[65535].tolist() == [255, 255, 255]


@pytest.mark.parametrize("thin", [True, False])
def test_rims_are_pixels_with_a_neighbour_of_another_id(thin):
    ids = np.random.default_rng(2).integers(0, 3, (6, 7))
    steps = [(-1, 0), (0, -1)] if thin else [(-1, 0), (0, -1), (1, 0), (0, 1)]
    expected = np.zeros(ids.shape, dtype=bool)
    for y, x in np.ndindex(*ids.shape):
        around = [(y + dy, x + dx) for dy, dx in steps if 0 <= y + dy < 6 and 0 <= x + dx < 7]
        expected[y, x] = any(ids[place] != ids[y, x] for place in around)
    assert np.array_equal(rims(ids, thin=thin), expected)
