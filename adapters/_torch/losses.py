"""Training losses by name, and weighted sums of them: `0.5*cross_entropy + 0.5*dice`.

All pixels labelled `IGNORE_LABEL` are left out; sums and means run over the other pixels of the
whole batch, N of them. With no such pixel every loss is 0 and its gradient too. Computed in
float32 whatever the precision of the forward pass.

`cross_entropy`
    Softmax head: −(1/N) Σ_i log softmax(z_i)[y_i]. Sigmoid head: binary cross-entropy,
    −(1/N) Σ_i [y_i log σ(z_i) + (1 − y_i) log(1 − σ(z_i))].
    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), §6.2.2.
`dice`
    1 − mean over classes of (2 Σ_i p_i y_i + 1) / (Σ_i p_i + Σ_i y_i + 1), with p the softmax
    probability and y the one-hot truth; sigmoid head: the same for the foreground alone. The 1
    makes a class that is neither there nor predicted cost nothing.
    Source: Milletari, Navab, Ahmadi, V-Net (2016, https://arxiv.org/abs/1606.04797), without the
    squares, as in Sudre et al. (2017, https://arxiv.org/abs/1707.03237); MONAI's `DiceLoss` with
    `batch=True, smooth_nr=1, smooth_dr=1`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from adapters._torch.network import Head
from bench.errors import BenchError, did_you_mean
from bench.records import IGNORE_LABEL

Loss: TypeAlias = Callable[[Tensor, Tensor, Head], Tensor]
"""(logits (B, C, H, W), labels (B, H, W) integer, head) -> scalar."""

_TERM = re.compile(r"(?:([0-9.eE-]+)\*)?([a-z_]+)")


def cross_entropy(logits: Tensor, labels: Tensor, head: Head) -> Tensor:
    """Mean (binary) cross-entropy over labelled pixels; see the module."""
    pixels = (labels != IGNORE_LABEL).sum().clamp(min=1)
    if head.threshold is not None:
        truth = (labels == 1).float()
        losses = F.binary_cross_entropy_with_logits(logits[:, 0].float(), truth, reduction="none")
        return torch.where(labels != IGNORE_LABEL, losses, 0.0).sum() / pixels
    total = F.cross_entropy(logits.float(), labels.long(), ignore_index=IGNORE_LABEL, reduction="sum")
    return total / pixels


def dice(logits: Tensor, labels: Tensor, head: Head) -> Tensor:
    """One minus the mean soft Dice coefficient over classes; see the module."""
    known = (labels != IGNORE_LABEL).unsqueeze(1)  # (B, 1, H, W)
    if head.threshold is not None:
        probability = torch.sigmoid(logits.float())
        truth = (labels == 1).unsqueeze(1).float()
    else:
        probability = torch.softmax(logits.float(), dim=1)
        ids = torch.arange(head.classes, device=labels.device).view(1, -1, 1, 1)
        truth = (labels.unsqueeze(1) == ids).float()
    probability = probability * known
    overlap = (probability * truth).sum(dim=(0, 2, 3))  # (C,)
    sizes = probability.sum(dim=(0, 2, 3)) + truth.sum(dim=(0, 2, 3))
    return 1 - ((2 * overlap + 1) / (sizes + 1)).mean()


LOSSES: Mapping[str, Loss] = {"cross_entropy": cross_entropy, "dice": dice}


@dataclass(frozen=True)
class WeightedSum:
    """Σ weight · loss."""

    terms: tuple[tuple[float, str], ...]

    def __call__(self, logits: Tensor, labels: Tensor, head: Head) -> Tensor:
        """The weighted sum, a scalar."""
        return torch.stack([weight * LOSSES[name](logits, labels, head) for weight, name in self.terms]).sum()


def read_loss(text: str) -> Loss:
    """Return the loss that a recipe names.

    Raises:
        BenchError: If a term is not `name` or `weight*name`, or the name is unknown.

    >>> read_loss("0.5*cross_entropy + dice")
    WeightedSum(terms=((0.5, 'cross_entropy'), (1.0, 'dice')))
    """
    terms: list[tuple[float, str]] = []
    for part in text.split("+"):
        match = _TERM.fullmatch(part.replace(" ", ""))
        weight = _weight(match.group(1)) if match else None
        if match is None or weight is None:
            raise BenchError(f"loss {text!r}: expected a sum like '0.5*cross_entropy + 0.5*dice', not {part.strip()!r}")
        name = match.group(2)
        if name not in LOSSES:
            raise BenchError(
                f"loss {text!r}: no loss named {name!r}.{did_you_mean(name, LOSSES)} "
                f"There are: {', '.join(sorted(LOSSES))}"
            )
        terms.append((weight, name))
    return WeightedSum(tuple(terms)) if len(terms) > 1 or terms[0][0] != 1 else LOSSES[terms[0][1]]


def _weight(text: str | None) -> float | None:
    """The weight of a term, 1 where none is written, None where it is not a positive number."""
    try:
        weight = 1.0 if text is None else float(text)
    except ValueError:
        return None
    return weight if math.isfinite(weight) and weight > 0 else None
