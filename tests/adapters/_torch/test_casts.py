"""Weights that are cast once: no cast in a pass, the same answers bit for bit, and what is left alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils._python_dispatch import TorchDispatchMode

from adapters._torch import device as devices
from adapters._torch.casts import cast_weights
from bench.errors import Unsupported
from bench.records import Size
from tests.adapters.test_contract import (
    REPRESENTATIVES,
    SMALL_UNET,
    TASKS,
    built,
    images,
    model_config_parameters,
    resolve_model,
)

MODELS = {
    "unet/transposed": SMALL_UNET,
    **{
        name: REPRESENTATIVES[name]
        for name in (
            "deeplab/small",
            "smp/unet_mobilenet_v2",
            "torchvision/lraspp_mobilenet_v3_large",
            "transformers/segformer_b0",
            "transformers/mask2former_panoptic",
            "detectron2/semantic_fpn",
            "ultralytics/yolo11n_seg",
        )
    },
}


class Casts(TorchDispatchMode):
    """Counts casts of the tensors that are given."""

    def __init__(self, tensors):
        super().__init__()
        self.storages, self.seen = {tensor.data_ptr() for tensor in tensors}, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if str(function).startswith("aten._to_copy") and args[0].data_ptr() in self.storages:
            self.seen += 1
        return function(*args, **(kwargs or {}))


def raw_of(adapter):
    adapter = getattr(adapter, "_chosen", adapter)
    batch = adapter.preprocess(images([Size(40, 48), Size(33, 20)]))
    with torch.no_grad():
        # Without inference mode, in which casts are not seen one by one.
        raw = type(adapter).infer.__wrapped__(adapter, batch)
    return list(tensors_of(raw))


def tensors_of(value):
    """Tensors of what a network answers, however they are nested."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        yield from (tensor for one in value.values() for tensor in tensors_of(one))
    elif isinstance(value, list | tuple):
        yield from (tensor for one in value for tensor in tensors_of(one))
    elif hasattr(value, "__dict__"):
        yield from tensors_of(vars(value))


@pytest.mark.few(3)
@pytest.mark.parametrize(("model_config", "options", "task"), [model_config_parameters(*one) for one in MODELS.items()])
def test_weights_cast_before_answer_as_weights_cast_in_every_pass(model_config, options, task, monkeypatch):
    kind, wanted = TASKS[resolve_model(model_config).task], {"precision": "bf16", "image_size": Size(64, 64)}
    cast, found = built(model_config, options, kind, **wanted), []
    monkeypatch.setattr(devices, "cast_weights", lambda module, dtype: 0)
    whole = built(model_config, options, kind, **wanted)
    for adapter in (cast, whole):
        found.append(raw_of(adapter))
    assert len(found[0]) == len(found[1]) > 0
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_a_pass_casts_no_weight_of_a_convolution():
    adapter = built("unet/transposed", SMALL_UNET, TASKS["semantic"], precision="bf16")
    weights = [m.weight for m in adapter._network.module.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    with Casts(weights) as casts:
        raw_of(adapter)
    assert {weight.dtype for weight in weights} == {torch.bfloat16}
    assert casts.seen == 0


def test_weights_that_are_left_whole_are_cast_in_every_pass(monkeypatch):
    monkeypatch.setattr(devices, "cast_weights", lambda module, dtype: 0)
    adapter = built("unet/transposed", SMALL_UNET, TASKS["semantic"], precision="bf16")
    weights = [m.weight for m in adapter._network.module.modules() if isinstance(m, nn.Conv2d)]
    with Casts(weights) as casts:
        raw_of(adapter)
    assert casts.seen >= len(weights)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_trained_or_exported_keeps_whole_weights(precision):
    runtime = {"runtime": "openvino"} if precision == "bf16" else {}
    try:
        adapter = built("unet/transposed", SMALL_UNET, TASKS["semantic"], precision=precision, **runtime)
    except Unsupported as missing:
        pytest.skip(str(missing))
    assert {parameter.dtype for parameter in adapter._network.module.parameters()} == {torch.float32}


class Standardised(nn.Conv2d):
    """Looks at its weights in every pass."""

    def forward(self, pixels):
        weight = (self.weight - self.weight.mean()) / self.weight.std()
        return nn.functional.conv2d(pixels, weight, self.bias)


def test_layers_that_look_at_their_weights_share_them_or_make_them_are_left():
    shared = nn.Linear(4, 4)
    tied = nn.Linear(4, 4)
    tied.weight = shared.weight
    parametrised = parametrizations.weight_norm(nn.Linear(4, 4))
    network = nn.Sequential(Standardised(4, 4, 1), nn.BatchNorm2d(4), nn.LayerNorm(4), shared, tied, parametrised)
    assert cast_weights(network, torch.bfloat16) == 2  # the biases of the two that share a weight
    assert {name for name, p in network.named_parameters() if p.dtype == torch.bfloat16} == {"3.bias", "4.bias"}
