"""The training's AP against pycocotools."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torchvision", reason="torchvision is not installed; make install")

from adapters.torchvision.training import mask_ap50
from bench.records.predictions import Instances

SIZE = (12, 16)


def instances(masks, class_ids, scores=None):
    count = len(class_ids)
    return Instances(
        masks=np.array(masks, dtype=bool).reshape(count, *SIZE),
        class_ids=np.array(class_ids, dtype=np.int64),
        scores=np.ones(count) if scores is None else np.array(scores, dtype=np.float64),
        crowd=np.zeros(count, dtype=bool),
    )


def box(top, left, height, width):
    mask = np.zeros(SIZE, dtype=bool)
    mask[top : top + height, left : left + width] = True
    return mask


def scenes(seed):
    """Ground truth, and predictions that are shaken copies of them and noise."""
    random = np.random.default_rng(seed)
    ground_truths, found = [], []
    for _ in range(6):
        boxes = [random.integers((0, 0, 2, 2), (7, 9, 6, 8)) for _ in range(random.integers(0, 5))]
        ids = random.integers(0, 3, size=len(boxes))
        shaken = [np.maximum(b + random.integers(-1, 2, size=4), (0, 0, 1, 1)) for b in boxes if random.random() < 0.9]
        noise = [random.integers((0, 0, 2, 2), (7, 9, 6, 8)) for _ in range(random.integers(0, 3))]
        guessed = [*(int(i) if random.random() < 0.8 else 1 for i in ids[: len(shaken)]), *[0] * len(noise)]
        ground_truths.append(instances([box(*b) for b in boxes], ids))
        found.append(instances([box(*b) for b in (*shaken, *noise)], guessed, random.random(len(guessed)).round(2)))
    return ground_truths, found


def by_pycocotools(ground_truths, found):
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed; make install")
    from pycocotools.cocoeval import COCOeval

    images = [{"id": i, "height": SIZE[0], "width": SIZE[1]} for i in range(len(ground_truths))]
    categories = [{"id": c} for c in range(3)]
    true, predicted = coco.COCO(), coco.COCO()
    true.dataset = {"images": images, "categories": categories, "annotations": rows(ground_truths)}
    predicted.dataset = {"images": images, "categories": categories, "annotations": rows(found)}
    true.createIndex()
    predicted.createIndex()
    evaluation = COCOeval(true, predicted, "segm")
    evaluation.params.iouThrs = np.array([0.5])
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval["precision"][0, :, :, 0, -1]  # every area, 100 predictions
    return precision[precision > -1].mean()


def rows(predictions):
    from pycocotools import mask as coder

    annotations = []
    for image, one in enumerate(predictions):
        for mask, class_id, score in zip(one.masks, one.class_ids, one.scores, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(class_id),
                    "segmentation": coder.encode(np.asfortranarray(mask.astype(np.uint8))),
                    "area": int(mask.sum()),
                    "bbox": [0, 0, 1, 1],
                    "iscrowd": 0,
                    "score": float(score),
                }
            )
    return annotations


@pytest.mark.parametrize("seed", range(20))
def test_it_is_what_pycocotools_says_about_random_scenes(seed):
    ground_truths, found = scenes(seed)
    assert mask_ap50(ground_truths, found) == pytest.approx(by_pycocotools(ground_truths, found), abs=1e-6)


def test_the_ground_truth_themselves_score_one():
    ground_truths, _ = scenes(0)
    assert mask_ap50(ground_truths, ground_truths) == 1.0


def test_nothing_found_scores_zero():
    assert mask_ap50([instances([box(0, 0, 3, 3)], [1])], [instances([], [])]) == 0.0


def test_without_a_ground_truth_there_is_no_score():
    assert mask_ap50([instances([], [])], [instances([box(0, 0, 3, 3)], [1])]) is None


def test_two_predictions_of_one_object_are_one_right_and_one_wrong():
    ground_truth = instances([box(0, 0, 4, 4)], [0])
    # The surer one is right: precision 1 up to recall 1; the second lowers nothing that is read.
    assert mask_ap50([ground_truth], [instances([box(0, 0, 4, 4), box(0, 0, 4, 3)], [0, 0], [0.9, 0.8])]) == 1.0
    # The surer one is somebody else's place: precision 1/2 at every recall.
    assert mask_ap50([ground_truth], [instances([box(6, 6, 4, 4), box(0, 0, 4, 4)], [0, 0], [0.9, 0.8])]) == 0.5
