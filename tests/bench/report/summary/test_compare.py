"""Differences are paired by image, and clear ones are told from ties."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.errors import BenchError
from bench.metric import load_metric
from bench.records import ClassSpec
from bench.records.store.statistics import Statistics
from bench.report.summary.compare import latency_ratio, paired_differences

CLASSES = tuple(ClassSpec(name=name, colour=(0, 0, 0)) for name in ("a", "b"))
ACCURACY = load_metric("pixel_accuracy")


def paired_difference(a, b, metric, classes, *, seed):
    (found,) = paired_differences({"a": a, "b": b}, metric, classes, seed=seed).values()
    return found


def of_accuracies(right, ids=None):
    """Statistics of images with 1000 pixels, so many of them right."""
    right = np.asarray(right)
    counts = np.zeros((len(right), 2, 3), dtype=np.int64)
    counts[:, 0, 0], counts[:, 0, 1] = right, 1000 - right
    return Statistics(tuple(ids or (f"i{k}" for k in range(len(right)))), {"confusion": counts})


def test_a_small_steady_gain_is_significant_although_images_differ_widely():
    random = np.random.default_rng(0)
    hard = random.integers(200, 900, 40)
    a, b = of_accuracies(hard + 10), of_accuracies(hard)
    found = paired_difference(a, b, ACCURACY, CLASSES, seed=0)
    assert found.difference == pytest.approx(0.01)
    assert (found.low, found.high) == (pytest.approx(0.01), pytest.approx(0.01))
    assert found.significant
    assert found.probability == 1.0
    # unpaired, the two intervals overlap almost entirely
    alone = [ACCURACY.score(s.arrays["confusion"], CLASSES, seed=0) for s in (a, b)]
    assert alone[0].low < alone[1].high


def test_images_are_paired_by_id_whatever_their_order():
    random = np.random.default_rng(1)
    right, ids = random.integers(200, 900, 30), [f"i{k}" for k in range(30)]
    order = random.permutation(30)
    a = of_accuracies(right + 10, ids)
    shuffled = of_accuracies(right[order], [ids[k] for k in order])
    assert paired_difference(a, shuffled, ACCURACY, CLASSES, seed=0) == paired_difference(
        a, of_accuracies(right, ids), ACCURACY, CLASSES, seed=0
    )


def test_a_model_ties_with_itself():
    a = of_accuracies(np.random.default_rng(2).integers(200, 900, 30))
    found = paired_difference(a, a, ACCURACY, CLASSES, seed=0)
    assert (found.difference, found.low, found.high, found.probability, found.p) == (0, 0, 0, 0.5, 1)
    assert not found.significant


def test_noise_without_a_difference_is_called_significant_about_one_time_in_20():
    random = np.random.default_rng(3)
    called = 0
    for trial in range(200):
        hard = random.integers(300, 800, 50)
        a, b = (of_accuracies(hard + random.integers(-50, 51, 50)) for _ in "ab")
        called += paired_difference(a, b, ACCURACY, CLASSES, seed=trial).significant
    assert 2 <= called <= 22  # 10 expected, a little more for the percentile interval of 50 images


def test_the_p_value_of_noise_is_below_5_percent_about_one_time_in_20():
    random = np.random.default_rng(4)
    below = 0
    for trial in range(200):
        hard = random.integers(300, 800, 50)
        a, b = (of_accuracies(hard + random.integers(-50, 51, 50)) for _ in "ab")
        below += paired_difference(a, b, ACCURACY, CLASSES, seed=trial).p < 0.05
    assert 2 <= below <= 20  # 10 expected


def test_a_pixel_accuracy_has_the_p_value_of_the_paired_t_test():
    # all images have 1000 pixels, so that the accuracy is the mean over images, whose test this is
    stats = pytest.importorskip("scipy.stats", reason="scipy")
    random = np.random.default_rng(5)
    a = random.integers(300, 800, 40)
    b = a - random.integers(-60, 90, 40)
    found = paired_difference(of_accuracies(a), of_accuracies(b), ACCURACY, CLASSES, seed=0)
    expected = stats.ttest_rel(a, b).pvalue
    assert 0.001 < expected < 0.2
    assert found.p == pytest.approx(expected)
    low, high = stats.ttest_rel(a, b).confidence_interval()
    assert (found.low, found.high) == pytest.approx((low / 1000, high / 1000))


@pytest.mark.parametrize("seed", range(20))
def test_the_interval_leaves_out_0_exactly_where_the_p_value_is_below_5_percent(seed):
    random = np.random.default_rng(seed)
    images = int(random.integers(2, 7))  # few images are where two methods would fall apart
    b = random.integers(200, 700, images)
    found = paired_difference(
        of_accuracies(b + random.integers(-20, 90, images)), of_accuracies(b), ACCURACY, CLASSES, seed=0
    )
    assert found.significant == (found.p < 0.05)


def test_an_interval_ends_where_differences_do():
    found = paired_difference(of_accuracies([1000, 950]), of_accuracies([0, 900]), ACCURACY, CLASSES, seed=0)
    # with one degree of freedom the half width is 12.7 standard errors
    assert (found.low, found.high) == (-1.0, 1.0)


def test_every_pair_is_compared_once_in_the_order_given():
    models = {name: of_accuracies([700 + k, 600, 500 + 3 * k]) for k, name in enumerate("cab")}
    found = paired_differences(models, ACCURACY, CLASSES, seed=0)
    assert list(found) == [("c", "a"), ("c", "b"), ("a", "b")]
    assert found["c", "b"].difference == pytest.approx(found["c", "a"].difference + found["a", "b"].difference)


def test_models_scored_on_different_images_are_not_compared():
    with pytest.raises(BenchError, match="2 were scored for one of them only, for example 'i2'"):
        paired_difference(
            of_accuracies([1, 2, 3]), of_accuracies([1, 2, 3], ["i0", "i1", "i9"]), ACCURACY, CLASSES, seed=0
        )


def test_statistics_without_the_metrics_counts_say_how_to_get_them():
    with pytest.raises(BenchError, match=r"no 'boundary'.*bench score RUN"):
        paired_difference(of_accuracies([1]), of_accuracies([1]), load_metric("boundary_iou"), CLASSES, seed=0)


def test_an_undefined_score_has_no_difference():
    nothing = Statistics(("i0", "i1"), {"confusion": np.zeros((2, 2, 3), dtype=np.int64)})
    found = paired_difference(nothing, nothing, ACCURACY, CLASSES, seed=0)
    assert (found.difference, found.low, found.probability, found.p, found.significant) == (
        None,
        None,
        None,
        None,
        False,
    )


def test_one_image_has_a_difference_but_no_interval():
    found = paired_difference(of_accuracies([500]), of_accuracies([400]), ACCURACY, CLASSES, seed=0)
    assert found.difference == pytest.approx(0.1)
    assert (found.low, found.high, found.p, found.significant) == (None, None, None, False)


def test_a_model_that_takes_half_again_as_long_is_found_to():
    random = np.random.default_rng(0)
    fast = [random.normal(10, 0.1, 300) for _ in range(3)]
    slow = [random.normal(15, 0.1, 200) for _ in range(3)]
    found = latency_ratio(slow, fast)
    assert found.ratio == pytest.approx(1.5, abs=0.01)
    assert found.low < found.ratio < found.high
    assert found.significant


def test_equal_latencies_tie():
    random = np.random.default_rng(0)
    same = [random.normal(10, 1, 300) for _ in range(3)]
    found = latency_ratio(same, same)
    assert found.ratio == 1
    assert found.low < 1 < found.high
    assert not found.significant


def test_one_process_per_model_gives_a_ratio_without_an_interval():
    # Two processes of one network differ by more than the samples of either show.
    random = np.random.default_rng(0)
    found = latency_ratio([random.normal(10, 0.1, 300)], [random.normal(15, 0.1, 300)] * 3)
    assert found.ratio == pytest.approx(2 / 3, abs=0.01)
    assert (found.low, found.high, found.significant) == (None, None, None)


def test_images_of_one_group_are_one_observation_of_a_difference():
    # two patients, of which A is better on one and worse on the other by as much
    a = of_accuracies([900] * 20 + [700] * 20)
    b = of_accuracies([800] * 20 + [790] * 20)
    alone = paired_difference(a, b, ACCURACY, CLASSES, seed=0)
    grouped = [replace(one, groups=("p",) * 20 + ("q",) * 20) for one in (a, b)]
    together = paired_difference(*grouped, ACCURACY, CLASSES, seed=0)
    assert (alone.difference, together.difference) == (pytest.approx(0.005), pytest.approx(0.005))
    assert together.estimate.degrees == 1
    assert together.high - together.low > 10 * (alone.high - alone.low)


def test_an_interval_of_another_level_leaves_out_0_exactly_where_its_p_is_below_that():
    random = np.random.default_rng(9)
    b = random.integers(200, 700, 12)
    found = paired_difference(
        of_accuracies(b + random.integers(-20, 60, 12)), of_accuracies(b), ACCURACY, CLASSES, seed=0
    )
    assert found.at_level(found.p * 1.01).significant
    assert not found.at_level(found.p * 0.99).significant
