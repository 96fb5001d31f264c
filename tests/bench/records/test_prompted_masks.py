"""Masks of prompts: what is refused, and what comes back from disk."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.errors import BenchError, ShapeError
from bench.records import ClassSpec, Size
from bench.records.predictions import Instances, PromptedMasks, check_prediction, load_prediction, save_prediction
from bench.score.reduce import reaches, semantic_from


def masks(count=2, size=(2, 3), scores=None):
    return PromptedMasks(np.zeros((count, *size), dtype=bool), np.full(count, 0.5) if scores is None else scores)


def check(prediction, prompts=2):
    return check_prediction(
        prediction, kind="prompted", num_classes=3, size=Size(2, 3), image_id="a", model="sam/a", prompts=prompts
    )


@pytest.mark.parametrize(
    ("prediction", "said"),
    [
        (masks(1), "masks of shape (1, 2, 3) and dtype bool; expected (2, 2, 3)"),
        (masks(3), "masks of shape (3, 2, 3)"),
        (masks(size=(3, 2)), "masks of shape (2, 3, 2)"),
        (masks(scores=np.full(2, 0.5, np.float32)), "scores of shape (2,) and dtype float32"),
        (masks(scores=np.array([0.5, 1.5])), "scores outside 0-1"),
        (masks(scores=np.array([0.5, np.nan])), "scores outside 0-1"),
        (np.zeros((2, 2, 3), bool), "a ndarray; a prompted model must return PromptedMasks"),
    ],
)
def test_what_breaks_the_contract_is_named_with_model_and_image(prediction, said):
    with pytest.raises(ShapeError) as caught:
        check(prediction)
    assert said in str(caught.value)
    assert "sam/a returned for image 'a', which is (2, 3)," in str(caught.value)


def test_a_mask_for_each_prompt_keeps_the_contract():
    assert check(masks())
    assert check(masks(0), prompts=0)


def test_instances_are_no_masks_of_prompts():
    instances = Instances(np.zeros((2, 2, 3), bool), np.zeros(2, np.int64), np.ones(2), np.zeros(2, bool))
    with pytest.raises(ShapeError, match="a prompted model must return PromptedMasks"):
        check(instances)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_masks_come_back_from_disk_in_their_order_with_the_same_hash(tmp_path, count):
    random = np.random.default_rng(count)
    one = PromptedMasks(random.random((count, 7, 5)) > 0.5, random.random(count))
    save_prediction(one, tmp_path, "a")
    back = load_prediction("prompted", tmp_path, "a")
    assert back.content_hash() == one.content_hash()
    assert (back.masks == one.masks).all()
    assert np.array_equal(back.scores, one.scores)


def test_order_pixels_and_scores_are_part_of_the_hash():
    random = np.random.default_rng(0)
    one = PromptedMasks(random.random((2, 4, 4)) > 0.5, np.array([0.2, 0.8]))
    flipped = one.masks.copy()
    flipped[0, 0, 0] ^= True
    others = (
        PromptedMasks(one.masks[::-1], one.scores),
        PromptedMasks(flipped, one.scores),
        PromptedMasks(one.masks, one.scores[::-1]),
    )
    assert len({one.content_hash(), *(other.content_hash() for other in others)}) == 4


@pytest.mark.parametrize("change", [{"masks": 3}, {"masks": [{"score": 2.0, "counts": [6]}]}, {"size": None}])
def test_a_damaged_file_says_what_to_do(tmp_path, change):
    document = {"size": [2, 3], "masks": [{"score": 0.5, "counts": [6]}], **change}
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(ShapeError, match="not a readable prompted prediction"):
        load_prediction("prompted", tmp_path, "a")


def test_masks_without_classes_become_nothing_else():
    others = ("semantic", "instance", "panoptic")
    assert not any(reaches("prompted", other) or reaches(other, "prompted") for other in others)
    with pytest.raises(BenchError, match="have no classes"):
        semantic_from(masks(), (ClassSpec(name="background", colour=(0, 0, 0)),))
