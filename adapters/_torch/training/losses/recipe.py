"""The losses by name, and the grammar of a recipe's `loss`.

sum   term, or terms joined by +        0.5*cross_entropy + 0.5*dice
term  [weight *] name [(arguments)]     2*tversky(0.3, 0.7)
arguments  numbers, in order or by name    focal(0.25, gamma=2)
"""

from __future__ import annotations

import inspect
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
from adapters._torch.training.losses.terms import Loss
from bench.errors import BenchError

ClassPixels: TypeAlias = Callable[[], NDArray[np.int64]]
"""Counts the labelled pixels per class of the training split, (K,)."""


@dataclass(frozen=True)
class LossKind:
    """State how a loss is made.

    Attributes:
        make: Function that makes the loss from the arguments of a term, or, where `counts_classes`, from the pixels per
            class of the training split. Raises ValueError for a number out of range.
        example: A term that is right.
        counts_classes: True if it needs those pixels; such a loss takes no arguments.
    """

    make: Callable[..., Loss]
    example: str
    counts_classes: bool = False

    @property
    def arguments(self) -> inspect.Signature:
        """Return what a term may give it."""
        return inspect.Signature() if self.counts_classes else inspect.signature(self.make)


def _without_arguments(loss: Loss, example: str) -> LossKind:
    return LossKind(lambda: loss, example)


LOSSES: Mapping[str, LossKind] = {
    "bce": _without_arguments(bce, "bce"),
    "boundary": _without_arguments(boundary, "dice + 0.01*boundary"),
    "cross_entropy": _without_arguments(cross_entropy, "cross_entropy"),
    "dice": _without_arguments(dice, "dice"),
    "focal": LossKind(focal, example="focal(alpha=0.25, gamma=2)"),
    "generalised_dice": _without_arguments(generalised_dice, "generalised_dice"),
    "jaccard": _without_arguments(jaccard, "jaccard"),
    "lovasz": _without_arguments(lovasz, "lovasz"),
    "tversky": LossKind(tversky, example="tversky(0.3, 0.7)"),
    "weighted_cross_entropy": LossKind(WeightedCrossEntropy, example="weighted_cross_entropy", counts_classes=True),
}
"""The losses that a recipe can name."""


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
        text: A weighted sum; see the module.
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
        kind = LOSSES[term.name]
        arguments = term.bind(kind)
        if not kind.counts_classes:
            terms.append((term.weight, term.make(kind, arguments)))
            continue
        if class_pixels is None:
            raise BenchError(
                f"loss {text!r}: {term.name} weighs classes by their pixels in the training split, which are not "
                "counted here. Use another loss, such as 'cross_entropy'."
            )
        if not counts:
            counts.append(class_pixels())
        terms.append((term.weight, kind.make(counts[0])))
    return WeightedSum(tuple(terms)) if len(terms) > 1 or terms[0][0] != 1 else terms[0][1]
