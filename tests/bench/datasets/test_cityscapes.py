"""Cityscapes as exported reads back as the ground truth, and as cityscapesScripts reads it."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from bench.data.exports.cityscapes import export
from bench.data.formats.folder_pairs import unread
from bench.datasets.cityscapes import Options, label_space, open_dataset
from bench.errors import DatasetError
from bench.metric import load_metric
from bench.records.predictions import SemanticMap
from tests.bench.datasets.comparison import all_ids, labels, objects, reopened, scenes, segments

# What the names table makes of sky, ground, water, disc, …: positions among the 19 train ids.
TRAIN_IDS = [10, 0, 9, 11, 12, 13, 14, 15, 18, 16]


@pytest.fixture(scope="module")
def source():
    return scenes()


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory):
    return export(source, tmp_path_factory.mktemp("cityscapes") / "root")


@pytest.fixture(scope="module")
def loaded(exported):
    return reopened(exported)


def test_what_was_exported_reads_back_as_the_ground_truth(source, exported, loaded):
    assert {s: len(loaded.ids(s)) for s in loaded.splits()} == {"train": 20, "val": 6, "test": 4}
    for image_id in all_ids(source):
        ground_truth, read = source.target(image_id), loaded.target(exported.ids[image_id])
        assert np.array_equal(source.image(image_id), loaded.image(exported.ids[image_id]))
        assert labels(read) == labels(ground_truth, TRAIN_IDS)
        assert segments(read.panoptic) == segments(ground_truth.panoptic, TRAIN_IDS)
        assert objects(read.instances, crowds=False) == objects(ground_truth.instances, TRAIN_IDS, crowds=False)
        crowd, true_crowd = (i.masks[i.crowd].any(axis=0) for i in (read.instances, ground_truth.instances))
        assert np.array_equal(crowd, true_crowd)


def test_classes_colours_and_things_are_those_of_the_official_table(loaded):
    official = pytest.importorskip(
        "cityscapesscripts.helpers.labels", reason="cityscapesscripts is missing (extra: dev)"
    )
    scored = sorted((row for row in official.labels if 0 <= row.trainId < 255), key=lambda row: row.trainId)
    assert [(c.name, c.is_thing, c.colour) for c in loaded.classes] == [
        (row.name, row.hasInstances, row.color) for row in scored
    ]
    everything = [row for row in official.labels if row.id >= 0]
    assert [(c.name, c.is_thing) for c in label_space("ids").classes] == [(r.name, r.hasInstances) for r in everything]
    categories = {row.categoryId: row.category for row in everything}
    assert [c.name for c in label_space("categories").classes] == [categories[i] for i in range(8)]
    for row in everything:
        assert label_space("train_ids").class_of[row.id] == row.trainId
        assert label_space("categories").class_of[row.id] == row.categoryId
        assert label_space("categories_without_void").class_of[row.id] == (row.categoryId or 256) - 1


def test_the_panoptic_files_are_those_that_cityscapesscripts_makes_of_the_export(exported, tmp_path):
    made = pytest.importorskip(
        "cityscapesscripts.preparation.createPanopticImgs", reason="cityscapesscripts is missing"
    )
    made.convert2panoptic(str(exported.folder / "gtFine"), str(tmp_path), useTrainId=False, setNames=["train", "val"])
    for split in ("train", "val"):
        theirs = json.loads((tmp_path / f"cityscapes_panoptic_{split}.json").read_text())
        ours = json.loads((exported.folder / "gtFine" / f"cityscapes_panoptic_{split}.json").read_text())
        assert ours == theirs
        for row in theirs["annotations"]:
            name = f"cityscapes_panoptic_{split}/{row['file_name']}"
            with Image.open(tmp_path / name) as a, Image.open(exported.folder / "gtFine" / name) as b:
                assert np.array_equal(np.asarray(a), np.asarray(b))


def test_segments_are_those_of_the_official_panoptic_files(exported, loaded):
    for split in loaded.splits():
        document = json.loads((exported.folder / "gtFine" / f"cityscapes_panoptic_{split}.json").read_text())
        names = {row["id"]: row["name"] for row in document["categories"]}
        for row in document["annotations"]:
            segments_read = loaded.target(row["image_id"]).panoptic.segments
            found = {(s.id, loaded.classes[s.class_id].name, int(s.crowd)) for s in segments_read}
            assert found == {(s["id"], names[s["category_id"]], s["iscrowd"]) for s in row["segments_info"]}


@pytest.mark.slow
def test_the_official_evaluator_and_mean_iou_give_a_wrong_prediction_the_same_score(exported, loaded, tmp_path):
    evaluation = pytest.importorskip(
        "cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling",
        reason="cityscapesscripts is missing (extra: dev)",
    )
    evaluation.args.quiet, evaluation.args.evalInstLevelScore, evaluation.args.JSONOutput = True, False, False
    metric, class_of = load_metric("mean_iou"), label_space("train_ids").class_of
    masks = sorted((exported.folder / "gtFine" / "val" / "export").glob("*_labelIds.png"))
    predicted, counts = [], []
    for path in masks:
        stored = np.roll(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), 5, axis=1)  # everything shifted by five pixels
        predicted.append(str(tmp_path / path.name))
        cv2.imwrite(predicted[-1], stored)
        mapped = np.vectorize(class_of.get)(stored).astype(np.uint8)
        target = loaded.target(path.name.removesuffix("_gtFine_labelIds.png"))
        counts.append(metric.observe(target.semantic, SemanticMap(mapped), loaded.classes))
    official = evaluation.evaluateImgLists(predicted, [str(path) for path in masks], evaluation.args)
    ours = metric.score(np.stack(counts), loaded.classes, seed=0)
    assert 0.2 < ours.value < 0.95
    assert ours.value == pytest.approx(official["averageScoreClasses"], abs=1e-12)


def test_34_ids_and_8_categories_follow_from_the_same_files(source, exported):
    # sky, ground (road), water (terrain), disc (person), square (rider), triangle (car), ring (truck), …
    ids = open_dataset(Options(root=str(exported.folder), labels="ids"))
    categories = open_dataset(Options(root=str(exported.folder), labels="categories"))
    scored = open_dataset(Options(root=str(exported.folder), labels="categories_without_void"))
    assert [len(d.classes) for d in (ids, categories, scored)] == [34, 8, 7]
    for image_id in source.ids("train"):
        ground_truth, name = source.target(image_id), exported.ids[image_id]
        assert labels(ids.target(name)) == labels(ground_truth, [23, 7, 22, 24, 25, 26, 27, 28, 33, 31], void=0)
        assert labels(categories.target(name)) == labels(ground_truth, [5, 1, 4, 6, 6, 7, 7, 7, 7, 7], void=0)
        assert labels(scored.target(name)) == labels(ground_truth, [4, 0, 3, 5, 5, 6, 6, 6, 6, 6])
        for dataset in (ids, categories, scored):  # the three forms agree in every pixel
            panoptic = dataset.target(name).panoptic
            assert 0 not in {s.id for s in panoptic.segments}
            class_of = {0: 255, **{s.id: s.class_id for s in panoptic.segments}}
            assert [[class_of[i] for i in row] for row in panoptic.segment_ids.tolist()] == labels(dataset.target(name))


def test_labels_merged_by_a_label_space_are_one_segment(tmp_path):
    stem = tmp_path / "gtFine" / "train" / "ulm" / "ulm_000000_000019_gtFine_"
    image = tmp_path / "leftImg8bit" / "train" / "ulm" / "ulm_000000_000019_leftImg8bit.png"
    for path in (stem, image):
        path.parent.mkdir(parents=True, exist_ok=True)
    # road, sidewalk, a group of persons, one person, a caravan
    cv2.imwrite(str(image), np.zeros((1, 5, 3), np.uint8))
    cv2.imwrite(f"{stem}labelIds.png", np.array([[7, 8, 24, 24, 29]], np.uint8))
    cv2.imwrite(f"{stem}instanceIds.png", np.array([[7, 8, 24, 24000, 29000]], np.uint16))
    ground_truth = open_dataset(Options(root=str(tmp_path), labels="categories")).target("ulm_000000_000019")
    assert ground_truth.panoptic.segment_ids.tolist() == [[7, 7, 24, 24000, 29000]]
    assert [(s.class_id, s.crowd) for s in ground_truth.panoptic.segments] == [
        (1, False),
        (6, True),
        (6, False),
        (7, False),
    ]
    assert ground_truth.instances.crowd.tolist() == [True, False, False]
    ground_truth = open_dataset(Options(root=str(tmp_path))).target("ulm_000000_000019")
    assert ground_truth.panoptic.segment_ids.tolist() == [[7, 8, 24, 24000, 0]]


def test_missing_files_say_what_is_expected_and_how_to_get_it(tmp_path, exported):
    with pytest.raises(
        DatasetError, match=r"^cityscapes: nothing at .*nowhere/leftImg8bit\. Expected: .* Register at http"
    ):
        open_dataset(Options(root=str(tmp_path / "nowhere")))
    copy = shutil.copytree(exported.folder, tmp_path / "copy")
    next((copy / "gtFine" / "val" / "export").glob("*_instanceIds.png")).unlink()
    with pytest.raises(
        DatasetError,
        match=r"_instanceIds\.png\. Expected: labelIds and instanceIds for each of the 6 images of val; 1 ",
    ):
        open_dataset(Options(root=str(copy))).ids("val")


def test_a_label_outside_the_table_and_a_converted_mask_are_told(tmp_path, exported):
    copy = shutil.copytree(exported.folder, tmp_path / "copy")
    dataset = open_dataset(Options(root=str(copy)))
    entry = dataset.entry(dataset.ids("val")[0])
    labels_read = cv2.imread(str(entry.ground_truths[0]), cv2.IMREAD_UNCHANGED)
    labels_read[0, :3] = 77
    cv2.imwrite(str(entry.ground_truths[0]), labels_read)
    with pytest.raises(
        DatasetError, match=r"_labelIds\.png has labels outside the table: 77 \(3 pixels\)\. Cityscapes has"
    ):
        dataset.target(entry.image_id)
    cv2.imwrite(str(entry.ground_truths[0]), cv2.cvtColor(labels_read, cv2.COLOR_GRAY2BGR) * (1, 2, 3))
    with pytest.raises(DatasetError, match=r"_labelIds\.png holds colours where labels are expected"):
        dataset.target(entry.image_id)


def test_an_export_overwrites_nothing_and_names_classes_without_counterpart(source, exported, tmp_path):
    with pytest.raises(DatasetError, match=r"is not empty, and an export overwrites nothing"):
        export(source, exported.folder)
    with pytest.raises(DatasetError, match=r"^cityscapes: no class for ground, .*\(sky, ground, .*\(road, sidewalk, "):
        export(source, tmp_path / "new", names={"water": "road"})


def test_the_loss_and_the_way_to_open_it_lie_beside_the_export(source, exported):
    document = json.loads((exported.folder / "export.json").read_text())
    assert document["loss"] == list(exported.loss)
    assert document["dataset"] == "cityscapes"
    assert document["licence"] == source.licence
    assert document["ids"] == exported.ids


def reduced_to_train_ids(exported, folder):
    """A copy with images and train ids, nothing else."""
    for ending in ("_leftImg8bit.png", "_labelTrainIds.png"):
        for file in exported.folder.rglob(f"*{ending}"):
            target = folder / file.relative_to(exported.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    return folder


def test_train_ids_alone_are_semantic_ground_truth_and_the_same_as_label_ids(exported, loaded, tmp_path):
    root = reduced_to_train_ids(exported, tmp_path / "x")
    dataset = open_dataset(Options(root=str(root)))
    assert (dataset.tasks, dataset.classes) == (("semantic",), loaded.classes)
    for image_id in all_ids(loaded):
        assert labels(dataset.target(image_id)) == labels(loaded.target(image_id))
        assert dataset.target(image_id).instances is None
    with pytest.raises(DatasetError, match="holds train ids alone"):
        open_dataset(Options(root=str(root), labels="categories"))


def test_one_image_without_train_ids_is_named(exported, tmp_path):
    root = reduced_to_train_ids(exported, tmp_path / "x")
    next((root / "gtFine" / "val").rglob("*_labelTrainIds.png")).unlink()
    dataset = open_dataset(Options(root=str(root)))
    with pytest.raises(DatasetError, match=r"labelTrainIds for each of the 6 images of val; 1 files are missing"):
        dataset.ids("val")


def test_colours_and_other_companions_are_no_leftovers_but_strange_files_are(exported, tmp_path):
    shutil.copytree(exported.folder, tmp_path / "x")
    dataset = open_dataset(Options(root=str(tmp_path / "x")))
    assert [left.describe() for left in unread(dataset)] == []
    city = next((tmp_path / "x").rglob("*_color.png")).parent
    shutil.copy(next(city.glob("*_color.png")), city / "copy of something.png")
    assert [left.files[0].name for left in unread(open_dataset(Options(root=str(tmp_path / "x"))))] == [
        "copy of something.png"
    ]
