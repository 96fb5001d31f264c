"""The Lovász extension of the Jaccard loss: a convex stand-in for one minus IoU that is exact for hard answers.

For a class c, sort the errors m_i of the labelled pixels of the batch from large to small. With
J_n = 1 − |ground truth left| / |union| when the first n of them are wrong, the loss is Σ_n m_(n) (J_n − J_(n−1)).

Softmax head (Lovász-Softmax)
    m_i = 1 − p_ic where y_i = c, else p_ic; mean over the classes that occur in the batch's ground truth.
Sigmoid head (Lovász hinge)
    m_i = max(0, 1 − z_i s_i), s_i = 1 where y_i = 1, else −1. The margin lies around logit 0, so it
    suits thresholds near 0.5. Without foreground in the batch the worst pixel alone counts. Not
    bounded by 1: the margin makes an undecided answer cost 1.

Source: Berman, Rannen Triki, Blaschko (2018, https://arxiv.org/abs/1705.08790), eq. 8-11 and
algorithm 1.

smp's `LovaszLoss` is the authors' code with the same numbers, one sort per class. Here all classes
are sorted at once, pixels are masked instead of picked, so that no step waits for the device, and
J_n − J_(n−1) is in closed form: the authors subtract neighbours in float32, which puts gradients off
by several per cent at four million pixels. Without labelled pixels smp returns no scalar for a
softmax head.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adapters._torch.network import Head
from adapters._torch.training.losses.terms import labelled, one_hot, probabilities


def lovasz(logits: Tensor, labels: Tensor, head: Head) -> Tensor:
    """Lovász-Softmax or Lovász hinge over the labelled pixels of a batch; see the module."""
    ground_truth = one_hot(labels, head)  # (B, C, H, W)
    if head.threshold is not None:
        errors = 1 - logits.float() * (2 * ground_truth - 1)
    else:
        errors = (ground_truth - probabilities(logits, head)).abs()
    # Without an error a pixel is sorted behind all that have one, and adds nothing.
    errors = torch.where(labelled(labels), errors.clamp(min=0), 0.0)
    losses = _extension(_by_class(errors), _by_class(ground_truth))  # (C,)
    if head.threshold is not None:
        return losses.mean()
    occurs = ground_truth.sum(dim=(0, 2, 3)) > 0
    return torch.where(occurs, losses, 0.0).sum() / occurs.sum().clamp(min=1)


def _by_class(values: Tensor) -> Tensor:
    """Return values of shape (B, C, H, W) as (C, B·H·W)."""
    return values.transpose(0, 1).flatten(1)


def _extension(errors: Tensor, ground_truth: Tensor) -> Tensor:
    """Return the Lovász extension per row, (C,), of errors from 0 up and 0-1 ground truth, both (C, P)."""
    errors, order = errors.sort(dim=1, descending=True)
    return (errors * _jaccard_steps(ground_truth.gather(1, order))).sum(dim=1)


def _jaccard_steps(ground_truth: Tensor) -> Tensor:
    """J_n − J_(n−1), float32, (C, P), of 0-1 ground truth in order of falling error.

    A pixel of the ground truth leaves the union as it is and costs 1 / union; another one enlarges it to
    union and costs |ground truth left| / (union · (union − 1)), or 1 if it is all there is.
    """
    # Whole numbers: exact for any number of pixels, and on a GPU the same in every run.
    belongs = ground_truth.to(torch.int64)
    lost = belongs.cumsum(dim=1)
    all_there_is = belongs.sum(dim=1, keepdim=True)
    position = torch.arange(1, ground_truth.shape[1] + 1, device=ground_truth.device)
    left = (all_there_is - lost).float()
    union = (all_there_is + position - lost).float()
    enlarged = torch.where(union > 1, left / (union * (union - 1).clamp(min=1)), 1.0)
    return torch.where(belongs == 1, 1 / union, enlarged)
