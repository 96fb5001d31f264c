"""The conclusion of the scores: what is best, what ties with it, and what one training cannot tell."""

from __future__ import annotations

import pytest

from bench.records import DatasetSpec
from bench.records.store.runs import read_run
from bench.report.differences import significance
from bench.report.summary.significance import Pair
from bench.report.summary.summarise import summarise


def scored(synthetic, label, *, wrong, seed, **changes):
    planned = synthetic.add(label, **changes)
    plan = synthetic.write_plan()
    synthetic.predict(planned, wrong, seed)
    synthetic.score(plan, planned)
    return planned


def text_of(synthetic):
    (text,) = significance(summarise(read_run(synthetic.run)))
    return text


def test_two_models_are_told_apart_with_the_size_of_the_difference(finished):
    text = text_of(finished)
    assert text.startswith("**better** has the best mIoU, 0.9435 (0.9390–0.9480), on 12 test images.")
    assert "at the 5 % level, it is significantly better than faster by 0.153 (0.139–0.166)." in text
    assert "Holm" not in text  # one pair needs no correction


def test_equal_models_tie(synthetic):
    for label in ("one", "two"):
        scored(synthetic, label, wrong=0.1, seed=1)
    text = text_of(synthetic)
    assert "it is not distinguishable from two." in text
    assert "significantly" not in text


def test_ties_and_losers_are_both_told_and_pairs_are_counted(synthetic):
    scored(synthetic, "one", wrong=0.1, seed=1)
    scored(synthetic, "two", wrong=0.1, seed=1)
    scored(synthetic, "three", wrong=0.4, seed=2)
    text = text_of(synthetic)
    assert "Holm's correction for all 3 pairs of 3 models" in text
    assert "better than three by 0." in text
    assert "; it is not distinguishable from two." in text
    assert "2 of the 3 pairs differ significantly, 1 does not: one and two." in text


def test_twenty_models_are_told_in_a_short_paragraph(synthetic):
    for number in range(20):
        scored(synthetic, f"m{number}", wrong=0.02 + 0.04 * number, seed=number)
    text = text_of(synthetic)
    assert "for all 190 pairs of 20 models" in text
    assert "significantly better than every other model, by 0.0" in text
    assert len(text) < 800
    assert "m7" not in text


def test_one_training_each_may_be_luck_and_the_text_says_so(finished):
    text = text_of(finished)
    assert "Every model was trained only once (seed 0)" in text
    assert "may be training luck" in text
    assert "`seeds: [0, 1, 2]`" in text


def test_models_that_are_not_trained_here_have_no_luck_in_training(synthetic):
    for label, wrong in (("one", 0.1), ("two", 0.3)):
        scored(synthetic, label, wrong=wrong, seed=1, recipe=None)
    assert "luck" not in text_of(synthetic)


def test_a_single_model_has_no_conclusion(synthetic):
    scored(synthetic, "one", wrong=0.1, seed=1)
    assert significance(summarise(read_run(synthetic.run))) == []


def test_one_image_tells_nothing(synthetic):
    spec = DatasetSpec(name="shapes", label="shapes", options=synthetic.options, max_images=1)
    for label, wrong in (("one", 0.1), ("two", 0.3)):
        scored(synthetic, label, wrong=wrong, seed=1, dataset=spec)
    assert "on 1 test image. 1 image cannot tell whether the others differ from it." in text_of(synthetic)


def test_the_table_and_the_conclusion_agree_on_what_is_significant(synthetic):
    scored(synthetic, "one", wrong=0.1, seed=1)
    for number in range(6):
        scored(synthetic, f"m{number}", wrong=0.1 + 0.004 * number, seed=2 + number)
    summary = summarise(read_run(synthetic.run))
    pairs = {frozenset((pair.a, pair.b)): pair for pair in summary.pairs}
    assert len(pairs) == 21
    assert all(one.significant == pairs[frozenset((one.best, one.other))].significant for one in summary.comparisons)
    assert {pair.significant for pair in summary.pairs} == {True, False}
    assert all(pair.p_holm < 0.05 for pair in summary.pairs if pair.significant)


def test_a_pair_seen_from_its_other_side_has_the_opposite_difference():
    pair = Pair(dataset="d", a="x", b="y", difference=0.2, low=0.1, high=0.4, p_holm=0.01, significant=True, images=9)
    assert pair.seen_from("x") is pair
    other = pair.seen_from("y")
    assert (other.a, other.b, other.difference, other.low, other.high) == ("y", "x", -0.2, -0.4, -0.1)


@pytest.mark.parametrize("half_way", ["predicted", "nothing"])
def test_a_run_without_scores_has_no_conclusion(synthetic, half_way):
    for label in ("one", "two"):
        planned = synthetic.add(label)
        synthetic.write_plan()
        if half_way == "predicted":
            synthetic.predict(planned, 0.1, 0)
    assert significance(summarise(read_run(synthetic.run))) == []
