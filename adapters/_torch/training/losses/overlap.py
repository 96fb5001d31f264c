"""Losses that compare areas: one minus a soft coefficient of overlap.

Over the labelled pixels i of the whole batch, with probability p_ik and one-hot ground truth y_ik, let
I_k = Σ_i p_ik y_ik, P_k = Σ_i p_ik and Y_k = Σ_i y_ik. Means run over all classes; a sigmoid head
has the foreground alone, except in `generalised_dice`. Half a pixel (`_SMOOTH`) is added above and
below, so that a class that is neither there nor predicted costs nothing and one that is predicted
but not there costs and is pushed down.

`dice`
    1 − mean_k (2 I_k + 1) / (P_k + Y_k + 1).
    Source: Milletari, Navab, Ahmadi, V-Net (2016, https://arxiv.org/abs/1606.04797), without the
    squares, as in Sudre et al. (2017); MONAI's `DiceLoss` with `batch=True, smooth_nr=1, smooth_dr=1`.
`jaccard`
    1 − mean_k (I_k + ½) / (P_k + Y_k − I_k + ½).
    Source: Rahman, Wang, Optimizing Intersection-Over-Union (2016,
    https://doi.org/10.1007/978-3-319-50835-1_22), averaged over classes.
`tversky(alpha, beta)`
    1 − mean_k (I_k + ½) / (I_k + alpha (P_k − I_k) + beta (Y_k − I_k) + ½): alpha weighs false
    positives, beta false negatives. (0.5, 0.5) is `dice`, (1, 1) `jaccard`.
    Source: Salehi, Erdogmus, Gholipour (2017, https://arxiv.org/abs/1706.05721), eq. 3-4, which
    finds (0.3, 0.7) best for small lesions.
`generalised_dice`
    1 − (2 Σ_k w_k I_k + 1) / (Σ_k w_k (P_k + Y_k) + 1), w_k = 1 / Y_k²: a class counts by how rare
    it is. The weights are multiplied by the square of the smallest Y_k > 0, so that the 1 is in
    pixels of the rarest class; a class that is not there counts as the rarest (in the formula its
    weight is infinite). A sigmoid head has both classes here, without which the weight cancels.
    Source: Sudre et al. (2017, https://arxiv.org/abs/1707.03237), §2.2.

smp's `DiceLoss`, `JaccardLoss` and `TverskyLoss` honour ignored pixels and are the same where every
class is there, but cost nothing and pull nowhere where one is not, so that false positives in empty
masks are free. MONAI's know no ignored pixels; its `GeneralizedDiceLoss` adds 1e-5 to sums whose
weights are of the order of 1 / pixels², which for large objects drowns them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from adapters._torch.network import Head
from adapters._torch.training.losses.terms import Loss, labelled, one_hot, probabilities

_SMOOTH = 0.5
"""Pixels added to overlap and union alike."""


@dataclass(frozen=True)
class _Areas:
    """Soft pixel counts, each of shape (C,)."""

    both: Tensor
    predicted: Tensor
    true: Tensor

    @classmethod
    def of(cls, probability: Tensor, ground_truth: Tensor, known: Tensor) -> _Areas:
        """Count over the pixels of (B, C, H, W) that are known, (B, 1, H, W)."""
        probability = probability * known
        dims = (0, 2, 3)
        return cls((probability * ground_truth).sum(dim=dims), probability.sum(dim=dims), ground_truth.sum(dim=dims))


def dice(logits: Tensor, labels: Tensor, head: Head) -> Tensor:
    """Return one minus the mean soft Dice coefficient over classes; see the module."""
    areas = _areas(logits, labels, head)
    sizes = areas.predicted + areas.true
    return 1 - ((2 * areas.both + 2 * _SMOOTH) / (sizes + 2 * _SMOOTH)).mean()


def jaccard(logits: Tensor, labels: Tensor, head: Head) -> Tensor:
    """Return one minus the mean soft intersection over union over classes; see the module."""
    areas = _areas(logits, labels, head)
    union = areas.predicted + areas.true - areas.both
    return 1 - ((areas.both + _SMOOTH) / (union + _SMOOTH)).mean()


def tversky(alpha: float, beta: float) -> Loss:
    """Return the Tversky loss of two weights; see the module.

    Args:
        alpha: Weight of false positives, above 0.
        beta: Weight of false negatives, above 0.
    """

    def loss(logits: Tensor, labels: Tensor, head: Head) -> Tensor:
        areas = _areas(logits, labels, head)
        wrong = alpha * (areas.predicted - areas.both) + beta * (areas.true - areas.both)
        return 1 - ((areas.both + _SMOOTH) / (areas.both + wrong + _SMOOTH)).mean()

    return loss


def generalised_dice(logits: Tensor, labels: Tensor, head: Head) -> Tensor:
    """Return one minus the soft Dice of all classes together, the rare ones weighing more; see the module."""
    known = labelled(labels)
    probability, ground_truth = probabilities(logits, head), one_hot(labels, head)
    if head.threshold is not None:
        probability = torch.cat([1 - probability, probability], dim=1)
        ground_truth = torch.cat([(1 - ground_truth) * known, ground_truth], dim=1)
    areas = _Areas.of(probability, ground_truth, known)
    there = areas.true > 0
    rarest = torch.where(there, areas.true, math.inf).min()
    weights = torch.where(there, rarest / areas.true, 1.0).square()
    both = (weights * areas.both).sum()
    sizes = (weights * (areas.predicted + areas.true)).sum()
    return 1 - (2 * both + 2 * _SMOOTH) / (sizes + 2 * _SMOOTH)


def _areas(logits: Tensor, labels: Tensor, head: Head) -> _Areas:
    return _Areas.of(probabilities(logits, head), one_hot(labels, head), labelled(labels))
