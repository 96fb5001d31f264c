from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.nn import functional as F

from adapters.unet.model import SpatialAttention, UNet, double

DOWN = ("max_pool", "avg_pool", "strided_conv")
UP = ("transposed_conv", "bilinear", "nearest")
NORM = ("batch", "group", "none")


def unet(**changes):
    arguments = {"in_channels": 3, "out_channels": 5, "depth": 3, "base_width": 6, "down": "max_pool"}
    return UNet(**{**arguments, "up": "transposed_conv", "norm": "batch", **changes})


# The known answers of the widespread from-scratch network: 64-128-256-512, bottleneck 1024.
@pytest.mark.parametrize(("out_channels", "parameters"), [(1, 31_043_521), (2, 31_043_586)])
def test_the_classic_network_has_its_known_number_of_parameters(out_channels, parameters):
    with torch.device("meta"):
        classic = unet(out_channels=out_channels, depth=4, base_width=64)
    assert sum(p.numel() for p in classic.parameters()) == parameters


def test_without_bias_the_classic_network_loses_one_number_per_3x3_filter():
    with torch.device("meta"):
        counts = [
            sum(p.numel() for p in unet(bias=bias, depth=4, base_width=64).parameters()) for bias in (True, False)
        ]
    # Two convolutions per block; nine blocks: 64 … 512 twice, 1024 once.
    assert counts[0] - counts[1] == 2 * (2 * (64 + 128 + 256 + 512) + 1024)


@pytest.mark.parametrize(("down", "up", "norm"), list(itertools.product(DOWN, UP, NORM)))
def test_every_variant_answers_at_the_size_of_its_input(down, up, norm):
    network = unet(down=down, up=up, norm=norm).eval()
    with torch.inference_mode():
        for size in [(16, 24), (17, 23), (7, 1), (1, 1), (1, 40)]:
            logits = network(torch.randn(2, 3, *size))
            assert logits.shape == (2, 5, *size)
            assert logits.isfinite().all()


@pytest.mark.parametrize("up", ["bilinear", "nearest"])
def test_halving_the_channels_before_interpolating_equals_doing_it_after(up):
    torch.manual_seed(0)
    layer, x = double(6, 3, up), torch.randn(1, 6, 5, 7)
    options = {"mode": up} if up == "nearest" else {"mode": up, "align_corners": False}
    after = layer[0](F.interpolate(x, scale_factor=2, **options))
    torch.testing.assert_close(layer(x), after)


def test_the_bottleneck_sees_the_image_halved_depth_times_and_rounded_up():
    network, seen = unet(depth=3).eval(), []
    network.bottleneck.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0].shape))
    network(torch.randn(1, 3, 16, 19))
    assert seen == [(1, 24, 2, 3)]  # 16 -> 8 -> 4 -> 2 and 19 -> 10 -> 5 -> 3; 6 · 2² channels


def test_skip_connections_carry_detail_past_the_bottleneck():
    torch.manual_seed(0)
    network = unet(norm="none").eval()
    with torch.no_grad():
        for layer in network.bottleneck.parameters():
            layer.zero_()
    image = torch.zeros(1, 3, 16, 16)
    dotted = image.clone()
    dotted[0, :, 5, 7] = 1
    changed = (network(dotted) - network(image)).abs().sum(dim=1)[0]
    assert changed[5, 7] > 0


def test_gates_that_let_everything_through_leave_the_plain_network():
    plain, gated = unet(depth=2), unet(depth=2, attention="gates")
    gated.load_state_dict({**gated.state_dict(), **plain.state_dict()})
    for gate in gated.gates:
        last = gate.weigh[1]
        last.weight.data.zero_()
        last.bias.data.fill_(100.0)  # its sigmoid is 1
    image = torch.rand(1, 3, 21, 34)
    assert torch.equal(gated.eval()(image), plain.eval()(image))


def test_closed_gates_leave_nothing_of_the_skip_connections():
    gated = unet(depth=1, base_width=4, attention="gates").eval()
    gated.gates[0].weigh[1].weight.data.zero_()
    gated.gates[0].weigh[1].bias.data.fill_(-200.0)  # its sigmoid is 0
    image = torch.rand(1, 3, 16, 16)
    seen = []
    gated.decoders[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    gated(image)
    assert torch.count_nonzero(seen[0][:, :4]) == 0
    assert torch.count_nonzero(seen[0][:, 4:]) > 0


def test_spatial_attention_weighs_pixels_by_mean_and_maximum_of_their_channels():
    attention = SpatialAttention()
    attention.weigh.weight.data.zero_()
    attention.weigh.weight.data[0, 0, 3, 3] = 2.0  # the mean, at the pixel itself
    attention.weigh.weight.data[0, 1, 3, 3] = -1.0  # the maximum
    x = torch.tensor([[1.0, 3.0], [5.0, 0.5]]).reshape(1, 4, 1, 1)
    weight = 1 / (1 + math.exp(-(2 * 2.375 - 5.0)))
    torch.testing.assert_close(attention(x), x * weight)


def test_the_order_of_skip_connections_is_that_of_the_weights_and_nothing_else():
    first, last = unet(depth=1, base_width=4), unet(depth=1, base_width=4, skip="last")
    swapped = first.state_dict()
    kernel = swapped["decoders.0.0.weight"]
    swapped["decoders.0.0.weight"] = torch.cat([kernel[:, 4:], kernel[:, :4]], dim=1)
    last.load_state_dict(swapped)
    image = torch.rand(1, 3, 16, 12)
    torch.testing.assert_close(last.eval()(image), first.eval()(image))
