"""Any data set of files is split anew by fractions, groups, classes and folds; no image is lost, no group torn."""

from __future__ import annotations

import importlib
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.data.formats.by_name import open_dataset
from bench.data.formats.splits import stratified
from bench.data.labels.dataset import MappedDataset
from bench.dataset import groups_of
from bench.errors import DatasetError
from bench.records import Labels
from tests.bench.datasets.comparison import all_ids, scenes

PATIENTS, FRAMES = 8, 3


@pytest.fixture(scope="module")
def one_json(tmp_path_factory):
    """CVAT's COCO: one file for all images. Every third patient has the class rod."""
    root = tmp_path_factory.mktemp("coco")
    (root / "annotations").mkdir()
    (root / "default").mkdir()
    images, annotations = [], []
    for number in range(PATIENTS * FRAMES):
        patient = number // FRAMES
        name = f"p{patient}_{number % FRAMES}.png"
        Image.new("RGB", (8, 6)).save(root / "default" / name)
        images.append({"id": number, "file_name": name, "width": 8, "height": 6})
        box = [1, 1, 4, 1, 4, 4, 1, 4]
        category = 2 if patient % 3 == 0 else 1
        annotations.append({"id": number + 1, "image_id": number, "category_id": category, "segmentation": [box]})
    categories = [{"id": 1, "name": "cell"}, {"id": 2, "name": "rod"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations" / "instances_default.json").write_text(json.dumps(document))
    return {
        "root": str(root),
        "annotations": "annotations/instances_default.json",
        "images": "default",
        "splits": ["default"],
    }


def opened(one_json, **options):
    return open_dataset("coco", {**one_json, **options})


def patients(dataset, split):
    return {image_id.split("_")[0] for image_id in dataset.ids(split)}


def test_one_json_is_split_by_fractions_and_the_ground_truth_stays(one_json):
    whole, dealt = opened(one_json), opened(one_json, split_by="fraction")
    assert {split: len(dealt.ids(split)) for split in dealt.splits()} == {"train": 17, "val": 3, "test": 4}
    assert sorted(all_ids(dealt)) == sorted(whole.ids("default"))
    for image_id in whole.ids("default"):
        assert dealt.target(image_id).instances.masks.tolist() == whole.target(image_id).instances.masks.tolist()
    assert len({dealt.fingerprint(split) for split in dealt.splits()}) == 3


def test_a_patient_is_in_one_split_and_exposed_as_its_group(one_json):
    dataset = opened(one_json, split_by="fraction", group=r"(p\d+)_")
    found = [patients(dataset, split) for split in dataset.splits()]
    assert sum(map(len, found)) == len(set().union(*found)) == PATIENTS
    assert all(dataset.group(image_id) == image_id.split("_")[0] for image_id in all_ids(dataset))
    mapped = MappedDataset(dataset, Labels(classes=("cell",), rest="ignore"))
    assert mapped.group("p3_1") == "p3"


def test_a_group_alone_changes_no_split(one_json):
    dataset = opened(one_json, group=r"(p\d+)_")
    assert dataset.splits() == ("default",)
    assert Counter(dataset.group(i) for i in all_ids(dataset)) == {f"p{n}": FRAMES for n in range(PATIENTS)}


def test_every_image_is_in_the_test_split_of_one_fold_and_no_patient_in_two_splits(one_json):
    tested = []
    for fold in range(1, 5):
        dataset = opened(one_json, folds=4, fold=fold, group=r"(p\d+)_")
        assert dataset.splits() == ("train", "val", "test")
        found = [patients(dataset, split) for split in dataset.splits()]
        assert all(found)
        assert sum(map(len, found)) == PATIENTS
        tested += dataset.ids("test")
    assert sorted(tested) == sorted(opened(one_json).ids("default"))
    assert [len(opened(one_json, folds=4, group=r"(p\d+)_").ids(f"fold{n}")) for n in range(1, 5)] == [6, 6, 6, 6]


def test_stratified_folds_all_have_the_rare_class(one_json):
    dataset = opened(one_json, folds=3, group=r"(p\d+)_", stratify=True)
    rods = {"p0", "p3", "p6"}
    assert [len(patients(dataset, split) & rods) for split in dataset.splits()] == [1, 1, 1]


@given(
    st.lists(st.tuples(st.integers(0, 30), st.lists(st.booleans(), min_size=3, max_size=3)), min_size=6, max_size=60),
    st.integers(0, 5),
)
@settings(max_examples=100, deadline=None)
def test_stratified_splits_tear_no_group_and_leave_no_split_empty(rows, seed):
    keys = [str(key) for key, _ in rows]
    presence = np.array([classes for _, classes in rows])
    fractions = {"train": 0.6, "val": 0.2, "test": 0.2}
    if len(set(keys)) < 3:
        with pytest.raises(DatasetError, match="too few"):
            stratified(keys, presence, fractions, seed=seed, where="x")
        return
    splits = stratified(keys, presence, fractions, seed=seed, where="x")
    assert set(splits) == set(fractions)
    assert len({*zip(keys, splits, strict=True)}) == len(set(keys))
    assert splits == stratified(keys, presence, fractions, seed=seed, where="x")


def test_without_groups_stratified_shares_are_exact():
    keys = [str(number) for number in range(100)]
    presence = np.zeros((100, 2), bool)
    presence[:20, 1] = presence[:, 0] = True
    splits = stratified(keys, presence, {"train": 0.75, "test": 0.25}, seed=0, where="x")
    assert Counter(splits) == {"train": 75, "test": 25}
    assert Counter(splits[:20]) == {"train": 15, "test": 5}


@pytest.mark.few(5)
@pytest.mark.parametrize("form", ["folder", "voc", "supervisely", "yolo", "carvana", "pets", "cityscapes", "ade20k"])
def test_every_format_on_disk_takes_folds(tmp_path, form):
    exported = importlib.import_module(f"bench.data.exports.{form}").export(scenes(), tmp_path / form)
    options = dict(exported.options)
    own = open_dataset(exported.dataset, options)
    pooled = sorted(all_ids(own))
    tested = []
    for fold in (1, 2, 3):
        dataset = open_dataset(exported.dataset, {**options, "folds": 3, "fold": fold})
        assert sorted(all_ids(dataset)) == pooled
        tested += dataset.ids("test")
    assert sorted(tested) == pooled


def test_only_the_pooled_splits_are_dealt_out(tmp_path):
    exported = importlib.import_module("bench.data.exports.folder").export(scenes(), tmp_path / "f")
    own = open_dataset("folder", dict(exported.options))
    dataset = open_dataset("folder", {**exported.options, "folds": 2, "fold": 1, "pool": ["train", "val"]})
    assert sorted(all_ids(dataset)) == sorted((*own.ids("train"), *own.ids("val")))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seed": 3}, "seed without split_by: fraction, stratify or folds changes nothing"),
        ({"folds": 40}, "24 images in 24 groups are too few for folds: 40"),
        ({"folds": 3, "pool": ["defualt"]}, "Did you mean 'default'"),
        ({"split_by": "fraction", "group": "^q"}, "do not match the option group"),
    ],
)
def test_what_cannot_be_dealt_out_is_refused(one_json, options, said):
    with pytest.raises(DatasetError, match=said):
        all_ids(opened(one_json, **options))


def test_folds_of_drawn_patients_keep_scans_together_and_lose_no_slice():
    options = {"patients": 7, "slices": 4, "size": [32, 32]}
    folds = [open_dataset("phantoms", {**options, "folds": 3, "fold": number}) for number in (1, 2, 3)]
    of = [{split: list(fold.ids(split)) for split in ("train", "val", "test")} for fold in folds]
    every = sorted(
        image_id for split in ("train", "val", "test") for image_id in open_dataset("phantoms", options).ids(split)
    )
    assert sorted(image_id for one in of for image_id in one["test"]) == every
    for fold, one in zip(folds, of, strict=True):
        assert sorted(image_id for ids in one.values() for image_id in ids) == every
        groups = [{fold.group(image_id) for image_id in ids} for ids in one.values()]
        assert all(not a & b for k, a in enumerate(groups) for b in groups[:k])
        assert all(group.startswith("patient") for group in groups[0])
        assert fold.place(one["test"][0]).volume.startswith("phantom-")
    prints = {(k, split): fold.fingerprint(split) for k, fold in enumerate(folds) for split in ("train", "test")}
    assert len(set(prints.values())) == len(prints)


def test_scenes_that_are_drawn_are_dealt_out_as_files_are_each_for_itself():
    dealt = open_dataset(
        "shapes", {"train": 12, "val": 4, "test": 8, "split_by": "fraction", "pool": ["train", "test"]}
    )
    ids = [image_id for split in dealt.splits() for image_id in dealt.ids(split)]
    assert len(set(ids)) == len(ids) == 20
    assert {image_id.split("-")[1] for image_id in ids} == {"train", "test"}
    assert dealt.target(ids[0]).size == dealt.size(ids[0])
    assert groups_of(dealt, ids) == ()


def test_slices_of_one_volume_cannot_be_dealt_into_folds():
    pytest.importorskip("nilearn", reason="needs the extra brain")
    with pytest.raises(DatasetError, match="1 groups are too few for folds"):
        open_dataset("brain", {"folds": 3}).ids("fold1")
