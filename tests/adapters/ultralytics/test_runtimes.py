"""YOLO by other makers of the forward pass: the eager answers, by the same suppression and the same masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from adapters._torch.weights import save_weights
from adapters.ultralytics.network import make_network
from bench.adapter import predict
from bench.records import Size, SlidingWindow, Target
from bench.records.predictions import Instances
from bench.score.reduce import reduced
from tests.adapters.rectangles import INSTANCES
from tests.adapters.ultralytics.yolo import TASKS, built, images, spec

pytestmark = pytest.mark.openvino

pytest.importorskip("onnxscript", reason="onnxscript is not installed; make install")

SIZES = [Size(24, 32), Size(60, 40), Size(96, 33)]
INPUT = Size(64, 64)
SURE = {"conf": 0.25}
"""Unsure detections change places with a rounding; those that anybody sees must be the same."""


@pytest.fixture(autouse=True, scope="module")
def _one_cache(tmp_path_factory):
    """All tests share exports, and the user's own cache stays as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def lively(tmp_path_factory):
    """Weights of networks that answer something everywhere, without a training; by kind."""
    found = {}
    for kind in ("instance", "semantic"):
        network = make_network(spec(kind), TASKS[kind], seed=0)
        _answer_something(network.module, kind)
        found[kind] = tmp_path_factory.mktemp("lively") / f"{kind}.pt"
        save_weights(network, network.module.state_dict(), found[kind])
    return found


def _answer_something(module, kind):
    """Fit the normalisation to images, so that signals reach the end; make a class likely here and there."""
    pixels = np.stack(images(*[INPUT] * 4)).transpose(0, 3, 1, 2) / 255
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        module.train()(torch.from_numpy(pixels).float())
        for branch in module.model[-1].cv3 if kind == "instance" else ():
            branch[-1].weight.mul_(0.004)
            branch[-1].bias.fill_(-1)


@pytest.fixture(params=["onnxruntime", "openvino"])
def runtime(request):
    pytest.importorskip(request.param, reason=f"{request.param} is not installed; make install")
    return request.param


def alike(one, other):
    """At most a pixel in a thousand changes; the order of two detections as sure as each other may."""
    labels = [reduced(found, "semantic", INSTANCES.classes) for found in (one, other)]
    scores = [np.sort(found.scores) if isinstance(found, Instances) else np.zeros(0) for found in (one, other)]
    return (labels[0].labels == labels[1].labels).mean() >= 0.999 and np.allclose(*scores, atol=1e-4)


def one_by_one(kind, runtime, pictures, *, options, weights, **target):
    adapter = built(kind, weights=weights, target=Target(threads=1, runtime=runtime, **target), **options)
    return [predict(adapter, [picture])[0] for picture in pictures]


def answers(kind, runtime, pictures, *, options=None, weights, **target):
    adapter = built(kind, weights=weights, target=Target(threads=1, runtime=runtime, **target), **(options or {}))
    return predict(adapter, pictures)


@pytest.mark.few(2)
@pytest.mark.parametrize(("kind", "image_size"), [("instance", INPUT), ("instance", None), ("semantic", None)])
def test_an_exported_network_finds_what_the_eager_one_finds(lively, runtime, kind, image_size):
    options = SURE if kind == "instance" else {}
    pictures, weights = images(*SIZES), lively[kind]
    eager, other = (
        one_by_one(kind, r, pictures, options=options, weights=weights, image_size=image_size)
        for r in ("eager", runtime)
    )
    assert all(alike(one, two) for one, two in zip(eager, other, strict=True))
    if kind == "instance":
        assert sum(len(one.scores) for one in eager) >= len(pictures)


@pytest.mark.few(1)
def test_a_mixed_batch_gets_the_eager_answers(lively, runtime):
    options, weights = SURE, lively["instance"]
    eager, other = (
        answers("instance", r, images(*SIZES), options=options, weights=weights) for r in ("eager", runtime)
    )
    assert all(alike(one, two) for one, two in zip(eager, other, strict=True))


def test_windows_pass_through_the_exported_network(lively):
    window = {"window": SlidingWindow(size=Size(48, 48), overlap=0.5)}
    weights, pictures = lively["semantic"], images(Size(60, 90))
    eager, other = (answers("semantic", r, pictures, weights=weights, **window) for r in ("eager", "onnxruntime"))
    assert alike(eager[0], other[0])


def test_the_export_stands_in_the_facts_of_the_network(lively):
    adapter = built(weights=lively["instance"], target=Target(threads=1, runtime="onnxruntime"))
    facts = adapter.describe()
    assert set(facts["exported_files"]) == {"model.onnx"}
    # Its weights are stored once, as float32.
    assert facts["exported_bytes"] >= 4 * facts["folded_parameters"]
    assert facts["threads"]["onnxruntime"] == 1
    assert {"onnxruntime", "onnx", "ultralytics"} <= set(adapter.versions())
