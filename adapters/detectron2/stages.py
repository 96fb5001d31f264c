"""A forward pass of each kind of Detectron2 network, cut where the harness's stages are.

Detectron2 normalises inside `forward` and pastes masks at its end. These classes do with its public
pieces what `forward` does: `preprocess` ends with a padded `ImageList` on the device, `infer` with
what the heads return, `postprocess` with maps at the original size. The NMS of boxes is part of
the ROI heads and so of `infer`; in YOLO it is part of `postprocess`. Only end-to-end times compare
across frameworks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from detectron2.modeling.meta_arch.panoptic_fpn import combine_semantic_and_instance_outputs
from detectron2.modeling.postprocessing import detector_postprocess, sem_seg_postprocess
from detectron2.structures import ImageList
from detectron2.structures import Instances as DetectedInstances
from torch import Tensor, nn

from adapters.detectron2.labels import LabelSpace
from bench.predictions import Instances, Panoptic, Prediction, Segment, SemanticMap
from bench.records import Size, TaskKind


class Stages(Protocol):
    """The part of a forward pass that differs between kinds of networks."""

    def infer(self, images: ImageList) -> Any:
        """From normalised, padded images to what the heads return."""
        ...

    def predictions(self, raw: Any, images: ImageList, sizes: Sequence[Size]) -> list[Prediction]:
        """From what the heads return to host predictions at the original sizes."""
        ...


def stages_of(kind: TaskKind, model: nn.Module, labels: LabelSpace) -> Stages:
    """Return the stages of a network by the form of its prediction."""
    kinds: dict[TaskKind, type[SemanticStages | InstanceStages | PanopticStages]] = {
        "semantic": SemanticStages,
        "instance": InstanceStages,
        "panoptic": PanopticStages,
    }
    return kinds[kind](model, labels)


def normalised(model: nn.Module, images: Sequence[Tensor]) -> ImageList:
    """Normalise images, each (3, H, W) in the network's channel order on its device, and pad them together."""
    scaled = [(image - model.pixel_mean) / model.pixel_std for image in images]
    backbone = model.backbone
    return ImageList.from_tensors(scaled, backbone.size_divisibility, padding_constraints=backbone.padding_constraints)


class SemanticStages:
    """A `SemanticSegmentor`."""

    def __init__(self, model: nn.Module, labels: LabelSpace) -> None:
        self._model, self._labels = model, labels

    def infer(self, images: ImageList) -> Tensor:
        """Logits at the size of the padded input, (B, K, h, w)."""
        logits: Tensor = self._model.sem_seg_head(self._model.backbone(images.tensor), None)[0]
        return logits

    def predictions(self, raw: Tensor, images: ImageList, sizes: Sequence[Size]) -> list[Prediction]:
        """Remove padding, resize logits bilinearly, take the highest."""
        found: list[Prediction] = []
        for logits, content, size in zip(raw, images.image_sizes, sizes, strict=True):
            at_original = sem_seg_postprocess(logits.float(), content, size.height, size.width)
            found.append(SemanticMap(_host(at_original.argmax(dim=0).to(torch.uint8))))
        return found


class InstanceStages:
    """A `GeneralizedRCNN` with masks."""

    def __init__(self, model: nn.Module, labels: LabelSpace) -> None:
        self._model, self._labels = model, labels

    def infer(self, images: ImageList) -> list[DetectedInstances]:
        """Boxes after NMS, with classes, scores and masks in their boxes, at the size of the input."""
        return detections(self._model, images, self._model.backbone(images.tensor))

    def predictions(self, raw: list[DetectedInstances], images: ImageList, sizes: Sequence[Size]) -> list[Prediction]:
        """Paste the masks into the original image."""
        return [self._instances(pasted(one, size)) for one, size in zip(raw, sizes, strict=True)]

    def _instances(self, found: DetectedInstances) -> Instances:
        return Instances(
            masks=_host(found.pred_masks.bool()),
            class_ids=self._labels.things[_host(found.pred_classes)],
            scores=np.clip(_host(found.scores.double()), 0, 1),
            crowd=np.zeros(len(found), dtype=np.bool_),
        )


class PanopticStages:
    """A `PanopticFPN`."""

    def __init__(self, model: nn.Module, labels: LabelSpace) -> None:
        self._model, self._labels = model, labels

    def infer(self, images: ImageList) -> tuple[list[DetectedInstances], Tensor]:
        """What the ROI heads and the semantic head return."""
        features = self._model.backbone(images.tensor)
        logits = self._model.sem_seg_head(features, None)[0]
        return detections(self._model, images, features), logits

    def predictions(
        self, raw: tuple[list[DetectedInstances], Tensor], images: ImageList, sizes: Sequence[Size]
    ) -> list[Prediction]:
        """Bring both to the original size, then let instances and stuff share out the pixels."""
        found: list[Prediction] = []
        for one, logits, content, size in zip(*raw, images.image_sizes, sizes, strict=True):
            labels = sem_seg_postprocess(logits.float(), content, size.height, size.width).argmax(dim=0)
            combined = combine_semantic_and_instance_outputs(
                pasted(one, size),
                labels,
                self._model.combine_overlap_thresh,
                self._model.combine_stuff_area_thresh,
                self._model.combine_instances_score_thresh,
            )
            found.append(self._panoptic(*combined))
        return found

    def _panoptic(self, segment_ids: Tensor, table: list[dict[str, Any]]) -> Panoptic:
        segments = tuple(
            Segment(
                id=row["id"],
                class_id=int((self._labels.things if row["isthing"] else self._labels.semantic)[row["category_id"]]),
                score=min(1.0, row["score"]) if row["isthing"] else None,
            )
            for row in table
        )
        return Panoptic(_host(segment_ids), segments)


def detections(model: nn.Module, images: ImageList, features: dict[str, Tensor]) -> list[DetectedInstances]:
    """Proposals and ROI heads of a network with both."""
    proposals, _ = model.proposal_generator(images, features, None)
    found: list[DetectedInstances] = model.roi_heads(images, features, proposals, None)[0]
    return found


def pasted(found: DetectedInstances, size: Size) -> DetectedInstances:
    """Boxes and masks at the original size; `found` stays as it is."""
    fields = {**found.get_fields(), "pred_boxes": found.pred_boxes.clone()}  # the framework scales boxes in place
    return detector_postprocess(DetectedInstances(found.image_size, **fields), size.height, size.width)


def _host(tensor: Tensor) -> Any:
    return tensor.cpu().numpy()
