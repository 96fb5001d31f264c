"""Class-agnostic mean IoU: known answers, and agreement with loops over pixels and over resamples."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import ShapeError
from bench.metric import load_metric, metric_names
from bench.records import ClassSpec
from bench.records.predictions import PromptedMasks, SemanticMap

METRIC = load_metric("prompted_iou")
CLASSES = (ClassSpec(name="thing", is_thing=True, colour=(0, 0, 0)),)


def masks(*rows):
    """One mask per string, of one row of pixels: `#` is in it."""
    made = np.array([[[cell == "#" for cell in row]] for row in rows], dtype=bool)
    return PromptedMasks(made, np.ones(len(rows)))


def nothing(width=4):
    return PromptedMasks(np.zeros((0, 1, width), dtype=bool), np.zeros(0))


def rows_of(pairs):
    """The rows of all images, as scoring numbers them."""
    tables = [METRIC.observe(target, predicted, CLASSES).table for target, predicted in pairs]
    return np.concatenate([np.insert(table, 0, number, axis=1) for number, table in enumerate(tables)])


def score(pairs, seed=0):
    return METRIC.score(rows_of(pairs), CLASSES, seed=seed)


def test_every_object_weighs_the_same_whatever_its_size_and_its_image():
    first = (masks("####", "#..."), masks("##..", "#..."))  # 1/2 and 1
    second = (masks("##.."), masks(".##."))  # 1/3
    found = score([first, second])
    assert found.value == pytest.approx((1 / 2 + 1 + 1 / 3) / 3)
    assert found.dialects["per_image"] == pytest.approx((3 / 4 + 1 / 3) / 2)
    assert found.images == 2


def test_a_mask_is_compared_with_the_object_of_its_own_prompt_and_no_other():
    assert score([(masks("##..", "..##"), masks("..##", "##.."))]).value == 0


def test_a_prompt_that_is_answered_with_nothing_scores_zero():
    assert score([(masks("##..", "..##"), masks("....", "..##"))]).value == pytest.approx(1 / 2)


def test_an_image_without_objects_counts_as_an_image_but_not_in_the_mean():
    found = score([(masks("##.."), masks("#...")), (nothing(), nothing())])
    assert found.value == pytest.approx(1 / 2)
    assert found.images == 2
    assert found.dialects["per_image"] == pytest.approx(1 / 2)


def test_without_any_object_there_is_no_score_and_the_reason_says_so():
    found = score([(nothing(), nothing()), (nothing(), nothing())])
    assert (found.value, found.low, found.undefined_because) == (None, None, "no image has an object")


def square(side, width=100):
    made = np.zeros((1, width, width), dtype=bool)
    made[0, :side, :side] = True
    return made


@pytest.mark.parametrize(("side", "name"), [(31, "small"), (32, "medium"), (95, "medium"), (96, "large")])
def test_parts_hold_the_objects_by_area(side, name):
    one = PromptedMasks(square(side), np.ones(1))
    found = score([(one, one)]).parts
    assert found == {f"IoU_{other}": 1.0 if other == name else None for other in ("small", "medium", "large")}


def random_pairs(seed, images=6):
    random = np.random.default_rng(seed)
    pairs = []
    for _ in range(images):
        true = random.random((random.integers(0, 4), 5, 7)) < 0.5
        true[:, 0, 0] = True  # no object is empty
        guess = np.where(random.random(true.shape) < 0.7, true, ~true)
        pairs.append((PromptedMasks(true, np.ones(len(true))), PromptedMasks(guess, np.ones(len(true)))))
    return pairs


def iou_by_pixels(true, guess):
    both = either = 0
    for row in range(true.shape[0]):
        for column in range(true.shape[1]):
            both += bool(true[row, column] and guess[row, column])
            either += bool(true[row, column] or guess[row, column])
    return both / either


@pytest.mark.parametrize("seed", range(20))
def test_scores_agree_with_loops_over_pixels(seed):
    pairs = random_pairs(seed)
    ious = [[iou_by_pixels(t, p) for t, p in zip(a.masks, b.masks, strict=True)] for a, b in pairs]
    every = [iou for image in ious for iou in image]
    assert score(pairs).value == pytest.approx(sum(every) / len(every))
    assert score(pairs).dialects["per_image"] == pytest.approx(np.mean([np.mean(image) for image in ious if image]))


def test_draws_agree_with_pooling_the_objects_of_the_drawn_images_one_by_one(kept_images):
    pairs = random_pairs(3)
    rows = rows_of(pairs)
    draws = METRIC.bootstrap(rows, CLASSES, seed=5)
    weights = kept_images(len(pairs), 5)
    assert draws.shape == (len(pairs),)
    for draw, weight in zip(draws[:50], weights[:50], strict=True):
        drawn = [
            iou
            for image, _ in enumerate(pairs)
            for iou in rows[rows[:, 0] == image, 1]
            for _ in range(int(weight[image]))
        ]
        drawn = [iou for iou in drawn if not np.isnan(iou)]
        assert draw == pytest.approx(sum(drawn) / len(drawn))
    found = score(pairs, seed=5)
    assert found.low < found.value < found.high


@pytest.mark.parametrize(
    ("target", "predicted", "said"),
    [
        (masks("##"), masks("##", "##"), "one mask per prompt"),
        (masks("##"), masks("###"), "one mask per prompt"),
        (masks("##"), SemanticMap(np.zeros((1, 2), np.uint8)), "compares masks of prompts"),
    ],
)
def test_other_forms_sizes_and_numbers_are_refused(target, predicted, said):
    with pytest.raises(ShapeError, match=said):
        METRIC.observe(target, predicted, CLASSES)


def test_no_other_metric_takes_the_task_and_it_takes_no_other():
    assert [name for name in metric_names() if "prompted" in load_metric(name).tasks] == ["prompted_iou"]
    assert METRIC.tasks == ("prompted",)


def test_rows_of_another_version_are_refused():
    with pytest.raises(ShapeError, match="bench score RUN"):
        METRIC.score(np.zeros((4, 2)), CLASSES, seed=0)
