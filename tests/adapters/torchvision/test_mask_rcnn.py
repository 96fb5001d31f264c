"""torchvision's Mask R-CNN: its size, and its stages against its own forward pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("torchvision", reason="torchvision is not installed; make install")

from adapters.torchvision.adapter import Adapter
from adapters.torchvision.ground_truth import DecodedInstances, changed
from adapters.torchvision.mask_rcnn import make_mask_rcnn
from adapters.torchvision.stages import losses, network_input
from bench.adapter import predict
from bench.errors import BenchError, Unsupported
from bench.records import ClassSpec, InferenceAugmentation, Size, Target, TaskSpec
from bench.records.predictions import Instances
from bench.suite.model_configs import resolve_model
from tests.adapters.rectangles import INSTANCES, Recorder, rectangles, short_recipe

NARROW = {"fpn_channels": 16, "box_head_channels": 32, "mask_head_channels": 16}


def things(count, stuff=0):
    classes = [ClassSpec(name=f"c{i}", colour=(0, 0, 0), is_thing=i >= stuff) for i in range(count + stuff)]
    return TaskSpec(kind="instance", classes=tuple(classes))


def built(task=INSTANCES, weights=None, target=None, **options):
    adapter = Adapter()
    config = resolve_model("torchvision/maskrcnn_small", options={**NARROW, **options})
    adapter.build(config, task, target or Target(threads=1), weights)
    return adapter


def module_of(adapter):
    return adapter._chosen._network.module


def images(*sizes):
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


CHANNELS = [64, *3 * [64, 64, 256], 256, *4 * [128, 128, 512], 512, *6 * [256, 256, 1024], 1024]
NORMS_OF_RESNET50 = 2 * (sum(CHANNELS) + 3 * (512 + 512 + 2048) + 2048)
"""A weight and a bias per channel; the documented first network has frozen them, a training from scratch cannot."""


@pytest.mark.parametrize(
    ("config", "parameters"),
    [("maskrcnn_resnet50_fpn", 44_401_393 + NORMS_OF_RESNET50), ("maskrcnn_resnet50_fpn_v2", 46_359_409)],
)
def test_parameters_are_those_of_the_documentation(config, parameters):
    network = make_mask_rcnn(resolve_model(f"torchvision/{config}"), things(90))  # COCO's 91 numbers with background
    assert sum(p.numel() for p in network.module.parameters()) == parameters


@pytest.mark.parametrize("short_edge", [None, 40])
@torch.inference_mode()
def test_the_stages_together_are_the_forward_pass_of_the_network(short_edge):
    adapter = built(short_edge=short_edge, max_size=64, score_threshold=0.0)
    pictures = images(Size(24, 32), Size(40, 21), Size(17, 19))
    found = predict(adapter, pictures)
    model = module_of(adapter)
    whole = [torch.from_numpy(picture).permute(2, 0, 1).float() / 255 for picture in pictures]
    if short_edge is None:
        model.transform.min_size = None  # torchvision cannot leave a size as it is: its resizing is taken out
        model.transform.resize = lambda image, target=None: (image, target)
    expected = model(whole)
    for ours, theirs in zip(found, expected, strict=True):
        assert len(theirs["scores"]) > 0
        assert np.array_equal(ours.masks, (theirs["masks"][:, 0] >= 0.5).numpy())
        assert ours.scores == pytest.approx(theirs["scores"].double().numpy())
        assert ours.class_ids.tolist() == theirs["labels"].tolist()  # ground is class 0, red 1, green 2


def test_classes_are_numbered_by_the_task_with_stuff_between():
    classes = tuple(
        ClassSpec(name=name, colour=(0, 0, 0), is_thing=name.isupper()) for name in ("sky", "A", "road", "B")
    )
    network = make_mask_rcnn(resolve_model("torchvision/maskrcnn_small"), TaskSpec(kind="instance", classes=classes))
    assert network.things.tolist() == [1, 3]
    assert network.module.roi_heads.box_predictor.cls_score.out_features == 3


def test_the_losses_are_those_of_the_network_in_training():
    model = module_of(built()).train()
    split = DecodedInstances(rectangles(2, 0, task=INSTANCES).train, np.array([1, 2]), None)
    pixels = [split[i].pixels.float() / 255 for i in range(2)]
    fields = [split[i].fields for i in range(2)]
    torch.manual_seed(0)
    batch, ground_truths = network_input(model, pixels, fields, resize=False)
    ours = losses(model, batch, ground_truths)
    model.transform._skip_resize = True
    torch.manual_seed(0)
    theirs = model(pixels, fields)
    assert {name: value.item() for name, value in ours.items()} == {
        n: pytest.approx(v.item()) for n, v in theirs.items()
    }


def test_boxes_are_the_edges_of_masks_and_crowds_are_left_out():
    class Split:
        def __len__(self):
            return 1

        def image(self, _):
            return np.zeros((4, 6, 3), dtype=np.uint8)

        def ground_truth(self, _):
            masks = np.zeros((3, 4, 6), dtype=bool)
            masks[0, 1, 2] = masks[1, :, :3] = masks[2, 2:, 4:] = True
            return Instances(masks, np.array([3, 3, 1]), np.ones(3), np.array([False, True, False]))

    example = DecodedInstances(Split(), np.array([1, 3]), None)[0]
    assert example.fields["boxes"].tolist() == [[2, 1, 3, 2], [4, 2, 6, 4]]
    assert example.fields["labels"].tolist() == [2, 1]


def test_masks_follow_a_mirrored_image():
    example = DecodedInstances(rectangles(1, 0, task=INSTANCES).train, np.array([1, 2]), None)[0]
    mirrored = changed(example, mirrored=True, augment=None, seed=(0,))
    assert np.array_equal(mirrored.image, example.image[:, ::-1])
    assert np.array_equal(mirrored.masks, example.masks[:, :, ::-1])
    assert np.array_equal(mirrored.labels, example.labels)


def test_an_instance_that_augmentation_moves_out_of_the_image_is_dropped():
    example = DecodedInstances(rectangles(1, 0, task=INSTANCES).train, np.array([1, 2]), None)[0]

    def all_void(image, labels, *, seed):
        return image, np.full_like(labels, 255)

    empty = changed(example, mirrored=False, augment=all_void, seed=(0,))
    assert empty.masks.shape == (0, *example.image.shape[:2])
    assert empty.fields["boxes"].shape == (0, 4)


@pytest.mark.few(1)
@pytest.mark.parametrize("short_edge", [None, 40])
def test_images_without_instances_can_be_trained_on(short_edge, tmp_path):
    data = rectangles(4, 1, task=INSTANCES)
    data.train.pairs = [(image, np.zeros_like(labels)) for image, labels in data.train.pairs]
    result = built(short_edge=short_edge, max_size=64).train(
        data, short_recipe(budget={"steps": 2}), tmp_path, Recorder()
    )
    assert result.steps == 2


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        ("maskrcnn_small", {"network": "maskrcnn_smal"}, "there is no 'maskrcnn_smal'. Did you mean 'maskrcnn_small'?"),
        ("maskrcnn_small", {"short_edge": 900, "max_size": 800}, r"'short_edge' \(900\) is above 'max_size' \(800\)"),
        ("maskrcnn_small", {"anchor_sizes": [8]}, "option 'anchor_sizes'"),
        ("maskrcnn_small", {"score_treshold": 0.1}, "no option named 'score_treshold'. Did you mean 'score_threshold'"),
        ("maskrcnn_resnet50_fpn", {"fpn_channels": 64}, "'fpn_channels' belongs to 'network: maskrcnn_small'"),
    ],
)
def test_a_wrong_option_is_named(config, options, message):
    with pytest.raises(BenchError, match=message):
        Adapter().build(resolve_model(f"torchvision/{config}", options=options), INSTANCES, Target(threads=1), None)


@pytest.mark.parametrize(
    ("task", "target", "message"),
    [
        (things(0, stuff=3), {}, "finds things; this label space has none"),
        (INSTANCES, {"precision": "bf16"}, "bf16 on a CPU"),
        (INSTANCES, {"runtime": "onnxruntime"}, "no runtime onnxruntime: its heads"),
        (INSTANCES, {"test_time": InferenceAugmentation(flip=True)}, "leave test_time out"),
    ],
)
def test_what_cannot_be_had_is_refused(task, target, message):
    with pytest.raises(Unsupported, match=message):
        built(task, target=Target(threads=1, **target))


def test_a_recipe_that_cannot_be_kept_is_told(tmp_path):
    data = rectangles(4, 1, task=INSTANCES)
    asked = {"accumulate": 2, "ema_decay": 0.9, "augmentation": {"rotate_deg": 5.0}, "loss": "dice"}
    recipe = short_recipe(budget={"steps": 1}, batch_size=2, **asked)
    result = built().train(data, recipe, tmp_path / "one", Recorder())
    assert result.images == 4
    assert set(result.not_honoured) == {"loss"}
    with pytest.raises(Unsupported, match="trains on one device"):
        built().train(data, short_recipe(devices=2), tmp_path / "two", Recorder())
    with pytest.raises(Unsupported, match="bf16 on a CPU"):
        built().train(data, short_recipe(precision="bf16"), tmp_path / "three", Recorder())
