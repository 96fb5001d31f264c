"""Mean IoU of things: the other classes stay in the counts but not in the mean."""

from __future__ import annotations

import numpy as np
import pytest

from bench.metric import load_metric
from bench.records import ClassSpec

METRIC = load_metric("thing_mean_iou")


def label_space(things: str):
    """One class per letter, upper case = thing."""
    return tuple(ClassSpec(name=letter, is_thing=letter.isupper(), colour=(0, 0, 0)) for letter in things)


def test_a_thing_painted_over_stuff_costs_it_and_stuff_has_no_say_of_its_own(draw):
    target, predicted = draw("..11"), draw(".111")
    score = METRIC.score(METRIC.observe(target, predicted, label_space("sT"))[None], label_space("sT"), seed=0)
    assert score.value == pytest.approx(2 / 3)  # class 0 alone would be 1/2
    assert score.per_class == {"s": None, "T": pytest.approx(2 / 3)}
    assert score.classes_scored == 1


def test_a_model_that_says_nothing_of_stuff_loses_nothing_here(draw):
    target, predicted = draw("..11"), draw("##11")
    assert (
        METRIC.score(METRIC.observe(target, predicted, label_space("sT"))[None], label_space("sT"), seed=0).value == 1
    )


def test_without_things_there_is_no_score_and_the_reason_says_so(draw):
    score = METRIC.score(METRIC.observe(draw(".."), draw(".."), label_space("s"))[None], label_space("s"), seed=0)
    assert score.value is None
    assert "no thing classes" in score.undefined_because


def test_it_is_the_mean_of_mean_ious_class_values_over_things():
    random = np.random.default_rng(0)
    counts = random.integers(0, 50, (6, 4, 5))
    classes = label_space("aBcD")
    all_classes = load_metric("mean_iou").score(counts, classes, seed=0).per_class
    found = METRIC.score(counts, classes, seed=0)
    assert found.value == pytest.approx((all_classes["B"] + all_classes["D"]) / 2)
    assert found.low < found.value < found.high
