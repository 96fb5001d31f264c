"""Tests how images become inputs of one size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from adapters._torch.fitting import Placement, fitted, fitted_labels, grey, place
from bench.records import IGNORE_LABEL, Size


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_letterbox_is_resized_with_its_aspect_ratio_and_lies_in_the_middle_of_the_fill():
    image = picture(50, 100)
    found = fitted(image, place(Size(50, 100), Size(80, 80), "letterbox"), (1, 2, 3), "linear")
    expected = cv2.resize(image, (80, 40), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(found[20:60], expected)
    assert (found[:20] == (1, 2, 3)).all()
    assert (found[60:] == (1, 2, 3)).all()


def test_a_pad_keeps_small_images_as_they_are_at_the_top_left_and_makes_large_ones_smaller():
    small, placed = picture(20, 30), place(Size(20, 30), Size(40, 40), "pad")
    np.testing.assert_array_equal(fitted(small, placed, (0, 0, 0), "auto")[:20, :30], small)
    assert place(Size(200, 100), Size(40, 40), "pad") == Placement(Size(40, 40), Size(40, 20))


def test_a_crop_shows_the_middle():
    image = picture(40, 100)
    placed = place(Size(40, 100), Size(40, 40), "crop")
    np.testing.assert_array_equal(fitted(image, placed, (0, 0, 0), "auto"), image[:, 30:70])
    unanswered = placed.without_answer(Size(40, 100))
    assert not unanswered[:, 30:70].any()
    assert unanswered[:, :30].all()
    assert unanswered[:, 70:].all()


@pytest.mark.parametrize("fit", ["letterbox", "pad", "crop"])
def test_labels_are_placed_as_their_image_is_and_void_beside_it(fit):
    labels = np.random.default_rng(1).integers(0, 3, (30, 50), dtype=np.uint8)
    placed = place(Size(30, 50), Size(60, 60), fit)
    image = fitted(np.repeat(labels[..., None], 3, axis=2), placed, (255,) * 3, "nearest")
    found = fitted_labels(labels, placed)
    np.testing.assert_array_equal(found, image[..., 0])
    assert (found == IGNORE_LABEL).any() == (fit != "crop")


@pytest.mark.parametrize("size", [(31, 17), (90, 120)])
def test_pil_linear_is_what_pillow_makes(size):
    image = picture(60, 80)
    found = fitted(image, place(Size(60, 80), Size(*size), "stretch"), (0, 0, 0), "pil_linear")
    expected = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(found, expected)


def test_grey_is_what_pillow_calls_l_but_for_rounding():
    image = picture(20, 20)
    difference = grey(image)[..., 0].astype(int) - np.asarray(Image.fromarray(image).convert("L"))
    assert np.abs(difference).max() <= 1
