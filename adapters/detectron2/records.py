"""The harness's training records as Detectron2's networks take them; nothing is registered anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.structures import BitMasks, Boxes
from detectron2.structures import Instances as TrueInstances
from numpy.typing import NDArray
from torch import Tensor

from adapters._torch.images import resize_image, resize_labels
from adapters._torch.training.batches import CACHE_BYTES, DecodedOnce
from adapters._torch.training.order import ImageOrder
from adapters._torch.training.prefetching import Prefetched
from adapters.detectron2.labels import LabelSpace
from adapters.detectron2.panoptic_deeplab import CentreTargets, mirrored_targets
from bench.adapter import Split
from bench.records import Size, TaskKind
from bench.records.predictions import Instances, Panoptic, RgbImage

Record = dict[str, Any]
"""`image` uint8 (3, H, W) in the network's channel order; `sem_seg` int64 (H, W), 255 = void, and
`instances` with boxes, classes and masks, where the network is trained on them; for Panoptic-DeepLab
what `CentreTargets` makes."""


class TrainingRecords(DecodedOnce[Record]):
    """A split as records of the training size; of those that are kept, label maps have a byte per pixel.

    Crowds are left out of the instances, as in Detectron2's own mapper: they outline no object.
    """

    def __init__(
        self,
        split: Split,
        kind: TaskKind,
        labels: LabelSpace,
        *,
        size: Size | None,
        bgr: bool,
        centres: CentreTargets | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._kind, self._labels, self._size = kind, labels, size
        self._bgr, self._centres = bgr, centres
        super().__init__(split, cache_bytes)

    def __getitem__(self, index: int) -> Record:
        record = super().__getitem__(index)
        return {**record, "sem_seg": record["sem_seg"].long()} if "sem_seg" in record else record

    def _decode(self, index: int) -> tuple[Record, int]:
        record = self._record(self._split, index)
        tensors = [value for value in record.values() if isinstance(value, Tensor)]
        if "instances" in record:
            tensors.append(record["instances"].gt_masks.tensor)
        return record, sum(tensor.nbytes for tensor in tensors)

    def _record(self, split: Split, index: int) -> Record:
        record: Record = {"image": self._pixels(split.image(index))}
        if self._centres is not None:
            ground_truth = split.ground_truth(index)
            assert isinstance(ground_truth, Panoptic)
            targets = self._centres(ground_truth, self._size)
            return {**record, **targets, "sem_seg": targets["sem_seg"].to(torch.uint8)}
        if self._kind != "instance":
            numbers = self._labels.semantic_numbers(split.semantic(index))
            record["sem_seg"] = torch.from_numpy(np.ascontiguousarray(resize_labels(numbers, self._size)))
        if self._kind != "semantic":
            record["instances"] = self._instances(split.ground_truth(index))
        return record

    def _pixels(self, image: RgbImage) -> Tensor:
        resized = resize_image(image, self._size)
        return torch.from_numpy(np.array((resized[..., ::-1] if self._bgr else resized).transpose(2, 0, 1)))

    def _instances(self, ground_truth: object) -> TrueInstances:
        if isinstance(ground_truth, Panoptic):
            things = [s for s in ground_truth.segments if s.class_id in self._labels.things and not s.crowd]
            masks = np.stack([ground_truth.segment_ids == s.id for s in things]) if things else None
            class_ids = np.array([s.class_id for s in things], dtype=np.int64)
        elif isinstance(ground_truth, Instances):
            masks, class_ids = ground_truth.masks[~ground_truth.crowd], ground_truth.class_ids[~ground_truth.crowd]
        else:
            raise TypeError(f"instances cannot be taken from a {type(ground_truth).__name__}")
        size = self._size or (ground_truth.size if isinstance(ground_truth, Panoptic | Instances) else Size(1, 1))
        return true_instances(masks, self._labels.thing_numbers(class_ids), size)


def true_instances(masks: NDArray[np.bool_] | None, numbers: NDArray[np.int64], size: Size) -> TrueInstances:
    """Return masks (N, H, W), resized to `size` by nearest pixel, as Detectron2's instances; empty ones are dropped."""
    resized = [resize_labels(mask.astype(np.uint8), size) > 0 for mask in (() if masks is None else masks)]
    kept = [i for i, mask in enumerate(resized) if mask.any()]
    found = TrueInstances(tuple(size))
    stack = np.stack([resized[i] for i in kept]) if kept else np.zeros((0, *size), dtype=np.bool_)
    boxes = [_box(stack[i]) for i in range(len(kept))]
    found.gt_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    found.gt_classes = torch.from_numpy(numbers[kept].astype(np.int64))
    found.gt_masks = BitMasks(torch.from_numpy(stack))
    return found


def _box(mask: NDArray[np.bool_]) -> list[float]:
    """Return corners (x0, y0, x1, y1) of a mask, the far ones just beyond its last pixels."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return [float(left), float(top), float(left + width), float(top + height)]


class TrainingBatches:
    """Endless batches in the harness's order, from a step on; made ahead by a number of threads."""

    def __init__(self, records: TrainingRecords, order: ImageOrder, threads: int = 0) -> None:
        self._records, self.order = records, order
        self.first_step = 0
        self.ahead: Prefetched[int, list[Record]] = Prefetched(self.batch, threads)

    def __iter__(self) -> Iterator[list[Record]]:
        return self.ahead.over(count(self.first_step))

    def batch(self, step: int) -> list[Record]:
        """Return records of a step, counted from 0."""
        chosen = self.order.batch(step)
        pairs = zip(chosen.images, chosen.mirrored, strict=True)
        return [mirrored(self._records[i]) if flip else self._records[i] for i, flip in pairs]


def mirrored(record: Record) -> Record:
    """Return a record mirrored left-right."""
    if "offset" in record:
        return mirrored_targets(record)
    flipped: Record = {"image": record["image"].flip(-1)}
    if "sem_seg" in record:
        flipped["sem_seg"] = record["sem_seg"].flip(-1)
    if "instances" in record:
        ground_truth: TrueInstances = record["instances"]
        width = ground_truth.image_size[1]
        x0, y0, x1, y1 = ground_truth.gt_boxes.tensor.unbind(dim=1)
        flipped["instances"] = TrueInstances(
            ground_truth.image_size,
            gt_boxes=Boxes(torch.stack([width - x1, y0, width - x0, y1], dim=1)),
            gt_classes=ground_truth.gt_classes,
            gt_masks=BitMasks(ground_truth.gt_masks.tensor.flip(-1)),
        )
    return flipped
