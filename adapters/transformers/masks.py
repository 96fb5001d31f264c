"""Turns classified masks into predictions, in the order of the official Mask2Former.

Mask logits go to the size of the padded network input, lose the padding, go to the original size,
and only then are classes, instances or segments made of them: `MaskFormer.forward` of
https://github.com/facebookresearch/Mask2Former (mask2former/maskformer_model.py) with
`SEM_SEG_POSTPROCESSING_BEFORE_INFERENCE`. The image processors of transformers differ: those of
Mask2Former, MaskFormer and OneFormer make maps of 384 x 384 pixels, whatever the image, padding
included, and let a segment have pixels that its own mask denies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adapters._torch.images import resize_logits
from adapters._torch.network import Head
from adapters.transformers.classes import Classes
from adapters.transformers.options import UniversalOptions
from bench.records import Size, TaskKind
from bench.records.predictions import Instances, Panoptic, Prediction, Segment, SemanticMap


@dataclass(frozen=True)
class ClassifiedMasks:
    """Hold what a network finds in a batch or in one image, on the device.

    Attributes:
        classes: Logits of the K classes and of "no object", the last, (..., Q, K + 1).
        masks: Logits of the queries' masks, (..., Q, h, w), of the whole padded input.
    """

    classes: Tensor
    masks: Tensor


def at_original_size(masks: Tensor, *, padded: Size, content: Size, size: Size) -> Tensor:
    """Return mask logits (Q, h, w) at the size of the image, float32, (Q, height, width).

    Args:
        masks: Masks of the whole padded input.
        padded: Size of that input.
        content: Size of the image within it, from the top left.
        size: Size of the original image.
    """
    whole = resize_logits(masks.float()[None], padded)
    return resize_logits(whole[..., : content.height, : content.width], size)[0]


def class_scores(found: ClassifiedMasks) -> Tensor:
    """Return the sum over queries of class probability times mask probability, (..., K, h, w): `semantic_inference`."""
    probabilities = found.classes.float().softmax(dim=-1)[..., :-1]
    return torch.einsum("...qk,...qhw->...khw", probabilities, found.masks.float().sigmoid())


def label_map(scores: Tensor) -> SemanticMap:
    """Return the class with the highest score, (K, H, W), of each pixel."""
    return SemanticMap(_host(Head(len(scores)).labels(scores[None])[0]))


def semantic(found: ClassifiedMasks, *_: object) -> SemanticMap:
    """Name the class of each pixel; none stays void."""
    return label_map(class_scores(found))


def instances(found: ClassifiedMasks, classes: Classes, options: UniversalOptions) -> Instances:
    """Return the surest pairs of a query and a class, one query possibly under several classes: `instance_inference`.

    A score is the class probability times the mean mask probability within the mask. Empty masks
    are left out. Surest first.
    """
    probabilities = found.classes.float().softmax(dim=-1)[:, :-1]  # (Q, K)
    flat = probabilities.flatten()
    kept = flat.argsort(descending=True, stable=True)[: options.detections]
    query, number = kept // len(classes), kept % len(classes)
    logits = found.masks.float()[query]
    masks = logits > 0
    pixels = masks.flatten(1).sum(dim=1)
    within = (logits.sigmoid() * masks).flatten(1).sum(dim=1) / (pixels + 1e-6)
    scores = flat[kept] * within
    order = scores.argsort(descending=True, stable=True)
    order = order[(pixels[order] > 0) & (scores[order] >= options.score_threshold)]
    return Instances(
        masks=_host(masks[order]),
        class_ids=classes.ids[_host(number[order])],
        scores=np.clip(_host(scores[order].double()), 0, 1),
        crowd=np.zeros(len(order), dtype=np.bool_),
    )


def panoptic(found: ClassifiedMasks, classes: Classes, options: UniversalOptions) -> Panoptic:
    """Let the sure queries share out the pixels: `panoptic_inference`.

    A pixel goes to the query with the highest product of class and mask probability, if that mask
    has it. A query that keeps too small a part of its mask is left out. Queries of the same stuff
    are one segment. Things have the probability of their class as score.
    """
    probability, number = found.classes.float().softmax(dim=-1).max(dim=-1)
    sure = (number < len(classes)) & (probability > options.object_score)
    masks = found.masks.float()[sure].sigmoid()
    segment_ids = torch.zeros(masks.shape[-2:], dtype=torch.int32, device=masks.device)
    segments: list[Segment] = []
    if not len(masks):
        return Panoptic(_host(segment_ids))
    probability, numbers = probability[sure], number[sure].tolist()
    winner = (probability[:, None, None] * masks).argmax(dim=0)
    stuff: dict[int, int] = {}
    for query, own in enumerate(numbers):
        won, mask = winner == query, masks[query] >= options.mask_threshold
        pixels = won & mask
        if not pixels.any() or won.sum() / mask.sum() < options.overlap:
            continue
        is_thing = bool(classes.is_thing[own])
        if not is_thing and own in stuff:
            segment_ids[pixels] = stuff[own]
            continue
        segment = Segment(
            id=len(segments) + 1,
            class_id=int(classes.ids[own]),
            score=min(1.0, float(probability[query])) if is_thing else None,
        )
        stuff[own] = segment.id
        segment_ids[pixels] = segment.id
        segments.append(segment)
    return Panoptic(_host(segment_ids), tuple(segments))


INFERENCES: dict[TaskKind, Callable[[ClassifiedMasks, Classes, UniversalOptions], Prediction]] = {
    "semantic": semantic,
    "instance": instances,
    "panoptic": panoptic,
}
"""Task kind -> the prediction of an image, from masks (Q, H, W) at its original size."""


def _host(tensor: Tensor) -> Any:
    return tensor.cpu().numpy()
