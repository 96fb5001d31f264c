"""The files of a new adapter; NAME stands for its name."""

ADAPTER = '''\
"""NAME: a network of your own behind the harness's contract. Put yours in the place of `layers`."""

from adapters._torch.network import SemanticNetwork, head_of
from adapters._torch.semantic import SemanticAdapter
from torch import nn


class Adapter(SemanticAdapter):
    def __init__(self):
        super().__init__(make_network)

    def preprocess(self, images):  # images: uint8 arrays (H, W, 3), RGB; what this returns goes to `infer`
        return super().preprocess(images)

    def postprocess(self, raw, sizes):  # returns one prediction for each image, at its ORIGINAL size
        return super().postprocess(raw, sizes)


def make_network(model, task):
    head, width = head_of("softmax", None, task), model.options.get("width", 8)
    layers = [nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, head.channels, 1)]
    names = tuple(spec.name for spec in task.classes)
    return SemanticNetwork(nn.Sequential(*layers), head, {"network": "NAME", "width": width}, names)
'''

MODEL = """\
description: A network of my own, two convolutions wide
task: semantic
options: {width: 8}
"""

REQUIREMENTS = """\
torch
lightning
"""

SUITE = """\
# Run with: bench run suite.yaml --adapters DIR, the folder that holds NAME
task: semantic
models: [NAME/default]
datasets:
  - {name: shapes, options: {preset: easy, size: [64, 64]}}
recipe: {budget: {seconds: 10}, batch_size: 8, learning_rate: 0.01}
metrics: [mean_iou]
measurement: {quick: true}
"""

TEST = '''\
"""What the harness relies on, tried on this adapter. Run with: pytest test_adapter.py"""

from pathlib import Path

import numpy as np
import pytest

from bench.adapter import ADAPTERS_VARIABLE, ClassSpec, Target, TaskSpec, load_adapter, predict
from bench.suite.model_configs import resolve_model

FOLDER = Path(__file__).resolve().parent
CLASSES = tuple(ClassSpec(name=name, colour=(n, n, n)) for n, name in enumerate(("background", "cat", "dog")))


@pytest.fixture
def adapter(monkeypatch):
    monkeypatch.setenv(ADAPTERS_VARIABLE, str(FOLDER.parent))
    made = load_adapter(FOLDER.name)
    task = TaskSpec(kind="semantic", classes=CLASSES)
    made.build(resolve_model(f"{FOLDER.name}/default"), task, Target(threads=1), None)
    return made


def images(*sizes):
    return [np.random.default_rng(n).integers(0, 256, (*size, 3), dtype=np.uint8) for n, size in enumerate(sizes)]


def test_a_prediction_has_the_size_of_its_image_and_names_known_classes(adapter):
    batch = images((37, 53), (37, 53))
    for image, found in zip(batch, predict(adapter, batch), strict=True):
        assert found.labels.shape == image.shape[:2]
        assert found.labels.dtype == np.uint8
        assert set(np.unique(found.labels)) <= {0, 1, 2, 255}


def test_images_of_a_batch_are_predicted_as_they_are_alone(adapter):
    batch = images((32, 48), (32, 48))
    together = predict(adapter, batch)
    for image, found in zip(batch, together, strict=True):
        np.testing.assert_array_equal(predict(adapter, [image])[0].labels, found.labels)


def test_images_are_left_as_they_were_and_answers_are_repeated(adapter):
    (image,) = images((24, 24))
    before = image.copy()
    first = predict(adapter, [image])[0].labels.copy()
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(predict(adapter, [image])[0].labels, first)


def test_another_build_has_the_same_weights(adapter):
    (image,) = images((24, 24))
    first = predict(adapter, [image])[0].labels.copy()
    adapter.build(resolve_model(f"{FOLDER.name}/default"), adapter._task, Target(threads=1), None)
    np.testing.assert_array_equal(predict(adapter, [image])[0].labels, first)
'''

FILES = {
    "adapter.py": ADAPTER,
    "models/default.yaml": MODEL,
    "requirements.txt": REQUIREMENTS,
    "suite.yaml": SUITE,
    "test_adapter.py": TEST,
}
"""Path in the adapter's folder -> text."""
