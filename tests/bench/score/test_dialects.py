"""Tests what other libraries print: our transcriptions against the libraries, where these are installed beside us."""

from __future__ import annotations

import numpy as np
import pytest

from bench.metric import load_metric
from bench.records import ClassSpec
from bench.records.predictions import SemanticMap
from bench.records.store.statistics import Statistics
from bench.score.dialects import dialects

CLASSES = tuple(ClassSpec(name=f"c{i}", colour=(i, i, i)) for i in range(5))


def maps(seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Ground truth and prediction of four images; class 4 is predicted but never true, class 3 nowhere."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(4):
        ground_truth = rng.integers(0, 3, (12, 15)).astype(np.uint8)
        ground_truth[0, :4] = 255
        predicted = np.where(
            rng.random(ground_truth.shape) < 0.3, rng.choice([0, 1, 2, 4], ground_truth.shape), ground_truth
        )
        found.append((ground_truth, np.where(predicted == 255, 0, predicted).astype(np.uint8)))
    return found


def printed(pairs) -> dict[tuple[str, str], float]:
    metric = load_metric("mean_iou")
    counts = np.stack([metric.observe(SemanticMap(t), SemanticMap(p), CLASSES) for t, p in pairs])
    statistics = Statistics(tuple(map(str, range(len(pairs)))), {"confusion": counts})
    return {(one.library, one.quantity): one.value for one in dialects(statistics, CLASSES)}


@pytest.mark.parametrize("seed", range(3))
def test_scikit_learn_and_torchmetrics_print_what_we_say(seed):
    sklearn, torch = pytest.importorskip("sklearn.metrics"), pytest.importorskip("torch")
    classification = pytest.importorskip("torchmetrics.classification")
    pairs = maps(seed)
    ground_truth = np.concatenate([t[t != 255] for t, _ in pairs])
    predicted = np.concatenate([p[t != 255] for t, p in pairs])
    said = printed(pairs)
    for average in ("macro", "weighted"):
        expected = sklearn.jaccard_score(ground_truth, predicted, average=average)
        assert said["scikit-learn", f"jaccard_score(average='{average}')"] == pytest.approx(expected)
    assert said["scikit-learn", "accuracy_score"] == pytest.approx(sklearn.accuracy_score(ground_truth, predicted))
    for average in ("macro", "micro"):
        theirs = classification.MulticlassJaccardIndex(5, average=average)(
            torch.from_numpy(predicted.astype(int)), torch.from_numpy(ground_truth.astype(int))
        )
        assert said["torchmetrics", f"JaccardIndex(average='{average}')"] == pytest.approx(float(theirs), abs=1e-6)


def test_a_class_that_is_only_predicted_costs_mmsegmentation_and_not_detectron2():
    said = printed(maps(0))
    ours = load_metric("mean_iou")
    counts = np.stack([ours.observe(SemanticMap(t), SemanticMap(p), CLASSES) for t, p in maps(0)])
    score = ours.score(counts, CLASSES, seed=0)
    assert said["mmsegmentation", "mIoU"] == pytest.approx(100 * score.value)
    assert said["Detectron2", "mIoU"] == pytest.approx(100 * score.dialects["present_in_target"])
    # Three classes are true and one more is predicted, so the means are over four and three classes.
    assert 3 * said["Detectron2", "mIoU"] == pytest.approx(4 * said["mmsegmentation", "mIoU"])
    assert said["Detectron2", "fwIoU"] == pytest.approx(100 * score.dialects["frequency_weighted"])


def test_ultralytics_prints_995_for_a_perfect_detector_and_coco_1():
    true_positive = (1 << 40) - 1
    rows = [[n, k, 1, s, 0, 500, m, 0] for n in range(3) for k, s, m in ((0, 0, 0), (1, 0, 0), (2, 0.9, true_positive))]
    things = (ClassSpec(name="nothing", colour=(0, 0, 0)), ClassSpec(name="thing", is_thing=True, colour=(9, 9, 9)))
    statistics = Statistics(("a", "b", "c"), {"mask_matches": np.array(rows, dtype=float)}, frozenset(["mask_matches"]))
    said = {(one.library, one.quantity): one.value for one in dialects(statistics, things)}
    assert said["COCO API", "AP (segm)"] == 1.0
    assert said["Ultralytics", "mAP50-95(M)"] == pytest.approx(0.995)


def test_nothing_is_said_without_counts():
    assert dialects(Statistics((), {}), CLASSES) == []
