"""The losses again, pixel by pixel in plain Python: slow, and written from the papers."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

VOID = 255


def pixels(labels):
    return [(b, y, x) for b, y, x in np.ndindex(labels.shape) if labels[b, y, x] != VOID]


def probabilities(logits, head, b, y, x):
    """Class probabilities of one pixel, by the definition of softmax and sigmoid."""
    values = [math.exp(v) for v in logits[b, :, y, x]]
    if head.threshold is not None:
        return [1 / (1 + values[0]), values[0] / (1 + values[0])]
    return [v / sum(values) for v in values]


def channels(head):
    """(Channel of the logits, class that it stands for)."""
    return [(0, 1)] if head.threshold is not None else [(c, c) for c in range(head.classes)]


def surprise(logits, labels, head, pixel):
    return -math.log(probabilities(logits, head, *pixel)[labels[pixel]])


def cross_entropy(logits, labels, head):
    where = pixels(labels)
    return sum(surprise(logits, labels, head, p) for p in where) / len(where)


def bce(logits, labels, head):
    losses = []
    for (b, y, x), (channel, class_id) in product(pixels(labels), channels(head)):
        yes = 1 / (1 + math.exp(-logits[b, channel, y, x]))
        losses.append(-math.log(yes if labels[b, y, x] == class_id else 1 - yes))
    return sum(losses) / len(losses)


def weighted_cross_entropy(class_pixels):
    occurring = [n for n in class_pixels if n]
    weights = [sum(class_pixels) / (len(occurring) * n) if n else 0 for n in class_pixels]

    def loss(logits, labels, head):
        where = pixels(labels)
        total = sum(weights[labels[p]] for p in where)
        return sum(weights[labels[p]] * surprise(logits, labels, head, p) for p in where) / total

    return loss


def focal(alpha, gamma):
    def loss(logits, labels, head):
        total = 0.0
        for p in pixels(labels):
            probability = probabilities(logits, head, *p)[labels[p]]
            balance = 1 if alpha is None else alpha if labels[p] else 1 - alpha
            total -= balance * (1 - probability) ** gamma * math.log(probability)
        return total / len(pixels(labels))

    return loss


def areas(logits, labels, head, class_id):
    """Soft true positives, false positives, false negatives of a class."""
    true_positives = false = missed = 0.0
    for p in pixels(labels):
        probability = probabilities(logits, head, *p)[class_id]
        if labels[p] == class_id:
            true_positives += probability
            missed += 1 - probability
        else:
            false += probability
    return true_positives, false, missed


def mean_over_classes(coefficient):
    def loss(logits, labels, head):
        values = [coefficient(*areas(logits, labels, head, c)) for _, c in channels(head)]
        return 1 - sum(values) / len(values)

    return loss


dice = mean_over_classes(
    lambda true_positives, false, missed: (2 * true_positives + 1) / (2 * true_positives + false + missed + 1)
)
jaccard = mean_over_classes(
    lambda true_positives, false, missed: (true_positives + 0.5) / (true_positives + false + missed + 0.5)
)


def tversky(alpha, beta):
    return mean_over_classes(
        lambda true_positives, false, missed: (
            (true_positives + 0.5) / (true_positives + alpha * false + beta * missed + 0.5)
        ),
    )


def generalised_dice(logits, labels, head):
    counts = {c: sum(labels[p] == c for p in pixels(labels)) for c in range(head.classes)}
    rarest = min(n for n in counts.values() if n)
    above = below = 1.0
    for c, count in counts.items():
        true_positives, false, missed = areas(logits, labels, head, c)
        weight = rarest**2 / (count or rarest) ** 2
        above += 2 * weight * true_positives
        below += weight * (2 * true_positives + false + missed)
    return 1 - above / below


def lovasz(logits, labels, head):
    losses = []
    for channel, class_id in channels(head):
        ground_truth = {p for p in pixels(labels) if labels[p] == class_id}
        if not ground_truth and head.threshold is None:
            continue
        errors = {}
        for b, y, x in pixels(labels):
            there = (b, y, x) in ground_truth
            if head.threshold is not None:
                errors[b, y, x] = max(0.0, 1 - logits[b, channel, y, x] * (1 if there else -1))
            else:
                probability = probabilities(logits, head, b, y, x)[class_id]
                errors[b, y, x] = 1 - probability if there else probability
        losses.append(lovasz_extension(errors, ground_truth))
    return sum(losses) / len(losses)


def lovasz_extension(errors, ground_truth):
    """Definition 1 of the paper for Δ(wrong) = 1 - |ground truth without wrong| / |ground truth with wrong|."""
    total, wrong, before = 0.0, set(), 0.0
    for pixel in sorted(errors, key=errors.get, reverse=True):
        wrong.add(pixel)
        after = 1 - len(ground_truth - wrong) / len(ground_truth | wrong)
        total += errors[pixel] * (after - before)
        before = after
    return total


def boundary(logits, labels, head):
    total = 0.0
    for (b, y, x), (_, class_id) in product(pixels(labels), channels(head)):
        known = [(v, u) for a, v, u in pixels(labels) if a == b]
        inside = [q for q in known if labels[b, q[0], q[1]] == class_id]
        outside = [q for q in known if q not in inside]
        if not inside or not outside:
            continue
        there = labels[b, y, x] == class_id
        nearest = min(math.hypot(v - y, u - x) for v, u in (outside if there else inside))
        distance = 1 - nearest if there else nearest
        total += distance * (probabilities(logits, head, b, y, x)[class_id] - there)
    return total / (len(pixels(labels)) * len(channels(head)))
