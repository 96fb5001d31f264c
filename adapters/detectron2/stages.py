"""The stages of a Detectron2 network, cut at its public pieces.

`to_device` ends with the normalised, padded `ImageList` on the device. `forward` is the backbone
and all heads: for R-CNNs the proposal generator and the region heads too, whose inference includes
both box NMS, for what a mask head computes depends on them. `predictions` resizes logits
(`sem_seg_postprocess`), pastes masks at the original size (`detector_postprocess`), combines both
(`combine_semantic_and_instance_outputs`), and ends on the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from detectron2.modeling.meta_arch.panoptic_fpn import combine_semantic_and_instance_outputs
from detectron2.modeling.postprocessing import detector_postprocess, sem_seg_postprocess
from detectron2.structures import Boxes, ImageList
from detectron2.structures import Instances as Detections
from numpy.typing import NDArray
from torch import Tensor

from adapters.detectron2.network import DetectronNetwork
from bench.predictions import Instances, Panoptic, Prediction, Segment, SemanticMap
from bench.records import Size


@dataclass(frozen=True)
class RawOutput:
    """What the heads give, on the device.

    Attributes:
        content: Size of each image within the padded batch.
        logits: Of the semantic head, (B, C, H, W) at the size of the batch; None without one.
        detections: Per image boxes, scores, classes and box-sized mask probabilities; None where
            there are no region heads.
        centers, offsets: Of Panoptic-DeepLab, (B, 1, H, W) and (B, 2, H, W); else None.
    """

    content: tuple[Size, ...]
    logits: Tensor | None = None
    detections: tuple[Detections, ...] | None = None
    centers: Tensor | None = None
    offsets: Tensor | None = None


def to_device(
    network: DetectronNetwork, images: Sequence[NDArray[np.uint8]], device: torch.device, *, channels_last: bool
) -> ImageList:
    """Move images, each uint8 (3, H, W), to the device, normalise, and pad to a common size.

    Padding is 0, the mean colour, at the bottom and on the right, to a multiple of the stride.
    """
    module = network.module
    on_gpu = device.type == "cuda"
    moved = [torch.from_numpy(image) for image in images]
    moved = [(image.pin_memory() if on_gpu else image).to(device, non_blocking=on_gpu) for image in moved]
    normalised = [(image - module.pixel_mean) / module.pixel_std for image in moved]
    backbone = module.backbone
    padded = ImageList.from_tensors(
        normalised, backbone.size_divisibility, padding_constraints=backbone.padding_constraints
    )
    if channels_last:
        padded.tensor = padded.tensor.to(memory_format=torch.channels_last)
    return padded


def forward(network: DetectronNetwork, images: ImageList) -> RawOutput:
    """Run the backbone and the heads of a network in evaluation mode."""
    module = network.module
    features = module.backbone(images.tensor)
    logits = detections = centers = offsets = None
    if hasattr(module, "sem_seg_head"):
        logits, _ = module.sem_seg_head(features, None)
    if hasattr(module, "roi_heads"):
        proposals, _ = module.proposal_generator(images, features, None)
        found, _ = module.roi_heads(images, features, proposals, None)
        detections = tuple(found)
    if hasattr(module, "ins_embed_head"):
        centers, offsets, _, _ = module.ins_embed_head(features)
    content = tuple(Size(*size) for size in images.image_sizes)
    return RawOutput(content, logits, detections, centers, offsets)


def predictions(network: DetectronNetwork, raw: RawOutput, sizes: Sequence[Size]) -> list[Prediction]:
    """Return a host prediction per image, at its original size."""
    read = {"semantic": _semantic, "instance": _instances, "panoptic": _panoptic}[network.kind]
    return [read(network, raw, index, size) for index, size in enumerate(sizes)]


def _semantic(network: DetectronNetwork, raw: RawOutput, index: int, size: Size) -> SemanticMap:
    logits = _resized(raw.logits, raw, index, size)
    return SemanticMap(np.asarray(network.head.labels(logits[None])[0].cpu().numpy()))


def _resized(logits: Tensor, raw: RawOutput, index: int, size: Size) -> Tensor:
    """Maps (B, C, H, W) of one image, without padding, at its original size: (C, h, w), float32."""
    return sem_seg_postprocess(logits[index].float(), raw.content[index], *size)


def _pasted(raw: RawOutput, index: int, size: Size) -> Detections:
    found = raw.detections[index]
    fields = found.get_fields()
    # `detector_postprocess` scales the boxes it is given in place.
    copy = Detections(found.image_size, **{**fields, "pred_boxes": Boxes(found.pred_boxes.tensor.float().clone())})
    return detector_postprocess(copy, *size)


def _instances(network: DetectronNetwork, raw: RawOutput, index: int, size: Size) -> Instances:
    found = _pasted(raw, index, size)
    classes = found.pred_classes.cpu().numpy().astype(np.int64)
    return Instances(
        masks=found.pred_masks.cpu().numpy().astype(np.bool_, copy=False).reshape(len(classes), *size),
        class_ids=network.labels.thing_class(classes),
        scores=found.scores.cpu().numpy().astype(np.float64).clip(0, 1),
        crowd=np.zeros(len(classes), dtype=np.bool_),
    )


def _panoptic(network: DetectronNetwork, raw: RawOutput, index: int, size: Size) -> Panoptic:
    module = network.module
    logits = _resized(raw.logits, raw, index, size)
    ids, listed = combine_semantic_and_instance_outputs(
        _pasted(raw, index, size),
        network.head.labels(logits[None])[0],
        module.combine_overlap_thresh,
        module.combine_stuff_area_thresh,
        module.combine_instances_score_thresh,
    )
    segment_ids = ids.cpu().numpy().astype(np.int32, copy=False)
    # With extreme thresholds a segment can be listed that others cover entirely.
    present = set(np.unique(segment_ids).tolist())
    return Panoptic(segment_ids, tuple(_segment(network, s) for s in listed if s["id"] in present))


def _segment(network: DetectronNetwork, listed: dict[str, object]) -> Segment:
    if listed["isthing"]:
        thing = int(network.labels.things[int(listed["category_id"])])
        return Segment(int(listed["id"]), thing, score=min(1.0, max(0.0, float(listed["score"]))))
    return Segment(int(listed["id"]), network.labels.stuff_class(int(listed["category_id"])))
