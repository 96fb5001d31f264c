from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from adapters._torch.images import (
    Normalisation,
    move_images,
    resize_image,
    resize_labels,
    resize_logits,
    stack_images,
    stack_labels,
)
from bench.records import Size


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("channels_last", [False, True])
def test_normalised_pixels_follow_the_formula_channel_by_channel(channels_last):
    image, mean, std = picture(5, 7), (0.1, 0.4, 0.7), (0.2, 0.3, 0.5)
    normalise = Normalisation(mean, std, torch.device("cpu"))
    found = normalise(stack_images([image], mean), channels_last=channels_last)
    for y, x, c in np.ndindex(image.shape):
        assert found[0, c, y, x].item() == pytest.approx((image[y, x, c] / 255 - mean[c]) / std[c], abs=1e-5)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert found.is_contiguous(memory_format=layout)


def test_smaller_images_lie_at_the_top_left_and_the_rest_is_the_mean_colour():
    small, large = picture(2, 3), picture(4, 5)
    stacked = stack_images([small, large], (0.0, 0.5, 1.0)).numpy()
    assert np.array_equal(stacked[0, :2, :3], small)
    assert np.array_equal(stacked[1], large)
    assert {tuple(pixel) for pixel in stacked[0, 2:].reshape(-1, 3)} == {(0, 128, 255)}


def test_padded_labels_are_void():
    stacked = stack_labels([np.ones((2, 2), np.uint8), np.ones((3, 2), np.uint8)]).numpy()
    assert stacked[0].tolist() == [[1, 1], [1, 1], [255, 255]]


@pytest.mark.parametrize("size", [Size(3, 5), Size(40, 31), Size(8, 9)])
def test_resized_labels_take_the_pixel_under_the_centre_and_invent_no_id(size):
    labels = np.random.default_rng(1).choice(np.array([0, 7, 255], np.uint8), (8, 9))
    resized = resize_labels(labels, size)
    for y, x in np.ndindex(*size):
        source = labels[int((y + 0.5) * 8 / size.height), int((x + 0.5) * 9 / size.width)]
        assert resized[y, x] == source


def test_halving_an_image_averages_blocks_of_four_pixels():
    image = picture(6, 8)
    blocks = image.reshape(3, 2, 4, 2, 3).mean(axis=(1, 3))
    assert np.abs(resize_image(image, Size(3, 4)).astype(float) - blocks).max() <= 0.5


def test_enlarging_a_gradient_keeps_it_a_gradient():
    ramp = np.repeat(np.arange(0, 80, 10, dtype=np.uint8)[None, :, None], 4, axis=0).repeat(3, axis=2)
    wide = resize_image(ramp, Size(4, 16))[0, :, 0].astype(int)
    # Half-pixel centres: 0, 2.5, 7.5, 12.5, … and the border repeated.
    assert np.abs(wide[1:-1] - (5 * np.arange(1, 15) - 2.5)).max() <= 0.5


@pytest.mark.parametrize("size", [Size(4, 6), Size(9, 13), Size(24, 18)])
def test_logits_are_resized_as_torch_does_it(size):
    logits = torch.randn(2, 3, 8, 9, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=False)
    torch.testing.assert_close(resize_logits(logits, size), expected, atol=1e-4, rtol=0)


def test_resizing_logits_lets_gradients_through():
    logits = torch.randn(1, 2, 3, 3, requires_grad=True)
    resize_logits(logits, Size(6, 6)).sum().backward()
    assert logits.grad.abs().min() > 0


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images_of_several_sizes_are_moved_as_they_are(dtype):
    pictures = [picture(3, 5).astype(dtype), picture(4, 2, 1).astype(dtype), picture(1, 1, 2).astype(dtype)]
    for image in pictures:
        image.flags.writeable = False
    moved = move_images(pictures, torch.device("cpu"))
    assert [one.permute(1, 2, 0).numpy().dtype for one in moved] == [dtype] * 3
    for one, image in zip(moved, pictures, strict=True):
        assert np.array_equal(one.permute(1, 2, 0).numpy(), image)


def test_images_for_a_gpu_are_moved_from_pinned_memory_without_waiting(monkeypatch):
    asked, empty = {}, torch.empty

    def noted(*size, pin_memory, **keywords):
        asked["pinned"] = pin_memory
        return empty(*size, **keywords)

    def to(tensor, device, *, non_blocking):
        asked.update(device=device, non_blocking=non_blocking)
        return tensor.clone()

    monkeypatch.setattr(torch, "empty", noted)
    monkeypatch.setattr(torch.Tensor, "to", to)
    move_images([picture(2, 2), picture(3, 1)], torch.device("cuda:0"))
    assert asked == {"pinned": True, "device": torch.device("cuda:0"), "non_blocking": True}
