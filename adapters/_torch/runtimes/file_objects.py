"""Instances from the file of a YOLO network: boxes, suppression and masks in NumPy and OpenCV, no torch.

The network ends with candidates, (4 + K + M, anchors): centre, width and height in pixels of the input, a score for
each class, M mask coefficients; or the same as (anchors, 4 + K + M); of YOLOv5 and v7 (anchors, 5 + K + M), where the
score that there is an object stands before those of the classes and multiplies them; or, with a head that needs no
suppression, (found, 6 + M): corners, score, class, coefficients. Beside them lie M prototypes, (M, h, w). What follows
is `non_max_suppression` with the best class of each candidate, then `scale_boxes` and `process_mask_native`, of
Ultralytics 8.4 (`ultralytics/utils/nms.py` and `ops.py`, AGPL-3.0), from their formulas.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from adapters._torch.class_names import matched_things
from adapters._torch.fitting import Placement, restored
from adapters._torch.runtimes.cpu_sessions import Port
from adapters._torch.runtimes.file_options import ObjectFileOptions
from bench.errors import BenchError, Unsupported
from bench.records import IGNORE_LABEL, Size, TaskSpec
from bench.records.predictions import Instances

MOST_CANDIDATES = 30_000
"""Most candidates that go into suppression, the surest ones."""


@dataclass(frozen=True)
class KeptObjects:
    """Hold what is left after suppression, by falling score.

    Attributes:
        corners: x1, y1, x2, y2 in pixels of the network's input, (N, 4).
        scores: (N,).
        numbers: Classes as the network numbers them, int64, (N,).
        coefficients: Coefficients of the masks, (N, M).
    """

    corners: NDArray[np.float32]
    scores: NDArray[np.float32]
    numbers: NDArray[np.int64]
    coefficients: NDArray[np.float32]


class YoloReader:
    """Reads the two outputs of one image.

    Args:
        names: Names of the network's classes, by number; None where nobody says them.
        task: Task with the classes that are scored.
        label: The model's label, for messages.

    Raises:
        BenchError: If the file has other outputs, or a thing of the task is none of its classes.
        Unsupported: If the task has no things.
    """

    def __init__(
        self,
        options: ObjectFileOptions,
        names: Sequence[str] | None,
        task: TaskSpec,
        ports: Sequence[Port],
        label: str,
    ) -> None:
        self._options, self._label = options, label
        wanted = [i for i, spec in enumerate(task.classes) if spec.is_thing]
        if not wanted:
            raise Unsupported(f"{label} finds things, and no class of the task is one")
        names = list(names) if names is not None else [task.classes[i].name for i in wanted]
        ids, self.remarks = matched_things(names, wanted, task, label)
        self._ids, self._classes = np.array(ids, dtype=np.int64), len(names)
        self.outputs = _two_outputs(ports, label)

    def prediction(self, outputs: Sequence[NDArray[Any]], placement: Placement, size: Size) -> Instances:
        """Return the instances of an image at its original size, by falling score, of its two outputs."""
        candidates, prototypes = (np.asarray(one, dtype=np.float32) for one in outputs)
        found = self._suppressed(candidates, len(prototypes))
        corners = _at_image(found.corners, placement, size)
        logits = np.tensordot(found.coefficients, prototypes, axes=1)  # (N, h, w)
        masks = np.zeros((len(logits), *size), dtype=np.bool_)
        for mask, plane, box in zip(masks, logits, corners, strict=True):
            mask |= _mask(plane, box, placement, size)
        class_ids = self._ids[found.numbers]
        seen = masks.any(axis=(1, 2)) & (class_ids != IGNORE_LABEL)
        return Instances.found(masks[seen], class_ids[seen], found.scores[seen])

    def _suppressed(self, candidates: NDArray[np.float32], coefficients: int) -> KeptObjects:
        width = 4 + self._classes + coefficients
        if candidates.shape[0] == width:
            return self._by_overlap(candidates.T)
        if candidates.shape[1] == 6 + coefficients and _is_suppressed(candidates, self._classes):
            sure = candidates[candidates[:, 4] > self._options.conf][: self._options.max_det]
            return KeptObjects(sure[:, :4], sure[:, 4], sure[:, 5].astype(np.int64), sure[:, 6:])
        if candidates.shape[1] == width + 1:
            of_objects, of_classes = candidates[:, 4:5], candidates[:, 5 : 5 + self._classes]
            ends = candidates[:, :4], candidates[:, 5 + self._classes :]
            return self._by_overlap(np.concatenate([ends[0], of_objects * of_classes, ends[1]], axis=1))
        if candidates.shape[1] == width:
            return self._by_overlap(candidates)
        raise BenchError(
            f"{self._label}: the file's candidates have the shape {candidates.shape} for one image; with "
            f"{self._classes} classes and {coefficients} mask coefficients ({width}, anchors), (anchors, {width + 1}) "
            f"or (found, {6 + coefficients}) is expected. List its classes in the order of its training in option "
            "'classes'"
        )

    def _by_overlap(self, rows: NDArray[np.float32]) -> KeptObjects:
        """Greedy suppression within each class; rows are (anchors, 4 + K + M)."""
        scores = rows[:, 4 : 4 + self._classes]
        numbers, best = scores.argmax(axis=1), scores.max(axis=1)
        sure = np.flatnonzero(best > self._options.conf)
        sure = sure[np.argsort(-best[sure], kind="stable")][:MOST_CANDIDATES]
        centres, sides = rows[sure, :2], rows[sure, 2:4]
        corners = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)
        corner_and_sides = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        kept: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        if len(sure):
            found = cv2.dnn.NMSBoxesBatched(
                corner_and_sides.astype(np.float64),  # type: ignore[arg-type]  # its hints know no arrays
                best[sure],
                numbers[sure].astype(np.int32),
                0.0,
                self._options.iou,
            )
            kept = np.sort(np.asarray(found, dtype=np.int64).reshape(-1))[: self._options.max_det]
        chosen = sure[kept]
        return KeptObjects(corners[kept], best[chosen], numbers[chosen], rows[chosen, 4 + self._classes :])


def _is_suppressed(rows: NDArray[np.float32], classes: int) -> bool:
    """Return whether rows are objects by falling score and no candidates: with few classes both are as wide."""
    scores, numbers = rows[:, 4], rows[:, 5]
    whole = bool(((numbers == np.rint(numbers)) & (numbers >= 0) & (numbers < classes)).all())
    return whole and bool((np.diff(scores) <= 0).all())


def _two_outputs(ports: Sequence[Port], label: str) -> tuple[str, str]:
    """Return names of candidates and prototypes: three and four axes with that of the batch."""
    by_axes = {len(port.shape): port.name for port in reversed(ports)}
    if 3 not in by_axes or 4 not in by_axes:
        shapes = ", ".join(f"{port.name} {port.shape}" for port in ports)
        raise BenchError(
            f"{label}: candidates (B, 4 + classes + masks, anchors) and prototypes (B, masks, h, w) are expected, as "
            f"Ultralytics exports a network of segments; the file's outputs are {shapes}"
        )
    return by_axes[3], by_axes[4]


def _at_image(corners: NDArray[np.float32], placement: Placement, size: Size) -> NDArray[np.float32]:
    """Return corners in pixels of the original image, cut off at its edges."""
    gains = placement.scaled.width / size.width, placement.scaled.height / size.height
    moved = (corners - np.array([placement.left, placement.top] * 2, np.float32)) / np.array(gains * 2, np.float32)
    return np.clip(moved, 0, np.array([size.width, size.height] * 2, np.float32))


def _mask(plane: NDArray[np.float32], box: NDArray[np.float32], placement: Placement, size: Size) -> NDArray[np.bool_]:
    """Return where the logits of a mask, (h, w), are above 0 at the original size, within its box."""
    height, width = plane.shape
    unseen_rows, unseen_columns = (i - s for i, s in zip(placement.input, placement.scaled, strict=True))
    is_letterbox = unseen_rows >= 0 and unseen_columns >= 0 and placement.top == unseen_rows // 2
    if is_letterbox and placement.left == unseen_columns // 2:
        # The smallest enlargement at which the bars beside the image are whole cells.
        unseen = unseen_rows | unseen_columns
        finer = 4 // math.gcd(4, unseen | unseen // 2)
        if finer > 1:
            larger = cv2.resize(plane, (width * finer, height * finer), interpolation=cv2.INTER_LINEAR)
            plane = np.asarray(larger, dtype=np.float32)
        gain = min(plane.shape[0] / size.height, plane.shape[1] / size.width)
        shown = [max(round(side * gain), 1) for side in size]
        top, left = (round((whole - part) / 2 - 0.1) for whole, part in zip(plane.shape, shown, strict=True))
        inside = np.ascontiguousarray(plane[top : top + shown[0], left : left + shown[1]])
        at_size = cv2.resize(inside, (size.width, size.height), interpolation=cv2.INTER_LINEAR)
    else:
        at_size = restored(plane, placement, size, cv2.INTER_LINEAR)
    rows, columns = np.arange(size.height, dtype=np.float32), np.arange(size.width, dtype=np.float32)
    inside_box = ((rows >= box[1]) & (rows < box[3]))[:, None] & ((columns >= box[0]) & (columns < box[2]))
    return np.asarray((at_size > 0) & inside_box)
