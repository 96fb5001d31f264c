"""Losses that are means over pixels.

N is the number of labelled pixels of the batch, p_i the probability that the head gives the true
class y_i of pixel i: softmax(z_i)[y_i], or with a sigmoid head σ(z_i) for class 1 and 1 − σ(z_i)
for class 0.

`cross_entropy`
    −(1/N) Σ_i log p_i.
    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), §6.2.2. PyTorch's own, summed and
    divided here because its mean over no pixel is NaN.
`bce`
    One-vs-rest: every channel is a sigmoid of its own,
    −(1/(N·C)) Σ_i Σ_k [y_ik log σ(z_ik) + (1 − y_ik) log(1 − σ(z_ik))], with the one-hot ground truth y.
    The highest logit still names the class. For a sigmoid head it is `cross_entropy`.
    Source: Bishop, Pattern Recognition and Machine Learning (2006), eq. 4.90; PyTorch's
    `BCEWithLogitsLoss`. smp's `SoftBCEWithLogitsLoss` divides by the ignored pixels too.
`weighted_cross_entropy`
    −Σ_i w(y_i) log p_i / Σ_i w(y_i), with w_k = N_train / (K·N_train,k) from the pixels of the
    training split. K counts the classes that occur there, so that the mean weight of a training
    pixel is 1; a class that does not has weight 0: there is nothing to learn it from, and in the
    validation its pixels do not count. Dividing by the weights is `CrossEntropyLoss(weight=…)`;
    0 where they are all 0.
    Source: King, Zeng, Logistic Regression in Rare Events Data (2001), as scikit-learn's
    `compute_class_weight("balanced")`.
`focal(alpha, gamma=2)`
    −(1/N) Σ_i a(y_i) (1 − p_i)^gamma log p_i. Without alpha a = 1; with it a(0) = 1 − alpha and
    a(k) = alpha for every other class, so class 0 is what is common. gamma = 0 without alpha is
    `cross_entropy`.
    Source: Lin et al., Focal Loss (2017, https://arxiv.org/abs/1708.02002), eq. 5, with MONAI's
    alpha for many classes, as a mean over pixels (the paper divides by the number of boxes).
    torchvision's `sigmoid_focal_loss` knows no softmax, and its gradient is NaN for gamma < 1
    where a pixel is certain; smp's treats the channels of a softmax head as sigmoids and is NaN
    without labelled pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from adapters._torch.network import Head
from adapters._torch.training.losses.terms import Loss, labelled, one_hot
from bench.errors import BenchError, ShapeError
from bench.records import IGNORE_LABEL

_SMALLEST_DOUBT = 1e-8
"""Floor of 1 − p in `focal`: the slope of x^gamma is infinite at 0 for gamma < 1."""


def cross_entropy(logits: Tensor, labels: Tensor, head: Head) -> Tensor:
    """Return the mean (binary) cross-entropy over labelled pixels; see the module."""
    pixels = (labels != IGNORE_LABEL).sum().clamp(min=1)
    if head.threshold is not None:
        return _surprise(logits, labels, head).sum() / pixels
    total = F.cross_entropy(logits.float(), labels.long(), ignore_index=IGNORE_LABEL, reduction="sum")
    return total / pixels


def bce(logits: Tensor, labels: Tensor, head: Head) -> Tensor:
    """Return the mean binary cross-entropy over labelled pixels and channels; see the module."""
    known = labelled(labels)
    losses = F.binary_cross_entropy_with_logits(logits.float(), one_hot(labels, head), reduction="none")
    return torch.where(known, losses, 0.0).sum() / (known.sum().clamp(min=1) * head.channels)


class WeightedCrossEntropy:
    """Cross-entropy in which every class of the training split weighs as much as any other; see the module.

    Attributes:
        weights: Weight of a pixel by its class, float32, (K,); on the device that was used last.
    """

    def __init__(self, class_pixels: NDArray[np.int64]) -> None:
        """Take the labelled pixels per class of the training split, int64, (K,).

        Raises:
            BenchError: If they are none.
        """
        self.weights = torch.from_numpy(class_weights(class_pixels))

    def __call__(self, logits: Tensor, labels: Tensor, head: Head) -> Tensor:
        """Return the weighted mean, a scalar."""
        if len(self.weights) != head.classes:
            raise ShapeError(
                f"weighted_cross_entropy has the pixels of {len(self.weights)} classes, the head tells {head.classes}"
            )
        self.weights = self.weights.to(logits.device)
        weights = self.weights[labels.long().clamp(max=head.classes - 1)] * (labels != IGNORE_LABEL)  # (B, H, W)
        total = weights.sum()
        return (weights * _surprise(logits, labels, head)).sum() / torch.where(total > 0, total, 1.0)


def class_weights(class_pixels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return w_k = N / (K·N_k), float32, (K,), of pixel counts; 0 for a class without pixels, which K leaves out.

    Raises:
        BenchError: If no class has pixels.

    >>> class_weights(np.array([6, 2, 0]))
    array([0.6666667, 2.       , 0.       ], dtype=float32)
    """
    occurs = class_pixels > 0
    if not occurs.any():
        raise BenchError(
            "loss 'weighted_cross_entropy' weighs classes by their pixels, and no pixel of the training split is "
            "labelled. Choose another 'train' split or another loss."
        )
    weights = np.zeros(class_pixels.shape, np.float32)
    weights[occurs] = class_pixels.sum() / (occurs.sum() * class_pixels[occurs])
    return weights


def focal(alpha: float | None = None, gamma: float = 2.0) -> Loss:
    """Return the focal loss of a balance and an exponent; see the module.

    Args:
        alpha: Weight of every class but class 0, above 0 and below 1; None weighs nothing.
        gamma: Exponent that lowers the weight of pixels which are certain, at least 0.
    """

    def loss(logits: Tensor, labels: Tensor, head: Head) -> Tensor:
        surprise = _surprise(logits, labels, head)
        doubt = (-torch.expm1(-surprise)).clamp(min=_SMALLEST_DOUBT)  # 1 - p
        losses = doubt**gamma * surprise
        if alpha is not None:
            losses = losses * torch.where(labels == 0, 1 - alpha, alpha)
        return losses.sum() / (labels != IGNORE_LABEL).sum().clamp(min=1)

    return loss


def _surprise(logits: Tensor, labels: Tensor, head: Head) -> Tensor:
    """−log of the probability of the true class, float32, (B, H, W); 0 where a pixel is ignored."""
    if head.threshold is None:
        return F.cross_entropy(logits.float(), labels.long(), ignore_index=IGNORE_LABEL, reduction="none")
    losses = F.binary_cross_entropy_with_logits(logits[:, 0].float(), (labels == 1).float(), reduction="none")
    return torch.where(labels != IGNORE_LABEL, losses, 0.0)
