"""Tests which images count as the same: against pair-by-pair loops, and at the thresholds."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bench.data.duplicates import (
    BITS,
    BLOCK,
    ENOUGH,
    MAX_BITS,
    MAX_RMS,
    difference_bits,
    key_of_file,
    key_of_pixels,
    nearest_pairs,
    thumbnail,
)
from bench.data.formats.by_name import open_dataset
from bench.data.formats.image_files import glance


def slow_bits(thumb):
    """The difference hash by its definition, one comparison at a time."""
    right = [thumb[y][x + 1] > thumb[y][x] for y in range(9) for x in range(8)]
    lower = [thumb[y + 1][x] > thumb[y][x] for y in range(8) for x in range(9)]
    return [bool(bit) for bit in right + lower]


def slow_pairs(ones, others):
    """(one, bits) of every image with a near partner: all pairs, one by one."""
    found = []
    for row, one in enumerate(ones):
        near = []
        for other in others:
            bits = sum(a != b for a, b in zip(slow_bits(one.tolist()), slow_bits(other.tolist()), strict=True))
            difference = (one.astype(float) - one.mean()) - (other.astype(float) - other.mean())
            if bits <= MAX_BITS and np.sqrt((difference**2).mean()) <= MAX_RMS:
                near.append(bits)
        if near:
            found.append((row, min(near)))
    return found


def grey_of(image):
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def blurred(random):
    """A smooth thumbnail, as of a photograph."""
    return cv2.resize(random.integers(0, 256, (4, 4), dtype=np.uint8), (9, 9), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("seed", range(10))
def test_nearest_pairs_agree_with_a_loop_over_all_pairs(seed):
    random = np.random.default_rng(seed)
    others = [blurred(random) for _ in range(12)]
    noise = [random.integers(-amount, amount + 1, (9, 9)) for amount in (0, 1, 2, 3, 4, 6, 9)]
    ones = [np.clip(others[i].astype(int) + n, 0, 255).astype(np.uint8) for i, n in enumerate(noise)]
    ones += [blurred(random) for _ in range(5)]
    pairs = nearest_pairs(ones, others)
    assert [(pair.one, pair.bits) for pair in pairs] == slow_pairs(ones, others)
    assert all(pair.other == pair.one for pair in pairs)
    assert 3 <= len(pairs) < len(ones)


def test_the_bits_are_those_of_the_definition():
    random = np.random.default_rng(3)
    thumbs = np.stack([blurred(random) for _ in range(4)])
    assert difference_bits(thumbs).shape == (4, BITS)
    assert difference_bits(thumbs).tolist() == [slow_bits(thumb.tolist()) for thumb in thumbs]


def test_a_partner_beyond_the_first_block_is_found():
    random = np.random.default_rng(1)
    others = [random.integers(0, 256, (9, 9), dtype=np.uint8) for _ in range(BLOCK + 5)]
    (pair,) = nearest_pairs([others[-1]], others)
    assert (pair.one, pair.other, pair.bits) == (0, BLOCK + 4, 0)


def test_nothing_is_near_to_nothing():
    assert nearest_pairs([], [np.zeros((9, 9), np.uint8)]) == []
    assert nearest_pairs([np.zeros((9, 9), np.uint8)], []) == []


@pytest.mark.parametrize("shape", [(1, 1), (9, 9), (7, 400), (480, 640), (481, 643)])
def test_a_thumbnail_averages_images_of_any_size(shape):
    random = np.random.default_rng(0)
    smooth = cv2.resize(random.integers(0, 256, (3, 3, 3), dtype=np.uint8), shape[::-1])
    grey = smooth.astype(float) @ (0.299, 0.587, 0.114)
    made = thumbnail(grey_of(smooth))
    assert (made.shape, made.dtype) == ((9, 9), np.uint8)
    assert made.mean() == pytest.approx(grey.mean(), abs=2)


def test_scenes_of_different_splits_are_not_near():
    dataset = open_dataset("shapes", {"size": [64, 96], "train": 60, "val": 60})
    train, val = ([thumbnail(grey_of(dataset.image(i))) for i in dataset.ids(split)] for split in ("train", "val"))
    assert nearest_pairs(val, train) == []


def test_images_without_a_file_are_the_same_if_size_and_pixels_are():
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert key_of_pixels(image) == key_of_pixels(image.copy())
    assert key_of_pixels(image) != key_of_pixels(image.reshape(2, 8, 3))


def test_files_are_the_same_if_their_bytes_are():
    assert key_of_file(b"one") == key_of_file(bytes(bytearray(b"one"))) != key_of_file(b"two")


@pytest.mark.parametrize("side", [72, 100, 300, 700])
def test_a_jpeg_at_a_fraction_of_its_size_has_the_thumbnail_of_the_whole(tmp_path, side):
    random = np.random.default_rng(side)
    cells = random.integers(0, 256, (9, 7, 3), dtype=np.uint8)
    scene = cv2.resize(cells, (side + 31, side), interpolation=cv2.INTER_CUBIC)
    noisy = np.clip(scene + random.normal(0, 12, scene.shape), 0, 255).astype(np.uint8)
    path = tmp_path / "photo.jpg"
    cv2.imwrite(str(path), noisy, [cv2.IMWRITE_JPEG_QUALITY, 80])
    whole = thumbnail(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    seen = glance(path.read_bytes(), path, least=ENOUGH)
    assert seen.size == noisy.shape[:2]
    assert min(seen.grey.shape) >= ENOUGH
    assert np.abs(thumbnail(seen.grey).astype(int) - whole).max() <= 2
