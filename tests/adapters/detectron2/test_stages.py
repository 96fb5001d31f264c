from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("detectron2", reason="Detectron2 is not installed; make install")

from bench.adapter import predict, predict_with_probabilities
from bench.errors import Unsupported
from bench.records import ClassSpec, Size, Target, TaskSpec
from bench.records.predictions import check_prediction
from tests.adapters.detectron2.made import TASKS, built
from tests.adapters.rectangles import Rectangles

SIZES = [Size(24, 32), Size(41, 23)]
KEEPS_ALL = {"combine_score": 0.0, "combine_stuff_area": 0}
"""An untrained network's instances and small pieces of stuff stay in the panoptic map."""

OPTIONS = {"semantic_fpn": {}, "mask_rcnn": {}, "panoptic_fpn": KEEPS_ALL}
ARCHITECTURES = pytest.mark.parametrize("architecture", sorted(OPTIONS))


def pictures():
    return [Rectangles(1, seed=3, size=size).image(0) for size in SIZES]


@ARCHITECTURES
@pytest.mark.parametrize("image_size", [None, Size(48, 48)])
def test_the_same_raw_outputs_give_the_same_answer_twice(architecture, image_size):
    adapter = built(architecture, target=Target(threads=1, image_size=image_size), **OPTIONS[architecture])
    raw = adapter.infer(adapter.preprocess(pictures()))
    first, second = (adapter.postprocess(raw, SIZES) for _ in range(2))
    assert [p.content_hash() for p in first] == [p.content_hash() for p in second]


@ARCHITECTURES
@pytest.mark.parametrize("image_size", [None, Size(48, 48)])
def test_answers_have_the_size_of_their_image(architecture, image_size):
    adapter = built(architecture, target=Target(threads=1, image_size=image_size), **OPTIONS[architecture])
    kind = adapter._options.task
    for size, found in zip(SIZES, predict(adapter, pictures()), strict=True):
        check_prediction(found, kind=kind, num_classes=3, size=size, image_id="drawn", model="tested")


def test_stages_find_what_detectron2s_own_forward_finds():
    adapter = built("mask_rcnn")
    picture = pictures()[1]
    (found,) = predict(adapter, [picture])
    size = {"height": picture.shape[0], "width": picture.shape[1]}
    bgr = torch.from_numpy(picture[..., ::-1].transpose(2, 0, 1).copy())
    with torch.inference_mode():
        own = adapter._network.module([{"image": bgr, **size}])[0]["instances"]
    assert len(found.class_ids) == len(own) > 0
    assert np.array_equal(found.masks, own.pred_masks.numpy())
    assert np.array_equal(found.class_ids, own.pred_classes.numpy() + 1)  # red and green are 1 and 2
    assert np.allclose(found.scores, own.scores.numpy())


def test_panoptic_stages_find_what_detectron2s_own_forward_finds():
    adapter = built("panoptic_fpn", **KEEPS_ALL)
    picture = pictures()[0]
    (found,) = predict(adapter, [picture])
    bgr = torch.from_numpy(picture[..., ::-1].transpose(2, 0, 1).copy())
    with torch.inference_mode():
        ids, table = adapter._network.module([{"image": bgr, "height": 24, "width": 32}])[0]["panoptic_seg"]
    assert np.array_equal(found.segment_ids, ids.numpy())
    assert [s.id for s in found.segments] == [row["id"] for row in table]


def test_panoptic_segments_have_classes_of_the_task_and_scores_where_they_are_things():
    found = predict(built("panoptic_fpn", **KEEPS_ALL), pictures())
    things = [spec.is_thing for spec in TASKS["panoptic"].classes]
    segments = [segment for one in found for segment in one.segments]
    assert any(things[segment.class_id] for segment in segments)
    for segment in segments:
        assert (segment.score is not None) == things[segment.class_id]


@pytest.mark.parametrize(("number", "class_id"), [(1, 0), (2, 2)])
def test_stuff_of_the_semantic_head_gets_its_class_of_the_task(number, class_id):
    names = (("sky", False), ("person", True), ("road", False))
    task = TaskSpec(kind="panoptic", classes=tuple(ClassSpec(name=n, is_thing=t, colour=(0, 0, 0)) for n, t in names))
    adapter = built("panoptic_fpn", task=task, score_threshold=1.0, **KEEPS_ALL)
    batch, (found, logits) = adapter.infer(adapter.preprocess(pictures()[:1]))
    assert logits.shape[1] == 3  # all things, sky, road
    logits = torch.zeros_like(logits)
    logits[:, number] = 1
    (answer,) = adapter.postprocess((batch, (found, logits)), SIZES[:1])
    assert [segment.class_id for segment in answer.segments] == [class_id]
    assert (answer.segment_ids == answer.segments[0].id).all()


def test_where_nothing_is_found_the_masks_are_none_of_the_images_size():
    found = predict(built("mask_rcnn", score_threshold=1.0), pictures())
    assert [one.masks.shape for one in found] == [(0, *size) for size in SIZES]
    assert all(one.class_ids.shape == one.scores.shape == (0,) for one in found)


def test_void_of_the_semantic_head_is_void_of_the_panoptic_map():
    """Where the head says "a thing" and no instance stands, no segment does."""
    adapter = built("panoptic_fpn", score_threshold=1.0, **KEEPS_ALL)
    batch, (found, logits) = adapter.infer(adapter.preprocess(pictures()[:1]))
    logits = torch.zeros_like(logits)
    logits[:, 0] = 1
    (answer,) = adapter.postprocess((batch, (found, logits)), SIZES[:1])
    assert answer.segments == ()
    assert not answer.segment_ids.any()


@pytest.mark.parametrize("architecture", ["fcn", "deeplabv3plus"])
def test_probabilities_are_the_softmax_that_names_the_labels_of_an_image_at_its_size(architecture):
    adapter = built(architecture)
    (size, *_), (image, *_) = SIZES, pictures()
    (answer,), (probabilities,) = predict_with_probabilities(adapter, [image])
    bgr = torch.from_numpy(image[..., ::-1].transpose(2, 0, 1).copy())
    with torch.inference_mode():
        own = adapter._network.module([{"image": bgr, "height": size.height, "width": size.width}])[0]["sem_seg"]
    assert probabilities == pytest.approx(np.exp(own.log_softmax(0).numpy()), abs=1e-5)
    assert np.array_equal(answer.labels, own.argmax(0).numpy())


def test_a_network_that_finds_objects_has_no_probabilities_of_pixels():
    with pytest.raises(Unsupported, match="finds objects"):
        predict_with_probabilities(built("mask_rcnn"), pictures())
