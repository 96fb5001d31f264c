"""RF-DETR with masks, under the signature of the networks that classify masks.

Robinson et al., RF-DETR (https://arxiv.org/abs/2511.09554). A class is a sigmoid of its own, so that there is no
"no object", and each query has a box beside its mask, which the loss alone looks at.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from adapters._torch.images import boxes_around, to_host
from adapters.transformers.classes import Classes
from adapters.transformers.float32 import in_float32
from adapters.transformers.masks import AtImage, ClassifiedMasks
from adapters.transformers.options import UniversalOptions
from bench.records.predictions import Instances


class BoxedMasks(nn.Module):
    """The network of transformers under the signature of `adapters.transformers.networks.MaskClassifier`."""

    task_tokens: None = None

    def __init__(self, module: PreTrainedModel) -> None:
        super().__init__()
        module.loss_function = in_float32(module.loss_function)
        self.module = module

    def forward(self, pixels: Tensor) -> ClassifiedMasks:
        """Return what is found in normalised, padded pixels (B, 3, H, W); the logits of classes have no "no object"."""
        found = self.module(pixel_values=pixels)
        return ClassifiedMasks(found.logits, found.pred_masks)

    def loss(self, pixels: Tensor, masks: Sequence[Tensor], numbers: Sequence[Tensor]) -> Tensor:
        """Return the network's own loss; see `adapters.transformers.networks.MaskClassifier.loss`."""
        labels = [
            {"class_labels": own, "boxes": centred_boxes(mask), "masks": mask}
            for mask, own in zip(masks, numbers, strict=True)
        ]
        found = self.module(pixel_values=pixels, labels=labels)
        if any(len(own) for own in numbers):
            loss: Tensor = found.loss
            return loss.reshape(())
        # Without an object the losses of masks are empty, which would make the sum of all empty.
        classes = [loss for name, loss in found.loss_dict.items() if name.startswith("loss_ce")]
        weight: float = self.module.config.class_loss_coefficient
        return torch.stack(classes).sum() * weight


def centred_boxes(masks: Tensor) -> Tensor:
    """Return centre and size of each mask of (N, H, W), as shares of the image, float32, (N, 4): x, y, width, height.

    >>> mask = torch.zeros(1, 4, 8)
    >>> mask[0, 1:3, 2:6] = 1
    >>> centred_boxes(mask)
    tensor([[0.5000, 0.5000, 0.5000, 0.5000]])
    """
    height, width = masks.shape[-2:]
    left, top, right, bottom = boxes_around(masks).unbind(dim=1)
    left, right, top, bottom = left / width, right / width, top / height, bottom / height
    return torch.stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top], dim=1)


def instances(
    found: ClassifiedMasks, at_image: AtImage, classes: Classes, options: UniversalOptions
) -> list[Instances]:
    """Return the surest pairs of a query and a class of each image, as the network's own image processor does.

    A score is the sigmoid of the class. Masks, (B, Q, h, w), cover all of the input and go straight to the size of the
    image; empty ones are left out.
    """
    scores, order = found.classes.float().sigmoid().flatten(1).sort(dim=1, descending=True, stable=True)
    scores, order = scores[:, : options.detections], order[:, : options.detections]
    ((counts,),) = to_host([((scores > options.score_threshold).sum(dim=1),)])
    rows = []
    for place, count in enumerate(counts.tolist()):
        pairs = order[place, :count]
        masks = at_image(place, found.masks[place][pairs // len(classes)]) > 0
        rows.append((masks, masks.flatten(1).any(dim=1), pairs % len(classes), scores[place, :count].double()))
    return [
        Instances.found(masks[kept], classes.ids[number[kept]], own[kept]) for masks, kept, number, own in to_host(rows)
    ]
