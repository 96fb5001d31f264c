"""Predictions of classified masks, against plain loops and against the image processors of transformers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="transformers is not installed; make install")

from transformers import EomtImageProcessor, Mask2FormerImageProcessor

from adapters.transformers.classes import Classes
from adapters.transformers.masks import INFERENCES, ClassifiedMasks, at_original_size
from adapters.transformers.options import UniversalOptions
from bench.records import ClassSpec, Size, TaskSpec

SEEDS = pytest.mark.parametrize("seed", range(10))
SQUARE = Size(24, 24)
OPTIONS = UniversalOptions(architecture="mask2former", object_score=0.4, detections=50)


def task(kind="panoptic", things=(False, True, True, False)):
    classes = tuple(ClassSpec(name=f"c{i}", is_thing=t, colour=(0, 0, 0)) for i, t in enumerate(things))
    return TaskSpec(kind=kind, classes=classes)


CLASSES = Classes.of(task(), "tested")


def drawn(seed, *, queries=6, size=SQUARE, sharp=3.0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, queries, 4, 4, generator=generator) * sharp
    masks = torch.nn.functional.interpolate(coarse, size=tuple(size), mode="bilinear")[0]
    return ClassifiedMasks(torch.randn(queries, len(CLASSES) + 1, generator=generator) * 2, masks)


def answered(kind, found, classes=CLASSES, options=OPTIONS):
    """Answer of a batch of one, whose masks have the size of their image already."""
    (answer,) = INFERENCES[kind](
        ClassifiedMasks(found.classes[None], found.masks[None]), lambda _, masks: masks, classes, options
    )
    return answer


def semantic(found):
    return answered("semantic", found)


def instances(found, classes, options):
    return answered("instance", found, classes, options)


def panoptic(found, classes, options):
    return answered("panoptic", found, classes, options)


def batch_of_one(found):
    return SimpleNamespace(
        class_queries_logits=found.classes[None], masks_queries_logits=found.masks[None], patch_offsets=None
    )


def probabilities(found):
    classes = found.classes.double().numpy()
    exponential = np.exp(classes - classes.max(axis=1, keepdims=True))
    return exponential / exponential.sum(axis=1, keepdims=True), 1 / (1 + np.exp(-found.masks.double().numpy()))


@SEEDS
def test_label_maps_agree_with_a_pixel_by_pixel_loop(seed):
    found = drawn(seed, size=Size(7, 5))
    classes, masks = probabilities(found)
    labels = semantic(found).labels
    for y in range(7):
        for x in range(5):
            scores = [sum(classes[q, k] * masks[q, y, x] for q in range(6)) for k in range(4)]
            assert labels[y, x] == int(np.argmax(scores))


@SEEDS
def test_instances_agree_with_a_loop_over_pairs(seed):
    found = drawn(seed)
    classes, masks = probabilities(found)
    expected = []
    for query in range(6):
        inside = masks[query] > 0.5
        if inside.any():
            expected += [(classes[query, k] * masks[query][inside].mean(), k, inside) for k in range(4)]
    expected.sort(key=lambda one: -one[0])
    answer = instances(found, CLASSES, OPTIONS)
    assert answer.scores == pytest.approx([score for score, _, _ in expected], abs=1e-5)
    assert answer.class_ids.tolist() == [k for _, k, _ in expected]
    assert all(np.array_equal(a, b) for a, (_, _, b) in zip(answer.masks, expected, strict=True))


@SEEDS
def test_panoptic_maps_agree_with_a_loop_over_queries(seed):
    found = drawn(seed)
    classes, masks = probabilities(found)
    kept = [q for q in range(6) if classes[q].argmax() < 4 and classes[q].max() > OPTIONS.object_score]
    expected, segments, stuff = np.zeros(SQUARE, dtype=int), [], {}
    winner = np.array([classes[q].max() * masks[q] for q in kept]).reshape(-1, *SQUARE).argmax(axis=0) if kept else None
    for place, query in enumerate(kept):
        own, won, inside = int(classes[query].argmax()), winner == place, masks[query] >= 0.5
        if not (won & inside).any() or won.sum() / inside.sum() < 0.8:
            continue
        if own in stuff:
            expected[won & inside] = stuff[own]
            continue
        segments.append((len(segments) + 1, own))
        expected[won & inside] = len(segments)
        if own in (0, 3):
            stuff[own] = len(segments)
    answer = panoptic(found, CLASSES, OPTIONS)
    assert np.array_equal(answer.segment_ids, expected)
    assert [(s.id, s.class_id) for s in answer.segments] == segments


@SEEDS
def test_label_maps_are_those_of_the_image_processor_at_the_size_it_works_at(seed):
    found = drawn(seed, size=Size(384, 384))
    (own,) = Mask2FormerImageProcessor().post_process_semantic_segmentation(batch_of_one(found))
    assert (semantic(found).labels == own.numpy()).mean() > 0.9999


@SEEDS
def test_instances_are_those_of_the_image_processor_at_the_size_it_works_at(seed):
    found = drawn(seed, size=Size(384, 384))
    (own,) = Mask2FormerImageProcessor().post_process_instance_segmentation(
        batch_of_one(found), threshold=0.0, return_binary_maps=True
    )
    answer = instances(found, CLASSES, OPTIONS.model_copy(update={"detections": 6}))
    order = np.argsort([-row["score"] for row in own["segments_info"]], kind="stable")
    rows = [own["segments_info"][i] for i in order]
    assert answer.scores == pytest.approx([row["score"] for row in rows], abs=2e-6)
    assert answer.class_ids.tolist() == [row["label_id"] for row in rows]
    assert np.array_equal(answer.masks, own["segmentation"][order.tolist()].numpy() == 1)


@SEEDS
def test_panoptic_maps_are_those_of_the_image_processor_of_eomt_which_has_the_official_rules(seed):
    found = drawn(seed)
    size = {"shortest_edge": 24, "longest_edge": 24}
    (own,) = EomtImageProcessor().post_process_panoptic_segmentation(
        batch_of_one(found), [(24, 24)], threshold=OPTIONS.object_score, stuff_classes=[0, 3], size=size
    )
    answer = panoptic(found, CLASSES, OPTIONS)
    assert np.array_equal(answer.segment_ids, own["segmentation"].numpy() + 1)  # it counts from 0 and void is -1
    assert [s.class_id for s in answer.segments] == [row["label_id"] for row in own["segments_info"]]


def test_some_of_the_panoptic_maps_that_are_compared_have_segments_and_fused_stuff():
    answers = [panoptic(drawn(seed), CLASSES, OPTIONS) for seed in range(10)]
    assert sum(len(answer.segments) for answer in answers) > 10


def test_queries_of_the_same_stuff_are_one_segment_and_those_of_the_same_thing_are_two():
    masks = torch.full((2, 4, 4), -9.0)
    masks[0, :2], masks[1, 2:] = 9.0, 9.0
    for number, segments in ((0, 1), (1, 2)):
        classes = torch.full((2, 5), -9.0)
        classes[:, number] = 9.0
        answer = panoptic(ClassifiedMasks(classes, masks), CLASSES, OPTIONS)
        assert len(answer.segments) == segments
        assert len(np.unique(answer.segment_ids)) == segments  # no void is left


def test_a_pixel_that_the_mask_of_its_query_denies_stays_void():
    masks = torch.full((1, 4, 4), -1.0)
    masks[0, :2] = 9.0
    # The query wins all 16 pixels, 8 of which its mask has: kept because 16 / 8 is not below 0.8.
    answer = panoptic(ClassifiedMasks(torch.tensor([[9.0, 0, 0, 0, 0]]), masks), CLASSES, OPTIONS)
    assert (answer.segment_ids[:2] == 1).all()
    assert not answer.segment_ids[2:].any()


def test_padding_is_cut_after_masks_have_the_size_of_the_input_and_before_they_have_that_of_the_image():
    coarse = torch.zeros(1, 4, 4)
    coarse[0, :, 2:] = 9.0  # the right half of the padded input, which is padding but for 2 columns
    padded, content, size = Size(16, 16), Size(16, 10), Size(32, 20)
    masks = at_original_size(coarse, padded=padded, content=content, size=size)
    whole = torch.nn.functional.interpolate(coarse[None], size=(16, 16), mode="bilinear")
    expected = torch.nn.functional.interpolate(whole[..., :10], size=(32, 20), mode="bilinear")[0]
    assert masks.shape == (1, 32, 20)
    assert torch.allclose(masks, expected, atol=1e-4)
    shortcut = torch.nn.functional.interpolate(coarse[None, ..., :3], size=(32, 20), mode="bilinear")[0]
    assert not torch.allclose(masks, shortcut, atol=0.5)


def test_a_network_of_instances_knows_the_things_alone():
    classes = Classes.of(task("instance"), "tested")
    assert classes.ids.tolist() == [1, 2]
    found = ClassifiedMasks(torch.tensor([[0.0, 9.0, 0.0]]), torch.ones(1, 3, 3))
    answer = instances(found, classes, OPTIONS.model_copy(update={"detections": 1}))
    assert answer.class_ids.tolist() == [2]


@pytest.mark.parametrize(("threshold", "left"), [(0.0, 4), (0.99, 0)])
def test_instances_below_the_threshold_and_empty_masks_are_left_out(threshold, left):
    masks = torch.stack([torch.full((3, 3), 2.0), torch.full((3, 3), -2.0)])
    found = ClassifiedMasks(torch.zeros(2, 5), masks)
    answer = instances(found, CLASSES, OPTIONS.model_copy(update={"score_threshold": threshold}))
    assert answer.masks.shape == (left, 3, 3)
    assert len(answer.scores) == len(answer.class_ids) == left
