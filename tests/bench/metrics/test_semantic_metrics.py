"""Overlap metrics: known answers, other libraries, plain loops, and what is undefined."""

from __future__ import annotations

import importlib
import inspect
import sys

import numpy as np
import pytest
import torch
import torchmetrics.classification as tm

from bench.errors import ShapeError
from bench.metric import FromProbabilities, Rows, load_metric, metric_names
from bench.records import ClassSpec
from bench.records.predictions import Instances, SemanticMap

OVERLAP = (
    "mean_iou",
    "dice",
    "precision",
    "recall",
    "mean_accuracy",
    "pixel_accuracy",
    "frequency_weighted_iou",
    "foreground_iou",
)


def observed(metric, pairs, specs):
    return np.stack([metric.observe(target, predicted, specs) for target, predicted in pairs])


def by_loop(pairs, num_classes):
    """(true positives, true pixels, predicted pixels) by class, counted one pixel at a time."""
    true_positives, true, guessed = [0] * num_classes, [0] * num_classes, [0] * num_classes
    for target, predicted in pairs:
        for t, p in zip(target.labels.ravel().tolist(), predicted.labels.ravel().tolist(), strict=True):
            if t == 255:
                continue
            true[t] += 1
            if p < num_classes:
                guessed[p] += 1
                true_positives[t] += t == p
    return true_positives, true, guessed


# --------------------------------------------------------------------------- known answers


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("present_in_target", 0.528),  # Detectron2, Ultralytics
        ("absent_is_one", 0.517),  # PaddleSeg, smp with zero_division=1
        ("absent_is_zero", 0.317),  # smp with zero_division=0
        ("micro", 0.739),
        ("frequency_weighted", 0.752),
    ],
)
def test_the_fixture_of_known_answers_gives_each_librarys_mean_iou(dialect, expected, fixture_counts, classes):
    score = load_metric("mean_iou").score(fixture_counts, classes(5), seed=0)
    assert score.dialects[dialect] == pytest.approx(expected, abs=5e-4)


def test_the_headline_of_the_fixture_averages_over_classes_with_a_union(fixture_counts, classes):
    # IoU 900/1160, 800/990, 0/100, 0/50, undefined -> (0.7759 + 0.8081) / 4
    score = load_metric("mean_iou").score(fixture_counts, classes(5), seed=0)
    assert score.value == pytest.approx((900 / 1160 + 800 / 990) / 4)
    assert score.value == pytest.approx(0.396, abs=5e-4)
    assert score.classes_scored == 4
    assert score.per_class["class 4"] is None
    assert (score.images, score.pixels) == (1, 2000)


def test_a_class_predicted_but_never_true_scores_zero_and_lowers_the_mean(draw, classes):
    target = draw("""
        ..11
        ..11""")
    predicted = draw("""
        ..11
        .211""")
    # class 0: 3/4 (one pixel lost to class 2); class 1: 4/4; class 2: 0/1  ->  (0.75 + 1 + 0) / 3
    metric = load_metric("mean_iou")
    score = metric.score(observed(metric, [(target, predicted)], classes(3)), classes(3), seed=0)
    assert score.value == pytest.approx(1.75 / 3)


def test_void_pixels_of_the_target_count_for_nothing_whatever_is_predicted_there(draw, classes):
    target = draw("""
        ..##
        11##""")
    predicted = draw("""
        ..12
        11.#""")
    metric = load_metric("mean_iou")
    score = metric.score(observed(metric, [(target, predicted)], classes(3)), classes(3), seed=0)
    assert score.per_class == {"class 0": 1.0, "class 1": 1.0, "class 2": None}
    assert score.pixels == 4


def test_predicting_no_class_costs_the_true_class_and_blames_no_other(draw, classes):
    target = draw("..11")
    predicted = draw(".#11")
    scores = {}
    for name in ("mean_iou", "precision", "recall", "pixel_accuracy"):
        metric = load_metric(name)
        scores[name] = metric.score(observed(metric, [(target, predicted)], classes(2)), classes(2), seed=0)
    assert scores["mean_iou"].per_class == {"class 0": 0.5, "class 1": 1.0}
    assert scores["precision"].per_class == {"class 0": 1.0, "class 1": 1.0}
    assert scores["recall"].per_class == {"class 0": 0.5, "class 1": 1.0}
    assert scores["pixel_accuracy"].value == pytest.approx(3 / 4)


def test_per_image_mean_iou_differs_from_the_pooled_one(draw, classes):
    # image 1: IoU 1/2 and 2/3 -> 7/12; image 2: perfect, only class 0 -> 1. Pooled: 5/6, 2/3 -> 3/4
    pairs = [(draw("..11"), draw(".111")), (draw("...."), draw("...."))]
    metric = load_metric("mean_iou")
    score = metric.score(observed(metric, pairs, classes(2)), classes(2), seed=0)
    assert score.dialects["per_image"] == pytest.approx((7 / 12 + 1) / 2)
    assert score.value == pytest.approx((5 / 6 + 2 / 3) / 2)


# --------------------------------------------------------------------------- oracles

FORMULAS = {
    "mean_iou": lambda h, t, p: h / (t + p - h) if t + p - h else None,
    "dice": lambda h, t, p: 2 * h / (t + p) if t + p else None,
    "precision": lambda h, t, p: h / p if p else None,
    "recall": lambda h, t, p: h / t if t else None,
    "mean_accuracy": lambda h, t, p: h / t if t else None,
}


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("seed", range(5))
def test_class_scores_and_their_mean_agree_with_a_pixel_loop(name, seed, random_images, classes):
    pairs = random_images(seed, 3, 6)
    expected = [FORMULAS[name](*counts) for counts in zip(*by_loop(pairs, 6), strict=True)]
    metric = load_metric(name)
    score = metric.score(observed(metric, pairs, classes(6)), classes(6), seed=0)
    assert list(score.per_class.values()) == pytest.approx(expected)
    there = [value for value in expected if value is not None]
    assert score.value == pytest.approx(sum(there) / len(there))
    assert score.classes_scored == len(there)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "dialect", "oracle"),
    [
        ("mean_iou", None, tm.MulticlassJaccardIndex(7, average="macro", ignore_index=255)),
        ("mean_iou", "micro", tm.MulticlassJaccardIndex(7, average="micro", ignore_index=255)),
        ("frequency_weighted_iou", None, tm.MulticlassJaccardIndex(7, average="weighted", ignore_index=255)),
        ("dice", None, tm.MulticlassF1Score(7, average="macro", ignore_index=255)),
        ("precision", "never_predicted_is_zero", tm.MulticlassPrecision(7, average="macro", ignore_index=255)),
        ("precision", "micro", tm.MulticlassPrecision(7, average="micro", ignore_index=255)),
        ("recall", "never_true_is_zero", tm.MulticlassRecall(7, average="macro", ignore_index=255)),
        ("pixel_accuracy", None, tm.MulticlassAccuracy(7, average="micro", ignore_index=255)),
    ],
)
def test_scores_agree_with_torchmetrics(name, dialect, oracle, seed, random_images, classes):
    pairs = random_images(seed, 4, 6)  # class 6 of 7 occurs nowhere
    oracle.reset()
    for target, predicted in pairs:
        oracle.update(torch.from_numpy(predicted.labels.astype(np.int64)), torch.from_numpy(target.labels).long())
    metric = load_metric(name)
    score = metric.score(observed(metric, pairs, classes(7)), classes(7), seed=0)
    ours = score.value if dialect is None else score.dialects[dialect]
    assert ours == pytest.approx(float(oracle.compute()), abs=1e-6)  # torchmetrics divides in float32


def test_foreground_iou_agrees_with_torchmetrics_binary_jaccard(random_images, classes):
    pairs = random_images(7, 5, 2)
    oracle = tm.BinaryJaccardIndex(ignore_index=255)
    for target, predicted in pairs:
        oracle.update(torch.from_numpy(predicted.labels), torch.from_numpy(target.labels).long())
    metric = load_metric("foreground_iou")
    score = metric.score(
        observed(metric, pairs, classes("background", "brain")), classes("background", "brain"), seed=0
    )
    assert score.value == pytest.approx(float(oracle.compute()), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_dice_and_iou_of_a_class_are_tied_but_their_means_are_not(seed, random_images, classes):
    pairs = random_images(seed, 2, 4)
    iou, dice = load_metric("mean_iou"), load_metric("dice")
    counts = observed(iou, pairs, classes(4))
    i, d = iou.score(counts, classes(4), seed=0), dice.score(counts, classes(4), seed=0)
    for name, value in i.per_class.items():
        assert d.per_class[name] == pytest.approx(2 * value / (1 + value))
    assert d.value != pytest.approx(2 * i.value / (1 + i.value), abs=1e-9)


# --------------------------------------------------------------------------- foreground


def test_foreground_is_the_class_that_is_not_called_background(draw, classes):
    target, predicted = draw(".111"), draw("..11")
    metric = load_metric("foreground_iou")
    counts = observed(metric, [(target, predicted)], classes(2))
    assert metric.score(counts, classes("background", "cell"), seed=0).value == pytest.approx(2 / 3)
    assert metric.score(counts, classes("cell", "background"), seed=0).value == pytest.approx(1 / 2)
    assert metric.score(counts, classes("road", "car"), seed=0).value == pytest.approx(2 / 3)


@pytest.mark.parametrize("count", [1, 3, 19])
def test_foreground_iou_of_another_number_of_classes_is_undefined_and_says_why(count, classes):
    score = load_metric("foreground_iou").score(np.ones((2, count, count + 1), np.int64), classes(count), seed=0)
    assert score.value is None
    assert score.undefined_because == f"needs exactly two classes, one of them background; there are {count}"
    assert (score.low, score.high) == (None, None)


def test_an_empty_foreground_is_undefined_when_pooled_and_one_in_the_dialect_that_says_so(draw, classes):
    metric = load_metric("foreground_iou")
    specs = classes("background", "tumour")
    score = metric.score(observed(metric, [(draw("...."), draw("...."))], specs), specs, seed=0)
    assert score.value is None
    assert score.undefined_because == "class 'tumour' occurs in no target and no prediction"
    assert score.dialects["per_image"] is None
    assert score.dialects["per_image_absent_is_one"] == 1.0


# --------------------------------------------------------------------------- undefined


@pytest.mark.parametrize("name", OVERLAP)
def test_targets_of_nothing_but_void_have_no_score(name, draw, classes):
    metric = load_metric(name)
    score = metric.score(observed(metric, [(draw("####"), draw("..11"))], classes(2)), classes(2), seed=0)
    assert score.value is None
    assert score.undefined_because == "every pixel of every target is void"
    assert set(score.per_class.values()) <= {None}


@pytest.mark.parametrize("name", [*OVERLAP, "boundary_iou"])
def test_no_image_has_no_score(name, classes):
    metric = load_metric(name)
    shape = (0, 2, 2) if name == "boundary_iou" else (0, 2, 3)
    score = metric.score(np.zeros(shape, np.int64), classes(2), seed=0)
    assert (score.value, score.undefined_because, score.images) == (None, "no image was scored", 0)


def test_precision_without_any_prediction_is_undefined_and_says_why(draw, classes):
    metric = load_metric("precision")
    score = metric.score(observed(metric, [(draw("..11"), draw("####"))], classes(2)), classes(2), seed=0)
    assert score.value is None
    assert score.undefined_because == "no class is predicted on any pixel that is scored"


@pytest.mark.parametrize("name", [*OVERLAP, "boundary_iou"])
def test_counts_of_another_label_space_are_refused(name, classes):
    with pytest.raises(ShapeError, match="score the run again"):
        load_metric(name).score(np.ones((2, 4, 5), np.int64), classes(3), seed=0)


@pytest.mark.parametrize("name", [*OVERLAP, "boundary_iou"])
def test_instances_are_refused_with_the_way_to_reduce_them(name, draw, classes):
    none = Instances(np.zeros((0, 1, 4), bool), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool))
    with pytest.raises(ShapeError, match=r"bench\.score\.reduce"):
        load_metric(name).observe(draw("..11"), none, classes(2))


@pytest.mark.parametrize("name", [*OVERLAP, "boundary_iou"])
def test_a_prediction_of_another_size_is_refused_with_both_sizes(name, draw, classes):
    with pytest.raises(ShapeError, match=r"\(1, 4\).*\(1, 2\)"):
        load_metric(name).observe(draw("..11"), draw(".1"), classes(2))


def test_scores_are_also_averaged_over_the_categories_of_a_label_space(draw):
    classes = [
        ClassSpec(name=name, colour=(0, 0, 0), category=category)
        for name, category in (("road", "flat"), ("car", "vehicle"), ("bus", "vehicle"), ("sky", "sky"))
    ]
    counts = load_metric("mean_iou").observe(draw("..1122"), draw("..1222"), classes)
    score = load_metric("mean_iou").score(counts[None], classes, seed=0)
    # car 1/2, bus 2/3; the sky is nowhere
    assert score.parts == {"flat": 1.0, "vehicle": pytest.approx((1 / 2 + 2 / 3) / 2), "sky": None}
    plain = [spec.model_copy(update={"category": None}) for spec in classes]
    assert load_metric("mean_iou").score(counts[None], plain, seed=0).parts == {}
    assert "category" not in plain[0].model_dump()


# --------------------------------------------------------------------------- form


def test_every_metric_documents_itself_under_the_five_headings():
    headings = ["What it measures:", "Definition:", "When undefined:", "Differs from:", "Source:"]
    for name in metric_names():
        text = inspect.getdoc(importlib.import_module(f"bench.metrics.{name}")) or ""
        places = [text.find("\n" + heading) for heading in headings]
        assert -1 not in places, f"{name} lacks {headings[places.index(-1)]!r}"
        assert places == sorted(places), name


def test_every_metric_is_named_like_its_file_and_shares_observe_by_statistic(classes):
    by_statistic: dict[str, set[bytes]] = {}
    pair = SemanticMap(np.uint8([[0, 1, 1]])), SemanticMap(np.uint8([[0, 0, 1]]))
    for name in metric_names():
        metric = load_metric(name)
        assert metric.name == name
        if "semantic" in metric.tasks and not isinstance(metric, FromProbabilities):
            by_statistic.setdefault(metric.statistic, set()).add(_bytes_of(metric.observe(*pair, classes(2))))
    assert {"confusion", "boundary", "surface_distances"} < set(by_statistic)
    assert {statistic: len(seen) for statistic, seen in by_statistic.items() if len(seen) > 1} == {}


def _bytes_of(observed):
    return (observed.table if isinstance(observed, Rows) else observed).tobytes()


ERROR_RATE = """
from bench.metrics._bootstrap import ratio
from bench.metrics._semantic import ConfusionMetric, Formula

def wrong_share(totals):
    return ratio((totals.target - totals.true_positives).sum(axis=-1), totals.target.sum(axis=-1))

METRIC = ConfusionMetric(
    name="error_rate", version=1, label="wrong", definition="wrong pixels / pixels", higher_is_better=False,
    formula=Formula(headline=wrong_share, undefined_because="no pixel"),
)
"""
OLD_FORM = (
    ERROR_RATE
    + "_made, METRIC = METRIC, None\ndel METRIC\nclass Metric:\n"
    + "".join(
        f"    {name} = _made.{name}\n" for name in ("name", "version", "label", "higher_is_better", "score", "observe")
    )
)


@pytest.mark.parametrize("source", [ERROR_RATE, OLD_FORM])
def test_a_new_file_is_a_metric_by_its_formula_alone_and_one_of_the_old_form_still_is(
    tmp_path, monkeypatch, draw, classes, source
):
    folder = tmp_path / "bench" / "metrics"
    folder.mkdir(parents=True)
    (folder / "error_rate.py").write_text(source)
    monkeypatch.setattr("bench.records.names.harness_root", lambda: tmp_path)
    monkeypatch.setattr("bench.metrics.__path__", [str(folder)])
    metric = load_metric("error_rate")
    monkeypatch.delitem(sys.modules, "bench.metrics.error_rate")
    counts = metric.observe(draw("..11"), draw(".111"), classes(2))
    score = metric.score(counts[None], classes(2), seed=0)
    assert (score.metric, score.value, metric.higher_is_better) == ("error_rate", 0.25, False)
