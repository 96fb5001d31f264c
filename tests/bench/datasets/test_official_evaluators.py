"""The official evaluators, run on the files of the miniatures, give the numbers that the metrics give.

Mask AP by pycocotools is in `test_coco.py`. cityscapesScripts' panoptic evaluation is COCO's code,
panopticapi's, and reads COCO's files; it serves for both data sets here.
"""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from bench.data.formats.by_name import open_dataset
from bench.data.labels.dataset import MappedDataset
from bench.data.labels.mapping import map_prediction
from bench.datasets.cityscapes import label_space
from bench.metric import load_metric
from bench.records.names import harness_root
from bench.records.png import write_png
from bench.records.predictions import Instances, Panoptic, Segment, SemanticMap
from bench.records.store.statistics import Collector
from bench.suite.load import load_suite
from tests.bench.datasets.comparison import scenes

REASON = "cityscapesscripts is missing (extra: dev)"
semantic_evaluation = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling", reason=REASON)
panoptic_evaluation = pytest.importorskip("cityscapesscripts.evaluation.evalPanopticSemanticLabeling", reason=REASON)
instance_evaluation = pytest.importorskip(
    "cityscapesscripts.evaluation.evalInstanceLevelSemanticLabeling", reason=REASON
)
from bench.data.exports import cityscapes as cityscapes_export
from bench.data.exports import coco as coco_export

PARKING, GUARD_RAIL = 9, 14
"""Labels that the benchmark ignores although their categories, flat and construction, are scored."""


@pytest.fixture(scope="module")
def cityscapes(tmp_path_factory):
    """Folder of a miniature in which some pixels of each image have labels that are ignored."""
    folder = tmp_path_factory.mktemp("cityscapes") / "root"
    cityscapes_export.export(scenes(size=(64, 96)), folder)
    for path in (folder / "gtFine").rglob("*_instanceIds.png"):
        for file in (path, path.with_name(path.name.replace("instanceIds", "labelIds"))):
            pixels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
            pixels[:4, :30], pixels[-4:, :30] = GUARD_RAIL, PARKING
            cv2.imwrite(str(file), pixels)
    return folder


def opened(folder):
    return open_dataset("cityscapes", {"root": str(folder)})


# ------------------------------------------------------------------ label maps


@pytest.fixture(scope="module")
def noisy(cityscapes):
    """Image id -> predicted labels 0-33: the ground truth five pixels aside, a tenth of the pixels drawn anew."""
    random, found = np.random.default_rng(11), {}
    for path in sorted((cityscapes / "gtFine" / "val").rglob("*_labelIds.png")):
        labels = np.roll(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), 5, axis=1)
        anew = random.random(labels.shape) < 0.1
        labels[anew] = random.integers(0, 34, int(anew.sum()))
        found[path.name.removesuffix("_gtFine_labelIds.png")] = labels
    return found


@pytest.fixture(scope="module")
def official_iou(cityscapes, noisy, tmp_path_factory):
    """What the evaluator of the benchmark says of the noisy prediction."""
    folder, args = tmp_path_factory.mktemp("predicted"), semantic_evaluation.args
    args.quiet, args.evalInstLevelScore, args.JSONOutput = True, False, False
    predicted, ground_truths = [], []
    for image_id, labels in noisy.items():
        predicted.append(str(folder / f"{image_id}.png"))
        write_png(folder / f"{image_id}.png", labels)
        ground_truths.append(str(cityscapes / "gtFine" / "val" / "export" / f"{image_id}_gtFine_labelIds.png"))
    return semantic_evaluation.evaluateImgLists(predicted, ground_truths, args)


def as_classes(labels):
    """A label map 0-33 in the 19 classes, as an adapter would have predicted it."""
    table = np.full(256, 255, np.uint8)
    for label, class_id in label_space("train_ids").class_of.items():
        table[label] = class_id
    return SemanticMap(table[labels])


def score(name, pairs, classes):
    """A metric of pairs of ground truth and prediction."""
    metric, collector = load_metric(name), Collector(len(pairs))
    for number, (ground_truth, predicted) in enumerate(pairs):
        collector.add(metric.statistic, number, metric.observe(ground_truth, predicted, classes))
    statistics = collector.statistics([str(number) for number in range(len(pairs))])
    return metric.score(statistics.arrays[metric.statistic], classes, seed=0)


def test_iou_of_classes_is_that_of_the_benchmark(cityscapes, noisy, official_iou):
    dataset = opened(cityscapes)
    pairs = [(dataset.target(image_id).semantic, as_classes(labels)) for image_id, labels in noisy.items()]
    ours = score("mean_iou", pairs, dataset.classes)
    assert 0.1 < ours.value < 0.9
    assert ours.value == pytest.approx(official_iou["averageScoreClasses"], abs=1e-12)
    for name, value in ours.per_class.items():
        expected = official_iou["classScores"][name]
        assert np.isnan(expected) if value is None else value == pytest.approx(expected, abs=1e-12)


def test_iou_of_categories_by_the_shipped_suite_is_that_of_the_benchmark(cityscapes, noisy, official_iou):
    (entry,) = (
        entry
        for entry in load_suite(harness_root() / "suites" / "cityscapes.yaml").datasets
        if entry.label == "cityscapes categories"
    )
    dataset = MappedDataset(opened(cityscapes), entry.labels)
    pairs = [
        (dataset.target(image_id).semantic, map_prediction(as_classes(labels), dataset.table))
        for image_id, labels in noisy.items()
    ]
    ours = score("mean_iou", pairs, dataset.classes)
    assert len(dataset.classes) == 7
    assert 0.2 < ours.value < 0.9
    assert ours.value == pytest.approx(official_iou["averageScoreCategories"], abs=1e-12)
    for name, value in ours.per_class.items():
        assert value == pytest.approx(official_iou["categoryScores"][name], abs=1e-12)


# ------------------------------------------------------------------ segments


def wrong(panoptic: Panoptic) -> Panoptic:
    """The ground truth two pixels aside; of its segments the first became void and the second another class."""
    ids = np.roll(panoptic.segment_ids, 2, axis=1)
    gone, renamed, *_ = panoptic.segments
    ids = np.where(ids == gone.id, 0, ids).astype(np.int32)
    other = next(s.class_id for s in panoptic.segments if s.class_id != renamed.class_id)
    kept = [s for s in panoptic.segments if s.id != gone.id]
    return Panoptic(ids, tuple(Segment(s.id, other if s.id == renamed.id else s.class_id) for s in kept))


def official_pq(ground_truth_file, predictions, category_of, folder):
    """Results of the official evaluator on files.

    Args:
        truth_file: COCO's panoptic JSON, beside a folder of its name with the PNGs.
        predictions: Id in the JSON -> segments.
        category_of: Class id -> category id in the JSON.
        folder: For the predicted PNGs.
    """
    document = json.loads(ground_truth_file.read_text())
    categories, rows = {row["id"]: row for row in document["categories"]}, []
    for row in document["annotations"]:
        predicted = predictions[row["image_id"]]
        ids = predicted.segment_ids
        rgb = np.stack([ids & 255, (ids >> 8) & 255, ids >> 16], axis=-1).astype(np.uint8)
        write_png(folder / row["file_name"], rgb)
        segments = [{"id": s.id, "category_id": category_of[s.class_id]} for s in predicted.segments]
        rows.append((row, {**row, "segments_info": segments}))
    found = panoptic_evaluation.pq_compute_single_core(
        0, rows, str(ground_truth_file.with_suffix("")), str(folder), categories
    )
    return panoptic_evaluation.average_pq(found, categories)


def assert_the_same_quality(ours, official, category_of, classes):
    assert 0.2 < ours.value < 0.9
    assert ours.value == pytest.approx(official["All"]["pq"], abs=1e-12)
    assert ours.parts["SQ"] == pytest.approx(official["All"]["sq"], abs=1e-12)
    assert ours.parts["RQ"] == pytest.approx(official["All"]["rq"], abs=1e-12)
    assert ours.parts["PQ_things"] == pytest.approx(official["Things"]["pq"], abs=1e-12)
    assert ours.parts["PQ_stuff"] == pytest.approx(official["Stuff"]["pq"], abs=1e-12)
    assert ours.classes_scored == official["All"]["n"]
    for spec, category in zip(classes, category_of, strict=True):
        value = ours.per_class[spec.name]
        assert (value or 0.0) == pytest.approx(official["per_class"][category]["pq"], abs=1e-12)


def test_panoptic_quality_of_cityscapes_is_the_benchmarks(tmp_path):
    folder = tmp_path / "root"
    cityscapes_export.export(scenes(), folder)
    dataset, file = opened(folder), folder / "gtFine" / "cityscapes_panoptic_val.json"
    label_of = {class_id: label for label, class_id in label_space("train_ids").class_of.items()}
    category_of = [label_of[class_id] for class_id in range(len(dataset.classes))]
    ground_truths = {image_id: dataset.target(image_id).panoptic for image_id in dataset.ids("val")}
    predicted = {image_id: wrong(ground_truth) for image_id, ground_truth in ground_truths.items()}
    ours = score("panoptic_quality", [(ground_truths[i], predicted[i]) for i in ground_truths], dataset.classes)
    assert_the_same_quality(ours, official_pq(file, predicted, category_of, tmp_path), category_of, dataset.classes)


def test_panoptic_quality_of_coco_is_that_of_cocos_evaluator(tmp_path):
    folder = tmp_path / "coco"
    coco_export.export(scenes(), folder)
    dataset = open_dataset("coco", {"root": str(folder), "truth": "panoptic"})
    file = folder / "annotations" / "panoptic_train2017.json"
    names = {row["name"]: row["id"] for row in json.loads(file.read_text())["categories"]}
    category_of = [names[spec.name] for spec in dataset.classes]
    ground_truths = {image_id: dataset.target(image_id).panoptic for image_id in dataset.ids("train")}
    predicted = {int(image_id): wrong(ground_truth) for image_id, ground_truth in ground_truths.items()}
    ours = score("panoptic_quality", [(ground_truths[i], predicted[int(i)]) for i in ground_truths], dataset.classes)
    assert_the_same_quality(ours, official_pq(file, predicted, category_of, tmp_path), category_of, dataset.classes)


# ------------------------------------------------------------------ instances


def official_ap(folder, predictions, tmp_path, monkeypatch):
    """AP of the Cityscapes instance benchmark for predicted instances of the 19 classes, by image of val."""
    monkeypatch.setattr(np, "in1d", np.isin, raising=False)  # the evaluator's name for it, which NumPy 2.4 dropped
    args = instance_evaluation.args
    for name, value in {
        "quiet": True,
        "JSONOutput": False,
        "gtInstancesFile": str(tmp_path / "truths.json"),
        "predictionPath": str(tmp_path),
    }.items():
        monkeypatch.setattr(args, name, value)
    label_of = {class_id: label for label, class_id in label_space("train_ids").class_of.items()}
    texts, ground_truths = [], []
    for image_id, found in predictions.items():
        lines = ""
        for number, (mask, class_id, score_) in enumerate(
            zip(found.masks, found.class_ids.tolist(), found.scores.tolist(), strict=True)
        ):
            write_png(tmp_path / f"{image_id}_{number}.png", mask.astype(np.uint8) * 255)
            lines += f"{image_id}_{number}.png {label_of[class_id]} {score_}\n"
        (tmp_path / f"{image_id}.txt").write_text(lines)
        texts.append(str(tmp_path / f"{image_id}.txt"))
        ground_truths.append(str(folder / "gtFine" / "val" / "export" / f"{image_id}_gtFine_instanceIds.png"))
    # As its `evaluateImgLists`, but for a file of the matches, which it cannot write with today's NumPy either.
    instance_evaluation.setInstanceLabels(args)
    of_ground_truths = instance_evaluation.getGtInstances(ground_truths, args)
    matches = instance_evaluation.matchGtWithPreds(texts, ground_truths, of_ground_truths, args)
    return instance_evaluation.computeAverages(instance_evaluation.evaluateMatches(matches, args), args)["allAp"]


def shifted(instances: Instances, by: int) -> Instances:
    """The objects of a ground truth, moved to the right, surer ones first."""
    kept = ~instances.crowd
    masks = np.roll(instances.masks[kept], by, axis=2)
    scores = np.linspace(0.9, 0.3, int(kept.sum()))
    return Instances(masks, instances.class_ids[kept], scores, np.zeros(int(kept.sum()), bool))


def test_perfect_instances_score_1_by_cityscapes_and_by_coco(cityscapes, tmp_path, monkeypatch):
    dataset = opened(cityscapes)
    ground_truths = {image_id: dataset.target(image_id).instances for image_id in dataset.ids("val")}
    predicted = {image_id: shifted(ground_truth, 0) for image_id, ground_truth in ground_truths.items()}
    ours = score("mask_ap", [(ground_truths[i], predicted[i]) for i in ground_truths], dataset.classes)
    assert ours.value == pytest.approx(1.0)
    assert official_ap(cityscapes, predicted, tmp_path, monkeypatch) == pytest.approx(1.0)


def test_ap_of_the_cityscapes_benchmark_is_another_quantity(cityscapes, tmp_path, monkeypatch):
    # It wants more than the threshold, not as much; leaves out ground truth below 100 pixels; integrates precision in
    # steps
    # of recall without making it monotone; and has no limit of detections. `mask_ap` is COCO's and says so.
    dataset = opened(cityscapes)
    ground_truths = {image_id: dataset.target(image_id).instances for image_id in dataset.ids("val")}
    predicted = {image_id: shifted(ground_truth, 2) for image_id, ground_truth in ground_truths.items()}
    ours = score("mask_ap", [(ground_truths[i], predicted[i]) for i in ground_truths], dataset.classes)
    theirs = official_ap(cityscapes, predicted, tmp_path, monkeypatch)
    assert 0.1 < ours.value < 0.95
    assert 0.1 < theirs < 0.95
    assert abs(ours.value - theirs) > 0.01
