"""Panoptic-DeepLab: centres of things and, for every pixel, the way to its centre, beside a label map.

Network, losses, targets and grouping are Detectron2's (`detectron2.projects.panoptic_deeplab`).
Ours are the first weights of the predictors, see `adapters.detectron2.heads`, and the scale of the
offsets: upstream resizes their map to the original size but leaves its values in pixels of the
network's input, which is right only where both sizes are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY
from detectron2.modeling.postprocessing import sem_seg_postprocess
from detectron2.structures import ImageList
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from adapters._torch.images import resize_labels, to_host
from adapters.detectron2.framework import BuiltNetwork, open_panoptic_deeplab
from adapters.detectron2.heads import PREDICTOR_STD
from adapters.detectron2.labels import LabelSpace
from bench.records import IGNORE_LABEL, Size
from bench.records.predictions import Panoptic, Prediction, Segment

open_panoptic_deeplab()

from detectron2.projects.panoptic_deeplab.config import add_panoptic_deeplab_config  # noqa: E402
from detectron2.projects.panoptic_deeplab.panoptic_seg import (  # noqa: E402
    INS_EMBED_BRANCHES_REGISTRY,
    PanopticDeepLab,
    PanopticDeepLabInsEmbedHead,
    PanopticDeepLabSemSegHead,
)
from detectron2.projects.panoptic_deeplab.post_processing import get_panoptic_segmentation  # noqa: E402
from detectron2.projects.panoptic_deeplab.target_generator import PanopticDeepLabTargetGenerator  # noqa: E402

__all__ = ["CentreStages", "CentreTargets", "PanopticDeepLab", "add_panoptic_deeplab_config", "mirrored_targets"]

LABEL_DIVISOR = 100_000
"""The framework numbers segments class * divisor + instance; more than pixels' worth of instances fit."""

TARGETS = ("sem_seg", "sem_seg_weights", "center", "center_weights", "offset", "offset_weights")


class EagerSemanticHead(PanopticDeepLabSemSegHead):
    """The framework's semantic head, whose scores begin larger."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        nn.init.normal_(self.predictor.weight, std=PREDICTOR_STD)


class EagerInstanceHead(PanopticDeepLabInsEmbedHead):
    """The framework's head of centres and offsets, whose maps begin larger."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        for predictor in (self.center_predictor, self.offset_predictor):
            nn.init.normal_(predictor.weight, std=PREDICTOR_STD)


if "EagerSemanticHead" not in SEM_SEG_HEADS_REGISTRY:  # the process's, and refuses a second one
    SEM_SEG_HEADS_REGISTRY.register(EagerSemanticHead)
    INS_EMBED_BRANCHES_REGISTRY.register(EagerInstanceHead)


class CentreTargets:
    """Hold what the network learns from a panoptic ground truth.

    Args:
        labels: Numbering of the semantic head, with a class of its own for every thing.
        sigma: Standard deviation of the bump at a centre, pixels of the training image.
        small_area, small_weight: Instances of fewer pixels weigh more in the semantic loss.
    """

    def __init__(self, labels: LabelSpace, *, sigma: int, small_area: int, small_weight: int) -> None:
        self._generate = PanopticDeepLabTargetGenerator(
            ignore_label=IGNORE_LABEL,
            thing_ids=set(labels.things.tolist()),
            sigma=sigma,
            ignore_stuff_in_offset=True,
            small_instance_area=small_area,
            small_instance_weight=small_weight,
        )

    def __call__(self, ground_truth: Panoptic, size: Size | None) -> dict[str, Tensor]:
        """Return the targets (H, W), offsets (2, H, W), of a ground truth resized to `size` by nearest pixel."""
        ids = _resized(ground_truth.segment_ids, size)
        rows = [{"id": s.id, "category_id": s.class_id, "iscrowd": s.crowd} for s in ground_truth.segments]
        found = self._generate(ids, rows)
        return {name: found[name] for name in TARGETS}


def _resized(segment_ids: Any, size: Size | None) -> Any:
    """Resize a map of ids, which may be large, by each id's place among those there are."""
    values, places = np.unique(segment_ids, return_inverse=True)
    if len(values) > IGNORE_LABEL:
        raise ValueError(f"{len(values)} segments in one image; Panoptic-DeepLab's targets are made for up to 255")
    return values[resize_labels(places.reshape(segment_ids.shape).astype(np.uint8), size)]


def mirrored_targets(record: dict[str, Any]) -> dict[str, Any]:
    """Return a training record mirrored left-right: offsets to the left become offsets to the right."""
    flipped = {name: tensor.flip(-1) for name, tensor in record.items()}
    flipped["offset"] = flipped["offset"] * torch.tensor([1.0, -1.0]).view(2, 1, 1)
    return flipped


@dataclass(frozen=True)
class GroupedPixels:
    """The segments of one image, on the device.

    Attributes:
        values: The framework's numbers of the segments that are there, rising; -1 is void.
        places: Place of each pixel's segment among them, (H, W).
        probability: Probability of each pixel's class, (H, W).
        centres: Heat map of centres, (H, W).
    """

    values: Tensor
    places: Tensor
    probability: Tensor
    centres: Tensor


class CentreStages:
    """A `PanopticDeepLab`; see `adapters.detectron2.stages.Stages`."""

    def __init__(self, model: BuiltNetwork, labels: LabelSpace) -> None:
        self._model, self._labels = model, labels

    def infer(self, images: ImageList) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (B, K, h, w), centres (B, 1, h, w) and offsets (B, 2, h, w) at the size of the padded input."""
        features = self._model.backbone(images.tensor)
        logits = self._model.sem_seg_head(features)[0]
        centres, offsets, _, _ = self._model.ins_embed_head(features)
        return logits, centres, offsets

    def predictions(
        self, raw: tuple[Tensor, Tensor, Tensor], images: ImageList, sizes: Sequence[Size]
    ) -> list[Prediction]:
        """Bring all maps to the original size, then group the pixels of things around their centres."""
        grouped = []
        for *maps, content, size in zip(*raw, images.image_sizes, sizes, strict=True):
            logits, centres, offsets = (sem_seg_postprocess(one.float(), content, *size) for one in maps)
            scale = torch.tensor([size.height / content[0], size.width / content[1]], device=offsets.device)
            grouped.append(self._grouped(logits, centres, offsets * scale.view(2, 1, 1)))
        # Which segments there are decides what is asked about them.
        values = [found.tolist() for (found,) in to_host([(one.values,) for one in grouped])]
        rows = [(one.places.to(torch.int32), self._scores(one, own)) for one, own in zip(grouped, values, strict=True)]
        return [
            self._panoptic(places, own, scores.tolist())
            for own, (places, scores) in zip(values, to_host(rows), strict=True)
        ]

    def _grouped(self, logits: Tensor, centres: Tensor, offsets: Tensor) -> GroupedPixels:
        model, (height, width) = self._model, logits.shape[-2:]
        # The framework takes a side of one pixel for a dimension too many.
        grow = (0, int(width == 1), 0, int(height == 1))
        ids, _ = get_panoptic_segmentation(
            F.pad(logits.argmax(dim=0, keepdim=True), grow),
            F.pad(centres, grow, value=-1.0).clone(),  # it suppresses what is no maximum in place
            F.pad(offsets, grow),
            thing_ids=set(self._labels.things.tolist()),
            label_divisor=LABEL_DIVISOR,
            stuff_area=model.stuff_area,
            void_label=-1,
            threshold=model.threshold,
            nms_kernel=model.nms_kernel,
            top_k=min(model.top_k, centres.numel()),
        )
        values, places = torch.unique(ids[0, :height, :width], return_inverse=True)
        class_ids = (values // LABEL_DIVISOR).clamp(min=0)[places]
        return GroupedPixels(values, places, logits.softmax(dim=0).gather(0, class_ids[None])[0], centres[0])

    def _is_thing(self, value: int) -> bool:
        return value >= 0 and value // LABEL_DIVISOR in self._labels.things

    def _scores(self, found: GroupedPixels, values: list[int]) -> Tensor:
        """Return the framework's score of each thing: mean probability of its class times the centre."""
        scores = []
        for place, value in enumerate(values):
            if self._is_thing(value):
                mask = found.places == place
                row, column = torch.nonzero(mask).float().mean(dim=0).long().split(1)
                scores.append(found.probability[mask].mean() * found.centres[row, column].squeeze())
        return torch.stack(scores).clamp(0, 1) if scores else found.probability.new_zeros(0)

    def _panoptic(self, places: NDArray[np.int32], values: list[int], scores: list[float]) -> Panoptic:
        """Return the segments of one image, numbered by the places of their values; void, -1, is segment 0."""
        first = 0 if values[0] == -1 else 1
        left = iter(scores)
        segments = tuple(
            Segment(
                id=place + first,
                class_id=value // LABEL_DIVISOR,
                score=next(left) if self._is_thing(value) else None,
            )
            for place, value in enumerate(values)
            if value != -1
        )
        return Panoptic(places + np.int32(first), segments)
