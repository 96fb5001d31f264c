"""Turns classified masks into predictions, in the order of the official Mask2Former.

Mask logits go to the size of the padded network input, lose the padding, go to the original size,
and only then are classes, instances or segments made of them: `MaskFormer.forward` of
https://github.com/facebookresearch/Mask2Former (mask2former/maskformer_model.py) with
`SEM_SEG_POSTPROCESSING_BEFORE_INFERENCE`. The image processors of transformers differ: those of
Mask2Former, MaskFormer and OneFormer make maps of 384 x 384 pixels, whatever the image, padding
included, and let a segment have pixels that its own mask denies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters._torch.images import resize_logits, to_host
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


AtImage: TypeAlias = Callable[[int, Tensor], Tensor]
"""Brings mask logits (N, h, w) of the image at a place of the batch to that image's size, (N, H, W)."""


def at_original_size(masks: Tensor, *, padded: Size, content: Size, size: Size) -> Tensor:
    """Return mask logits (Q, h, w) of the whole padded input at the size of the image, float32, (Q, height, width).

    `content` is the size of the image within that input, from the top left.
    """
    whole = resize_logits(masks.float()[None], padded)
    return resize_logits(whole[..., : content.height, : content.width], size)[0]


def class_scores(found: ClassifiedMasks) -> Tensor:
    """Return the sum over queries of class probability times mask probability, (..., K, h, w): `semantic_inference`."""
    probabilities = found.classes.float().softmax(dim=-1)[..., :-1]
    return torch.einsum("...qk,...qhw->...khw", probabilities, found.masks.float().sigmoid())


def label_map(scores: Tensor) -> Tensor:
    """Return the class with the highest score, (K, H, W), of each pixel: uint8, (H, W), on the same device."""
    return Head(len(scores)).labels(scores[None])[0]


def semantic(found: ClassifiedMasks, at_image: AtImage, *_: object) -> list[SemanticMap]:
    """Name the class of each pixel; none stays void."""
    maps = [
        (label_map(class_scores(ClassifiedMasks(classes, at_image(place, masks)))),)
        for place, (classes, masks) in enumerate(zip(found.classes, found.masks, strict=True))
    ]
    return [SemanticMap(labels) for (labels,) in to_host(maps)]


def instances(
    found: ClassifiedMasks, at_image: AtImage, classes: Classes, options: UniversalOptions
) -> list[Instances]:
    """Return the surest pairs of a query and a class, one query possibly under several classes: `instance_inference`.

    A score is the class probability times the mean mask probability within the mask. Empty masks
    are left out. Surest first.
    """
    ranked = [
        _ranked(own, at_image(place, masks), classes, options)
        for place, (own, masks) in enumerate(zip(found.classes, found.masks, strict=True))
    ]
    # What is kept is known on the device alone, but its number decides the shapes of what follows.
    counts = to_host([(scores.isfinite().sum(),) for _, _, scores in ranked])
    kept = [tuple(one[: int(count)] for one in each) for each, (count,) in zip(ranked, counts, strict=True)]
    return [Instances.found(masks, classes.ids[number], scores) for masks, number, scores in to_host(kept)]


def _ranked(
    logits: Tensor, masks: Tensor, classes: Classes, options: UniversalOptions
) -> tuple[Tensor, Tensor, Tensor]:
    """Return masks, bool (N, H, W), class numbers and scores, (N,), surest first; the scores of what is left out are
    minus infinity.
    """
    probabilities = logits.float().softmax(dim=-1)[:, :-1]  # (Q, K)
    flat = probabilities.flatten()
    likely = flat.argsort(descending=True, stable=True)[: options.detections]
    of_pairs = masks.float()[likely // len(classes)]
    inside = of_pairs > 0
    pixels = inside.flatten(1).sum(dim=1)
    within = (of_pairs.sigmoid() * inside).flatten(1).sum(dim=1) / (pixels + 1e-6)
    scores = flat[likely] * within
    scores = scores.masked_fill((pixels == 0) | ~(scores >= options.score_threshold), -torch.inf)
    order = scores.argsort(descending=True, stable=True)
    return inside[order], (likely % len(classes))[order], scores[order]


def panoptic(found: ClassifiedMasks, at_image: AtImage, classes: Classes, options: UniversalOptions) -> list[Panoptic]:
    """Let the sure queries share out the pixels: `panoptic_inference`.

    A pixel goes to the query with the highest product of class and mask probability, if that mask
    has it. A query that keeps too small a part of its mask is left out. Queries of the same stuff
    are one segment. Things have the probability of their class as score.
    """
    probability, number = found.classes.float().softmax(dim=-1).max(dim=-1)  # (B, Q)
    is_sure = (number < len(classes)) & (probability > options.object_score)
    sure = is_sure.to(torch.uint8).argsort(dim=-1, descending=True, stable=True)
    ((counts,),) = to_host([(is_sure.sum(dim=-1),)])
    rows = []
    for place, count in enumerate(counts.tolist()):
        queries = sure[place, :count]
        masks = at_image(place, found.masks[place][queries])
        rows.append((*_shared_out(masks, probability[place][queries], options), number[place][queries]))
    return [_segments(classes, *row) for row in to_host(rows)]


def _shared_out(masks: Tensor, probability: Tensor, options: UniversalOptions) -> tuple[Tensor, Tensor, Tensor]:
    """Return which of N queries has each pixel, (H, W), N where none has; which are left out, bool (N,); the
    probabilities, (N,); of mask logits (N, H, W).
    """
    count, size = len(masks), masks.shape[-2:]
    small = torch.uint8 if count < 256 else torch.int32
    if not count:
        return torch.zeros(size, dtype=small, device=masks.device), probability.bool(), probability
    values = masks.float().sigmoid()
    winner = (probability[:, None, None] * values).argmax(dim=0)
    won = winner == torch.arange(count, device=masks.device)[:, None, None]
    inside = values >= options.mask_threshold
    own = won & inside
    left_out = ~own.flatten(1).any(dim=1)
    left_out |= won.flatten(1).sum(dim=1) / inside.flatten(1).sum(dim=1) < options.overlap
    return torch.where(own.any(dim=0), winner, count).to(small), left_out, probability


def _segments(
    classes: Classes,
    queries: NDArray[np.integer[Any]],
    left_out: NDArray[np.bool_],
    probability: NDArray[np.float32],
    numbers: NDArray[np.int64],
) -> Panoptic:
    """Return the segments of one image, of what `_shared_out` returns and the class number of each query."""
    segments: list[Segment] = []
    stuff: dict[int, int] = {}
    ids = np.zeros(len(numbers) + 1, dtype=np.int32)
    for query in np.flatnonzero(~left_out):
        own = int(numbers[query])
        is_thing = bool(classes.is_thing[own])
        if not is_thing and own in stuff:
            ids[query] = stuff[own]
            continue
        score = min(1.0, float(probability[query])) if is_thing else None
        segments.append(Segment(id=len(segments) + 1, class_id=int(classes.ids[own]), score=score))
        stuff[own] = ids[query] = len(segments)
    return Panoptic(ids[queries], tuple(segments))


INFERENCES: dict[TaskKind, Callable[[ClassifiedMasks, AtImage, Classes, UniversalOptions], Sequence[Prediction]]] = {
    "semantic": semantic,
    "instance": instances,
    "panoptic": panoptic,
}
"""Task kind -> the predictions of a batch, from its classified masks and what brings the masks of one to its size."""
