"""Networks for pixels take as many channels as a data set declares; weights of other channels are refused."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bench.errors import Unsupported
from bench.records import Augmentation, ClassSpec, ModelSpec, Size, Target, TaskSpec

CLASSES = tuple(ClassSpec(name=name, colour=(0, 0, 0)) for name in ("rest", "field"))
OPTIONS = {
    "unet": {"depth": 2, "base_width": 4},
    "deeplab": {"depth": 18, "base_width": 8, "aspp_width": 8, "low_level_width": 4, "decoder_width": 8},
    "smp": {"decoder": "unet", "encoder": "resnet18"},
    "torchvision": {"network": "lraspp_mobilenet_v3_large"},
    "transformers": {"variant": "b0"},
}


def built(name, channels, **target):
    adapter = importlib.import_module(f"adapters.{name}.adapter").Adapter()
    model = ModelSpec(
        name=f"{name}/x", label="x", adapter=name, task="semantic", description="-", options=OPTIONS[name]
    )
    task = TaskSpec(kind="semantic", classes=CLASSES, channels=channels)
    adapter.build(model, task, Target(device="cpu", **target), None)
    return adapter


@pytest.mark.few(3)
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("channels", [1, 4, 6])
def test_every_channel_reaches_the_network(name, channels):
    pytest.importorskip({"smp": "segmentation_models_pytorch"}.get(name, "torch"))
    adapter = built(name, channels)
    image = np.random.default_rng(0).integers(0, 256, (32, 48, channels), np.uint8)
    reference = adapter.infer(adapter.preprocess([image])).logits
    (predicted,) = adapter.postprocess(adapter.infer(adapter.preprocess([image])), [Size(32, 48)])
    assert predicted.labels.shape == (32, 48)
    for channel in range(channels):
        changed = image.copy()
        changed[..., channel] = 255 - changed[..., channel]
        assert not torch.equal(adapter.infer(adapter.preprocess([changed])).logits, reference)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("size", [None, Size(32, 32)])
def test_values_between_two_bytes_reach_the_network(name, size):
    pytest.importorskip({"smp": "segmentation_models_pytorch"}.get(name, "torch"))
    adapter = built(name, 4, image_size=size)
    bytes_ = np.random.default_rng(0).integers(0, 255, (32, 48, 4), np.uint8)
    floats = bytes_.astype(np.float32)
    given = adapter.preprocess([bytes_]).pixels
    close = {"rtol": 0, "atol": 0 if size is None else 0.02}  # OpenCV rounds what it makes of bytes
    torch.testing.assert_close(adapter.preprocess([floats]).pixels, given, **close)
    finer = adapter.preprocess([floats + np.float32(0.4)]).pixels
    steps = (finer - adapter.preprocess([floats]).pixels) / (adapter.preprocess([floats + 1]).pixels - given)
    if size is None:
        torch.testing.assert_close(steps, torch.full_like(steps, 0.4), rtol=0, atol=1e-3)
    assert not torch.equal(finer, given)


def test_training_changes_floats_without_rounding_them():
    augment = importlib.import_module("adapters._torch.training.augment")
    augmentation = Augmentation(blur_px=1.0)
    image = np.random.default_rng(1).random((16, 20, 3)).astype(np.float32) * 255
    changed, _ = augment.Augmenter(augmentation, fill=(0.5,) * 3)(image, np.zeros((16, 20), np.uint8), seed=(1, 0))
    assert changed.dtype == np.float32
    assert (changed % 1 != 0).mean() > 0.9


def test_other_runtimes_than_eager_are_refused_for_other_bands():
    with pytest.raises(Unsupported, match="exports networks for RGB alone"):
        built("unet", 4, runtime="onnxruntime")


def test_a_task_on_rgb_is_written_as_before():
    assert TaskSpec(kind="semantic", classes=CLASSES).model_dump().keys() == {"kind", "classes"}
    assert TaskSpec(kind="semantic", classes=CLASSES, channels=4).model_dump()["channels"] == 4
