"""DeepLabV3+'s head for images of any size, and for training from scratch.

Detectron2's compares its logits, enlarged by the stride, with the targets as they are, which fails
in training where a side is no multiple of the stride. It also starts its last convolution at a
standard deviation of 0.001, made for pretrained backbones: nearly no gradient reaches the layers
below, and a short training from scratch learns hardly any thing. Model configs that start from the model
zoo's files keep the framework's own head.
"""

from __future__ import annotations

from typing import Any

from detectron2.modeling import SEM_SEG_HEADS_REGISTRY
from detectron2.projects.deeplab import DeepLabV3PlusHead
from torch import Tensor, nn
from torch.nn import functional as F

PREDICTOR_STD = 0.01
"""The last convolution's first weights have this standard deviation, as in the FCN head."""


class AnySizeDeepLabV3PlusHead(DeepLabV3PlusHead):
    """Detectron2's `DeepLabV3PlusHead`, whose logits are cut to the targets and whose scores begin larger."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        nn.init.normal_(self.predictor.weight, std=PREDICTOR_STD)

    def losses(self, predictions: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return the configured loss at input size, from logits (B, K, h, w) and targets (B, H, W)."""
        # Features round odd sizes up, so the logits may reach beyond the targets.
        logits = F.interpolate(predictions, scale_factor=self.common_stride, mode="bilinear", align_corners=False)
        loss = self.loss(logits[..., : targets.shape[-2], : targets.shape[-1]], targets)
        return {"loss_sem_seg": loss * self.loss_weight}


if "AnySizeDeepLabV3PlusHead" not in SEM_SEG_HEADS_REGISTRY:  # the process's, and refuses a second one
    SEM_SEG_HEADS_REGISTRY.register(AnySizeDeepLabV3PlusHead)
