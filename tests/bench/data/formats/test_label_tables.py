"""Stored values and colours become class ids as a look-up pixel by pixel would make them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.data.formats.label_tables import map_colours, map_values, pack_rgb, runs_of
from bench.errors import DatasetError

FILE = Path("mask.png")


def blocky(rng, values, shape=(37, 53)):
    """A map of patches and lines of these values, with some noise."""
    small = rng.choice(values, size=(5, 6)).astype(np.uint16)
    made = cv2.resize(small, shape[::-1], interpolation=cv2.INTER_NEAREST)
    noisy = rng.random(shape) < 0.05
    made[noisy] = rng.choice(values, size=int(noisy.sum()))
    return made


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
@pytest.mark.parametrize("seed", range(5))
def test_values_are_looked_up_pixel_by_pixel(seed, dtype):
    rng = np.random.default_rng(seed)
    values = rng.choice(256 if dtype == np.uint8 else 60_000, size=12, replace=False)
    class_of = {int(value): int(class_id) for value, class_id in zip(values, rng.integers(0, 256, 12), strict=True)}
    pixels = blocky(rng, values).astype(dtype)
    made = map_values(pixels, {**class_of, -1: 3}, file=FILE, known="")
    assert made.dtype == np.uint8
    assert made.tolist() == [[class_of[value] for value in row] for row in pixels.tolist()]


def test_every_value_of_eight_bits_can_have_a_class_or_be_void():
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert map_values(pixels, {v: 255 - v for v in range(256)}, file=FILE, known="").tolist() == (255 - pixels).tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_values_outside_the_table_are_counted_and_the_first_five_named(dtype):
    pixels = np.array([[0, 1, 7, 7], [9, 11, 12, 13], [14, 15, 0, 0]], dtype=dtype)
    with pytest.raises(DatasetError) as refused:
        map_values(pixels, {0: 0, 1: 1}, file=FILE, known="It has two.")
    assert str(refused.value) == (
        "mask.png has labels outside the table: 7 (2 pixels), 9 (1 pixels), 11 (1 pixels), 12 (1 pixels), "
        "13 (1 pixels) and 2 further values. It has two."
    )


@pytest.mark.parametrize("seed", range(5))
def test_colours_are_looked_up_pixel_by_pixel(seed):
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (9, 3), dtype=np.uint8)
    class_of = {tuple(colour): int(i) for i, colour in enumerate(colours.tolist())}
    pixels = colours[blocky(rng, np.arange(9))]
    made = map_colours(pixels, class_of, file=FILE, known="")
    assert made.dtype == np.uint8
    assert made.tolist() == [[class_of[tuple(pixel)] for pixel in row] for row in pixels.tolist()]


def test_colours_outside_the_table_are_counted():
    pixels = np.array([[[1, 2, 3], [0, 0, 0], [1, 2, 3]], [[1, 2, 3], [9, 9, 9], [0, 0, 0]]], dtype=np.uint8)
    with pytest.raises(DatasetError) as refused:
        map_colours(pixels, {(0, 0, 0): 0}, file=FILE, known="It has one.")
    assert str(refused.value) == (
        "mask.png has colours outside the table: RGB 1,2,3 (3 pixels), RGB 9,9,9 (1 pixels). It has one."
    )


def test_a_packed_colour_has_red_in_its_highest_byte():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    assert pack_rgb(pixels).tolist() == [[(r << 16) | (g << 8) | b for r, g, b in row] for row in pixels.tolist()]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (7, 8)])
def test_runs_filled_with_their_own_values_are_the_map(shape):
    pixels = np.random.default_rng(1).integers(0, 2, shape).astype(np.int32)
    runs = runs_of(pixels)
    assert runs.filled(runs.values).tolist() == pixels.tolist()
    assert runs.lengths.sum() == pixels.size
    assert (runs.values[1:] != runs.values[:-1]).all()
