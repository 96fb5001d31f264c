"""Predictions of a run, written for other programs, score the same there and when they are read back, in every form."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.cli.main import main
from bench.data.formats.rasters import text_of_run_lengths
from bench.records.mask_runs import lengths_of_texts
from bench.records.predictions import Instances, Panoptic, Segment
from tests.bench.data.predictions.scenes import SPEC, scenes

DATASET = ["--dataset", "shapes", *(word for k, v in SPEC.options.items() for word in ("--set", f"{k}={v}"))]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def moved(mask, across, down):
    """A mask pushed by some pixels; what leaves the image is gone."""
    height, width = mask.shape
    matrix = np.array([[1, 0, across], [0, 1, down]], dtype=np.float64)
    return cv2.warpAffine(mask.astype(np.uint8), matrix, (width, height)).astype(bool)


def detections(target, seed):
    """Instances as a mediocre detector finds them: pushed, some twice, some not at all, with holes and two parts."""
    random = np.random.default_rng(seed)
    masks, class_ids, scores = [], [], []
    for mask, class_id in zip(target.masks, target.class_ids.tolist(), strict=True):
        for _ in range(int(random.integers(0, 3))):
            pushed = moved(mask, *random.integers(-2, 3, size=2).tolist())
            pushed[::7, ::5] = False
            if pushed.any():
                masks.append(pushed)
                class_ids.append(class_id)
                scores.append(float(random.random()))
    return Instances(
        np.array(masks, dtype=bool).reshape(-1, *target.size),
        np.array(class_ids, dtype=np.int64),
        np.array(scores, dtype=np.float64),
        np.zeros(len(scores), dtype=bool),
    )


def panoptic_guess(target, seed):
    """Segments as a mediocre model finds them: the true ones pushed, one class wrong, one void."""
    random = np.random.default_rng(seed)
    shift = random.integers(-2, 3, size=2).tolist()
    rolled = np.roll(target.segment_ids, shift, axis=(0, 1))
    ids = np.where(rolled > 0, rolled + 70_000, 0)
    ids[:2] = 0
    present = set(np.unique(ids).tolist()) - {0}
    class_of = {segment.id: segment.class_id for segment in target.segments}
    segments = [Segment(i, class_of[i - 70_000]) for i in sorted(present)]
    segments[0] = Segment(segments[0].id, (segments[0].class_id + 1) % 3)
    return Panoptic(ids.astype(np.int32), tuple(segments))


def results_file(dataset, ids):
    """COCO results as a program would have written them, with the data set's ids."""
    rows = []
    for seed, image_id in enumerate(ids):
        found = detections(dataset.target(image_id).instances, seed)
        for mask, class_id, score in zip(found.masks, found.class_ids.tolist(), found.scores.tolist(), strict=True):
            counts = run_lengths_by_pixel(mask)
            row = {"image_id": image_id, "category_id": class_id, "score": score}
            rows.append({**row, "segmentation": {"size": list(mask.shape), "counts": counts}})
    Path("first.json").write_text(json.dumps(rows))
    names = ", ".join(f"{spec.name}: {number}" for number, spec in enumerate(dataset.classes))
    return "first.json", ["--option", f"classes={{{names}}}"]


def run_lengths_by_pixel(mask):
    """Run lengths as COCO defines them, pixel by pixel, down the columns."""
    runs, last = [0], False
    for pixel in mask.T.ravel().tolist():
        if pixel != last:
            runs.append(0)
            last = pixel
        runs[-1] += 1
    return runs


def panoptic_folder(dataset, ids):
    """Panoptic PNGs with their JSON, by hand."""
    Path("first").mkdir()
    rows = []
    for seed, image_id in enumerate(ids):
        found = panoptic_guess(dataset.target(image_id).panoptic, seed)
        ids_map = found.segment_ids
        bgr = np.stack([ids_map // 65536, ids_map // 256 % 256, ids_map % 256], axis=-1)
        cv2.imwrite(f"first/{image_id}.png", bgr.astype(np.uint8))
        infos = [{"id": s.id, "category_id": s.class_id + 11} for s in found.segments]
        rows.append({"image_id": seed + 5, "file_name": f"{image_id}.png", "segments_info": infos})
    categories = [{"id": number + 11, "name": spec.name} for number, spec in enumerate(dataset.classes)]
    Path("first.json").write_text(json.dumps({"annotations": rows, "categories": categories}))
    return "first.json", []


def label_maps(dataset, ids):
    Path("first").mkdir()
    for seed, image_id in enumerate(ids):
        labels = np.roll(dataset.target(image_id).semantic.labels, seed, axis=1)
        cv2.imwrite(f"first/{image_id}.png", labels)
    return "first", []


def score(capsys, place, *words):
    """All figures of every metric of one folder or file: name -> value."""
    assert main(["score", "--predictions", str(place), *DATASET, *words]) == 0, capsys.readouterr()
    newest = max(Path("results").glob("predictions-*/*/results.json"), key=lambda file: file.stat().st_mtime_ns)
    (row,) = json.loads(newest.read_text())["rows"]
    found = {}
    for cell in row["scores"]:
        one = cell["score"]
        found[one["metric"]] = one["value"]
        found |= {f"{one['metric']} {name}": value for name, value in one["parts"].items()}
    return found, newest.parent


METRICS = {
    "coco": ["mask_ap", "boundary_ap"],
    "yolo": ["mask_ap", "boundary_ap"],
    "panoptic": ["panoptic_quality", "mask_ap", "mean_iou"],
    "png": ["mean_iou", "boundary_iou"],
}
FIRST = {"coco": results_file, "yolo": results_file, "panoptic": panoptic_folder, "png": label_maps}


@pytest.mark.parametrize(
    "form", [pytest.param(f, marks=[pytest.mark.slow] * (f in ("coco", "panoptic"))) for f in METRICS]
)
def test_what_is_exported_and_read_back_has_the_same_scores(capsys, form):
    dataset, ids = scenes()
    metrics = [word for name in METRICS[form] for word in ("--metric", name)]
    place, words = FIRST[form](dataset, ids)
    first, run = score(capsys, place, *words, *metrics)
    assert 0.05 < next(iter(first.values())) < 0.95
    assert main(["export-predictions", str(run), "--format", form, "--out", "there"]) == 0
    again, other = score(capsys, "there", *metrics)
    assert again == first
    assert other != run


def test_pycocotools_reads_what_is_exported_and_finds_the_same_average_precision(capsys):
    coco, evaluation = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    dataset, ids = scenes()
    place, words = results_file(dataset, ids)
    ours, run = score(capsys, place, *words)
    assert main(["export-predictions", str(run), "--format", "coco", "--out", "there"]) == 0
    with contextlib.redirect_stdout(io.StringIO()):
        ground_truth = coco.COCO("there/ground_truth.json")
        theirs = evaluation.COCOeval(ground_truth, ground_truth.loadRes("there/predictions.json"), "segm")
        theirs.evaluate()
        theirs.accumulate()
        theirs.summarize()
    assert ours["mask_ap"] == pytest.approx(theirs.stats[0], abs=1e-12)
    assert ours["mask_ap AP50"] == pytest.approx(theirs.stats[1], abs=1e-12)
    assert ours["mask_ap AP75"] == pytest.approx(theirs.stats[2], abs=1e-12)


def panoptic_quality(ground_truth_json, predicted_json):
    """PQ by panopticapi's rules on its files.

    Source: Kirillov et al., "Panoptic Segmentation", CVPR 2019, and cocodataset/panopticapi, `evaluation.py`: segments
    of one category match above an intersection over union of a half, void of the ground truth is no part of a union,
    crowds are neither matched nor missed, and a false positive that lies in void or in a crowd of its category by more
    than a half is none.
    """
    figures = {}
    documents = [json.loads(Path(file).read_text()) for file in (ground_truth_json, predicted_json)]
    rows = [{row["image_id"]: row for row in document["annotations"]} for document in documents]
    for image_id, true_row in rows[0].items():
        maps, infos = [], []
        for file, row in zip((ground_truth_json, predicted_json), (true_row, rows[1][image_id]), strict=True):
            bgr = cv2.imread(str(Path(file).with_suffix("") / row["file_name"])).astype(np.int64)
            maps.append(bgr[..., 2] + 256 * bgr[..., 1] + 65536 * bgr[..., 0])
            infos.append({info["id"]: info["category_id"] for info in row["segments_info"]})
        matched = [set(), set()]
        crowds = {info["id"]: info["category_id"] for info in true_row["segments_info"] if info["iscrowd"]}
        infos[0] = {number: category for number, category in infos[0].items() if number not in crowds}
        for true_id, category in infos[0].items():
            for found_id, other in infos[1].items():
                both = ((maps[0] == true_id) & (maps[1] == found_id)).sum()
                union = (maps[0] == true_id).sum() + ((maps[1] == found_id) & (maps[0] != 0)).sum() - both
                if category == other and both / union > 0.5:
                    figures.setdefault(category, [0.0, 0, 0, 0])[0] += both / union
                    figures[category][1] += 1
                    matched[0].add(true_id)
                    matched[1].add(found_id)
        for category in (c for i, c in infos[0].items() if i not in matched[0]):
            figures.setdefault(category, [0.0, 0, 0, 0])[3] += 1
        for found_id, category in infos[1].items():
            excused = [0, *(number for number, other in crowds.items() if other == category)]
            share = ((maps[1] == found_id) & np.isin(maps[0], excused)).sum() / (maps[1] == found_id).sum()
            if found_id not in matched[1] and share <= 0.5:
                figures.setdefault(category, [0.0, 0, 0, 0])[2] += 1
    return float(np.mean([iou / (tp + fp / 2 + fn / 2) for iou, tp, fp, fn in figures.values()]))


def test_the_panoptic_quality_of_the_exported_files_by_the_published_rules_is_the_same(capsys):
    dataset, ids = scenes()
    place, words = panoptic_folder(dataset, ids)
    ours, run = score(capsys, place, *words)
    assert main(["export-predictions", str(run), "--format", "panoptic", "--out", "there"]) == 0
    theirs = panoptic_quality("there/ground_truth.json", "there/predictions.json")
    assert ours["panoptic_quality"] == pytest.approx(theirs, abs=1e-12)


def test_run_lengths_are_written_as_pycocotools_writes_them():
    masks = pytest.importorskip("pycocotools.mask")
    for seed in range(20):
        mask = np.random.default_rng(seed).random((37, 53)) < (0.02, 0.5, 0.98)[seed % 3]
        text = masks.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
        assert text_of_run_lengths(lengths_of_texts([text])[0].tolist()) == text


@pytest.mark.few(1)
@pytest.mark.parametrize("form", ["coco", "panoptic", "yolo"])
def test_label_maps_are_not_exported_as_objects_and_the_format_that_fits_is_named(capsys, form):
    dataset, ids = scenes()
    place, words = label_maps(dataset, ids)
    _, run = score(capsys, place, *words)
    assert main(["export-predictions", str(run), "--format", form, "--out", "there"]) == 2
    assert "Choose --format png" in capsys.readouterr().err
    Path("full").mkdir()
    Path("full/x").touch()
    assert main(["export-predictions", str(run), "--format", "png", "--out", "full"]) == 2
    assert "overwrites nothing" in capsys.readouterr().err
