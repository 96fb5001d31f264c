"""The boundary loss: how far from the true boundary an answer is wrong.

(1 / (N·C)) Σ_i Σ_k φ_ik (p_ik − y_ik) over the N labelled pixels of the batch and the C channels
(a sigmoid head has the foreground alone). φ is the signed distance map of the ground truth, in pixels of
the training size: outside class k the distance to its nearest pixel, inside 1 minus the distance to
the nearest pixel of another class, so that pixels along the boundary have 0 inside and 1 outside.
Every term is 0 or above, and what is wrong far away costs most.

Pixels that are ignored belong to no class and bound none, nor does the edge of the image. A class
that an image does not show, or that fills it, has no boundary there: φ = 0, no cost and no gradient.
So it cannot stand alone: add a little of it to a loss of areas, `dice + 0.01*boundary`; the paper
starts at that weight and raises it while it trains.

Source: Kervadec et al. (2019, https://arxiv.org/abs/1812.07032), eq. 4-5, with the distances of the
authors' code. The paper leaves out Σ φ y, which does not depend on the network; here it stays, so
that a right answer costs 0 instead of a negative number that depends on the image.

Ours: smp, torchvision and MONAI have none (MONAI's Hausdorff losses are others). The distances are
exact Euclidean ones by OpenCV on the host; labels on a GPU are waited for and copied, which is the
price of this loss per step.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters._torch.network import Head
from adapters._torch.training.losses.terms import labelled, one_hot, probabilities
from bench.records import IGNORE_LABEL


def boundary(logits: Tensor, labels: Tensor, head: Head) -> Tensor:
    """Return the mean distance from the true boundary at which probability is misplaced, pixels; see the module."""
    known = labelled(labels)
    distances = torch.from_numpy(_signed_distances(labels.cpu().numpy(), head)).to(logits.device)
    misplaced = (probabilities(logits, head) - one_hot(labels, head)) * known
    return (distances * misplaced).sum() / (known.sum().clamp(min=1) * head.channels)


def _signed_distances(labels: NDArray[np.integer], head: Head) -> NDArray[np.float32]:
    """φ of every channel, float32, (B, C, H, W), of labels (B, H, W)."""
    ids = range(head.classes) if head.threshold is None else (1,)
    return np.stack([[signed_distance(one, class_id) for class_id in ids] for one in labels])


def signed_distance(labels: NDArray[np.integer], class_id: int) -> NDArray[np.float32]:
    """Return the signed distance map of one class, float32, (H, W), in pixels; see the module.

    Args:
        labels: Class ids, (H, W); `IGNORE_LABEL` belongs to no class.
        class_id: Id of the class whose boundary is meant.

    >>> signed_distance(np.array([[0, 0, 0, 1, 1, 255]]), 1)
    array([[ 3.,  2.,  1.,  0., -1.,  1.]], dtype=float32)
    """
    inside = labels == class_id
    outside = ~inside & (labels != IGNORE_LABEL)
    if not inside.any() or not outside.any():
        return np.zeros(labels.shape, np.float32)
    to_inside, to_outside = _distance_to(inside), _distance_to(outside)
    return np.where(inside, 1 - to_outside, to_inside).astype(np.float32)


def _distance_to(pixels: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return euclidean distance of every pixel to the nearest of those given, float32, (H, W)."""
    elsewhere = np.ascontiguousarray(~pixels).view(np.uint8)
    return np.asarray(cv2.distanceTransform(elsewhere, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)
