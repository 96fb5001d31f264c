"""Operations and activations against arithmetic by hand, published figures and fvcore."""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import nn

from adapters._torch.device import OnTorchDevice
from adapters._torch.operations import counting
from bench.adapter import load_adapter
from bench.errors import Unsupported
from bench.records import InferenceAugmentation, Size, SlidingWindow, Target
from bench.suite.model_configs import resolve_model
from tests.adapters.rectangles import INSTANCES, THREE_CLASSES, Rectangles

SMALL_UNET = {"base_width": 4, "depth": 2}
REPRESENTATIVES = {
    "torchvision/maskrcnn_small": ({"fpn_channels": 16, "box_head_channels": 32, "mask_head_channels": 16}, INSTANCES),
    "detectron2/semantic_fpn": ({"fpn_channels": 16, "head_channels": 16}, THREE_CLASSES),
    "ultralytics/yolo11n_seg": ({}, INSTANCES),
}
"""Networks that are no `SemanticNetwork`, one of them behind a `ForwardingAdapter`."""


class Net(nn.Module):
    """Convolutions of every kind and a product."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.down = nn.Conv2d(8, 12, 3, stride=2, padding=1, groups=4)
        self.up = nn.ConvTranspose2d(12, 6, 2, stride=2)
        self.last = nn.Linear(6, 5)

    def forward(self, pixels):
        maps = self.up(self.down(torch.relu(self.first(pixels))))
        return self.last(maps.mean(dim=(2, 3)))


def test_a_network_is_counted_as_by_hand():
    with counting() as count, torch.inference_mode():
        Net().eval()(torch.zeros(2, 3, 16, 20))
    # Each output of a convolution takes a product per input it sees, and a product with its addition is 2; a
    # transposed convolution spreads every input over its 2 x 2 x 6 outputs.
    first = 2 * (8 * 16 * 20) * (3 * 9)
    down = 2 * (12 * 8 * 10) * (8 // 4 * 9)
    up = 2 * (12 * 8 * 10) * (6 * 4)
    last = 2 * 5 * 6
    assert count.flops == 2 * (first + down + up + last)
    assert count.activations == 2 * (8 * 16 * 20 + 12 * 8 * 10 + 6 * 16 * 20 + 5)


def test_fvcore_counts_half_the_flops_and_the_same_activations():
    fvcore = pytest.importorskip("fvcore.nn", reason="fvcore is not installed; make install")
    net, pixels = Net().eval(), torch.zeros(1, 3, 32, 48)
    with counting() as count, torch.no_grad():
        net(pixels)
    flops, activations = fvcore.FlopCountAnalysis(net, pixels), fvcore.ActivationCountAnalysis(net, pixels)
    for analysis in (flops, activations):
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    # fvcore's "flop" is a multiply-add; it also counts the mean, which torch does not.
    by_operator = flops.by_operator()
    assert count.flops == 2 * (by_operator["conv"] + by_operator["linear"])
    assert count.activations == activations.total()


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("fcn_resnet50", "FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1"),
        ("deeplabv3_resnet50", "DeepLabV3_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1"),
        ("lraspp_mobilenet_v3_large", "LRASPP_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1"),
    ],
)
def test_torchvision_publishes_half_our_count(name, weights):
    # Its figures are billions of multiply-adds of one image at 520 x 520, the auxiliary head included; see
    # get_ops in its test/common_extended_utils.py. On the meta device nothing is computed.
    from torchvision import models

    published = models.get_weight(weights).meta
    auxiliary = {} if name.startswith("lraspp") else {"aux_loss": True}
    with torch.device("meta"):
        net = models.get_model(name, weights=None, weights_backbone=None, num_classes=21, **auxiliary).eval()
        pixels = torch.zeros(1, 3, 520, 520)
    with counting() as count, torch.inference_mode():
        net(pixels)
    assert count.flops / 2e9 == pytest.approx(published["_ops"], abs=0.001)
    assert sum(p.numel() for p in net.parameters()) == published["num_params"]


@pytest.mark.parametrize("inference", [torch.inference_mode, torch.enable_grad])
def test_attention_is_counted_though_torch_would_fuse_it(inference):
    attention, tokens = nn.MultiheadAttention(32, 4, batch_first=True).eval(), torch.zeros(1, 10, 32)
    with counting() as count, inference():
        attention(tokens, tokens, tokens, need_weights=False)
    # Three projections in, queries by keys, weights by values, one projection out.
    assert count.flops == 2 * (10 * 32 * 96 + 10 * 10 * 32 + 10 * 10 * 32 + 10 * 32 * 32)
    assert torch.backends.mha.get_fastpath_enabled()


def built(name, options, task, **target):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapter = load_adapter(name.partition("/")[0])
        model = resolve_model(name, label=None, options=options, weights=None)
        adapter.build(model, task, Target(threads=1, **target), None)
    return adapter


def images(*sizes):
    return [np.full((*size, 3), 90, dtype=np.uint8) for size in sizes]


def unet_flops(*sizes, **target) -> int:
    return built("unet/transposed", SMALL_UNET, THREE_CLASSES, **target).operations(images(*sizes)).flops


def test_a_batch_has_the_operations_of_its_images():
    of_two = built("unet/transposed", SMALL_UNET, THREE_CLASSES).operations(images((32, 32), (32, 32)))
    assert of_two.images == 2
    assert of_two.flops_per_image == unet_flops((32, 32))


def test_windows_and_mirrored_copies_are_counted_as_often_as_they_are_run():
    once = unet_flops((32, 32))
    assert unet_flops((64, 64), window=SlidingWindow(size=Size(32, 32), overlap=0.0)) == 4 * once
    assert unet_flops((32, 32), test_time=InferenceAugmentation(flip=True, scales=(1.0,))) == 2 * once


def test_operations_are_those_of_the_target_s_size():
    assert unet_flops((64, 96), image_size=Size(32, 32)) == unet_flops((32, 32))


class Exported(OnTorchDevice):
    """A network that another runtime runs; nothing of it is run here."""

    build = preprocess = infer = postprocess = None

    _device, _target = torch.device("cpu"), Target(runtime="onnxruntime")


def test_a_runtime_that_torch_does_not_see_into_has_no_count():
    with pytest.raises(Unsupported, match="torch does not see the operators of runtime onnxruntime"):
        Exported().operations(images((32, 32)))


@pytest.mark.few(1)
@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_networks_of_other_adapters_are_counted_and_stay_as_they_are(name):
    framework = name.partition("/")[0]
    if find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed; make install")
    options, task = REPRESENTATIVES[name]
    adapter = built(name, options, task, image_size=Size(64, 64))
    image = [Rectangles(1, seed=0, size=Size(64, 64)).image(0)]
    first, second = adapter.operations(image), adapter.operations(image)
    assert first == second
    assert first.flops > first.activations > 0
    assert first.parameters == adapter.describe()["parameters"]
