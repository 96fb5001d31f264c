from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from adapters._torch.losses import cross_entropy, dice, read_loss
from adapters._torch.network import Head
from bench.errors import BenchError

SOFTMAX, SIGMOID = Head(3), Head(2, threshold=0.5)


def random_case(head, seed):
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (2, head.channels, 4, 5))
    labels = random.integers(0, head.classes, (2, 4, 5)).astype(np.uint8)
    labels[random.random(labels.shape) < 0.2] = 255
    return logits, labels


def probabilities(logits, head, b, y, x):
    """Class probabilities of one pixel, by the definition of softmax and sigmoid."""
    values = [math.exp(v) for v in logits[b, :, y, x]]
    if head.threshold is not None:
        return [1 / (1 + values[0]), values[0] / (1 + values[0])]
    return [v / sum(values) for v in values]


def pixels(labels):
    return [(b, y, x) for b, y, x in np.ndindex(labels.shape) if labels[b, y, x] != 255]


def slow_cross_entropy(logits, labels, head):
    where = pixels(labels)
    return -sum(math.log(probabilities(logits, head, *p)[labels[p]]) for p in where) / len(where)


def slow_dice(logits, labels, head):
    classes = [1] if head.threshold is not None else range(head.classes)
    values = []
    for c in classes:
        overlap = size = 0.0
        for p in pixels(labels):
            probability, truth = probabilities(logits, head, *p)[c], float(labels[p] == c)
            overlap += probability * truth
            size += probability + truth
        values.append((2 * overlap + 1) / (size + 1))
    return 1 - sum(values) / len(values)


@pytest.mark.parametrize("head", [SOFTMAX, SIGMOID], ids=["softmax", "sigmoid"])
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("loss", "slow"), [(cross_entropy, slow_cross_entropy), (dice, slow_dice)])
def test_a_loss_agrees_with_its_formula_pixel_by_pixel(loss, slow, head, seed):
    logits, labels = random_case(head, seed)
    found = loss(torch.tensor(logits, dtype=torch.float32), torch.tensor(labels), head)
    assert found.item() == pytest.approx(slow(logits, labels, head), rel=1e-5)


@pytest.mark.parametrize("head", [SOFTMAX, SIGMOID], ids=["softmax", "sigmoid"])
@pytest.mark.parametrize("name", ["cross_entropy", "dice", "0.5*cross_entropy + 0.5*dice"])
def test_a_batch_of_void_costs_nothing_and_pulls_nowhere(name, head):
    logits = torch.randn(2, head.channels, 3, 3, requires_grad=True)
    loss = read_loss(name)(logits, torch.full((2, 3, 3), 255, dtype=torch.uint8), head)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("head", [SOFTMAX, SIGMOID], ids=["softmax", "sigmoid"])
@pytest.mark.parametrize("loss", [cross_entropy, dice])
def test_what_lies_under_void_changes_neither_loss_nor_gradient(loss, head):
    logits, labels = (torch.tensor(array) for array in random_case(head, 3))
    other = torch.where((labels == 255).unsqueeze(1), 9.0, logits)
    results = []
    for values in (logits.requires_grad_(), other.requires_grad_()):
        value = loss(values, labels, head)
        value.backward()
        results.append((value.item(), values.grad))
    assert results[0][0] == pytest.approx(results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1])


def test_dice_of_a_certain_and_right_answer_is_zero_also_for_absent_classes():
    labels = torch.tensor([[[0, 0], [1, 255]]], dtype=torch.uint8)  # class 2 occurs nowhere
    logits = torch.full((1, 3, 2, 2), -50.0).scatter(1, labels.clamp(max=2).long().unsqueeze(1), 50.0)
    assert dice(logits, labels, SOFTMAX).item() == pytest.approx(0, abs=1e-6)


def test_a_loss_is_computed_in_single_precision_from_half_precision_logits():
    logits, labels = random_case(SOFTMAX, 0)
    rounded = torch.tensor(logits).to(torch.bfloat16)
    found = read_loss("cross_entropy + dice")(rounded, torch.tensor(labels), SOFTMAX)
    expected = sum(slow(rounded.double().numpy(), labels, SOFTMAX) for slow in (slow_cross_entropy, slow_dice))
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("text", "a", "b"), [("0.5*cross_entropy + 0.5*dice", 0.5, 0.5), ("dice+2*cross_entropy", 2, 1)]
)
def test_a_weighted_sum_adds_its_terms(text, a, b):
    logits, labels = (torch.tensor(v) for v in random_case(SOFTMAX, 1))
    expected = a * cross_entropy(logits, labels, SOFTMAX) + b * dice(logits, labels, SOFTMAX)
    assert read_loss(text)(logits, labels, SOFTMAX).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cross_entorpy", "no loss named 'cross_entorpy'. Did you mean 'cross_entropy'?"),
        ("0.5 cross_entropy", "expected a sum like '0.5\\*cross_entropy \\+ 0.5\\*dice', not '0.5 cross_entropy'"),
        ("-1*dice", "not '-1\\*dice'"),
        ("dice +", "not ''"),
    ],
)
def test_a_loss_that_cannot_be_read_is_told_with_its_term(text, message):
    with pytest.raises(BenchError, match=message):
        read_loss(text)
