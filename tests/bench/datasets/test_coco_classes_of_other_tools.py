"""Classes of COCO files that other tools write: roots of exporters, backgrounds, hundreds of classes, LVIS."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.errors import DatasetError
from bench.metric import load_metric
from bench.records.predictions import Instances, load_prediction, save_prediction
from bench.records.store.statistics import Collector
from bench.score.reduce import reduced
from tests.bench.datasets.coco_projects import (
    SIZE,
    average_precision,
    official_precision,
    opened,
    project,
    same_objects,
    sound,
)

pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed (extra: dev)")


def with_root(name):
    def change(document):
        for row in document["categories"]:
            row["supercategory"] = name
        document["categories"].insert(0, {"id": 0, "name": name, "supercategory": "none"})

    return change


@pytest.mark.parametrize("name", ["cell", "objects"])
def test_the_root_category_of_an_exporter_is_no_class(tmp_path, name):
    dataset = opened(project(tmp_path / "other", with_root(name)))
    assert [spec.name for spec in dataset.classes] == ["cell", "rod"]
    assert same_objects(dataset, sound(tmp_path))
    assert f"root category {name!r}" in dataset.notes("test")[0]


def test_a_root_category_that_is_annotated_stays_a_class(tmp_path):
    def change(document):
        with_root("objects")(document)
        document["annotations"][0]["category_id"] = 0

    assert [spec.name for spec in opened(project(tmp_path, change)).classes] == ["objects", "cell", "rod"]


def test_two_classes_of_one_name_are_refused(tmp_path):
    root = project(tmp_path / "a", lambda document: document["categories"].append({"id": 3, "name": "rod"}))
    with pytest.raises(DatasetError, match="two categories of one name, 'rod'"):
        opened(root)
    root = project(tmp_path / "b", lambda document: document["categories"].append({"id": 3, "name": "background"}))
    with pytest.raises(DatasetError, match=r"background: background is also a category .* background: outside"):
        opened(root, background="background")


def test_perfect_instances_are_perfect_maps_whatever_the_background_is_called(tmp_path):
    dataset, metric = opened(project(tmp_path), background="bg"), load_metric("mean_iou")
    collector = Collector(3)
    for number, image_id in enumerate(dataset.ids("test")):
        ground_truth = dataset.target(image_id)
        painted = reduced(ground_truth.instances, "semantic", dataset.classes)
        assert np.array_equal(painted.labels, ground_truth.semantic.labels)
        collector.add("confusion", number, metric.observe(ground_truth.semantic, painted, dataset.classes))
    statistics = collector.statistics(list(dataset.ids("test"))).arrays["confusion"]
    assert metric.score(statistics, dataset.classes, seed=0).value == 1.0


def test_a_false_positive_outside_all_objects_costs_mean_iou_what_numpy_says(tmp_path):
    dataset, metric = opened(project(tmp_path), background="outside"), load_metric("mean_iou")
    ground_truth = dataset.target("test_0")
    everywhere = np.zeros((1, *SIZE), bool)
    everywhere[:, 20:] = True
    found = Instances(
        np.concatenate([ground_truth.instances.masks, everywhere]), np.array([0, 1, 1]), np.ones(3), np.zeros(3, bool)
    )
    painted = reduced(found, "semantic", dataset.classes)
    counts = metric.observe(ground_truth.semantic, painted, dataset.classes)[None]
    expected = []
    for class_id in range(3):
        one, other = ground_truth.semantic.labels == class_id, painted.labels == class_id
        expected.append((one & other).sum() / (one | other).sum())
    assert min(expected) < 0.5
    assert metric.score(counts, dataset.classes, seed=0).value == pytest.approx(np.mean(expected))


def test_images_without_the_chosen_classes_stay_so_that_false_positives_there_count(tmp_path):
    def change(document):
        document["annotations"] = [
            r for r in document["annotations"] if r["image_id"] % 100 != 1 or r["category_id"] == 1
        ]

    root = project(tmp_path, change)
    dataset = opened(root, classes=("rod",))
    assert len(dataset.ids("test")) == 3
    wrong = np.zeros((1, *SIZE), bool)
    wrong[:, :8, :8] = True

    def with_a_false_positive(ground_truth):
        masks = np.concatenate([wrong, ground_truth.masks])
        scores = np.array([0.9] + [0.5] * len(ground_truth.masks))
        return Instances(masks, np.zeros(len(masks), np.int64), scores, np.zeros(len(masks), bool))

    answers = []
    for row in json.loads((root / "annotations" / "test.json").read_text())["images"]:
        found = with_a_false_positive(dataset.target(row["file_name"].removesuffix(".png")).instances)
        answers += [(row["id"], 2, mask, s) for mask, s in zip(found.masks, found.scores.tolist(), strict=True)]
    file = tmp_path / "rods.json"
    document = json.loads((root / "annotations" / "test.json").read_text())
    document["annotations"] = [row for row in document["annotations"] if row["category_id"] == 2]
    file.write_text(json.dumps(document))
    expected = official_precision(file, answers)
    assert 0.1 < expected < 0.9
    assert average_precision(dataset, with_a_false_positive) == pytest.approx(expected, abs=1e-12)


# ------------------------------------------------------------------ many classes


def many(document):
    document["categories"] = [{"id": k, "name": f"c{k:03}"} for k in range(1, 301)]
    for row in document["annotations"]:
        row["category_id"] += 254  # ids 254 and 255, and 255 would be void in 8 bits


@pytest.mark.parametrize("background", [None, "outside"])
def test_ids_above_254_neither_wrap_nor_become_void(tmp_path, background):
    dataset = opened(project(tmp_path / "many", many), background=background)
    ground_truth = dataset.target("test_0")
    present = {254, 255, 65535 if background is None else 300}
    assert ground_truth.semantic.labels.dtype == np.uint16
    assert set(np.unique(ground_truth.semantic.labels).tolist()) == present
    painted = reduced(ground_truth.instances, "semantic", dataset.classes)
    save_prediction(painted, tmp_path, "painted")
    assert np.array_equal(load_prediction("semantic", tmp_path, "painted").labels, ground_truth.semantic.labels)
    metric = load_metric("mean_iou")
    score = metric.score(metric.observe(ground_truth.semantic, painted, dataset.classes)[None], dataset.classes, seed=0)
    named = {name for name, value in score.per_class.items() if value is not None}
    assert named == {"c255", "c256"} | ({"outside"} if background else set())
    assert score.value == 1.0
    rims = load_metric("boundary_iou").observe(ground_truth.semantic, painted, dataset.classes)
    assert np.flatnonzero(rims[:, 1]).tolist() == sorted(present - {65535})


# ------------------------------------------------------------------ LVIS


def lvis(document):
    for row in document["images"]:
        split = row["file_name"].partition("_")[0]
        row["coco_url"] = f"http://images.example.invalid/{split}/{row.pop('file_name')}"
        row["neg_category_ids"], row["not_exhaustive_category_ids"] = [3], []
    document["categories"] += [{"id": 3, "name": "looked for"}, {"id": 4, "name": "not looked for"}]
    document["images"][0]["not_exhaustive_category_ids"] = [1]
    for row, frequency in zip(document["categories"], "rcff", strict=True):
        row["frequency"] = frequency


def test_lvis_files_name_their_images_by_address_and_judge_only_what_was_looked_for(tmp_path):
    dataset = opened(project(tmp_path / "lvis", lvis))
    assert [dataset.image(i).shape for i in dataset.ids("test")] == [(*SIZE, 3)] * 3
    unchecked = [dataset.target(i).instances.unchecked for i in dataset.ids("test")]
    assert unchecked == [(0, 3), (3,), (3,)]
    assert [spec.frequency for spec in dataset.classes] == ["rare", "common", "frequent", "frequent"]
    assert "lvis_ap" in " ".join(dataset.notes("test"))
    stray = np.zeros((1, *SIZE), bool)
    stray[:, 24:, :8] = True

    def with_one_more(class_id):
        def answer(ground_truth):
            masks = np.concatenate([ground_truth.masks, stray])
            class_ids = np.append(ground_truth.class_ids, class_id)
            return Instances(masks, class_ids, np.append(np.full(2, 0.5), 0.9), np.zeros(3, bool))

        return answer

    assert average_precision(dataset, with_one_more(3)) == pytest.approx(1.0)  # of a class nobody looked for
    # Of `cell` the first image may hold further objects, in the other two the same detection is wrong:
    # two false positives come before three true ones, so precision is 1/3, 2/4, 3/5: at most 0.6 at every recall.
    assert average_precision(dataset, with_one_more(0)) == pytest.approx((0.6 + 1.0) / 2)
