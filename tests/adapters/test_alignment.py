"""A network that repeats its input mask is scored as one, at any size: nothing is shifted or squeezed on the way."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from adapters._torch.fitting import Placement
from adapters._torch.network import Head, SemanticNetwork
from adapters._torch.padding import PadsToMultiple
from adapters._torch.runtimes.file_options import FileOptions
from adapters._torch.runtimes.file_reading import OutputReader
from adapters._torch.semantic import SemanticAdapter
from bench.adapter import predict
from bench.records import IGNORE_LABEL, ClassSpec, ModelSpec, Size, Target, TaskSpec

TASK = TaskSpec(kind="semantic", classes=tuple(ClassSpec(name=n, colour=(i, 0, 0)) for i, n in enumerate("ab")))
SIZES = [(96, 96), (111, 89), (375, 500), (641, 481)]
MODEL = ModelSpec(name="unet/x", label="x", adapter="unet", task="semantic", description="")


class Repeats(torch.nn.Module):
    """Logits of the two classes from a mask that is black and white, at a grid so many times coarser."""

    def __init__(self, coarser):
        super().__init__()
        self.coarser = coarser
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, pixels):
        white = F.avg_pool2d(pixels[:, :1], self.coarser) if self.coarser > 1 else pixels[:, :1]
        return torch.cat([-white, white], dim=1)


def stripes(height, width, axis):
    """Bands of 20 pixels along an axis: edges lie on the coarsest grid, which can so hold the mask exactly."""
    rows, columns = np.mgrid[:height, :width]
    return ((rows if axis == 0 else columns) // 20 % 2).astype(np.uint8)


def mean_iou(found, expected):
    both = [(np.sum((found == k) & (expected == k)), np.sum((found == k) | (expected == k))) for k in (0, 1)]
    return float(np.mean([inter / union for inter, union in both]))


def torch_labels(mask, coarser, options, **target):
    def make(_, __):
        return SemanticNetwork(PadsToMultiple(Repeats(coarser), 32), Head(2), {"network": "repeats"}, ("a", "b"))

    adapter = SemanticAdapter(make)
    model = MODEL.model_copy(update={"options": options})
    adapter.build(model, TASK, Target(device="cpu", threads=1, **target), None)
    (found,) = predict(adapter, [np.repeat(mask[..., None] * np.uint8(255), 3, axis=2)])
    return found.labels


@pytest.mark.parametrize("coarser", [1, 2, 4])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("axis", [0, 1])
def test_labels_of_a_padded_torch_network_lie_where_the_mask_does(axis, size, coarser):
    mask = stripes(*size, axis)
    assert mean_iou(torch_labels(mask, coarser, {}), mask) >= 0.99


FITS = ["stretch", "letterbox", "pad", "crop", "tile"]


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("network", [(256, 192), (352, 352)])
def test_every_fit_is_undone_exactly(network, axis, size, fit):
    # A line of pixels is lost at each edge where an image shrinks: wide bands have few edges.
    mask = cv2.resize(stripes(60, 60, axis), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    found = torch_labels(mask, 1, {"input": {"size": network, "fit": fit, "interpolation": "linear"}})
    answered = found != IGNORE_LABEL
    assert found.shape == mask.shape
    assert mean_iou(found[answered], mask[answered]) >= 0.99
    # What a crop leaves out has no answer; all other fits see all of the image.
    seen = min(network[0] / size[0], network[1] / size[1]) / max(network[0] / size[0], network[1] / size[1])
    assert answered.mean() == pytest.approx(seen if fit == "crop" else 1.0, abs=0.02)


@pytest.mark.parametrize("coarser", [1, 2, 4])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("axis", [0, 1])
def test_labels_of_a_padded_onnx_output_lie_where_the_mask_does(axis, size, coarser):
    reader = OutputReader(FileOptions(multiple_of=32), TASK, "x")
    mask, padded = stripes(*size, axis), Size(*(side + -side % 32 for side in size))
    white = np.full(padded, 0.5, np.float32)  # padding has the mean colour
    white[: size[0], : size[1]] = mask
    coarse = cv2.resize(white, (padded.width // coarser, padded.height // coarser), interpolation=cv2.INTER_AREA)
    output = np.stack([0.5 - coarse, coarse - 0.5])
    placement = Placement(padded, Size(*size))
    found = reader.labels(output, placement=placement, size=Size(*size))
    assert mean_iou(found, mask) >= 0.99
    probabilities = reader.probabilities(output, placement, Size(*size))
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-5)
    assert (probabilities.argmax(axis=0) == found).mean() > 0.999
