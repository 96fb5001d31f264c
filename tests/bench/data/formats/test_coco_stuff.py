"""COCO-Stuff: pixel maps and run lengths as exported read back as the ground truth, and as pycocotools reads them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import bench.data.formats
from bench.data.exports.coco import export
from bench.data.formats.coco_stuff import stored_values, stuff_classes
from bench.data.labels.spaces import label_space
from bench.datasets.coco import Options, classes_without_files, open_dataset
from bench.errors import DatasetError
from tests.bench.datasets.comparison import all_ids, labels, scenes

COCO = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed (extra: dev)").COCO
# What sky, ground, water, disc, … become: ids of COCO-Stuff, looked up by hand in its labels.txt.
STUFF_IDS = [157, 111, 155, 37, 84, 38, 60, 87, 44, 13]


@pytest.fixture(scope="module")
def source():
    return scenes()


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory):
    return export(source, tmp_path_factory.mktemp("coco") / "coco")


def opened(root, **options):
    return open_dataset(Options(root=str(root), **options))


def rewritten(exported, tmp_path, change):
    """A copy of the export in which the stuff annotations of val were changed."""
    copy = shutil.copytree(exported.folder, tmp_path / "copy")
    file = copy / "annotations" / "stuff_val2017.json"
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))
    return copy


# ------------------------------------------------------------------ the table


def test_the_table_has_80_things_91_kinds_of_stuff_and_eleven_ids_that_were_never_used():
    classes = stuff_classes()
    assert len(classes) == len({spec.name for spec in classes}) == 171
    assert sum(spec.is_thing for spec in classes) == 80
    file = Path(bench.data.formats.__file__).parent / "_labels" / "coco_stuff.csv"
    rows = list(csv.DictReader(file.open(encoding="utf-8")))
    assert [int(row["id"]) for row in rows] == list(range(1, 183))
    assert {row["kind"] for row in rows[:91]} == {"thing", "unused"}
    assert {row["kind"] for row in rows[91:]} == {"stuff"}


def test_things_have_the_names_and_the_order_of_cocos_own_things():
    things = [spec.name for spec in label_space("coco_things").classes]
    assert [spec.name for spec in stuff_classes() if spec.is_thing] == things


# ------------------------------------------------------------------ pixel maps


def test_pixel_maps_read_back_as_the_classes_they_were_written_with(source, exported):
    loaded = opened(exported.folder, truth="stuff_maps")
    assert loaded.tasks == ("semantic",)
    assert {s: len(loaded.ids(s)) for s in loaded.splits()} == {"train": 20, "val": 6, "test": 4}
    position = {value: index for index, value in enumerate(stored_values().values())}
    for image_id in all_ids(source):
        ground_truth, read = source.target(image_id), loaded.target(exported.ids[image_id])
        assert labels(read) == labels(ground_truth, [position[number - 1] for number in STUFF_IDS])
        stored = cv2.imread(str(loaded.entry(exported.ids[image_id]).ground_truths[0]), cv2.IMREAD_UNCHANGED)
        assert stored.tolist() == labels(ground_truth, [number - 1 for number in STUFF_IDS])


def test_maps_without_gaps_are_told_by_their_name_and_the_published_ones_go_before_them(source, exported, tmp_path):
    copy = shutil.copytree(exported.folder, tmp_path / "copy")
    expected = opened(exported.folder, truth="stuff_maps")
    for image_id in expected.ids("val"):
        file = copy / "stuffthingmaps" / "val2017" / f"{image_id}.png"
        contiguous = expected.target(image_id).semantic.labels
        cv2.imwrite(str(file.with_name(f"{image_id}_labelTrainIds.png")), contiguous)
        if image_id != expected.ids("val")[0]:
            file.unlink()
    loaded = opened(copy, truth="stuff_maps")
    used = [loaded.entry(image_id).ground_truths[0].stem for image_id in loaded.ids("val")]
    assert used == [f"{i}_labelTrainIds" if n else i for n, i in enumerate(loaded.ids("val"))]
    for image_id in loaded.ids("val"):
        assert labels(loaded.target(image_id)) == labels(expected.target(image_id))


def test_classes_of_pixel_maps_are_chosen_by_name_and_the_others_are_void(source, exported):
    loaded = opened(exported.folder, truth="stuff_maps", classes=("sea", "kite"), images_per_split=2)
    assert [(spec.name, spec.is_thing) for spec in loaded.classes] == [("sea", False), ("kite", True)]
    assert len(loaded.ids("train")) == 2
    assert classes_without_files(Options(truth="stuff_maps", classes=("sea", "kite"))) == loaded.classes
    for image_id in source.ids("train")[:2]:
        read = labels(loaded.target(exported.ids[image_id]))
        assert read == labels(source.target(image_id), [255, 255, 0, 255, 255, 1, 255, 255, 255, 255])


def test_classes_without_a_name_of_coco_stuff_are_written_without_pixel_maps(source, tmp_path):
    export(source, tmp_path / "coco", names={"sky": "firmament"})
    assert not (tmp_path / "coco" / "stuffthingmaps").exists()
    with pytest.raises(DatasetError, match=r"^coco: nothing at .*stuffthingmaps/train2017\. Expected: pixel maps of"):
        opened(tmp_path / "coco", truth="stuff_maps")


def test_a_value_that_no_image_was_labelled_with_is_outside_the_table(exported, tmp_path):
    copy = shutil.copytree(exported.folder, tmp_path / "copy")
    dataset = opened(copy, truth="stuff_maps")
    file = dataset.entry("000000000021").ground_truths[0]
    cv2.imwrite(str(file), np.full((48, 64), 11, np.uint8))  # street sign
    with pytest.raises(DatasetError) as error:
        dataset.target("000000000021")
    assert str(error.value).startswith(
        f"{file} has labels outside the table: 11 (3072 pixels). COCO-Stuff has 171 values from 0 to 181, and 255 "
        "where "
        "nothing is labelled. Fetch "
    )


def test_a_class_that_coco_stuff_has_not_is_told_with_the_nearest(exported):
    with pytest.raises(
        DatasetError, match=r"^coco: no class named 'montain'\. Did you mean 'mountain'\? COCO-Stuff has: "
    ):
        opened(exported.folder, truth="stuff_maps", classes=("montain",))


# ------------------------------------------------------------------ run lengths


def test_stuff_annotations_read_back_as_stuff_and_all_things_as_other(source, exported):
    loaded = opened(exported.folder, truth="stuff")
    assert loaded.tasks == ("semantic",)
    assert [(spec.name, spec.is_thing) for spec in loaded.classes] == [
        ("sky", False), ("ground", False), ("water", False), ("other", False)
    ]  # fmt: skip
    for image_id in all_ids(source):
        ground_truth, read = source.target(image_id), loaded.target(exported.ids[image_id])
        assert labels(read) == labels(ground_truth, [0, 1, 2, *[3] * 7])


def test_pycocotools_reads_the_same_stuff(exported, capsys):
    loaded = opened(exported.folder, truth="stuff")
    api = COCO(str(exported.folder / "annotations" / "stuff_val2017.json"))
    class_of = {category: number for number, category in enumerate(api.getCatIds())}
    for image_id in loaded.ids("val"):
        painted = np.full((48, 64), 255, np.uint8)
        for row in api.loadAnns(api.getAnnIds(imgIds=[int(image_id)])):
            painted[api.annToMask(row) == 1] = class_of[row["category_id"]]
        assert np.array_equal(loaded.target(image_id).semantic.labels, painted)


def test_a_pixel_of_two_kinds_of_stuff_is_refused(exported, tmp_path):
    def double(document):
        document["annotations"].append({**document["annotations"][0], "id": 999})

    copy = rewritten(exported, tmp_path, double)
    with pytest.raises(DatasetError) as error:
        opened(copy, truth="stuff").target("000000000021")
    assert str(error.value) == (
        f"{copy}/annotations/stuff_val2017.json: annotation 999 of image 000000000021.jpg covers pixels that another "
        "one "
        "covers too; in stuff annotations a pixel has one class. Fix or remove it."
    )


def test_run_lengths_of_another_size_are_refused(exported, tmp_path):
    copy = rewritten(
        exported, tmp_path, lambda d: d["annotations"][0].update(segmentation={"size": [9, 9], "counts": [81]})
    )
    with pytest.raises(DatasetError) as error:
        opened(copy, truth="stuff").target("000000000021")
    assert str(error.value) == (
        f"{copy}/annotations/stuff_val2017.json: annotation 1 of image 000000000021.jpg cannot be drawn: its "
        "segmentation "
        "is neither polygons nor run lengths of an image of (48, 64). Fix or remove it."
    )


def test_a_category_outside_the_table_is_named(exported, tmp_path):
    copy = rewritten(exported, tmp_path, lambda d: d["annotations"][0].update(category_id=99))
    with pytest.raises(DatasetError) as error:
        opened(copy, truth="stuff").target("000000000021")
    assert str(error.value) == (
        f"{copy}/annotations/stuff_val2017.json: category_id 99 is not among its categories. Fix the file."
    )


# ------------------------------------------------------------------ where the PNGs lie


def test_panoptic_pngs_may_lie_elsewhere(source, exported, tmp_path):
    copy = shutil.copytree(exported.folder, tmp_path / "copy")
    (copy / "annotations" / "panoptic_val2017").rename(copy / "panoptic_val2017")
    loaded = opened(copy, truth="panoptic", splits=("val",), maps="panoptic_{split}2017")
    for image_id in source.ids("val"):
        assert labels(loaded.target(exported.ids[image_id])) == labels(source.target(image_id))
