"""Slices are split without neighbours, labelled by the stated rule, and missing packages are named."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from pydantic import ValidationError

from bench.datasets.brain import Options, open_dataset
from bench.errors import DatasetError
from bench.records import Size

INSTALLED = all(importlib.util.find_spec(name) for name in ("nibabel", "nilearn"))
needs_template = pytest.mark.skipif(not INSTALLED, reason="nibabel and nilearn are not installed (extra: brain)")


@pytest.fixture(scope="module")
def brain():
    return open_dataset(Options())


def slice_numbers(brain, split):
    return [int(image_id[-3:]) for image_id in brain.ids(split)]


@needs_template
def test_there_are_80_slices_to_train_18_to_validate_and_24_to_test(brain):
    assert {split: len(brain.ids(split)) for split in brain.splits()} == {"train": 80, "val": 18, "test": 24}


@needs_template
def test_every_split_has_all_four_labels_and_no_other(brain):
    for split in brain.splits():
        found = {
            int(label) for image_id in brain.ids(split) for label in np.unique(brain.target(image_id).semantic.labels)
        }
        assert found == {0, 1, 2, 3}


@needs_template
def test_image_and_labels_have_the_stated_size_and_type(brain):
    image_id = brain.ids("val")[0]
    image, labels = brain.image(image_id), brain.target(image_id).semantic.labels
    assert (image.shape, image.dtype) == ((197, 233, 3), np.uint8)
    assert (labels.shape, labels.dtype) == ((197, 233), np.uint8)
    assert brain.size(image_id) == Size(197, 233)
    assert (image[..., 0] == image[..., 2]).all()


@needs_template
def test_labels_follow_the_rule_in_the_docstring_pixel_by_pixel(brain):
    import nibabel
    import nilearn

    image_id = brain.ids("test")[5]
    folder = f"{nilearn.__path__[0]}/datasets/data/mni_icbm152_{{}}_tal_nlin_sym_09a_converted.nii.gz"
    z = int(image_id[-3:])
    t1, grey, white = (np.asarray(nibabel.load(folder.format(m)).dataobj)[:, :, z].tolist() for m in ("t1", "gm", "wm"))
    labels = brain.target(image_id).semantic.labels
    for row in range(197):
        for column in range(233):
            if max(grey[row][column], white[row][column]) >= 128:
                expected = "white matter" if white[row][column] > grey[row][column] else "grey matter"
            else:
                expected = "other" if t1[row][column] >= 30 else "background"
            assert brain.classes[labels[row, column]].name == expected
    assert brain.image(image_id)[:, :, 1].tolist() == t1


@needs_template
def test_splits_are_contiguous_blocks_with_three_slices_left_out_between_them(brain):
    split_of = {z: split for split in brain.splits() for z in slice_numbers(brain, split)}
    assert len(split_of) == 80 + 18 + 24
    order = sorted(split_of)
    steps = [(low, high) for low, high in pairwise(order) if split_of[low] != split_of[high]]
    assert [split_of[low] for low, _ in steps] == ["train", "val", "test", "train", "val"]
    assert all(high - low == 4 for low, high in steps)
    within = {high - low for low, high in pairwise(order) if (low, high) not in steps}
    assert within == {1}


@needs_template
def test_no_split_shares_an_image_with_another(brain):
    images = [brain.image(image_id).tobytes() for split in brain.splits() for image_id in brain.ids(split)]
    assert len(set(images)) == len(images)


@needs_template
def test_the_fingerprint_tells_splits_and_options_apart_and_nothing_else(brain):
    assert brain.fingerprint("val") == open_dataset(Options()).fingerprint("val")
    assert brain.fingerprint("val") != brain.fingerprint("test")
    assert brain.fingerprint("val") != open_dataset(Options(min_tissue=0.2)).fingerprint("val")


@needs_template
def test_a_caller_who_writes_into_what_it_got_changes_nothing(brain):
    image_id = brain.ids("val")[0]
    image, labels = brain.image(image_id).copy(), brain.target(image_id).semantic.labels.copy()
    brain.image(image_id)[:] = 7
    brain.target(image_id).semantic.labels[:] = 3
    assert np.array_equal(brain.image(image_id), image)
    assert np.array_equal(brain.target(image_id).semantic.labels, labels)


@needs_template
def test_opening_imports_neither_nilearn_nor_nibabel():
    program = (
        "import sys; from bench.datasets.brain import Options, open_dataset; open_dataset(Options());"
        "print([name for name in ('nilearn', 'nibabel', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("absent", ["nibabel", "nilearn"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch, absent):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in {absent} else find_spec(name))
    if not INSTALLED:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        absent = "nibabel"
    with pytest.raises(DatasetError, match=rf"{absent}.*pip install -c constraints\.txt \"\.\[brain\]\""):
        open_dataset(Options())


@pytest.mark.parametrize("wrong", [{"tissue": 0.1}, {"min_tissue": 1.0}, {"min_tissue": -0.1}])
def test_options_refuse_unknown_keys_and_values(wrong):
    with pytest.raises(ValidationError):
        Options(**wrong)
