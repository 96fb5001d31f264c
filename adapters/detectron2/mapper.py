"""From a `bench.adapter.Split` to the dictionaries that Detectron2's networks are trained on.

Nothing is registered in Detectron2's catalogues. Masks are bitmaps throughout, so that holes and
parts are kept. Crowds are left out of the instances, as Detectron2 does with `iscrowd`, and stay
part of the semantic truth; void is 255 there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from detectron2.structures import BitMasks, Boxes
from detectron2.structures import Instances as Truths
from numpy.typing import NDArray

from adapters._torch.augment import epoch_flips, epoch_order
from adapters._torch.data import CACHE_BYTES
from adapters._torch.images import resize_labels
from adapters.detectron2.network import DetectronNetwork
from adapters.detectron2.sizing import as_channels, nearest, sized_image
from bench.adapter import Split
from bench.predictions import Instances, LabelMap, Panoptic, Prediction
from bench.records import IGNORE_LABEL, Size


@dataclass(frozen=True)
class Example:
    """A training image at its input size, with its truth in the ids of the heads.

    Attributes:
        image: uint8, (3, H, W), in the network's channel order.
        semantic: Ids of the semantic head, uint8, (H, W); None without such a head.
        masks: bool, (N, H, W), of things that are no crowds; None without region heads.
        boxes: float32, (N, 4): x0, y0, x1, y1 around the masks, the ends exclusive.
        classes: Contiguous thing ids, int64, (N,).
    """

    image: NDArray[np.uint8]
    semantic: LabelMap | None = None
    masks: NDArray[np.bool_] | None = None
    boxes: NDArray[np.float32] | None = None
    classes: NDArray[np.int64] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return sum(a.nbytes for a in (self.image, self.semantic, self.masks, self.boxes) if a is not None)

    def as_input(self, *, mirrored: bool) -> dict[str, Any]:
        """Return what Detectron2's models take in training, mirrored left-right if asked for."""
        given: dict[str, Any] = {"image": _tensor(self.image, mirrored)}
        if self.semantic is not None:
            given["sem_seg"] = _tensor(self.semantic, mirrored).long()
        if self.masks is not None:
            width = self.image.shape[2]
            boxes = torch.from_numpy(self.boxes)
            if mirrored:
                boxes = torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], dim=1)
            given["instances"] = Truths(
                self.image.shape[1:],
                gt_boxes=Boxes(boxes),
                gt_classes=torch.from_numpy(self.classes),
                gt_masks=BitMasks(_tensor(self.masks, mirrored)),
            )
        return given


def _tensor(array: NDArray[Any], mirrored: bool) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array[..., ::-1]) if mirrored else array)


def make_example(network: DetectronNetwork, split: Split, index: int, image_size: Size | None) -> Example:
    """Decode one image of a split with its truth."""
    image = as_channels(sized_image(split.image(index), image_size, network.options), network.cfg.INPUT.FORMAT)
    size = Size(*image.shape[1:])
    if network.kind == "semantic":
        return Example(image, semantic=np.ascontiguousarray(resize_labels(split.semantic(index), size)))
    truth = split.truth(index)
    masks, class_ids = thing_masks(network, truth)
    masks = np.ascontiguousarray(nearest(masks, size))
    seen = masks.any(axis=(1, 2))  # small ones may vanish when the image shrinks
    masks = masks[seen]
    boxes = BitMasks(torch.from_numpy(masks)).get_bounding_boxes().tensor.numpy()
    semantic = None
    if isinstance(truth, Panoptic):
        semantic = np.ascontiguousarray(resize_labels(network.labels.things_and_stuff(class_map(truth)), size))
    return Example(image, semantic, masks, boxes, network.labels.thing_index(class_ids[seen]))


def thing_masks(network: DetectronNetwork, truth: Prediction) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Masks, bool (N, H, W), and class ids, int64 (N,), of the things of a truth that are no crowds."""
    if isinstance(truth, Instances):
        kept = ~truth.crowd & (network.labels.thing_index(truth.class_ids) >= 0)
        return truth.masks[kept], truth.class_ids[kept]
    things = [s for s in truth.segments if s.class_id in network.labels.things and not s.crowd]
    ids = np.array([s.id for s in things], dtype=np.int32)
    class_ids = np.array([s.class_id for s in things], dtype=np.int64)
    return truth.segment_ids[None] == ids[:, None, None], class_ids


def class_map(truth: Panoptic) -> LabelMap:
    """Class ids of a panoptic truth, uint8 (H, W); 255 where there is no segment."""
    labels = np.full(truth.segment_ids.shape, IGNORE_LABEL, dtype=np.uint8)
    for segment in truth.segments:
        labels[truth.segment_ids == segment.id] = segment.class_id
    return labels


class DecodedExamples:
    """The examples of a split; the first that fit `cache_bytes` are decoded here and now.

    The training clock does not pay for those; the others are decoded whenever they are asked for.
    """

    def __init__(
        self, network: DetectronNetwork, split: Split, image_size: Size | None, *, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self._network, self._split, self._image_size = network, split, image_size
        self._kept: list[Example] = []
        while len(self._kept) < len(split) and cache_bytes > 0:
            self._kept.append(make_example(network, split, len(self._kept), image_size))
            cache_bytes -= self._kept[-1].nbytes

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> Example:
        if index < len(self._kept):
            return self._kept[index]
        return make_example(self._network, self._split, index, self._image_size)


class TrainingInputs:
    """Endless batches; the batch of a step is a pure function of the seed and the step.

    An epoch is a seeded permutation cut into whole batches, as for the other torch networks.
    """

    def __init__(self, examples: DecodedExamples, *, batch_size: int, seed: int, flip: bool) -> None:
        self._examples, self._seed, self._flip = examples, seed, flip
        self.batch_size = min(batch_size, len(examples))
        self.steps_per_epoch = len(examples) // self.batch_size
        self.first_step = 0

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        step = self.first_step
        while True:
            yield self.batch(step)
            step += 1

    def batch(self, step: int) -> list[dict[str, Any]]:
        """What the network takes at a step, counted from 0."""
        epoch, position = divmod(step, self.steps_per_epoch)
        count, start = len(self._examples), position * self.batch_size
        chosen = epoch_order(seed=self._seed, epoch=epoch, count=count)[start : start + self.batch_size]
        flips = epoch_flips(seed=self._seed, epoch=epoch, count=count)
        return [self._examples[int(i)].as_input(mirrored=self._flip and bool(flips[i])) for i in chosen]
