"""`infer` of a network of each adapter on a GPU that is not there: torch keeps the rules of devices without computing.

Tensors on `cuda:0` hold no numbers (FakeTensorMode), but an operation on tensors of two devices is refused as on a
GPU, and every copy between host and device can be seen. What looks at values is not run here; tests marked gpu do that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; make install")

from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from bench.records import Size
from tests.adapters.test_contract import (
    REPRESENTATIVES,
    SMALL_UNET,
    TASKS,
    built,
    model_config_parameters,
    resolve_model,
)

GPU = torch.device("cuda:0")
LOOKS_AT_VALUES = (
    "detectron2/mask_rcnn",
    "detectron2/panoptic_fpn",
    "torchvision/maskrcnn_small",
    "transformers/eomt_",
    "transformers/maskformer_",
    "transformers/oneformer_",
    "ultralytics/yolo11n_seg",
)
"""Networks that read numbers of the device in a pass: how many boxes are left, or which annealing is over."""
KEEPS_TENSORS = ("transformers/beit_", "transformers/data2vec_")
"""Networks whose library keeps an index of positions for the whole process, which this mode cannot read."""
COPY_SIZES = ("transformers/mask2former_", "transformers/rf_detr_instance")
"""Networks whose library copies the sizes of feature maps to the device in each pass, which no CUDA graph records."""
MODELS = {
    "unet/transposed": SMALL_UNET,
    "unet/bilinear": {"base_width": 4, "in_channels": 1},
    **{
        name: options
        for name, options in REPRESENTATIVES.items()
        if not name.startswith(LOOKS_AT_VALUES + KEEPS_TENSORS)
    },
}
SIZES = {"transformers/rf_detr_instance": Size(48, 48)}
"""Networks that see one size alone."""


class Copies(TorchDispatchMode):
    """Notes every copy between host and device."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.elements: list[int] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        answer = function(*args, **(kwargs or {}))
        if str(function).startswith(("aten._to_copy", "aten.copy_")):
            target = answer if isinstance(answer, torch.Tensor) else args[0]
            source = args[1] if str(function).startswith("aten.copy_") else args[0]
            if source.device.type != target.device.type:
                self.seen.append(f"{function}: {source.device} to {target.device}")
                self.elements.append(target.numel())
        return answer


def modules_of(thing: object, depth: int = 3) -> Iterator[nn.Module]:
    """Every network that an adapter holds, wherever."""
    if isinstance(thing, nn.Module):
        yield thing
    elif depth and hasattr(thing, "__dict__"):
        for value in vars(thing).values():
            yield from modules_of(value, depth - 1)


def moved(value: Any, mode: FakeTensorMode) -> Any:
    """Tensors of a batch, or of a nest of them, on the GPU that is not there."""

    def move(tensor: Any) -> Any:
        fake = mode.from_tensor(tensor.detach().clone())
        with mode:
            return fake.to(GPU)

    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: moved(getattr(value, f.name), mode) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    if hasattr(value, "image_sizes"):  # a list of images of Detectron2
        value.tensor = move(value.tensor)
        return value
    return pytree.tree_map_only(torch.Tensor, move, value)


def tensors_in(value: Any) -> Iterator[Any]:
    """Every tensor of what a pass returns, however nested."""
    for leaf in pytree.tree_leaves(value):
        if isinstance(leaf, torch.Tensor):
            yield leaf
        elif hasattr(leaf, "__dict__"):
            yield from tensors_in(vars(leaf))


def move_network(module: nn.Module, mode: FakeTensorMode) -> None:
    for part in module.modules():
        for name, parameter in list(part._parameters.items()):
            if parameter is not None and not isinstance(parameter, FakeTensor):
                on_gpu = moved(parameter, mode)
                with mode:
                    part._parameters[name] = nn.Parameter(on_gpu, requires_grad=False)
        for name, buffer in list(part._buffers.items()):
            if buffer is not None and not isinstance(buffer, FakeTensor):
                part._buffers[name] = moved(buffer, mode)
        for name in ("stride", "strides", "anchors"):  # plain tensors that Ultralytics moves with its networks
            if isinstance(getattr(part, name, None), torch.Tensor) and name not in part._buffers:
                setattr(part, name, moved(getattr(part, name), mode))


@pytest.mark.few(7)
@pytest.mark.parametrize(
    ("model_config", "options", "task"), [model_config_parameters(*one, trains=False) for one in MODELS.items()]
)
def test_a_pass_stays_on_the_gpu_and_copies_no_pixels_to_or_from_the_host(model_config, options, task):
    adapter = built(
        model_config, options, TASKS[resolve_model(model_config).task], image_size=SIZES.get(model_config, Size(64, 64))
    )
    adapter = getattr(adapter, "_chosen", adapter)
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    with torch.no_grad():
        preprocess = type(adapter).preprocess
        batch = getattr(preprocess, "__wrapped__", preprocess)(adapter, [image])
    mode, copies = FakeTensorMode(allow_non_fake_inputs=False), Copies()
    networks = list({id(module): module for module in modules_of(adapter)}.values())
    assert networks
    for module in networks:
        move_network(module, mode)
    adapter._device = GPU
    adapter._target = adapter._target.model_copy(update={"device": "cuda"})
    on_gpu = moved(batch, mode)
    infer = type(adapter).infer
    with torch.no_grad(), mode, copies:
        raw = getattr(infer, "__wrapped__", infer)(adapter, on_gpu)
    answers = list(tensors_in(raw))
    assert answers
    assert {answer.device for answer in answers} == {GPU}
    if model_config.startswith(COPY_SIZES):
        assert copies.elements
        assert max(copies.elements) <= 8
    else:
        assert copies.seen == []


class MakesItsWeightsInEachPass(nn.Module):
    def forward(self, pixels: Any) -> Any:
        return pixels * torch.tensor([0.3, 0.6, 0.1], device=pixels.device).view(1, 3, 1, 1)


class KeepsItsWeightsOnTheHost(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = torch.ones(1, 3, 1, 1)

    def forward(self, pixels: Any) -> Any:
        return pixels + self.table


def test_a_copy_in_a_pass_is_seen_and_tensors_of_two_devices_are_refused():
    mode, copies = FakeTensorMode(allow_non_fake_inputs=True), Copies()
    pixels = moved(torch.zeros(1, 3, 4, 4), mode)
    with mode, copies:
        MakesItsWeightsInEachPass()(pixels)
    assert len(copies.seen) == 1
    with mode, pytest.raises(RuntimeError, match="on the same device"):
        KeepsItsWeightsOnTheHost()(pixels)


@pytest.mark.parametrize(
    ("model_config", "options", "task"),
    [
        model_config_parameters(name, REPRESENTATIVES.get(name, SMALL_UNET))
        for name in (
            "unet/transposed",
            "torchvision/maskrcnn_small",
            "detectron2/semantic_fpn",
            "detectron2/mask_rcnn",
            "ultralytics/yolo11n_seg",
        )
    ],
)
def test_a_batch_reaches_the_device_in_one_copy(model_config, options, task):
    adapter = built(model_config, options, TASKS[resolve_model(model_config).task])
    adapter = getattr(adapter, "_chosen", adapter)
    images = [np.random.default_rng(0).integers(0, 256, (64, side, 3), dtype=np.uint8) for side in (96, 64, 80)]
    nowhere = torch.device("meta")  # holds no numbers either, and copies to it are copies to a device
    for module in modules_of(adapter):
        module.to(nowhere)
    adapter._device = nowhere
    if hasattr(adapter, "_normalise"):
        adapter._normalise._shift, adapter._normalise._scale = torch.zeros((2, 1, 3, 1, 1), device=nowhere)
    preprocess = type(adapter).preprocess.__wrapped__  # without inference mode, in which copies are not seen one by one
    with torch.no_grad():
        preprocess(adapter, images)  # constants are moved once
        with Copies() as copies:
            preprocess(adapter, images)
    assert len(copies.seen) == 1, copies.seen
