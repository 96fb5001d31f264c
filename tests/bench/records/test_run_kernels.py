"""Compiled loops read the same masks as arrays do, and refuse the same."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from bench.data.formats.polygons import corners_of, polygon_runs
from bench.records import Size
from bench.records import run_kernels as kernels
from bench.records.mask_runs import MaskRuns


@pytest.fixture(scope="module")
def compiled():
    """The kernels by themselves; nothing else in this process uses them."""
    before = dict(kernels.KERNELS)
    kernels.KERNELS.clear()
    kernels.read_many(kernels.MANY)
    found = dict(kernels.KERNELS)
    kernels.KERNELS.clear()
    yield found
    kernels.KERNELS.update(before)


def both(monkeypatch, compiled, read):
    """What is read without and with the kernels: runs, or the message of the error."""
    found = []
    for names in ({}, compiled):
        monkeypatch.setattr(kernels, "KERNELS", names)
        kernels.KERNELS.update(names)
        for module in ("bench.records.mask_runs", "bench.data.formats.polygons"):
            monkeypatch.setattr(f"{module}.KERNELS", names)
        try:
            runs = read()
            found.append((runs.edges.tolist(), runs.ends.tolist()))
        except ValueError as error:
            found.append(str(error))
    return found


@pytest.mark.few(15)
@pytest.mark.parametrize("seed", range(60))
def test_texts_are_read_alike(monkeypatch, compiled, seed):
    random = np.random.default_rng(seed)
    size = Size(*(int(n) for n in random.integers(1, 30, 2)))
    masks = random.random((int(random.integers(0, 6)), *size)) < random.choice([0.0, 0.1, 0.5, 1.0])
    texts = MaskRuns.of_masks(masks).texts()
    plain, fast = both(monkeypatch, compiled, lambda: MaskRuns.of_texts(texts, size))
    assert plain == fast


def test_masks_are_written_and_measured_alike(monkeypatch, compiled):
    random = np.random.default_rng(0)
    for _ in range(1000):
        size = Size(*(int(n) for n in random.integers(0, 30, 2)))
        drawn = random.random((int(random.integers(0, 6)), *size)) < random.choice([0.0, 0.1, 0.5, 0.99, 1.0])
        found = []
        for names in ({}, compiled):
            monkeypatch.setattr("bench.records.mask_runs.KERNELS", names)
            runs = MaskRuns.of_masks(drawn)
            found.append((runs.texts(), runs.areas.tolist()))
        assert found[0] == found[1]
        assert found[0][1] == drawn.sum(axis=(1, 2)).tolist()


@pytest.mark.parametrize(
    "texts", [["o"], ["0o"], ["€"], ["1"], [""], ["06", "\x00"], ["b'0'"], ["060"], ["0600"], ["oooooooooooooo0"]]
)
def test_texts_of_no_or_of_odd_masks_are_read_alike(monkeypatch, compiled, texts):
    plain, fast = both(monkeypatch, compiled, lambda: MaskRuns.of_texts(texts, Size(2, 3)))
    assert plain == fast


@pytest.mark.parametrize("seed", range(120))
def test_polygons_are_read_alike(monkeypatch, compiled, seed):
    random = np.random.default_rng(seed)
    size = Size(*(int(n) for n in random.integers(1, 60, 2)))

    def polygon():
        points = random.uniform(-20, 70, int(random.integers(3, 12)) * 2)
        return corners_of(np.round(points) if random.random() < 0.4 else points)

    objects = [[polygon() for _ in range(int(random.integers(0, 3 if seed % 2 else 2)))] for _ in range(4)]
    if seed % 5 == 0:
        objects = [[polygon()] for _ in range(3)]
    plain, fast = both(monkeypatch, compiled, lambda: polygon_runs(objects, size))
    assert plain == fast


def test_few_images_compile_nothing(monkeypatch):
    monkeypatch.setattr(kernels, "KERNELS", {})
    kernels.read_many(kernels.MANY - 1)
    assert kernels.KERNELS == {}


def test_kernels_leave_linear_algebra_unloaded_and_to_be_had():
    script = (
        "import sys; from bench.records.run_kernels import KERNELS, read_many; read_many(500); assert KERNELS\n"
        "assert 'scipy.linalg' not in sys.modules; import scipy.linalg.cython_blas"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
