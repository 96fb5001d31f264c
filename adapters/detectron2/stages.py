"""A forward pass of each kind of Detectron2 network, cut where the harness's stages are.

Detectron2 normalises inside `forward` and pastes masks at its end. These classes do with its public
pieces what `forward` does: `preprocess` ends with a padded `ImageList` on the device, `infer` with
what the heads return, `postprocess` with maps at the original size. The NMS of boxes is part of
the ROI heads and so of `infer`; in YOLO it is part of `postprocess`. Only end-to-end times compare
across frameworks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from detectron2.modeling.meta_arch.panoptic_fpn import combine_semantic_and_instance_outputs
from detectron2.modeling.postprocessing import detector_postprocess, sem_seg_postprocess
from detectron2.structures import ImageList
from detectron2.structures import Instances as DetectedInstances
from numpy.typing import NDArray
from torch import Tensor

from adapters._torch.images import to_host
from adapters._torch.tta import by_content, target_forward
from adapters.detectron2.framework import BuiltNetwork
from adapters.detectron2.labels import LabelSpace
from adapters.detectron2.panoptic_deeplab import CentreStages, PanopticDeepLab
from bench.records import Size, Target, TaskKind
from bench.records.predictions import Instances, Panoptic, Prediction, Segment, SemanticMap


class Stages(Protocol):
    """The part of a forward pass that differs between kinds of networks."""

    def infer(self, images: ImageList) -> Any:
        """Turn normalised, padded images into what the heads return."""
        ...

    def predictions(self, raw: Any, images: ImageList, sizes: Sequence[Size]) -> list[Prediction]:
        """Turn what the heads return into host predictions at the original sizes."""
        ...


def stages_of(kind: TaskKind, model: BuiltNetwork, labels: LabelSpace, target: Target) -> Stages:
    """Return the stages of a network by the form of its prediction; of a target, its several passes are read."""
    if kind == "semantic":
        return SemanticStages(model, labels, target)
    if isinstance(model, PanopticDeepLab):
        return CentreStages(model, labels)
    return InstanceStages(model, labels) if kind == "instance" else PanopticStages(model, labels)


def normalised(model: BuiltNetwork, images: Sequence[Tensor]) -> ImageList:
    """Normalise images, each (3, H, W) in the network's channel order on its device, and pad them together."""
    return padded(model, [(image - model.pixel_mean) / model.pixel_std for image in images])


def padded(model: BuiltNetwork, scaled: Sequence[Tensor]) -> ImageList:
    """Pad normalised images to a common size that the backbone takes."""
    backbone = model.backbone
    multiple = model.size_divisibility if isinstance(model, PanopticDeepLab) else backbone.size_divisibility
    return ImageList.from_tensors(list(scaled), multiple, padding_constraints=backbone.padding_constraints)


class SemanticStages:
    """A `SemanticSegmentor`, passed as often as the target asks for."""

    def __init__(self, model: BuiltNetwork, labels: LabelSpace, target: Target) -> None:
        self._model, self._labels = model, labels
        self._several_passes = target_forward(self._unpadded, target)

    def infer(self, images: ImageList) -> Tensor:
        """Return logits that cover the padded input from the top left, (B, K, h, w)."""
        if self._several_passes is None:
            return self._logits(images.tensor)
        return by_content(self._several_passes, images.tensor, [Size(*size) for size in images.image_sizes])

    def _unpadded(self, pixels: Tensor) -> Tensor:
        """Return logits (B, K, H, W) of images of any (H, W)."""
        return self._logits(padded(self._model, pixels.unbind()).tensor)[..., : pixels.shape[-2], : pixels.shape[-1]]

    def _logits(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self._model.sem_seg_head(self._model.backbone(pixels), None)[0]
        return logits

    def predictions(self, raw: Tensor, images: ImageList, sizes: Sequence[Size]) -> list[Prediction]:
        """Remove padding, resize logits bilinearly, take the highest."""
        maps = [(logits.argmax(dim=0).to(torch.uint8),) for logits in self._at_original(raw, images, sizes)]
        return [SemanticMap(labels) for (labels,) in to_host(maps)]

    def probabilities(self, raw: Tensor, images: ImageList, sizes: Sequence[Size]) -> list[NDArray[np.floating]]:
        """Return the softmax of the resized logits, (K, H, W) for each image: these heads learn by cross-entropy."""
        return [logits.softmax(dim=0).cpu().numpy() for logits in self._at_original(raw, images, sizes)]

    def _at_original(self, raw: Tensor, images: ImageList, sizes: Sequence[Size]) -> Iterator[Tensor]:
        for logits, content, size in zip(raw, images.image_sizes, sizes, strict=True):
            yield sem_seg_postprocess(logits.float(), content, size.height, size.width)


class InstanceStages:
    """A `GeneralizedRCNN` with masks."""

    def __init__(self, model: BuiltNetwork, labels: LabelSpace) -> None:
        self._model, self._labels = model, labels

    def infer(self, images: ImageList) -> list[DetectedInstances]:
        """Return boxes after NMS, with classes, scores and masks in their boxes, at the size of the input."""
        return detections(self._model, images, self._model.backbone(images.tensor))

    def predictions(self, raw: list[DetectedInstances], images: ImageList, sizes: Sequence[Size]) -> list[Prediction]:
        """Paste the masks into the original image."""
        at_original = [pasted(one, size) for one, size in zip(raw, sizes, strict=True)]
        rows = [(one.pred_masks.bool(), one.pred_classes, one.scores.double()) for one in at_original]
        return [Instances.found(masks, self._labels.things[ids], scores) for masks, ids, scores in to_host(rows)]


class PanopticStages:
    """A `PanopticFPN`."""

    def __init__(self, model: BuiltNetwork, labels: LabelSpace) -> None:
        self._model, self._labels = model, labels

    def infer(self, images: ImageList) -> tuple[list[DetectedInstances], Tensor]:
        """Return what the ROI heads and the semantic head return."""
        features = self._model.backbone(images.tensor)
        logits = self._model.sem_seg_head(features, None)[0]
        return detections(self._model, images, features), logits

    def predictions(
        self, raw: tuple[list[DetectedInstances], Tensor], images: ImageList, sizes: Sequence[Size]
    ) -> list[Prediction]:
        """Bring both to the original size, then let instances and stuff share out the pixels."""
        combined = [
            combine_semantic_and_instance_outputs(
                pasted(one, size),
                sem_seg_postprocess(logits.float(), content, *size).argmax(dim=0),
                self._model.combine_overlap_thresh,
                self._model.combine_stuff_area_thresh,
                self._model.combine_instances_score_thresh,
            )
            for one, logits, content, size in zip(*raw, images.image_sizes, sizes, strict=True)
        ]
        maps = to_host([(segment_ids,) for segment_ids, _ in combined])
        return [self._panoptic(ids, table) for (ids,), (_, table) in zip(maps, combined, strict=True)]

    def _panoptic(self, segment_ids: NDArray[np.int32], table: list[dict[str, Any]]) -> Panoptic:
        segments = tuple(
            Segment(
                id=row["id"],
                class_id=int((self._labels.things if row["isthing"] else self._labels.semantic)[row["category_id"]]),
                score=min(1.0, row["score"]) if row["isthing"] else None,
            )
            for row in table
        )
        return Panoptic(segment_ids, segments)


def detections(model: BuiltNetwork, images: ImageList, features: dict[str, Tensor]) -> list[DetectedInstances]:
    """Return proposals and ROI heads of a network with both."""
    proposals, _ = model.proposal_generator(images, features, None)
    found: list[DetectedInstances] = model.roi_heads(images, features, proposals, None)[0]
    return found


def pasted(found: DetectedInstances, size: Size) -> DetectedInstances:
    """Return boxes and masks at the original size; `found` stays as it is."""
    fields = {**found.get_fields(), "pred_boxes": found.pred_boxes.clone()}  # the framework scales boxes in place
    return detector_postprocess(DetectedInstances(found.image_size, **fields), size.height, size.width)
