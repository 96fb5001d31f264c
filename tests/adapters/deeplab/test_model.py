"""DeepLabV3+ against torchvision's ResNet and pyramid, with the same weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from adapters.deeplab.model import AtrousPyramid, BatchNorm, DeepLabV3Plus, DilatedResNet

models = pytest.importorskip("torchvision.models", reason="torchvision is not installed; make install")
from torchvision.models.segmentation.deeplabv3 import ASPP

SMALL = {
    "out_channels": 3,
    "depth": 18,
    "output_stride": 16,
    "base_width": 8,
    "aspp_dilations": [1, 2, 3],
    "aspp_width": 8,
    "low_level_width": 4,
    "decoder_width": 8,
    "dropout": 0.0,
}


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def copy_in_order(source, target):
    """Copy all weights and statistics, both networks naming their layers from input to output."""
    given, own = source.state_dict(), target.state_dict()
    assert [t.shape for t in given.values()] == [t.shape for t in own.values()]
    target.load_state_dict(dict(zip(own, given.values(), strict=True)))


def with_random_statistics(module):
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, std=0.1)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.1)
    return module.eval()


def torchvision_resnet(depth, output_stride):
    dilated = {32: [False, False, False], 16: [False, False, True], 8: [False, True, True]}[output_stride]
    # torchvision dilates bottlenecks only; shallow networks are compared where nothing is dilated.
    network = getattr(models, f"resnet{depth}")(weights=None, replace_stride_with_dilation=dilated)
    network.fc = nn.Identity()
    return with_random_statistics(network)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("depth", "output_stride"), [(18, 32), (34, 32), (50, 32), (50, 16), (50, 8), (101, 16)], ids=str
)
@torch.inference_mode()
def test_the_backbone_gives_the_features_of_torchvisions_with_the_same_weights(depth, output_stride):
    torch.manual_seed(0)
    oracle = torchvision_resnet(depth, output_stride)
    backbone = DilatedResNet(depth=depth, output_stride=output_stride, base_width=64).eval()
    copy_in_order(oracle, backbone)
    image = torch.randn(1, 3, 97, 64)
    low_level, high_level = backbone(image)
    x = oracle.layer1(oracle.maxpool(oracle.relu(oracle.bn1(oracle.conv1(image)))))
    torch.testing.assert_close(low_level, x)
    torch.testing.assert_close(high_level, oracle.layer4(oracle.layer3(oracle.layer2(x))))
    assert low_level.shape[-2:] == (25, 16)
    assert high_level.shape[-2:] == (-(-97 // output_stride), 64 // output_stride)


@pytest.mark.parametrize("depth", [18, 34])
def test_output_strides_do_not_change_the_weights_of_shallow_networks(depth):
    shapes = {
        stride: [t.shape for t in DilatedResNet(depth=depth, output_stride=stride, base_width=8).state_dict().values()]
        for stride in (8, 16, 32)
    }
    assert shapes[8] == shapes[16] == shapes[32]


@pytest.mark.parametrize("training", [False, True])
def test_the_pyramid_is_torchvisions_with_the_same_weights(training):
    torch.manual_seed(0)
    oracle = with_random_statistics(ASPP(24, [2, 4, 6], out_channels=16)).train(training)
    oracle.project[-1].p = 0.0
    pyramid = AtrousPyramid(24, 16, dilations=[2, 4, 6], dropout=0.0).train(training)
    copy_in_order(oracle, pyramid)
    x = torch.randn(3, 24, 9, 7)
    torch.testing.assert_close(pyramid(x), oracle(x))


def test_the_published_network_has_the_parameters_that_its_parts_add_up_to():
    network = DeepLabV3Plus(
        **{**SMALL, **dict.fromkeys(("aspp_width", "decoder_width"), 256)}
        | {
            "out_channels": 21,
            "depth": 50,
            "base_width": 64,
            "aspp_dilations": [6, 12, 18],
            "low_level_width": 48,
        }
    )
    # torchvision documents 25,557,032 for resnet50 with its classifier of 1000 classes on 2048 features.
    backbone = 25_557_032 - (2048 * 1000 + 1000)
    # Each convolution has as many batch-norm weights and biases as channels.
    pyramid = 2 * (2048 * 256 + 512) + 3 * (9 * 2048 * 256 + 512) + 5 * 256 * 256 + 512
    decoder = 256 * 48 + 2 * 48 + 9 * (256 + 48) * 256 + 512 + 9 * 256 * 256 + 512 + 256 * 21 + 21
    assert parameters(network.backbone) == backbone
    assert parameters(network) == backbone + pyramid + decoder


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (16, 16), (97, 31)])
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_one_image_of_any_size_can_be_trained_on(size, output_stride):
    network = DeepLabV3Plus(**{**SMALL, "output_stride": output_stride}).train()
    logits = network(torch.randn(1, 3, *size))
    assert logits.shape == (1, 3, -(-size[0] // 4), -(-size[1] // 4))
    logits.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
    assert all(t.isfinite().all() for t in network.state_dict().values())


def test_one_value_per_channel_is_normalised_by_the_running_statistics_and_leaves_them():
    layer = BatchNorm(2).train()
    layer.running_mean.copy_(torch.tensor([1.0, 2.0]))
    layer.running_var.copy_(torch.tensor([4.0, 1.0]))
    found = layer(torch.tensor([3.0, 2.0]).view(1, 2, 1, 1))
    torch.testing.assert_close(found.flatten(), torch.tensor([1.0, 0.0]), atol=1e-4, rtol=0)
    assert layer.running_mean.tolist() == [1.0, 2.0]


def test_two_values_per_channel_are_normalised_as_torch_does():
    x, plain = torch.randn(2, 3, 1, 1), nn.BatchNorm2d(3).train()
    ours = BatchNorm(3).train()
    torch.testing.assert_close(ours(x), plain(x))
    torch.testing.assert_close(ours.running_mean, plain.running_mean)


def test_what_lies_far_away_reaches_a_pixel_through_image_pooling():
    torch.manual_seed(0)
    network = DeepLabV3Plus(**SMALL).eval()
    image = torch.randn(1, 3, 32, 640, requires_grad=True)
    network(image)[0, 0, 0, 0].backward()
    assert image.grad[..., -32:].abs().max() > 0
