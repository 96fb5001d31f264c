"""Training losses by name, and weighted sums of them: `0.5*cross_entropy + 0.5*dice`.

    cross_entropy, bce, weighted_cross_entropy, focal(alpha, gamma)           pixelwise.py
    dice, generalised_dice, tversky(alpha, beta), jaccard                     overlap.py
    lovasz                                                                    lovasz.py
    boundary                                                                  boundary.py

Each file has the formulas and their sources, `adapters._torch.loss_grammar` the grammar. Of all losses
holds:

- Pixels labelled `IGNORE_LABEL` are left out of every sum and mean, which run over the other
  pixels of the whole batch. Where there are none the loss is 0 and its gradient too.
- They take a softmax head (K channels) and a sigmoid head (one channel, the foreground).
- They are computed in float32 whatever the precision of the forward pass.
- An answer that is certain and right costs nothing, also for classes that do not occur.

What PyTorch has is used as it is (`F.cross_entropy`, `F.binary_cross_entropy_with_logits`). The
ready-made others miss at least one of the four points, as each file says, and smp's and MONAI's
would make the U-Net need their package; tests hold ours to smp's and torchvision's where the
definitions agree, and to loops over pixels everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters._torch.loss_grammar import PLUS, Term
from adapters._torch.network import Head
from adapters._torch.training.losses.boundary import boundary
from adapters._torch.training.losses.lovasz import lovasz
from adapters._torch.training.losses.overlap import dice, generalised_dice, jaccard, tversky
from adapters._torch.training.losses.pixelwise import WeightedCrossEntropy, bce, cross_entropy, focal
from adapters._torch.training.losses.terms import Loss as Loss
from bench.errors import BenchError

ClassPixels: TypeAlias = Callable[[], NDArray[np.int64]]
"""Counts the labelled pixels per class of the training split, (K,)."""

LOSSES: Mapping[str, Callable[..., Loss]] = {
    "bce": lambda: bce,
    "boundary": lambda: boundary,
    "cross_entropy": lambda: cross_entropy,
    "dice": lambda: dice,
    "focal": focal,
    "generalised_dice": lambda: generalised_dice,
    "jaccard": lambda: jaccard,
    "lovasz": lambda: lovasz,
    "tversky": tversky,
    "weighted_cross_entropy": WeightedCrossEntropy,
}
"""The losses that a recipe can name -> what makes one from the arguments of a term, the last from `ClassPixels`."""


@dataclass(frozen=True)
class WeightedSum:
    """Σ weight · loss."""

    terms: tuple[tuple[float, Loss], ...]

    def __call__(self, logits: Tensor, labels: Tensor, head: Head) -> Tensor:
        """Return the weighted sum, a scalar."""
        return torch.stack([weight * loss(logits, labels, head) for weight, loss in self.terms]).sum()


def read_loss(text: str, *, class_pixels: ClassPixels | None = None) -> Loss:
    """Return the loss that a recipe names.

    Args:
        text: A weighted sum, as `adapters._torch.loss_grammar` explains.
        class_pixels: Counts the labelled pixels per class of the training split, int64, (K,).
            Called at most once, and only if a term needs it.

    Raises:
        BenchError: If a term cannot be read, its name is unknown, its arguments are not what the
            loss takes, or it needs `class_pixels` and there are none.

    >>> [weight for weight, loss in read_loss("0.5*cross_entropy + tversky(0.3, 0.7)").terms]
    [0.5, 1.0]
    """
    counts: list[NDArray[np.int64]] = []
    terms: list[tuple[float, Loss]] = []
    for part in PLUS.split(text):
        term = Term.read(text, part.strip())
        make, arguments = LOSSES[term.name], term.arguments()
        if make is not WeightedCrossEntropy:
            terms.append((term.weight, make(*arguments.args, **arguments.kwargs)))
            continue
        if class_pixels is None:
            raise BenchError(
                f"loss {text!r}: {term.name} weighs classes by their pixels in the training split, which are not "
                "counted here. Use another loss, such as 'cross_entropy'."
            )
        counts = counts or [class_pixels()]
        terms.append((term.weight, make(counts[0])))
    return WeightedSum(tuple(terms)) if len(terms) > 1 or terms[0][0] != 1 else terms[0][1]
