"""nnU-Net's folders and Open Images' tables hold what was written to them."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.exports import nnunet, open_images
from bench.data.formats.by_name import open_dataset
from bench.errors import DatasetError
from tests.bench.data.miniatures import scenes, written
from tests.bench.datasets.test_volumes import opened as volumes
from tests.bench.datasets.volume_files import SPACING, scene, write_nifti


def test_slices_come_back_as_the_volumes_that_they_were(tmp_path):
    for number in range(3):
        values, labels = scene(number)
        write_nifti(tmp_path / f"in/images/case {number}.nii.gz", values)
        write_nifti(tmp_path / f"in/masks/case {number}.nii.gz", labels)
    source = volumes(tmp_path / "in")
    exported = nnunet.export(source, tmp_path / "out")
    copy = open_dataset("nnunet", dict(exported.options))
    assert [spec.name for spec in copy.classes] == ["background", "liver", "tumour"]
    assert len({copy.place(image_id).volume for split in copy.splits() for image_id in copy.ids(split)}) == 3
    for image_id in source.ids("all"):
        other = exported.ids[image_id]
        assert np.array_equal(copy.image(other), source.image(image_id))
        assert np.array_equal(copy.target(other).semantic.labels, source.target(image_id).semantic.labels)
        assert copy.spacing(other) == pytest.approx(source.spacing(image_id))
        assert copy.spacing(other).slice == pytest.approx(SPACING[2])


def test_images_that_are_no_slices_are_volumes_of_one_and_void_is_ignored(tmp_path):
    source, exported = scenes(), written("nnunet", tmp_path / "out")
    copy = open_dataset("nnunet", dict(exported.options))
    ids = [image_id for split in source.splits() for image_id in source.ids(split)]
    assert sorted(exported.ids) == sorted(ids)
    assert {copy.target(exported.ids[i]).semantic.size for i in ids[:3]} == {source.size(i) for i in ids[:3]}
    for image_id in ids[:6]:
        assert np.array_equal(copy.image(exported.ids[image_id]), source.image(image_id))
        names = [spec.name for spec in copy.classes]
        back = np.array([names.index(spec.name) for spec in source.classes] + [255] * (256 - len(source.classes)))
        wanted = back[source.target(image_id).semantic.labels]
        assert np.array_equal(copy.target(exported.ids[image_id]).semantic.labels, wanted)


def test_objects_come_back_looked_for_in_every_image(tmp_path):
    source, exported = scenes(), open_images.export(scenes(), tmp_path / "out")
    copy = open_dataset("open_images", dict(exported.options))
    assert copy.splits() == ("train", "validation", "test")
    for image_id in copy.ids("validation"):
        one, other = source.target(image_id).instances, copy.target(image_id).instances
        seen = one.masks.any(axis=(1, 2))
        assert np.array_equal(other.masks, one.masks[seen])
        names = [copy.classes[i].name for i in other.class_ids]
        assert names == [source.classes[i].name for i in one.class_ids[seen]]
        assert other.unchecked == ()
    lost = [i for i in source.ids("val") if i not in exported.ids]
    assert all(not source.target(i).instances.masks.any() for i in lost)


def test_splits_that_open_images_does_not_have_are_refused(tmp_path):
    source = open_dataset("shapes", {"size": [32, 48], "train": 2, "val": 1, "test": 1})
    source.splits = lambda: ("train", "held_out")
    with pytest.raises(DatasetError, match="'held_out'"):
        open_images.export(source, tmp_path / "out")
