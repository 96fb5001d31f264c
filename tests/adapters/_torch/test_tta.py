"""Test-time augmentation against mmsegmentation's formula, and what targets make of the semantic adapters."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn import functional as F

from adapters._torch.images import resize_logits
from adapters._torch.network import Head
from adapters._torch.tta import augmented, by_content, scaled, target_forward
from bench.adapter import load_adapter, predict
from bench.errors import Unsupported
from bench.records import InferenceAugmentation, Size, SlidingWindow, Target
from bench.records.predictions import SemanticMap, check_prediction
from bench.suite.model_configs import resolve_model
from tests.adapters.rectangles import INSTANCES, PANOPTIC, THREE_CLASSES, TWO_CLASSES, rectangles, small_unet

SIZE = Size(17, 22)
SCALES = (0.5, 1.0, 1.5)


def pixels(size=SIZE, batch=2):
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))


def network(channels=4, kernel=3, stride=1):
    torch.manual_seed(0)
    return nn.Conv2d(3, channels, kernel, stride=stride, padding=kernel // 2).requires_grad_(False)


def symmetric(channels=4):
    """A network that commutes with mirroring."""
    forward = network(channels)
    forward.weight.add_(forward.weight.flip(-1))
    return forward


def merge_preds(forward, image, *, flips, scales):
    """mmsegmentation 1.2, `SegTTAModel.merge_preds`: mean of the probabilities of resized, unflipped logits.

    For coarse logits without its detour over the size of the view.
    """
    size = image.shape[1:]
    data_samples = []
    for scale in scales:
        shape = [int(side * scale + 0.5) for side in size]
        view = F.interpolate(image[None], shape, mode="bilinear", align_corners=False, antialias=True)
        for flip in flips:
            seg_logit = forward(view.flip(3) if flip else view)
            seg_logit = seg_logit.flip(3) if flip else seg_logit
            data_samples.append(F.interpolate(seg_logit, size, mode="bilinear", align_corners=False)[0])
    logits = torch.zeros_like(data_samples[0])
    for seg_logit in data_samples:
        logits += seg_logit.softmax(dim=0) if len(seg_logit) > 1 else seg_logit.sigmoid()
    return logits / len(data_samples)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scales", [(1.0,), SCALES, (0.75,)], ids=str)
@pytest.mark.parametrize("stride", [1, 2])
def test_probabilities_are_averaged_as_mmsegmentation_does_it(flip, scales, stride):
    forward, images = network(stride=stride), pixels()
    found = augmented(forward, InferenceAugmentation(flip=flip, scales=scales))(images).softmax(dim=1)
    flips = (False, True) if flip else (False,)
    for image, probabilities in zip(images, found, strict=True):
        expected = merge_preds(forward, image, flips=flips, scales=scales)
        torch.testing.assert_close(probabilities, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("flip", [False, True])
def test_one_channel_is_averaged_as_a_sigmoid_and_read_with_its_threshold(flip):
    forward, images = network(channels=1), pixels()
    logits = augmented(forward, InferenceAugmentation(flip=flip, scales=SCALES))(images)
    labels = Head(2, threshold=0.6).labels(logits)
    for image, found, label in zip(images, logits.sigmoid(), labels, strict=True):
        expected = merge_preds(forward, image, flips=(False, True) if flip else (False,), scales=SCALES)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
        certain = (expected[0] - 0.6).abs() > 1e-3
        assert torch.equal((expected[0] > 0.6)[certain], (label == 1)[certain])


def test_scale_one_alone_is_the_plain_pass():
    forward, images = network(), pixels()
    found = augmented(forward, InferenceAugmentation(scales=(1.0,)))(images)
    assert torch.equal(found, forward(images))


@pytest.mark.parametrize("channels", [1, 4])
def test_mirroring_changes_nothing_for_a_network_that_commutes_with_it(channels):
    forward, images = symmetric(channels), pixels()
    found = augmented(forward, InferenceAugmentation(flip=True))(images)
    plain = forward(images)
    if channels > 1:
        found, plain = found.softmax(dim=1), plain.softmax(dim=1)
    torch.testing.assert_close(found, plain, atol=1e-5, rtol=0)


def test_mirroring_changes_something_for_a_network_that_does_not_commute_with_it():
    forward, images = network(), pixels()
    found = augmented(forward, InferenceAugmentation(flip=True))(images)
    assert (found.softmax(dim=1) - forward(images).softmax(dim=1)).abs().max() > 0.01


@pytest.mark.parametrize("channels", [1, 3])
def test_certainty_stays_finite_and_names_the_same_class_after_resizing(channels):
    images = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 1e4
    logits = augmented(lambda part: part[:, :channels], InferenceAugmentation(flip=True))(images)
    resized = resize_logits(logits, Size(13, 11))
    assert resized.isfinite().all()
    head = Head(3) if channels == 3 else Head(2, threshold=0.5)
    assert torch.equal(head.labels(logits), head.labels(images[:, :channels]))


@pytest.mark.parametrize(("size", "expected"), [((17, 22), (9, 11)), ((1, 1), (1, 1)), ((3, 64), (2, 32))])
def test_sides_are_scaled_by_rounding_half_up_to_at_least_one_pixel(size, expected):
    assert tuple(scaled(torch.zeros(1, 3, *size), 0.5).shape[-2:]) == expected


def test_windows_lie_within_each_scale():
    seen = []

    def spy(part):
        seen.append(tuple(part.shape[-2:]))
        return part

    both = Target(window=SlidingWindow(size=Size(8, 8)), test_time=InferenceAugmentation(flip=True, scales=(0.5, 1.0)))
    target_forward(spy, both)(torch.zeros(1, 3, 16, 16))
    assert seen == [(8, 8)] * (2 * 1 + 2 * 4)


def test_a_target_that_asks_for_one_pass_leaves_the_network_as_it_is():
    assert target_forward(network(), Target()) is None


def test_images_of_several_sizes_are_passed_apart_from_their_padding():
    forward, content = network(kernel=5), (Size(8, 9), Size(12, 7), Size(8, 9))
    batch = pixels(Size(12, 9), batch=3)
    found = by_content(forward, batch, content)
    assert found.shape == (3, 4, 12, 9)
    for image, logits, size in zip(batch, found, content, strict=True):
        alone = forward(image[None, :, : size.height, : size.width])[0]
        torch.testing.assert_close(logits[:, : size.height, : size.width], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("scales", [(), (0.0, 1.0), (1.0, 1.0), (1.5, 1.0)], ids=str)
def test_scales_that_do_not_rise_above_zero_are_refused(scales):
    with pytest.raises(ValidationError, match="rising factors above 0"):
        InferenceAugmentation(scales=scales)


# ------------------------------------------------------------------------------ through the adapters

SEVERAL = {
    "window": {"window": SlidingWindow(size=Size(24, 20), overlap=0.25)},
    "flip and scales": {"test_time": InferenceAugmentation(flip=True, scales=(0.5, 1.0, 1.5))},
    "both": {
        "window": SlidingWindow(size=Size(24, 20), overlap=0.25),
        "test_time": InferenceAugmentation(flip=True, scales=(0.5, 1.0)),
    },
}
MODULES = {"smp": "segmentation_models_pytorch", "unet": "torch"}
NARROW = {"fpn_channels": 16, "head_channels": 16}
SEMANTIC = {
    "unet/transposed": {"base_width": 4},
    "unet/components": {"base_width": 4},
    "smp/unet_mobilenet_v2": {},
    "torchvision/lraspp_mobilenet_v3_large": {},
    "transformers/segformer_b0": {},
    "detectron2/fcn": {"head_channels": 8},
    "detectron2/semantic_fpn": NARROW,
    "detectron2/deeplabv3plus": {"aspp_channels": 8, "head_channels": 8},
    "ultralytics/yolo26n_sem": {},
}
OBJECTS = {
    "detectron2/mask_rcnn": {**NARROW, "box_head_channels": 32, "mask_head_channels": 16, "head_channels": None},
    "detectron2/panoptic_fpn": {**NARROW, "box_head_channels": 32},
    "detectron2/panoptic_deeplab": {"aspp_channels": 16, "head_channels": 16},
    "ultralytics/yolo11n_seg": {},
}
TASKS = {"semantic": THREE_CLASSES, "instance": INSTANCES, "panoptic": PANOPTIC}
OF_ONE_MIND = {"torchvision/lraspp_mobilenet_v3_large", "ultralytics/yolo26n_sem"}
"""With fresh weights these name one class everywhere."""

MIXED = [Size(24, 32), Size(17, 19), Size(40, 21), Size(9, 1)]


def configs(options):
    return [
        pytest.param(
            config,
            {name: value for name, value in chosen.items() if value is not None},
            id=config,
            marks=pytest.mark.skipif(
                find_spec(MODULES.get(config.split("/")[0], config.split("/")[0])) is None,
                reason=f"the framework of {config} is not installed; make install",
            ),
        )
        for config, chosen in options.items()
    ]


def built(config, options, **target):
    adapter, model = load_adapter(config.split("/")[0]), resolve_model(config, options=options)
    adapter.build(model, TASKS[model.task], Target(threads=1, **target), None)
    return adapter


def drawn(sizes):
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


@pytest.mark.few(4)
@pytest.mark.parametrize(("config", "options"), configs(SEMANTIC))
@pytest.mark.parametrize(
    "target", [pytest.param(t, id=name, marks=[pytest.mark.slow] * (name != "both")) for name, t in SEVERAL.items()]
)
def test_every_semantic_adapter_answers_with_several_passes_alike_again_and_alone(config, options, target):
    adapter, pictures = built(config, options, **target), drawn(MIXED)
    task = TASKS[resolve_model(config).task]
    found = predict(adapter, pictures)
    for size, prediction in zip(MIXED, found, strict=True):
        check_prediction(
            prediction, kind=task.kind, num_classes=len(task.classes), size=size, image_id="drawn", model=config
        )
    assert [p.content_hash() for p in predict(adapter, pictures)] == [p.content_hash() for p in found]
    if task.kind == "semantic":
        for picture, together in zip(pictures, found, strict=True):
            (alone,) = predict(adapter, [picture])
            assert (alone.labels == together.labels).mean() > 0.99


@pytest.mark.few(6)
@pytest.mark.parametrize(("config", "options"), configs(SEMANTIC))
@pytest.mark.parametrize("image_size", [None, Size(37, 50)])
def test_scale_one_and_a_window_that_just_fits_are_the_plain_pass_of_every_adapter(config, options, image_size):
    size = Size(30, 45)
    window = image_size or size
    if config.startswith("ultralytics"):  # its letterbox has multiples of 32
        window = Size(64, 64) if image_size else Size(32, 64)
    same = {"window": SlidingWindow(size=window), "test_time": InferenceAugmentation(scales=(1.0,))}
    plain, several = (labels(built(config, options, image_size=image_size, **target), size) for target in ({}, same))
    assert len(np.unique(plain)) > 1 or config in OF_ONE_MIND
    assert (plain == several).mean() > 0.99


def labels(adapter, size):
    (found,) = predict(adapter, drawn([size]))
    return found.labels if isinstance(found, SemanticMap) else found.segment_ids


@pytest.mark.skipif(find_spec("ultralytics") is None, reason="ultralytics is not installed; make install")
def test_scaled_letterboxes_are_padded_with_grey_to_multiples_of_32_and_cut_back():
    model = resolve_model("ultralytics/yolo26n_sem")
    load_adapter("ultralytics").build(model, THREE_CLASSES, Target(threads=1), None)  # imports the framework
    from adapters._torch.images import DeviceBatch
    from adapters.ultralytics.network import make_network
    from adapters.ultralytics.stages import GREY, SemanticStages

    target = Target(test_time=InferenceAugmentation(scales=(0.75,)))
    eighth, batch = nn.AvgPool2d(8), DeviceBatch(pixels(Size(32, 64)), (Size(32, 64),) * 2)
    found = SemanticStages(make_network(model, THREE_CLASSES, seed=0), target, classes=3).forward(eighth, batch)
    padded = torch.full((2, 3, 32, 64), GREY)
    padded[..., :24, :48] = F.interpolate(batch.pixels, (24, 48), mode="bilinear", antialias=True)
    enlarged = F.interpolate(eighth(padded), (32, 64), mode="bilinear")[..., :24, :48]
    torch.testing.assert_close(found, F.interpolate(enlarged, (32, 64), mode="bilinear"), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("config", "options"), configs(OBJECTS))
@pytest.mark.parametrize("target", SEVERAL.values(), ids=SEVERAL)
def test_models_that_find_objects_refuse_several_passes(config, options, target):
    with pytest.raises(Unsupported, match=f"{config} finds objects, .* leave {' and '.join(target)} out of its target"):
        built(config, options, **target)


def test_the_fakes_refuse_several_passes():
    for target in SEVERAL.values():
        with pytest.raises(Unsupported, match="the fakes make no forward pass"):
            built("fake/perfect", {}, **target)


def test_all_passes_are_in_infer():
    adapter = load_adapter("unet")
    adapter.build(small_unet(), THREE_CLASSES, Target(threads=1, **SEVERAL["both"]), None)
    calls = []
    adapter._network.module.register_forward_hook(lambda *_: calls.append(1))
    batch = adapter.preprocess(drawn([Size(24, 20)]))
    assert not calls
    raw = adapter.infer(batch)
    made = len(calls)
    adapter.postprocess(raw, [Size(24, 20)])
    assert made == len(calls) == 2 + 2  # one window in each of two scales, twice for the mirror image


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_a_symmetric_picture_gets_a_symmetric_answer_when_mirrored(head):
    adapter = load_adapter("unet")
    adapter.build(
        small_unet(head=head), TWO_CLASSES, Target(threads=1, test_time=InferenceAugmentation(flip=True)), None
    )
    picture = rectangles(1, 1).train.image(0)[:, :16]
    raw = adapter.infer(adapter.preprocess([np.concatenate([picture, picture[:, ::-1]], axis=1)]))
    torch.testing.assert_close(raw.logits, raw.logits.flip(-1), atol=1e-4, rtol=0)
