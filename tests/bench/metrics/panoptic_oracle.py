"""panopticapi's counting, transcribed: the oracle of the panoptic metrics.

Source: cocodataset/panopticapi at 7bb4655, `evaluation.py`, `pq_compute_single_core` and
`PQStat.pq_average`; only the reading of files is replaced. Areas of ground truth, which it reads from
JSON, are counted from the map.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from bench.records.predictions import Panoptic

OFFSET = 256 * 256 * 256
VOID = 0


def segments_of(panoptic: Panoptic) -> dict[int, dict]:
    labels, areas = np.unique(panoptic.segment_ids, return_counts=True)
    area_of = dict(zip(labels.tolist(), areas.tolist(), strict=True))
    return {
        s.id: {"category_id": s.class_id, "iscrowd": int(s.crowd), "area": area_of[s.id]} for s in panoptic.segments
    }


def count(target: Panoptic, predicted: Panoptic, boundary_iou=None) -> dict[int, list[float]]:
    """Class -> [sum of IoU, TP, FP, FN] of one image."""
    found = defaultdict(lambda: [0.0, 0, 0, 0])
    pan_gt, pan_pred = target.segment_ids.astype(np.uint64), predicted.segment_ids.astype(np.uint64)
    gt_segms, pred_segms = segments_of(target), segments_of(predicted)
    gt_pred_map = {}
    labels, labels_cnt = np.unique(pan_gt * OFFSET + pan_pred, return_counts=True)
    for label, intersection in zip(labels.tolist(), labels_cnt.tolist(), strict=True):
        gt_pred_map[label // OFFSET, label % OFFSET] = intersection
    gt_matched, pred_matched = set(), set()
    for (gt_label, pred_label), intersection in gt_pred_map.items():
        if gt_label not in gt_segms or pred_label not in pred_segms:
            continue
        if gt_segms[gt_label]["iscrowd"] == 1:
            continue
        if gt_segms[gt_label]["category_id"] != pred_segms[pred_label]["category_id"]:
            continue
        union = pred_segms[pred_label]["area"] + gt_segms[gt_label]["area"] - intersection
        union -= gt_pred_map.get((VOID, pred_label), 0)
        iou = intersection / union
        if boundary_iou is not None:
            iou = min(iou, boundary_iou(gt_label, pred_label))
        if iou > 0.5:
            found[gt_segms[gt_label]["category_id"]][0] += iou
            found[gt_segms[gt_label]["category_id"]][1] += 1
            gt_matched.add(gt_label)
            pred_matched.add(pred_label)
    crowd_labels_dict = {}
    for gt_label, gt_info in gt_segms.items():
        if gt_label in gt_matched:
            continue
        if gt_info["iscrowd"] == 1:
            crowd_labels_dict[gt_info["category_id"]] = gt_label
            continue
        found[gt_info["category_id"]][3] += 1
    for pred_label, pred_info in pred_segms.items():
        if pred_label in pred_matched:
            continue
        intersection = gt_pred_map.get((VOID, pred_label), 0)
        if pred_info["category_id"] in crowd_labels_dict:
            intersection += gt_pred_map.get((crowd_labels_dict[pred_info["category_id"]], pred_label), 0)
        if intersection / pred_info["area"] > 0.5:
            continue
        found[pred_info["category_id"]][2] += 1
    return found


def average(images: list[dict[int, list[float]]], chosen: list[int]) -> dict[str, float]:
    pq, sq, rq, n = 0.0, 0.0, 0.0, 0
    for label in chosen:
        iou, tp, fp, fn = (sum(image[label][k] for image in images if label in image) for k in range(4))
        if tp + fp + fn == 0:
            continue
        n += 1
        pq += iou / (tp + 0.5 * fp + 0.5 * fn)
        sq += iou / tp if tp != 0 else 0
        rq += tp / (tp + 0.5 * fp + 0.5 * fn)
    return {"pq": pq / n, "sq": sq / n, "rq": rq / n, "n": n} if n else {"n": 0}
