"""Counting agrees with a pixel loop and with numpy.bincount, and refuses what it cannot count."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import ShapeError
from bench.metrics import _confusion
from bench.metrics._confusion import confusion_counts

ROOT = Path(__file__).resolve().parents[3]


def counted_pixel_by_pixel(target, predicted, num_classes, ignore):
    counts = np.zeros((num_classes, num_classes + 1), dtype=np.int64)
    for true, guess in zip(target.ravel().tolist(), predicted.ravel().tolist(), strict=True):
        if true != ignore:
            counts[true, guess if 0 <= guess < num_classes else num_classes] += 1
    return counts


def counted_by_bincount(target, predicted, num_classes, ignore):
    kept = target != ignore
    column = np.minimum(predicted[kept].astype(np.int64), num_classes)
    cells = target[kept].astype(np.int64) * (num_classes + 1) + column
    return np.bincount(cells, minlength=num_classes * (num_classes + 1)).reshape(num_classes, num_classes + 1)


@st.composite
def maps_of_runs(draw):
    """Two flat maps made of runs and noisy stretches, long enough to pass several kernel blocks."""
    num_classes = draw(st.integers(1, 255))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pixels = draw(st.integers(0, 5000))
    ids = np.append(np.arange(num_classes), 255).astype(np.uint8)
    maps = []
    for _ in range(2):
        longest = draw(st.sampled_from([1, 2, 3, 20, 300, 3000]))
        runs = random.integers(1, longest + 1, size=pixels + 1)
        maps.append(np.repeat(random.choice(ids, size=pixels + 1), runs)[:pixels])
    noisy = slice(draw(st.integers(0, 5000)), draw(st.integers(0, 5000)))
    maps[0][noisy] = random.choice(ids, size=maps[0][noisy].size)
    return maps[0], maps[1], num_classes


@given(maps_of_runs())
@settings(max_examples=150, deadline=None)
def test_counts_of_runs_and_noise_equal_bincount(maps):
    target, predicted, num_classes = maps
    counts = confusion_counts(target, predicted, num_classes=num_classes, ignore=255)
    np.testing.assert_array_equal(counts, counted_by_bincount(target, predicted, num_classes, 255))


@given(
    st.integers(1, 6).flatmap(
        lambda k: st.tuples(
            st.just(k),
            st.integers(0, k),
            st.lists(st.tuples(st.integers(0, k), st.integers(0, 255)), min_size=1, max_size=200),
        )
    ),
    st.sampled_from([np.uint8, np.int16, np.int32, np.int64, np.uint16]),
)
@settings(max_examples=150, deadline=None)
def test_counts_of_any_integer_type_and_any_ignored_id_equal_a_pixel_loop(case, dtype):
    num_classes, ignore, pixels = case
    target = np.array([[true if true < num_classes else ignore for true, _ in pixels]], dtype=dtype)
    predicted = np.array([[guess for _, guess in pixels]], dtype=dtype)
    target[target == num_classes] = ignore
    counts = confusion_counts(target, predicted, num_classes=num_classes, ignore=ignore)
    np.testing.assert_array_equal(counts, counted_pixel_by_pixel(target, predicted, num_classes, ignore))


@pytest.mark.parametrize("changes_per_word", [0, 1, *(int(_confusion._CROWDED) + k for k in (-1, 0, 1)), 63, 64])
def test_both_sides_of_the_switch_to_counting_pixel_by_pixel_agree_with_bincount(changes_per_word):
    # 64-pixel words with an exact number of changes, alternating with calm ones
    flips = np.zeros((64, 64), dtype=np.int64)
    flips[::2, :changes_per_word] = 1
    target = (np.cumsum(flips.ravel()) % 7).astype(np.uint8).reshape(32, 128)
    predicted = np.roll(target, 5)
    counts = confusion_counts(target, predicted, num_classes=7, ignore=None)
    np.testing.assert_array_equal(counts, counted_by_bincount(target, predicted, 7, None))


def test_a_prediction_that_names_no_class_costs_recall_in_the_last_column():
    target = np.array([[0, 0, 1, 1]], dtype=np.uint8)
    predicted = np.array([[0, 255, 7, 1]], dtype=np.uint8)
    counts = confusion_counts(target, predicted, num_classes=2, ignore=255)
    assert counts.tolist() == [[1, 0, 1], [0, 1, 1]]


def test_a_negative_prediction_names_no_class():
    counts = confusion_counts(np.array([[1]]), np.array([[-1]]), num_classes=2, ignore=255)
    assert counts.tolist() == [[0, 0, 0], [0, 0, 1]]


def test_a_wide_id_does_not_wrap_into_a_class():
    # 256 would be class 0 in eight bits
    counts = confusion_counts(np.array([[0]]), np.array([[256]]), num_classes=1, ignore=None)
    assert counts.tolist() == [[0, 1]]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_an_unknown_target_id_is_refused_by_its_number(dtype):
    with pytest.raises(ShapeError, match=r"class id 7; valid ids are 0\.\.4 and 255 for void"):
        confusion_counts(np.array([[0, 7, 255]], dtype), np.array([[0, 0, 0]], dtype), num_classes=5, ignore=255)


def test_void_is_an_unknown_id_when_nothing_is_ignored():
    with pytest.raises(ShapeError, match="class id 255"):
        confusion_counts(np.uint8([[255]]), np.uint8([[0]]), num_classes=2, ignore=None)


def test_maps_of_different_shape_are_refused_with_both_shapes():
    with pytest.raises(ShapeError, match=r"\(2, 3\).*\(3, 2\)"):
        confusion_counts(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), num_classes=1, ignore=None)


def test_logits_are_refused():
    with pytest.raises(ShapeError, match="float32"):
        confusion_counts(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.float32), num_classes=1, ignore=None)


def test_views_and_read_only_maps_are_counted_as_they_look():
    whole = np.random.default_rng(0).integers(0, 4, (90, 120), dtype=np.uint8)
    target, predicted = whole[3:80:2, 5:101:3], np.ascontiguousarray(whole[4:81:2, 6:102:3])
    predicted.flags.writeable = False
    counts = confusion_counts(target, predicted, num_classes=4, ignore=None)
    np.testing.assert_array_equal(counts, counted_by_bincount(target, predicted, 4, None))


def test_counting_works_where_no_folder_for_compiled_code_can_be_written(tmp_path):
    # numba looks beside the source, then in NUMBA_CACHE_DIR or the user's cache; a file in the place
    # of each folder makes them unwritable even for root.
    source = tmp_path / "bench" / "metrics"
    shutil.copytree(ROOT / "bench", tmp_path / "bench", ignore=shutil.ignore_patterns("__pycache__"))
    (source / "__pycache__").touch()
    home = tmp_path / "home"
    home.touch()
    program = (
        "import numpy as np; from bench.metrics._confusion import confusion_counts as c\n"
        "print(c(np.uint8([[0, 1]]), np.uint8([[1, 1]]), num_classes=2, ignore=None).tolist())"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA")}
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "[[0, 1, 0], [0, 1, 0]]\n", done.stderr


def test_the_count_is_exact_beyond_what_float32_can_hold():
    # 2^24 + 1 pixels of one class: a float32 sum would stop at 2^24
    pixels = np.zeros(2**24 + 1, dtype=np.uint8)
    assert confusion_counts(pixels, pixels, num_classes=1, ignore=None)[0, 0] == 2**24 + 1


def test_the_compiler_is_imported_only_when_something_is_counted():
    program = "import sys, bench.metrics._confusion; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "False\n"


def test_a_negative_target_id_is_refused_unless_it_is_the_ignored_one():
    maps = np.array([[0, -1]]), np.array([[0, 0]])
    assert confusion_counts(*maps, num_classes=1, ignore=-1).tolist() == [[1, 0]]
    with pytest.raises(ShapeError, match="class id -1"):
        confusion_counts(*maps, num_classes=1, ignore=255)
