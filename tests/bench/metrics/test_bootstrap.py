"""The bootstrap over images: honest, repeatable, paired, and small enough for many classes."""

from __future__ import annotations

import resource

import numpy as np
import pytest

from bench.metric import load_metric
from bench.metrics._bootstrap import DRAWS, image_weights, mean_of_defined, percentile_interval, ratio, resampled_sums


def test_every_resample_draws_as_many_images_as_there_are():
    weights = np.concatenate(list(image_weights(37, seed=0)))
    assert weights.shape == (DRAWS, 37)
    assert (weights.sum(axis=1) == 37).all()
    # each image is left out of a resample with probability (1 - 1/37)^37
    assert (weights == 0).mean() == pytest.approx((1 - 1 / 37) ** 37, abs=0.01)


def test_weighted_sums_equal_summing_the_drawn_images():
    random = np.random.default_rng(0)
    statistics = random.integers(0, 100, (6, 2, 3))
    weights = np.concatenate(list(image_weights(6, seed=5))).astype(int)
    sums = resampled_sums(statistics, seed=5)
    for row, total in zip(weights[:20], sums[:20], strict=True):
        drawn = np.repeat(statistics, row, axis=0)
        np.testing.assert_array_equal(total, drawn.sum(axis=0))


def test_chunks_do_not_change_what_is_drawn(monkeypatch):
    whole = np.concatenate(list(image_weights(11, seed=3, draws=50)))
    monkeypatch.setattr("bench.metrics._bootstrap._CHUNK_WEIGHTS", 44)
    parts = list(image_weights(11, seed=3, draws=50))
    assert len(parts) > 1
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_the_interval_of_a_pixel_share_covers_the_truth_about_19_times_in_20(classes):
    # accuracy of images whose share of right pixels is Beta(8, 2): ground truth 0.8
    metric, specs, covered = load_metric("pixel_accuracy"), classes(2), 0
    random = np.random.default_rng(0)
    for trial in range(200):
        right = random.binomial(400, random.beta(8, 2, size=60))
        counts = np.zeros((60, 2, 3), dtype=np.int64)
        counts[:, 0, 0], counts[:, 0, 1] = right, 400 - right
        score = metric.score(counts, specs, seed=trial)
        covered += score.low <= 0.8 <= score.high
    # the percentile interval of a mean of 60 skewed values covers a little less than 95 %
    assert 0.89 <= covered / 200 <= 0.99


def test_the_interval_holds_the_score_and_repeats_with_its_seed(random_images, classes):
    metric = load_metric("mean_iou")
    counts = np.stack([metric.observe(t, p, classes(4)) for t, p in random_images(0, 30, 4)])
    first, again, other = (metric.score(counts, classes(4), seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)
    assert first.low < first.value < first.high


def test_a_single_image_has_a_score_but_no_interval(random_images, classes):
    metric = load_metric("mean_iou")
    counts = np.stack([metric.observe(t, p, classes(4)) for t, p in random_images(0, 1, 4)])
    score = metric.score(counts, classes(4), seed=0)
    assert score.value is not None
    assert (score.low, score.high) == (None, None)


def test_draws_are_the_headline_of_the_drawn_images(random_images, classes):
    metric = load_metric("mean_iou")
    counts = np.stack([metric.observe(t, p, classes(4)) for t, p in random_images(0, 5, 4)])
    weights = np.concatenate(list(image_weights(5, seed=9))).astype(int)
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


def test_draws_without_a_value_are_left_out_unless_they_are_most():
    some = np.array([np.nan, 1.0, 2.0, 3.0])
    assert percentile_interval(some) == (pytest.approx(1.05), pytest.approx(2.95))
    assert percentile_interval(np.array([np.nan, np.nan, 1.0])) == (None, None)
    assert percentile_interval(np.empty(0)) == (None, None)


def test_nothing_divided_by_nothing_is_undefined_and_leaves_the_mean():
    assert np.isnan(ratio(np.array([0]), np.array([0]))).all()
    assert mean_of_defined(np.array([[np.nan, 1.0], [0.0, 1.0]])).tolist() == [1.0, 0.5]
    assert np.isnan(mean_of_defined(np.array([np.nan, np.nan])))
