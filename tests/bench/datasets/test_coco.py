"""COCO as exported reads back as the ground truth, and as pycocotools reads it."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from bench.data.exports.coco import export
from bench.data.formats.polygons import one_line, outlines, polygon_mask
from bench.datasets.coco import Options, open_dataset
from bench.errors import DatasetError
from bench.metric import load_metric
from bench.records import Size
from bench.records.predictions import Instances
from bench.records.store.statistics import Collector
from tests.bench.datasets.comparison import all_ids, labels, objects, reopened, scenes, segments

mask_codes = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed (extra: dev)")
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


@pytest.fixture(scope="module")
def source():
    return scenes()


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory):
    return export(source, tmp_path_factory.mktemp("coco") / "coco")


def opened(root, **options):
    return open_dataset(Options(root=str(root), **options))


def rewritten(exported, tmp_path, change, name="instances_val2017.json"):
    """A copy of the export in which one annotation file was changed."""
    copy = shutil.copytree(exported.folder, tmp_path / "copy")
    file = copy / "annotations" / name
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))
    return copy


# ------------------------------------------------------------------ round trip


def test_panoptic_files_read_back_as_all_three_ground_truths(source, exported):
    loaded = reopened(exported)
    assert loaded.classes == source.classes
    for image_id in all_ids(source):
        ground_truth, read = source.target(image_id), loaded.target(exported.ids[image_id])
        assert labels(read) == labels(ground_truth)
        assert segments(read.panoptic) == segments(ground_truth.panoptic)
        assert objects(read.instances) == objects(ground_truth.instances)
        assert np.array_equal(read.panoptic.segment_ids, ground_truth.panoptic.segment_ids)


def test_instance_files_read_back_as_the_same_objects_and_crowds(source, exported):
    loaded = opened(exported.folder)
    assert loaded.tasks == ("instance",)
    assert [c.name for c in loaded.classes] == [c.name for c in source.classes if c.is_thing]
    things = [None, None, None, *range(7)]
    for image_id in all_ids(source):
        ground_truth, read = source.target(image_id), loaded.target(exported.ids[image_id])
        assert objects(read.instances) == objects(ground_truth.instances, things)
        assert labels(read) == labels(ground_truth, [255, 255, 255, *range(7)])


def test_pycocotools_reads_the_same_masks_from_the_export(exported):
    loaded = opened(exported.folder)
    for split in loaded.splits():
        api = COCO(str(exported.folder / "annotations" / f"instances_{split}2017.json"))
        names = [row["name"] for row in api.loadCats(api.getCatIds())]
        assert names == [c.name for c in loaded.classes]
        for image_id in loaded.ids(split):
            rows = api.loadAnns(api.getAnnIds(imgIds=[int(image_id)]))
            instances = loaded.target(image_id).instances
            assert [row["category_id"] - 4 for row in rows] == instances.class_ids.tolist()
            assert [bool(row["iscrowd"]) for row in rows] == instances.crowd.tolist()
            for row, mask in zip(rows, instances.masks, strict=True):
                assert np.array_equal(api.annToMask(row), mask)
                assert row["area"] == mask.sum()


@pytest.mark.slow
def test_the_official_evaluator_on_the_files_and_mask_ap_on_the_ground_truths_agree(exported):
    loaded, metric = opened(exported.folder), load_metric("mask_ap")
    ids, results = loaded.ids("train"), []
    collector = Collector(len(ids))
    for number, image_id in enumerate(ids):
        ground_truth = loaded.target(image_id).instances
        # Everything is found, shifted by as many pixels as its place in the image, one class is wrong.
        masks = np.stack([np.roll(m, k, axis=1) for k, m in enumerate(ground_truth.masks)])
        classes = np.where(np.arange(len(masks)) == 3, 0, ground_truth.class_ids)
        scores = np.linspace(0.9, 0.1, len(masks)) - number / 1000
        found = Instances(masks, classes, scores, np.zeros(len(masks), bool))
        collector.add("rows", number, metric.observe(ground_truth, found, loaded.classes))
        for mask, class_id, score in zip(masks, classes.tolist(), scores.tolist(), strict=True):
            counts = mask_codes.encode(np.asfortranarray(mask.astype(np.uint8)))
            row = {"image_id": int(image_id), "category_id": class_id + 4, "segmentation": counts, "score": score}
            results.append(row)
    api = COCO(str(exported.folder / "annotations" / "instances_train2017.json"))
    evaluation = COCOeval(api, api.loadRes(results), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    ours = metric.score(collector.statistics(list(ids)).arrays["rows"], loaded.classes, seed=0)
    assert 0.1 < ours.value < 0.9
    assert ours.value == pytest.approx(evaluation.stats[0], abs=1e-12)


def test_objects_are_polygons_and_crowds_and_objects_with_holes_are_run_lengths(exported):
    document = json.loads((exported.folder / "annotations" / "instances_train2017.json").read_text())
    forms = {(row["iscrowd"], type(row["segmentation"]).__name__) for row in document["annotations"]}
    assert forms == {(0, "list"), (0, "dict"), (1, "dict")}
    with_holes = {row["category_id"] for row in document["annotations"] if isinstance(row["segmentation"], dict)}
    assert 7 in with_holes  # the ring


# ------------------------------------------------------------------ outlines


@pytest.mark.parametrize("seed", range(100))
def test_outlines_of_any_mask_fill_to_the_mask(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random(tuple(rng.integers(1, 12, 2))) < rng.choice([0.1, 0.5, 0.9])
    size, traced = Size(*mask.shape), outlines(mask)
    # One line with all parts and holes, by the even-odd rule.
    line = one_line(traced)
    filled = polygon_mask([float(c) for corner in line for c in corner], size) if line else np.zeros(size, bool)
    assert np.array_equal(filled, mask)
    # Parts are 4-connected, holes are 8-connected areas that do not touch the border.
    assert len(traced.parts) == cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[0] - 1
    outside = np.pad(~mask, 1, constant_values=True).astype(np.uint8)
    assert len(traced.holes) == cv2.connectedComponents(outside, connectivity=8)[0] - 2


# ------------------------------------------------------------------ options


def test_a_subset_by_class_keeps_the_order_asked_for_and_the_images_without_any_of_them(source, exported):
    loaded = opened(exported.folder, classes=("ring", "disc"))
    assert [c.name for c in loaded.classes] == ["ring", "disc"]
    wanted = {3: 1, 6: 0}
    expected = [exported.ids[i] for i in source.ids("train")]
    # A detection in an image without either class is a false positive, and counts only if the image stays.
    assert any(not set(wanted) & set(source.target(i).instances.class_ids.tolist()) for i in source.ids("train"))
    assert list(loaded.ids("train")) == expected
    back = {new: old for old, new in exported.ids.items()}
    for image_id in expected:
        kept = loaded.target(image_id).instances
        ground_truth = source.target(back[image_id]).instances
        assert objects(kept) == {
            k: n
            for k, n in objects(ground_truth, [None] * 3 + [1, None, None, 0] + [None] * 3).items()
            if k[0] is not None
        }


def test_a_subset_of_panoptic_classes_makes_the_others_void(source, exported):
    loaded = opened(exported.folder, truth="panoptic", classes=("water", "disc"))
    for image_id in source.ids("train"):
        ground_truth, read = source.target(image_id), loaded.target(exported.ids[image_id])
        assert labels(read) == labels(ground_truth, [255, 255, 0, 1, 255, 255, 255, 255, 255, 255])
        assert set(np.unique(read.panoptic.segment_ids)) - {0} == {s.id for s in read.panoptic.segments}


def test_a_count_takes_the_first_images_by_id(exported):
    assert opened(exported.folder, images_per_split=3).ids("val") == ("000000000021", "000000000022", "000000000023")


def test_a_background_makes_instances_a_semantic_data_set(source, exported):
    loaded = opened(exported.folder, background="background")
    assert loaded.tasks == ("semantic", "instance")
    assert loaded.classes[-1].name == "background"
    for image_id in source.ids("val"):
        read = loaded.target(exported.ids[image_id])
        covered = source.target(image_id).instances.masks.any(axis=0)
        assert np.array_equal(read.semantic.labels == 7, ~covered)


def test_other_projects_set_where_images_and_annotations_lie(exported, tmp_path):
    for split in ("train", "val"):
        shutil.copytree(exported.folder / f"{split}2017", tmp_path / split)
        shutil.copy(exported.folder / "annotations" / f"instances_{split}2017.json", tmp_path / split / "_a.coco.json")
    loaded = opened(tmp_path, images="{split}", annotations="{split}/_a.coco.json")
    assert loaded.splits() == ("train", "val")
    assert len(loaded.ids("train")) == 20


# ------------------------------------------------------------------ usage errors


def test_missing_annotations_and_images_say_how_to_get_them(exported, tmp_path):
    with pytest.raises(
        DatasetError, match=r"^coco: nothing at .*instances_train2017\.json\. Expected: annotations .* Fetch"
    ):
        opened(tmp_path)
    copy = shutil.copytree(exported.folder, tmp_path / "copy")
    shutil.rmtree(copy / "val2017")
    with pytest.raises(
        DatasetError, match=r"val2017/000000000021\.jpg\. Expected: the 6 images that instances_val2017\.json"
    ):
        opened(copy).ids("val")


def test_an_unknown_class_is_told_with_the_nearest_and_all_others(exported):
    with pytest.raises(
        DatasetError, match=r"^coco: no class named 'rimg'\. Did you mean 'ring'\? .* has: disc, square, "
    ):
        opened(exported.folder, classes=("rimg",))


def test_a_category_outside_the_table_is_named(exported, tmp_path):
    copy = rewritten(exported, tmp_path, lambda d: d["annotations"][0].update(category_id=99))
    with pytest.raises(
        DatasetError, match=r"instances_val2017\.json: 1 of \d+ annotations have a category_id that is "
    ):
        opened(copy).ids("val")


@pytest.mark.parametrize(
    "wrong", [[["a"] * 6], {"size": [48, 64], "counts": [7]}, {"size": [1, 1], "counts": [1]}, [[1, 2, 3, 4, 5, 6, 7]]]
)
def test_a_segmentation_that_cannot_be_drawn_is_named(exported, tmp_path, wrong):
    copy = rewritten(exported, tmp_path, lambda d: d["annotations"][0].update(segmentation=wrong))
    dataset = opened(copy)
    with pytest.raises(DatasetError, match=r"annotation 1 of image 0+21\.jpg cannot be drawn: .*\. Fix or remove it\."):
        dataset.target("000000000021")


def test_an_image_of_another_size_than_its_annotation_is_named(exported, tmp_path):
    copy = rewritten(exported, tmp_path, lambda d: None)
    cv2.imwrite(str(copy / "val2017" / "000000000021.jpg"), np.zeros((9, 8, 3), np.uint8))
    with pytest.raises(
        DatasetError, match=r"instances_val2017\.json: the mask has 48 × 64 pixels, its image .* has 9 × 8 "
    ):
        opened(copy).target("000000000021")


def test_segments_in_only_one_of_png_and_json_are_named(exported, tmp_path):
    name = "panoptic_val2017.json"
    copy = rewritten(exported, tmp_path, lambda d: d["annotations"][0]["segments_info"].pop(), name)
    with pytest.raises(
        DatasetError, match=r"\.png: segments \d+ are in the PNG or in panoptic_val2017\.json but not in both"
    ):
        opened(copy, truth="panoptic").target("000000000021")


def test_splits_whose_category_ids_differ_are_read_by_the_names(exported, tmp_path):
    def renumber(document):
        other = {row["id"]: 100 + position for position, row in enumerate(reversed(document["categories"]))}
        for row in document["categories"]:
            row["id"] = other[row["id"]]
        for row in document["annotations"]:
            row["category_id"] = other[row["category_id"]]

    plain, renumbered = (
        opened(exported.folder),
        opened(rewritten(exported, tmp_path, renumber, "instances_train2017.json")),
    )
    assert renumbered.classes == plain.classes
    for image_id in plain.ids("train"):
        assert labels(renumbered.target(image_id)) == labels(plain.target(image_id))
        assert objects(renumbered.target(image_id).instances) == objects(plain.target(image_id).instances)
    assert any("its category ids are not those of" in note for note in renumbered.notes("train"))
    assert not any("category ids" in note for note in renumbered.notes("val"))


def test_splits_with_other_categories_are_refused(exported, tmp_path):
    copy = rewritten(exported, tmp_path, lambda d: d["categories"][0].update(name="disk"), "instances_train2017.json")
    with pytest.raises(DatasetError, match=r"instances_train2017\.json has other categories than the other splits"):
        opened(copy).ids("train")


@pytest.mark.parametrize(
    ("text", "message"), [("[]", "holds a list where"), ("{", "cannot be read as JSON"), ("{}", "needs the lists")]
)
def test_a_file_of_another_form_is_refused(tmp_path, text, message):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_val2017.json").write_text(text)
    with pytest.raises(DatasetError, match=message):
        opened(tmp_path)
