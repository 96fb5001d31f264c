"""Metrics of probabilities against scikit-learn, torchmetrics and loops over pixels, from the same stored levels."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import ShapeError
from bench.metric import FromProbabilities, load_metric, metric_error
from bench.records import ClassSpec
from bench.records.predictions import SemanticMap
from bench.records.probabilities import (
    QUANTISATION_ERROR,
    ClassProbabilities,
    load_probabilities,
    quantised,
    save_probabilities,
)

NAMES = ("background", "disc", "ring", "cross")
CLASSES = tuple(ClassSpec(name=name, colour=(0, 0, 0)) for name in NAMES)
ALL = ("ece", "adaptive_ece", "brier", "auprc", "selective_accuracy", "threshold_dice", "threshold_iou")


class Image:
    """A drawn image: ground truth with some void, probabilities of a softmax, and the class they name."""

    def __init__(self, seed: int, sharpness: float = 1.5, shape: tuple[int, int] = (24, 31)) -> None:
        rng = np.random.default_rng(seed)
        self.ground_truth = rng.integers(0, rng.integers(2, 5), shape).astype(np.uint8)
        logits = rng.normal(size=(4, *shape)) + sharpness * (self.ground_truth == np.arange(4)[:, None, None])
        exp = np.exp(logits * rng.uniform(0.5, 3))
        self.floats = (exp / exp.sum(axis=0)).astype(np.float32)
        self.ground_truth[rng.random(shape) < 0.05] = 255
        self.probabilities = quantised(
            self.floats, num_classes=4, size=SemanticMap(self.ground_truth).size, image_id="a", model="m"
        )
        self.labels = self.floats.argmax(axis=0).astype(np.uint8)

    @property
    def known(self):
        return self.ground_truth != 255

    def level(self, class_id):
        return self.probabilities.levels[class_id][self.known]

    @property
    def confidence(self):
        rows, columns = np.nonzero(self.known)
        return self.probabilities.levels[self.labels[self.known], rows, columns] / 255

    @property
    def right(self):
        return (self.labels == self.ground_truth)[self.known]


def statistics(metric, images):
    rows = [
        metric.observe_probabilities(SemanticMap(i.ground_truth), SemanticMap(i.labels), i.probabilities, CLASSES)
        for i in images
    ]
    return np.stack(rows)


def score(name, images):
    metric = load_metric(name)
    return metric.score(statistics(metric, images), CLASSES, seed=0)


def pooled(images, of):
    return np.concatenate([of(image) for image in images])


SEEDS = range(40)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_calibration_error_is_that_of_a_loop_over_pixels_and_bins(seed):
    images = [Image(seed), Image(seed + 1000, sharpness=0.2)]
    confidence, right = pooled(images, lambda i: i.confidence), pooled(images, lambda i: i.right)
    total, largest = 0.0, 0.0
    for b in range(15):
        low, high = b / 15, (b + 1) / 15
        inside = (confidence > low + 1e-12) & (confidence <= high + 1e-12) | ((b == 0) & (confidence == 0))
        if inside.any():
            gap = abs(right[inside].mean() - confidence[inside].mean())
            total += inside.mean() * gap
            largest = max(largest, gap)
    found = score("ece", images)
    assert found.value == pytest.approx(total, abs=1e-12)
    assert found.parts["largest gap"] == pytest.approx(largest, abs=1e-12)
    assert found.parts["overconfidence"] == pytest.approx(confidence.mean() - right.mean(), abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_the_calibration_error_is_that_of_torchmetrics_where_no_confidence_is_an_edge_of_a_bin(seed):
    calibration_error = pytest.importorskip("torchmetrics.functional.classification").binary_calibration_error
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    levels = rng.choice([q for q in range(1, 255) if q % 17], size=(1, 40, 50)).astype(np.uint8)
    right = rng.random((40, 50)) < (levels[0] / 255) ** 1.5
    # Class 0 is predicted everywhere with these levels; it is right where the ground truth is 0.
    ground_truth = np.where(right, 0, 1).astype(np.uint8)
    both = ClassProbabilities(np.concatenate([levels, 255 - levels]))
    metric = load_metric("ece")
    counts = metric.observe_probabilities(
        SemanticMap(ground_truth), SemanticMap(np.zeros_like(ground_truth)), both, CLASSES[:2]
    )
    theirs = calibration_error(torch.tensor(levels[0] / 255).flatten(), torch.tensor(right).flatten().int(), n_bins=15)
    ours = metric.score(counts[None], CLASSES[:2], seed=0)
    assert ours.value == pytest.approx(float(theirs), abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_the_adaptive_error_is_that_of_sorted_pixels_in_parts_of_equal_size(seed):
    # 15 bins of 31 pixels each, no two pixels alike but where they are in the same bin anyway.
    rng = np.random.default_rng(seed)
    levels = np.sort(rng.choice(np.arange(1, 255), size=15 * 12, replace=False)).astype(np.uint8)[None]
    right = rng.random(levels.shape[1]) < levels[0] / 255
    ground_truth = np.where(right, 0, 1).astype(np.uint8)[None]
    both = ClassProbabilities(np.stack([levels, 255 - levels]))
    metric = load_metric("adaptive_ece")
    counts = metric.observe_probabilities(
        SemanticMap(ground_truth), SemanticMap(np.zeros_like(ground_truth)), both, CLASSES[:2]
    )
    parts = np.split(np.arange(levels.shape[1]), 15)
    gaps = [abs(right[p].mean() - (levels[0, p] / 255).mean()) for p in parts]
    assert metric.score(counts[None], CLASSES[:2], seed=0).value == pytest.approx(np.mean(gaps), abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_brier_score_is_the_mean_of_squared_differences_summed_over_classes(seed):
    images = [Image(seed), Image(seed + 500)]
    each = [
        ((i.probabilities.levels[:, i.known] / 255 - (i.ground_truth[i.known] == np.arange(4)[:, None])) ** 2).T
        for i in images
    ]
    squares = np.concatenate(each)
    found = score("brier", images)
    assert found.value == pytest.approx(squares.sum(axis=1).mean(), abs=1e-12)
    assert list(found.per_class.values()) == pytest.approx(list(squares.mean(axis=0)), abs=1e-12)
    assert found.bounds == (0.0, 2.0)


def test_the_brier_score_of_two_classes_is_twice_that_of_scikit_learn():
    brier_score_loss = pytest.importorskip("sklearn.metrics").brier_score_loss
    rng = np.random.default_rng(3)
    levels = rng.integers(0, 256, (30, 30)).astype(np.uint8)
    ground_truth = (rng.random((30, 30)) < levels / 255).astype(np.uint8)
    metric = load_metric("brier")
    both = ClassProbabilities(np.stack([255 - levels, levels]))
    sums = metric.observe_probabilities(SemanticMap(ground_truth), SemanticMap(ground_truth), both, CLASSES[:2])
    theirs = brier_score_loss(ground_truth.ravel(), levels.ravel() / 255)
    assert metric.score(sums[None], CLASSES[:2], seed=0).value == pytest.approx(2 * theirs, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_area_under_precision_and_recall_is_that_of_scikit_learn(seed):
    average_precision_score = pytest.importorskip("sklearn.metrics").average_precision_score
    images = [Image(seed), Image(seed + 77, sharpness=0.0)]
    found, expected = score("auprc", images), {}
    for class_id, name in enumerate(NAMES):
        ground_truth = pooled(images, lambda i, c=class_id: (i.ground_truth == c)[i.known])
        levels = pooled(images, lambda i, c=class_id: i.level(c))
        expected[name] = average_precision_score(ground_truth, levels) if ground_truth.any() else None
    for name, value in expected.items():
        assert found.per_class[name] == (None if value is None else pytest.approx(value, abs=1e-12))
    foreground = [v for name, v in expected.items() if v is not None and name != "background"]
    assert found.value == pytest.approx(np.mean(foreground), abs=1e-12)


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("coverage", [0.1, 0.5, 0.8, 1.0])
def test_selective_accuracy_is_the_expected_share_among_the_surest_in_any_order_of_ties(seed, coverage):
    images = [Image(seed), Image(seed + 9)]
    confidence, right = pooled(images, lambda i: i.confidence), pooled(images, lambda i: i.right).astype(float)
    # Ties in equal shares: each pixel of a level stands for the mean of its level.
    for level in np.unique(confidence):
        right[confidence == level] = right[confidence == level].mean()
    order = np.argsort(-confidence, kind="stable")
    wanted = coverage * len(order)
    whole = int(wanted)
    rest = (wanted - whole) * right[order[whole]] if wanted > whole else 0.0
    expected = (right[order[:whole]].sum() + rest) / wanted
    assert score(f"selective_accuracy@{coverage:g}", images).value == pytest.approx(expected, abs=1e-9)


def test_the_risk_area_is_the_limit_of_the_mean_risk_over_all_prefixes():
    images = [Image(5, shape=(120, 130))]
    confidence, right = pooled(images, lambda i: i.confidence), pooled(images, lambda i: i.right).astype(float)
    for level in np.unique(confidence):
        right[confidence == level] = right[confidence == level].mean()
    order = np.argsort(-confidence, kind="stable")
    risks = (1 - right[order]).cumsum() / np.arange(1, len(order) + 1)
    assert score("selective_accuracy", images).parts["AURC"] == pytest.approx(risks.mean(), abs=2e-4)


@pytest.mark.parametrize("seed", range(15))
def test_the_chosen_threshold_has_the_best_dice_of_all_on_the_images_it_is_chosen_on(seed):
    images = [Image(seed, sharpness=0.6)]
    levels_of, metric = load_metric("auprc"), load_metric("threshold_dice")
    best = load_metric("threshold_dice").best_on(statistics(levels_of, images).sum(axis=0), CLASSES)
    expected = []
    for class_id in range(1, 4):
        ground_truth, level = images[0].ground_truth[images[0].known] == class_id, images[0].level(class_id)
        if ground_truth.any():
            dice = [
                2 * (ground_truth & (level >= q)).sum() / (ground_truth.sum() + (level >= q).sum())
                for q in range(1, 256)
            ]
            expected.append(max(dice))
        elif (level >= 128).any():
            expected.append(0.0)
    assert best == pytest.approx(np.mean(expected), abs=1e-12)
    assert metric.score(statistics(metric, images), CLASSES, seed=0).value <= best + 1e-12


@pytest.mark.parametrize("seed", range(15))
def test_dice_and_iou_at_a_threshold_are_those_of_a_loop_over_pixels(seed):
    images, taus = [Image(seed), Image(seed + 3)], (100, 60, 140, 200)
    for name, ratio in (
        ("threshold_dice", lambda h, c, t: 2 * h / (c + t)),
        ("threshold_iou", lambda h, c, t: h / (c + t - h)),
    ):
        metric = load_metric(name).chosen_at(taus)
        found = metric.score(statistics(metric, images), CLASSES, seed=0)
        for class_id, tau in enumerate(taus):
            ground_truth = pooled(images, lambda i, c=class_id: (i.ground_truth == c)[i.known])
            called = pooled(images, lambda i, c=class_id: i.level(c)) >= tau
            true_positives, both = (ground_truth & called).sum(), ground_truth.sum() + called.sum()
            expected = ratio(true_positives, called.sum(), ground_truth.sum()) if both else None
            assert found.per_class[NAMES[class_id]] == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("name", ALL)
def test_a_model_that_is_sure_and_right_is_perfect(name):
    image = Image(1)
    image.labels = np.where(image.ground_truth == 255, 0, image.ground_truth).astype(np.uint8)
    image.probabilities = ClassProbabilities(((image.labels == np.arange(4)[:, None, None]) * 255).astype(np.uint8))
    metric, found = load_metric(name), score(name, [image])
    assert found.value == (1.0 if metric.higher_is_better else 0.0)


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_defined_where_every_pixel_is_void(name):
    image = Image(1)
    image.ground_truth[:] = 255
    assert score(name, [image]).value is None


@pytest.mark.parametrize("name", ALL)
def test_scores_of_groups_and_of_single_images_are_those_of_these_images_alone(name):
    images, metric = [Image(seed) for seed in range(6)], load_metric(name)
    every = statistics(metric, images)
    members = np.array([[True] * 6, [True, False] * 3])
    found = metric.of_groups(every, CLASSES, members)
    assert found[0] == pytest.approx(metric.score(every, CLASSES, seed=0).value)
    assert found[1] == pytest.approx(metric.score(every[::2], CLASSES, seed=0).value)
    assert metric.per_image(every, CLASSES)[2] == pytest.approx(metric.score(every[2:3], CLASSES, seed=0).value)


@pytest.mark.parametrize("name", ALL)
def test_each_has_an_interval_around_its_value(name):
    found = score(name, [Image(seed) for seed in range(8)])
    assert found.low < found.value < found.high


def test_a_pixel_that_names_no_class_is_wrong_and_claims_nothing():
    image = Image(2)
    image.labels[:] = 255
    assert score("ece", [image]).value == 0.0  # claims 0, right 0
    assert score("selective_accuracy", [image]).value == 0.0


@pytest.mark.parametrize("name", ALL)
def test_predictions_without_probabilities_are_refused_by_name(name):
    image, metric = Image(0), load_metric(name)
    assert isinstance(metric, FromProbabilities)
    with pytest.raises(ShapeError, match="keep: probabilities"):
        metric.observe(SemanticMap(image.ground_truth), SemanticMap(image.labels), CLASSES)


def test_a_coverage_above_one_is_no_coverage():
    assert metric_error("selective_accuracy@0.5") is None
    assert "at most 1" in metric_error("selective_accuracy@1.5")


def test_stored_probabilities_differ_from_the_models_by_the_stated_error_at_most(tmp_path):
    image = Image(4)
    save_probabilities(image.probabilities, tmp_path, "a")
    back = load_probabilities(tmp_path, "a", 4)
    assert back.content_hash() == image.probabilities.content_hash()
    assert np.abs(back.values - image.floats).max() <= QUANTISATION_ERROR + 1e-7


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.full((4, 2, 3), 1.5, dtype=np.float32), "from 1.5 to 1.5"),
        (np.full((4, 2, 3), np.nan, dtype=np.float32), "from nan"),
        (np.zeros((3, 2, 3), dtype=np.float32), "expected"),
        (np.zeros((4, 2, 3), dtype=np.uint8), "uint8"),
    ],
)
def test_what_is_no_probability_is_refused_with_the_image(values, told):
    with pytest.raises(ShapeError, match="'a'") as refused:
        quantised(values, num_classes=4, size=SemanticMap(np.zeros((2, 3), np.uint8)).size, image_id="a", model="m")
    assert told in str(refused.value)
