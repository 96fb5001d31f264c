"""The grammar of a recipe's `loss`, and what is said of one that cannot be read."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from adapters._torch.loss_grammar import KNOWN
from adapters._torch.network import Head
from adapters._torch.training.losses import read_loss
from adapters._torch.training.losses.boundary import boundary
from adapters._torch.training.losses.overlap import dice, tversky
from adapters._torch.training.losses.pixelwise import cross_entropy, focal
from bench.errors import BenchError

HEAD = Head(3)
LOGITS = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
LABELS = torch.randint(0, 3, (2, 4, 5), generator=torch.Generator().manual_seed(1))


def value(loss):
    return loss(LOGITS, LABELS, HEAD).item()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.5*cross_entropy + 0.5*dice", lambda: 0.5 * value(cross_entropy) + 0.5 * value(dice)),
        ("dice+2 * cross_entropy", lambda: value(dice) + 2 * value(cross_entropy)),
        ("dice + dice", lambda: 2 * value(dice)),
        ("1e-2*boundary + dice", lambda: 0.01 * value(boundary) + value(dice)),
        ("tversky(0.3, 0.7)", lambda: value(tversky(0.3, 0.7))),
        ("tversky( beta = 0.7 , alpha = 0.3 )", lambda: value(tversky(0.3, 0.7))),
        ("2*tversky(0.3, beta=0.7) + focal(gamma=1e+0)", lambda: 2 * value(tversky(0.3, 0.7)) + value(focal(gamma=1))),
        ("focal", lambda: value(focal())),
        ("focal()", lambda: value(focal())),
        ("focal(0.25)", lambda: value(focal(alpha=0.25))),
    ],
)
def test_a_weighted_sum_adds_its_terms(text, expected):
    assert value(read_loss(text)) == pytest.approx(expected(), rel=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cross_entorpy", "no loss named 'cross_entorpy'. Did you mean 'cross_entropy'?"),
        ("0.5*generalized_dice", "no loss named 'generalized_dice'. Did you mean 'generalised_dice'?"),
        ("ce", "no loss named 'ce'. Did you mean 'cross_entropy'? There are: bce, boundary, cross_entropy"),
        ("0.5 cross_entropy", "expected a sum like '0.5*cross_entropy + 0.5*dice', not '0.5 cross_entropy'"),
        ("-1*dice", "not '-1*dice'"),
        ("0*dice", "not '0*dice'"),
        ("dice +", "not ''"),
        ("", "not ''"),
        ("tversky(0.3, 0.7", "not 'tversky(0.3, 0.7'"),
        ("tversky", "tversky: missing a required argument: 'alpha'. tversky takes (alpha, beta)"),
        ("tversky(0.3)", "missing a required argument: 'beta'"),
        ("tversky(0.3, 0.7, 1)", "too many positional arguments"),
        ("focal(gama=2)", "unexpected keyword argument 'gama'. focal takes (alpha, gamma)"),
        ("focal(2, alpha=0.1)", "multiple values for argument 'alpha'"),
        ("focal(gamma=2, gamma=3)", "gamma is given twice"),
        ("focal(alpha=0.2, 3)", "3 stands behind an argument with a name, so it needs one too"),
        ("focal(two)", "expected a number, not 'two'"),
        ("focal(gamma=)", "expected a number, not ''"),
        ("focal(nan)", "expected a number, not 'nan'"),
        ("dice(1)", "dice takes no arguments; write for example 'dice'"),
        ("weighted_cross_entropy(3)", "weighted_cross_entropy takes no arguments"),
        ("focal(2)", "alpha must be above 0 and below 1, not 2. focal takes"),
        ("focal(gamma=-1)", "gamma must be 0 or above, not -1"),
        ("tversky(0, 1)", "alpha must be above 0, not 0. tversky takes (alpha, beta); write for example"),
    ],
)
def test_a_loss_that_cannot_be_read_is_told_with_its_term(text, message):
    with pytest.raises(BenchError, match=re.escape(message)) as caught:
        read_loss(text, class_pixels=lambda: np.ones(3, np.int64))
    assert str(caught.value).startswith(f"loss {text!r}: ")


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_the_example_of_a_loss_can_be_read(name):
    assert name in KNOWN[name].example
    assert np.isfinite(value(read_loss(KNOWN[name].example, class_pixels=lambda: np.array([3, 2, 1]))))


def test_a_loss_that_weighs_classes_needs_their_pixels():
    with pytest.raises(BenchError, match="weighted_cross_entropy weighs classes by their pixels in the training split"):
        read_loss("dice + weighted_cross_entropy")


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("cross_entropy + dice", 0),
        ("weighted_cross_entropy", 1),
        ("weighted_cross_entropy + weighted_cross_entropy", 1),
    ],
)
def test_the_training_split_is_counted_once_and_only_if_a_term_asks(text, times):
    calls = []

    def class_pixels():
        calls.append(1)
        return np.array([3, 2, 1])

    read_loss(text, class_pixels=class_pixels)
    assert len(calls) == times
