"""The framework's own predictor is the oracle."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from adapters._torch.weights import load_weights, save_weights
from adapters.ultralytics import environment
from adapters.ultralytics.network import make_network
from adapters.ultralytics.stages import SemanticStages
from bench.adapter import predict, predict_with_probabilities
from bench.errors import BenchError
from bench.records import IGNORE_LABEL, Size, Target
from tests.adapters.rectangles import INSTANCES
from tests.adapters.ultralytics.yolo import NETWORKS, SEEN_BY_A_USER, TASKS, built, images, spec

SIZES = [Size(24, 32), Size(32, 24), Size(29, 31), Size(21, 40)]
INPUT = Size(64, 64)


def oracle(kind, weights, image, *, network=None, **arguments):
    """The framework's own answer to an RGB image, by its predictor, which takes BGR."""
    from ultralytics import YOLO

    name = network or NETWORKS[kind]
    loaded = make_network(spec(kind, network=name), TASKS[kind], seed=0)
    load_weights(loaded, weights, label="oracle")
    with environment.contained():
        model = YOLO(f"{name}.yaml", verbose=False)
        model.model = loaded.module
        (result,) = model.predict(
            np.ascontiguousarray(image[..., ::-1]),
            **{"imgsz": list(INPUT), "rect": False, "device": "cpu", "verbose": False, "channels_last": False},
            **arguments,
        )
    return result


@pytest.mark.few(2)
@pytest.mark.parametrize("size", SIZES)
def test_instances_are_those_of_the_frameworks_predictor(trained, size):
    weights, (image,) = trained("instance").weights, images(size)
    expected = oracle("instance", weights, image, conf=0.001, iou=0.7, max_det=100, retina_masks=True)
    (found,) = predict(built(weights=weights, target=Target(threads=1, image_size=INPUT)), [image])
    assert len(found.scores) >= 2
    assert np.array_equal(found.scores, expected.boxes.conf.double().numpy())
    assert np.array_equal(found.class_ids, expected.boxes.cls.numpy().astype(int) + 1)  # red is class 1 of the task
    assert np.array_equal(found.masks, expected.masks.data.numpy().astype(bool))


@pytest.mark.few(1)
@pytest.mark.parametrize("size", SIZES)
def test_masks_of_the_networks_size_are_the_predictors_cropped_and_resized(trained, size):
    weights, (image,) = trained("instance").weights, images(size)
    expected = oracle("instance", weights, image, conf=SEEN_BY_A_USER, iou=0.7, max_det=100, retina_masks=False)
    options = {"conf": SEEN_BY_A_USER, "retina_masks": False}
    (found,) = predict(built(weights=weights, target=Target(threads=1, image_size=INPUT), **options), [image])
    assert len(found.scores) == len(expected.boxes) >= 1
    height, width = (round(side * min(64 / size.height, 64 / size.width)) for side in size)
    top, left = round((64 - height) / 2 - 0.1), round((64 - width) / 2 - 0.1)
    cropped = expected.masks.data[:, top : top + height, left : left + width].float()
    resized = F.interpolate(cropped[None], tuple(size), mode="bilinear")[0] > 0.5
    assert np.array_equal(found.masks, resized.numpy())


@pytest.mark.few(2)
@pytest.mark.parametrize("size", SIZES)
def test_labels_are_those_of_the_frameworks_predictor(trained, size):
    weights, (image,) = trained("semantic").weights, images(size)
    (found,) = predict(built("semantic", weights=weights, target=Target(threads=1, image_size=INPUT)), [image])
    assert len(np.unique(found.labels)) > 1
    assert np.array_equal(found.labels, oracle("semantic", weights, image).semantic_mask.data.numpy())


def test_probabilities_are_a_softmax_that_names_the_labels(trained):
    weights, (image,) = trained("semantic").weights, images(SIZES[0])
    adapter = built("semantic", weights=weights, target=Target(threads=1, image_size=INPUT))
    (answer,), (probabilities,) = predict_with_probabilities(adapter, [image])
    assert probabilities.shape == (3, *SIZES[0])
    assert np.allclose(probabilities.sum(axis=0), 1, atol=1e-5)
    named = np.take_along_axis(probabilities, answer.labels[None].astype(np.int64), 0)[0]
    assert np.allclose(named, probabilities.max(axis=0), atol=1e-6)


def test_what_a_network_gives_to_a_class_that_the_task_has_not_is_given_to_none():
    stages = SemanticStages(SimpleNamespace(class_ids=(2, IGNORE_LABEL, 0)), Target(), 3)
    found = stages._of_classes(torch.tensor([0.5, 0.3, 0.2]).view(3, 1, 1))
    assert found.reshape(-1).tolist() == pytest.approx([0.2, 0.0, 0.5])


@pytest.fixture(scope="module")
def lively_yolo26(tmp_path_factory):
    """Weights of a network that answers something everywhere: fresh ones, shaken."""
    network = make_network(spec(network="yolo26n-seg"), INSTANCES, seed=0)
    generator = torch.Generator().manual_seed(3)
    shaken = {
        name: tensor + 0.05 * torch.randn(tensor.shape, generator=generator) if name.endswith("weight") else tensor
        for name, tensor in network.module.state_dict().items()
    }
    path = tmp_path_factory.mktemp("yolo26") / "lively.pt"
    save_weights(network, shaken, path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("nms", [True, False])
def test_both_heads_of_yolo26_answer_as_in_the_frameworks_predictor(lively_yolo26, nms):
    (image,) = images(Size(24, 32))
    options = {"network": "yolo26n-seg", "nms": nms, "conf": 0.0, "max_det": 20}
    (found,) = predict(built(weights=lively_yolo26, target=Target(threads=1, image_size=INPUT), **options), [image])
    expected = oracle(
        "instance",
        lively_yolo26,
        image,
        network="yolo26n-seg",
        **{"conf": 0.0, "iou": 0.7, "max_det": 20, "retina_masks": True, **({} if nms else {"nms": False})},
    )
    assert len(found.scores) > 3
    assert np.array_equal(found.scores, expected.boxes.conf.double().numpy())
    assert np.array_equal(found.masks, expected.masks.data.numpy().astype(bool))


def test_red_is_found_as_red_and_green_as_green(trained):
    adapter = built(weights=trained("instance").weights, target=Target(threads=1, image_size=INPUT))
    (image,) = images(Size(24, 32), seed=20)
    (found,) = predict(adapter, [image])
    best = {c: found.masks[found.class_ids == c][0] for c in (1, 2)}
    for class_id, mask in best.items():
        own, other = image[mask][:, class_id - 1].mean(), image[mask][:, 2 - class_id].mean()
        assert own > other + 50


@pytest.mark.parametrize("kind", ["instance", "semantic"])
def test_an_image_is_answered_alike_alone_and_among_others_of_its_size(trained, kind):
    adapter = built(kind, weights=trained(kind).weights, target=Target(threads=1, image_size=INPUT))
    pictures = images(*SIZES)
    alone = [predict(adapter, [picture])[0] for picture in pictures]
    for one, among in zip(alone, predict(adapter, pictures), strict=True):
        if kind == "semantic":
            assert np.mean(one.labels == among.labels) >= 0.999
        else:
            seen = int((one.scores > SEEN_BY_A_USER).sum())
            assert np.allclose(one.scores[:seen], among.scores[:seen], atol=1e-4)
            assert np.mean(one.masks[:seen] == among.masks[:seen]) >= 0.999


@pytest.mark.parametrize("kind", ["instance", "semantic"])
def test_the_padding_of_a_mixed_batch_keeps_an_image_on_its_own_grid(trained, kind):
    adapter = built(kind, weights=trained(kind).weights)
    small, large = images(Size(24, 32), Size(70, 90))
    batch = adapter.preprocess([small, large])
    assert batch.content == (Size(32, 32), Size(96, 96))
    assert torch.equal(batch.pixels[0, :, :32, :32], adapter.preprocess([small]).pixels[0])
    assert torch.allclose(batch.pixels[0, :, 32:], torch.tensor(114 / 255))
    sizes = [Size(24, 32), Size(70, 90)]
    answers = adapter.postprocess(adapter.infer(batch), sizes)
    assert [answer.size for answer in answers] == sizes


# With 8 bits a pixel here and there on the border of a mask falls on the other side.
@pytest.mark.parametrize(
    ("setting", "tolerance", "same_pixels"), [({"channels_last": True}, 1e-4, 0.98), ({"precision": "bf16"}, 0.1, 0.93)]
)
def test_layout_and_precision_change_the_arithmetic_and_hardly_the_answer(trained, setting, tolerance, same_pixels):
    (image,) = images(Size(24, 32), seed=21)
    kinds = {"instance": {"conf": SEEN_BY_A_USER}, "semantic": {}}
    for kind, options in kinds.items():
        plain, other = (
            predict(
                built(
                    kind,
                    weights=trained(kind).weights,
                    target=Target(threads=1, image_size=INPUT, **changed),
                    **options,
                ),
                [image],
            )[0]
            for changed in ({}, setting)
        )
        if kind == "semantic":
            assert np.mean(plain.labels == other.labels) >= same_pixels
        else:
            assert abs(plain.scores[0] - other.scores[0]) <= tolerance
            assert np.mean(plain.masks[0] == other.masks[0]) >= same_pixels


def test_only_so_many_detections_above_the_floor_are_returned(trained):
    weights, (image,) = trained("instance").weights, images(Size(24, 32), seed=20)
    target = Target(threads=1, image_size=INPUT)
    (everything,) = predict(built(weights=weights, target=target), [image])
    floor = float(everything.scores[[0, -1]].mean())
    (best,) = predict(built(weights=weights, target=target, max_det=1), [image])
    (sure,) = predict(built(weights=weights, target=target, conf=floor), [image])
    assert best.scores.tolist() == everything.scores[:1].tolist()
    assert sure.scores.tolist() == everything.scores[everything.scores > floor].tolist()
    assert len(sure.scores) < len(everything.scores)


def test_raw_output_can_be_read_twice(trained):
    adapter = built(weights=trained("instance").weights, target=Target(threads=1, image_size=INPUT))
    raw = adapter.infer(adapter.preprocess(images(Size(24, 32))))
    first, second = (adapter.postprocess(raw, [Size(24, 32)])[0].content_hash() for _ in range(2))
    assert first == second


def test_a_network_without_a_second_head_cannot_do_without_suppression():
    with pytest.raises(BenchError, match="yolo11n-seg has no head without suppression"):
        built(nms=False)
