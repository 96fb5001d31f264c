"""Drawn label maps: `.` is class 0, a digit its class, `#` void (in a prediction: names no class)."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.metrics._bootstrap import LeftOut
from bench.records import ClassSpec
from bench.records.predictions import SemanticMap


def _draw(picture: str) -> SemanticMap:
    rows = textwrap.dedent(picture).split()
    ids = {".": 0, "#": 255}
    return SemanticMap(np.array([[ids.get(c, ord(c) - ord("0")) for c in row] for row in rows], dtype=np.uint8))


@pytest.fixture
def draw() -> Callable[[str], SemanticMap]:
    return _draw


@pytest.fixture
def classes() -> Callable[..., tuple[ClassSpec, ...]]:
    """Class specs from names, or of a number of classes called class 0, class 1, …"""

    def make(*names: str | int) -> tuple[ClassSpec, ...]:
        if len(names) == 1 and isinstance(names[0], int):
            names = tuple(f"class {i}" for i in range(names[0]))
        return tuple(ClassSpec(name=str(name), colour=(0, 0, 0)) for name in names)

    return make


@pytest.fixture
def fixture_counts() -> NDArray[np.int64]:
    """The fixture of known answers: class 2 is never predicted, 3 never true, 4 nowhere; one image."""
    square = [[900, 50, 0, 50, 0], [100, 800, 0, 0, 0], [60, 40, 0, 0, 0], [0] * 5, [0] * 5]
    return np.pad(np.array(square, dtype=np.int64), ((0, 0), (0, 1)))[None]


def _random_images(seed: int, images: int, num_classes: int) -> list[tuple[SemanticMap, SemanticMap]]:
    random = np.random.default_rng(seed)
    pairs = []
    for _ in range(images):
        true = random.integers(0, num_classes, (9, 7), dtype=np.uint8)
        guess = np.where(random.random((9, 7)) < 0.6, true, random.integers(0, num_classes, (9, 7))).astype(np.uint8)
        true[random.random((9, 7)) < 0.1] = 255
        pairs.append((SemanticMap(true), SemanticMap(guess)))
    return pairs


@pytest.fixture
def random_images() -> Callable[[int, int, int], list[tuple[SemanticMap, SemanticMap]]]:
    """(target, predicted) pairs of 9 × 7 pixels: (seed, images, classes)."""
    return _random_images


@pytest.fixture
def kept_images() -> Callable[[int, int], NDArray[np.float64]]:
    """1 for each image that is kept without a unit, 0 for those left out, (units, images): (images, seed)."""

    def weights(images: int, seed: int) -> NDArray[np.float64]:
        left_out = LeftOut.of(images, seed=seed)
        return (left_out.of_image[None] != np.arange(left_out.total)[:, None]).astype(np.float64)

    return weights
