"""Intervals of scores over images: honest, repeatable, paired, and small enough for many classes."""

from __future__ import annotations

import resource

import numpy as np
import pytest

from bench.metric import load_metric
from bench.metrics._bootstrap import DRAWS, left_out_interval, mean_of_defined, ratio, resampled_sums
from bench.score.stats.jackknife import left_out_together


def test_every_image_is_left_out_once(kept_images):
    np.testing.assert_array_equal(kept_images(37, 0), 1 - np.eye(37))


def test_many_images_are_left_out_in_parts_of_nearly_one_size_that_repeat_with_their_seed(kept_images):
    weights, again, other = (kept_images(1203, seed) for seed in (0, 0, 1))
    assert weights.shape == (DRAWS, 1203)
    assert ((weights == 0).sum(axis=0) == 1).all()
    assert set((weights == 0).sum(axis=1)) == {2, 3}
    np.testing.assert_array_equal(weights, again)
    assert (weights != other).any()


def test_images_of_a_group_are_left_out_together(kept_images):
    with left_out_together(["b", "a", "b", "c"]):
        weights = kept_images(4, 0)
        sums = resampled_sums(np.array([1, 10, 100, 1000]), seed=0)
    assert weights.tolist() == [[1, 0, 1, 1], [0, 1, 0, 1], [1, 1, 1, 0]]
    assert sums.tolist() == [1101, 1010, 111]


def test_weighted_sums_equal_summing_the_images_that_are_kept(kept_images):
    random = np.random.default_rng(0)
    for images in (6, 700):
        statistics = random.integers(0, 100, (images, 2, 3))
        weights = kept_images(images, 5)
        sums = resampled_sums(statistics, seed=5)
        np.testing.assert_array_equal(sums, np.einsum("un,nij->uij", weights, statistics))


def test_the_interval_of_a_pixel_share_covers_the_true_value_about_19_times_in_20(classes):
    # accuracy of images whose share of right pixels is Beta(8, 2): ground truth 0.8
    metric, specs, covered = load_metric("pixel_accuracy"), classes(2), 0
    random = np.random.default_rng(0)
    for trial in range(200):
        right = random.binomial(400, random.beta(8, 2, size=60))
        counts = np.zeros((60, 2, 3), dtype=np.int64)
        counts[:, 0, 0], counts[:, 0, 1] = right, 400 - right
        score = metric.score(counts, specs, seed=trial)
        covered += score.low <= 0.8 <= score.high
    # standard error 1.5 %
    assert 0.91 <= covered / 200 <= 0.99


def test_the_interval_of_a_mean_over_images_is_the_t_interval(classes):
    stats = pytest.importorskip("scipy.stats", reason="scipy")
    right = np.random.default_rng(0).integers(200, 900, 12)
    counts = np.zeros((12, 2, 3), dtype=np.int64)
    counts[:, 0, 0], counts[:, 0, 1] = right, 1000 - right
    score = load_metric("pixel_accuracy").score(counts, classes(2), seed=0)
    expected = stats.t.interval(0.95, 11, score.value, stats.sem(right / 1000))
    assert (score.low, score.high) == pytest.approx(tuple(expected))
    assert score.error == pytest.approx(stats.sem(right / 1000))


def test_an_interval_ends_where_the_values_of_the_metric_do(classes):
    counts = np.zeros((3, 2, 3), dtype=np.int64)
    counts[:, 0, 0], counts[:, 0, 1] = (100, 100, 90), (0, 0, 10)
    score = load_metric("pixel_accuracy").score(counts, classes(2), seed=0)
    assert score.high == 1.0
    assert 0 < score.low < score.value


def test_correlated_images_of_few_groups_have_a_wide_interval(classes):
    # two patients of 30 images each, one easy and one hard: there are two observations, not sixty
    counts = np.zeros((60, 2, 3), dtype=np.int64)
    counts[:, 0, 0] = [90] * 30 + [70] * 30
    counts[:, 0, 1] = 100 - counts[:, 0, 0]
    metric = load_metric("pixel_accuracy")
    alone = metric.score(counts, classes(2), seed=0)
    with left_out_together(["p"] * 30 + ["q"] * 30):
        grouped = metric.score(counts, classes(2), seed=0)
    assert alone.high - alone.low < 0.06
    assert (grouped.low, grouped.high) == (0.0, 1.0)  # 12.7 standard errors of 0.1


def test_a_single_group_has_a_score_but_no_interval(classes):
    counts = np.full((5, 2, 3), 7, dtype=np.int64)
    with left_out_together(["p"] * 5):
        score = load_metric("mean_iou").score(counts, classes(2), seed=0)
    assert score.value is not None
    assert (score.low, score.high) == (None, None)


def test_the_interval_holds_the_score_and_repeats(random_images, classes):
    metric = load_metric("mean_iou")
    counts = np.stack([metric.observe(t, p, classes(4)) for t, p in random_images(0, 30, 4)])
    first, again = (metric.score(counts, classes(4), seed=1) for _ in "ab")
    assert first == again
    assert first.low < first.value < first.high


def test_a_single_image_has_a_score_but_no_interval(random_images, classes):
    metric = load_metric("mean_iou")
    counts = np.stack([metric.observe(t, p, classes(4)) for t, p in random_images(0, 1, 4)])
    score = metric.score(counts, classes(4), seed=0)
    assert score.value is not None
    assert (score.low, score.high) == (None, None)


def test_values_are_the_headline_of_the_images_that_are_kept(random_images, classes, kept_images):
    metric = load_metric("mean_iou")
    counts = np.stack([metric.observe(t, p, classes(4)) for t, p in random_images(0, 5, 4)])
    weights = kept_images(5, 9).astype(int)
    draws = metric.bootstrap(counts, classes(4), seed=9)
    for row, value in zip(weights[:10], draws[:10], strict=True):
        assert value == pytest.approx(metric.score(np.repeat(counts, row, axis=0), classes(4), seed=0).value)


def test_150_classes_and_2000_images_fit_in_memory(classes):
    metric = load_metric("mean_iou")
    counts = np.zeros((2000, 150, 151), dtype=np.int64)  # 362 MB, nearly all of it never touched
    counts[:, np.arange(150), np.arange(150)] = np.random.default_rng(0).integers(1, 9, (2000, 150))
    counts[:, 0, 1] = 5
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    score = metric.score(counts, classes(150), seed=0)
    grown_bytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert score.low < score.value < score.high
    # a stack of (draws, K, K + 1) would take 362 MB more
    assert grown_bytes < 250e6


def test_values_that_are_undefined_are_left_out_unless_they_are_most():
    def interval(values):
        return left_out_interval(0.5, np.array(values), (None, None))

    some, defined = interval([np.nan, 0.4, 0.5, 0.6]), interval([0.4, 0.5, 0.6])
    assert some == defined
    assert defined.error == pytest.approx(np.sqrt(2 / 3 * 0.02))
    assert interval([np.nan, np.nan, 1.0]) == (None, None, None)
    assert interval([]) == (None, None, None)


def test_nothing_divided_by_nothing_is_undefined_and_leaves_the_mean():
    assert np.isnan(ratio(np.array([0]), np.array([0]))).all()
    assert mean_of_defined(np.array([[np.nan, 1.0], [0.0, 1.0]])).tolist() == [1.0, 0.5]
    assert np.isnan(mean_of_defined(np.array([np.nan, np.nan])))
