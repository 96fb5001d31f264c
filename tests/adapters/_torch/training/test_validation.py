from __future__ import annotations

import numpy as np
import pytest
import torch

from adapters._torch.network import Head
from adapters._torch.training.validation import confusion, mean_iou


@pytest.mark.parametrize("seed", range(20))
def test_mean_iou_agrees_with_a_loop_over_classes(seed):
    random = np.random.default_rng(seed)
    target = random.choice(np.array([0, 1, 3, 255], np.uint8), (2, 5, 6))
    predicted = random.choice(np.array([0, 1, 2], np.uint8), (2, 5, 6))
    ious = []
    for c in range(5):  # class 4 is in neither
        pairs = [(t == c, p == c) for t, p in zip(target.flat, predicted.flat, strict=True) if t != 255]
        union = sum(t or p for t, p in pairs)
        if union:
            ious.append(sum(t and p for t, p in pairs) / union)
    counts = confusion(torch.tensor(target), torch.tensor(predicted), Head(5))
    assert counts.dtype == torch.int64
    assert mean_iou(counts) == pytest.approx(np.mean(ious))


def test_a_split_of_void_has_no_mean_iou():
    assert mean_iou(torch.zeros(3, 3, dtype=torch.int64)) is None
