"""Forward passes over windows, against loops over numbers and against mmsegmentation's formula."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn import functional as F

from adapters._torch.tta import window_starts, windowed
from bench.records import Size, SlidingWindow

WINDOWS = [
    SlidingWindow(size=Size(8, 8)),
    SlidingWindow(size=Size(8, 6), overlap=0.5),
    SlidingWindow(size=Size(5, 7), overlap=0.3),
    SlidingWindow(size=Size(9, 40), overlap=0.9),
]
SIZES = [Size(16, 16), Size(13, 21), Size(9, 11)]


def pixels(size, batch=2):
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))


def network(kernel, stride=1):
    torch.manual_seed(0)
    return nn.Conv2d(3, 4, kernel, stride=stride, padding=kernel // 2).requires_grad_(False)


def step_of(window):
    return [max(1, int(side * (1 - window.overlap) + 0.5)) for side in window.size]


def by_loop(forward, image, window):
    """Mean, pixel by pixel, of the logits of every window that a plain walk over the image visits."""
    own = image.shape[1:]
    grown = [max(a, b) for a, b in zip(own, window.size, strict=True)]
    canvas = np.zeros((3, *grown), dtype=np.float32)
    canvas[:, : own[0], : own[1]] = image
    found = [[[] for _ in range(grown[1])] for _ in range(grown[0])]
    starts = []
    for length, side, step in zip(grown, window.size, step_of(window), strict=True):
        places, at = [], 0
        while at + side < length:
            places.append(at)
            at += step
        starts.append([*places, length - side])
    for top in starts[0]:
        for left in starts[1]:
            part = canvas[:, top : top + window.size.height, left : left + window.size.width]
            logits = forward(torch.from_numpy(part)[None])[0].numpy()
            for y, x in np.ndindex(*window.size):
                found[top + y][left + x].append(logits[:, y, x].astype(np.float64))
    return np.array([[np.mean(found[y][x], axis=0) for x in range(own[1])] for y in range(own[0])]).transpose(2, 0, 1)


def slide_inference(forward, inputs, *, crop_size, stride, out_channels):
    """mmsegmentation 1.2, `EncoderDecoder.slide_inference`, without its meta data."""
    h_stride, w_stride = stride
    h_crop, w_crop = crop_size
    batch_size, _, h_img, w_img = inputs.size()
    h_grids = max(h_img - h_crop + h_stride - 1, 0) // h_stride + 1
    w_grids = max(w_img - w_crop + w_stride - 1, 0) // w_stride + 1
    preds = inputs.new_zeros((batch_size, out_channels, h_img, w_img))
    count_mat = inputs.new_zeros((batch_size, 1, h_img, w_img))
    for h_idx in range(h_grids):
        for w_idx in range(w_grids):
            y2 = min(h_idx * h_stride + h_crop, h_img)
            x2 = min(w_idx * w_stride + w_crop, w_img)
            y1, x1 = max(y2 - h_crop, 0), max(x2 - w_crop, 0)
            crop_img = inputs[:, :, y1:y2, x1:x2]
            crop_seg_logit = F.interpolate(forward(crop_img), crop_img.shape[2:], mode="bilinear", align_corners=False)
            preds += F.pad(crop_seg_logit, (x1, preds.shape[3] - x2, y1, preds.shape[2] - y2))
            count_mat[:, :, y1:y2, x1:x2] += 1
    assert (count_mat == 0).sum() == 0
    return preds / count_mat


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_windows_give_what_a_walk_over_single_pixels_gives(window, size):
    images, forward = pixels(size), network(kernel=3)
    found = windowed(forward, window)(images)
    for image, logits in zip(images, found, strict=True):
        np.testing.assert_allclose(logits.numpy(), by_loop(forward, image.numpy(), window), atol=1e-5)


@pytest.mark.parametrize("window", WINDOWS[:3], ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_windows_that_fit_are_mmsegmentations_also_where_logits_are_coarse(window, size):
    images, forward = pixels(size), network(kernel=3, stride=2)
    expected = slide_inference(forward, images, crop_size=window.size, stride=step_of(window), out_channels=4)
    torch.testing.assert_close(windowed(forward, window)(images), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_a_window_of_the_images_size_is_the_plain_pass(overlap):
    images, forward = pixels(Size(13, 21)), network(kernel=5)
    found = windowed(forward, SlidingWindow(size=Size(13, 21), overlap=overlap))(images)
    torch.testing.assert_close(found, forward(images), atol=0, rtol=0)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_a_network_that_sees_single_pixels_does_not_notice_windows(window):
    images, forward = pixels(Size(17, 19)), network(kernel=1)
    torch.testing.assert_close(windowed(forward, window)(images), forward(images), atol=1e-5, rtol=0)


def test_a_network_sees_nothing_but_windows_and_their_padding_has_the_fill():
    seen = []

    def spy(part):
        seen.append(part.clone())
        return part

    windowed(spy, SlidingWindow(size=Size(8, 8), overlap=0.25), fill=0.5)(torch.zeros(1, 3, 6, 14))
    assert [tuple(part.shape) for part in seen] == [(1, 3, 8, 8)] * 2
    assert all((part[..., :6, :] == 0).all() and (part[..., 6:, :] == 0.5).all() for part in seen)


@pytest.mark.parametrize("length", range(4, 30))
@pytest.mark.parametrize("step", [1, 3, 4])
def test_windows_cover_a_side_without_a_gap_and_end_with_it(length, step):
    starts = window_starts(length, 4, step)
    assert starts[0] == 0
    assert starts[-1] + 4 == length
    assert all(0 < after - before <= step for before, after in pairwise(starts))


def test_an_overlap_near_one_still_moves_on():
    images = pixels(Size(5, 5), batch=1)
    found = windowed(network(kernel=1), SlidingWindow(size=Size(2, 2), overlap=0.99))(images)
    assert found.shape == (1, 4, 5, 5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": 512}, r"expected \[height, width\] in pixels, each at least 1, not 512"),
        ({"size": [512, 0]}, "each at least 1"),
        ({"size": [8, 8], "overlap": 1.0}, "less than 1"),
        ({"size": [8, 8], "overlap": -0.1}, "greater than or equal to 0"),
    ],
)
def test_a_window_that_cannot_be_is_refused(wrong, message):
    with pytest.raises(ValidationError, match=message):
        SlidingWindow(**wrong)
