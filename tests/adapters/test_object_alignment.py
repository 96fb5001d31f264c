"""Networks that repeat their input mask as objects or classified masks: it comes back from any size and fit."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

pytest.importorskip("torchvision", reason="torchvision is not installed; make install")

from dataclasses import replace
from importlib.util import find_spec

from adapters._torch.fitting import fitted, place
from adapters._torch.runtimes.cpu_sessions import Port
from adapters._torch.runtimes.file_objects import YoloReader
from adapters._torch.runtimes.file_options import ObjectFileOptions
from bench.adapter import load_adapter, load_light, predict
from bench.errors import BenchError, Unsupported
from bench.records import IGNORE_LABEL, Size, Target
from bench.suite.model_configs import resolve_model
from tests.adapters.rectangles import INSTANCES, TWO_CLASSES
from tests.adapters.test_alignment import SIZES, mean_iou, stripes

FITS = ["stretch", "letterbox", "pad", "crop"]
PLAIN = {"mean": 0, "std": 1}
"""The network sees 0 to 1."""


def needs_ultralytics():
    """Skip where it is not installed; its adapter must be the first to import it."""
    if find_spec("ultralytics") is None:
        pytest.skip("ultralytics is not installed; make install")


def iou(found, expected):
    return np.sum(found & expected) / np.sum(found | expected)


def picture(mask):
    return np.repeat(mask[..., None].astype(np.uint8) * np.uint8(255), 3, axis=2)


def rectangle(height, width):
    """The middle of an image, whose edges lie on whole pixels."""
    mask = np.zeros((height, width), bool)
    mask[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    return mask


def built(model_config, task, options, *, target=None):
    adapter = load_adapter(model_config.split("/")[0])
    adapter.build(resolve_model(model_config, options=options), task, target or Target(threads=1), None)
    return adapter


# --------------------------------------------------------------------------- Mask R-CNN


def extent(profile):
    """Where what is white begins and ends along an axis, from its coverage of each pixel."""
    width = profile.sum()
    centre = (profile * (torch.arange(len(profile)) + 0.5)).sum() / width
    return centre - width / 2, centre + width / 2


class FindsTheRectangle(nn.Module):
    """Has Mask R-CNN's parts, of which the last finds one object: what is white."""

    def __init__(self, transform):
        super().__init__()
        self.transform = transform

    def backbone(self, pixels):
        return pixels

    def rpn(self, *_):
        return None, {}

    def roi_heads(self, features, *_):
        found = []
        for image in features:
            (top, bottom), (left, right) = (extent(image[0].max(dim=axis).values) for axis in (1, 0))
            box = torch.stack([left, top, right, bottom])[None]
            masks = torch.ones(1, 1, 28, 28)
            found.append(
                {"boxes": box, "labels": torch.ones(1, dtype=torch.long), "scores": torch.ones(1), "masks": masks}
            )
        return found, {}


def found_by_mask_rcnn(mask, **said):
    small = {"fpn_channels": 16, "box_head_channels": 32, "mask_head_channels": 16}
    adapter = built("torchvision/maskrcnn_small", INSTANCES, {**small, "input": {**PLAIN, **said}})
    chosen = adapter._chosen
    chosen._network = replace(chosen._network, module=FindsTheRectangle(chosen._network.module.transform))
    (found,) = predict(adapter, [picture(mask)])
    return found.masks[0]


@pytest.mark.few(5)
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", SIZES)
def test_boxes_and_masks_of_mask_rcnn_come_back_from_every_fit(size, fit):
    from torchvision.models.detection.roi_heads import paste_masks_in_image

    mask = rectangle(*size)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = torch.tensor([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], dtype=torch.float32)
    # What torchvision draws of the exact box: it rounds the box of a mask to whole pixels.
    exact = paste_masks_in_image(torch.ones(1, 1, 28, 28), box, size)[0, 0].numpy() >= 0.5
    assert iou(found_by_mask_rcnn(mask, size=[256, 352], fit=fit), exact) >= 0.98
    assert iou(found_by_mask_rcnn(mask), exact) >= 0.99


# --------------------------------------------------------------------------- networks that classify masks


def labels_of_classified_masks(mask, **said):
    pytest.importorskip("transformers", reason="transformers is not installed; make install")
    narrow = {"queries": 5, "encoder_layers": 1, "decoder_layers": 1, "train_points": 64}
    adapter = built("transformers/mask2former_semantic", TWO_CLASSES, {**narrow, "input": {**PLAIN, **said}})

    def repeats(pixels):
        white = (2 * pixels[:, :1] - 1) * 8
        classes = torch.tensor([[0.0, 9.0, 0.0], [9.0, 0.0, 0.0]])  # the first query is of the second class
        return classes[None].expand(len(pixels), -1, -1), torch.cat([white, -white], dim=1)

    adapter._chosen._runtime = repeats
    (found,) = predict(adapter, [picture(mask)])
    return found.labels


@pytest.mark.few(3)
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", SIZES)
def test_classified_masks_come_back_from_every_fit(size, fit):
    mask = cv2.resize(stripes(60, 60, 0), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    found = labels_of_classified_masks(mask, size=[256, 352], fit=fit, interpolation="linear")
    answered = found != IGNORE_LABEL
    assert mean_iou(found[answered], mask[answered]) >= 0.99
    seen = min(256 / size[0], 352 / size[1]) / max(256 / size[0], 352 / size[1])
    assert answered.mean() == pytest.approx(seen if fit == "crop" else 1.0, abs=0.02)
    assert mean_iou(labels_of_classified_masks(mask), mask) >= 0.99


# --------------------------------------------------------------------------- Detectron2


@pytest.mark.parametrize("fit", ["stretch", "pad"])
@pytest.mark.parametrize("size", SIZES)
def test_maps_of_detectron2_come_back_from_its_fits(size, fit):
    pytest.importorskip("detectron2", reason="detectron2 is not installed; make install")
    mask = cv2.resize(stripes(60, 60, 1), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    said = {**PLAIN, "size": [256, 352], "fit": fit, "interpolation": "linear"}
    adapter = built("detectron2/fcn", TWO_CLASSES, {"head_channels": 8, "input": said})
    adapter._stages._logits = lambda pixels: torch.cat([1 - 2 * pixels[:, :1], 2 * pixels[:, :1] - 1], dim=1)
    (found,) = predict(adapter, [picture(mask)])
    assert mean_iou(found.labels, mask) >= 0.99


# --------------------------------------------------------------------------- YOLO


def half(height, width, axis):
    mask = np.zeros((height, width), bool)
    mask[(slice(height // 2), slice(None)) if axis == 0 else (slice(None), slice(width // 2))] = True
    return mask


def one_object(pixels):
    """Candidates and prototypes of an object in a box around everything, whose mask is what is white."""
    height, width = pixels.shape[-2:]
    candidates = torch.zeros(1, 4 + 2 + 32, 3)
    candidates[0, :4, 0] = torch.tensor([width / 2, height / 2, width, height])
    candidates[0, 4, 0] = 0.9  # the first thing
    candidates[0, 6, 0] = 1.0
    prototypes = torch.zeros(1, 32, height // 4, width // 4)
    prototypes[:, 0] = F.avg_pool2d((2 * pixels[:, :1] - 1) * 8, 4)[:, 0]
    return candidates, prototypes


@pytest.mark.few(5)
@pytest.mark.parametrize("side", [None, 320])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("axis", [0, 1])
def test_masks_of_yolo_come_back_from_the_letterbox(axis, size, side):
    needs_ultralytics()
    mask = half(*size, axis)
    options = {} if side is None else {"input": {"size": side}}
    adapter = built("ultralytics/yolo11n_seg", INSTANCES, options)
    adapter._runtime = one_object
    (found,) = predict(adapter, [picture(mask)])
    assert iou(found.masks[0], mask) >= 0.985


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("axis", [0, 1])
def test_masks_of_an_exported_yolo_come_back_from_every_fit(axis, size, fit):
    mask, network = half(*size, axis), Size(320, 352)
    placement = place(Size(*size), network, fit)
    ports = (Port("output0", (1, 38, 3), np.dtype(np.float32)), Port("output1", (1, 32, 80, 88), np.dtype(np.float32)))
    reader = YoloReader(ObjectFileOptions(), None, INSTANCES, ports, "x")
    seen = fitted(picture(mask), placement, (114, 114, 114), "linear")
    pixels = torch.from_numpy(np.ascontiguousarray(seen)).permute(2, 0, 1)[None].float() / 255
    outputs = [one[0].numpy() for one in one_object(pixels)]
    found = reader.prediction(outputs, placement, Size(*size)).masks[0]
    shown = placement.without_answer(Size(*size))
    inside = np.ones(size, bool) if shown is None else ~shown
    # A pixel that the edge of a crop divides lies outside of the box, which ends there.
    inside = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) > 0
    assert iou(found & inside, mask & inside) >= 0.985


# --------------------------------------------------------------------------- what makes no sense


@pytest.mark.parametrize(
    ("model_config", "said", "why"),
    [
        ("torchvision/maskrcnn_small", {"fit": "tile", "size": 64}, "objects of several tiles"),
        ("transformers/mask2former_instance", {"channels": "gray"}, "sees three colours"),
        ("detectron2/mask_rcnn", {"fit": "letterbox", "size": 64}, "from the top left"),
        ("sam/sam_vit_b", {"size": 512}, "input_size"),
        ("sam/sam2_hiera_tiny", {"fit": "letterbox"}, "as they were trained"),
        ("ultralytics/yolo11n_seg", {"fit": "stretch"}, "undone from a letterbox"),
        ("ultralytics/yolo11n_seg", {"interpolation": "cubic"}, "resized linearly"),
    ],
)
def test_what_a_network_cannot_honour_is_refused_with_the_reason_before_anything_runs(model_config, said, why):
    model = resolve_model(model_config, options={"input": said})
    (usage_error,) = load_light(model.adapter, "options").usage_errors(model)
    assert why in usage_error


def test_colours_in_the_other_order_reach_the_first_layer():
    needs_ultralytics()
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 255
    adapter = built("ultralytics/yolo11n_seg", INSTANCES, {"input": {"channels": "bgr", "mean": 0.5, "std": 0.5}})
    assert adapter.preprocess([red]).pixels[0, :, 0, 0].tolist() == [-1, -1, 1]
    rcnn = built("torchvision/maskrcnn_small", INSTANCES, {"input": {"channels": "bgr", "mean": [0.5, 0, 0], "std": 1}})
    assert rcnn.preprocess([red]).images.tensors[0, :, 0, 0].tolist() == [0, 0, 0.5]


def test_a_fit_without_a_size_is_refused():
    with pytest.raises(BenchError, match="fit: letterbox needs a size"):
        built("torchvision/maskrcnn_small", INSTANCES, {"input": {"fit": "letterbox"}})


def test_an_input_that_the_training_does_not_follow_is_unsupported():
    adapter = load_adapter("torchvision")
    adapter.training_follows = True
    model = resolve_model("torchvision/maskrcnn_small", options={"input": {"size": 64, "fit": "pad"}})
    with pytest.raises(Unsupported, match=r"follows no input\.fit"):
        adapter.build(model, INSTANCES, Target(threads=1), None)
