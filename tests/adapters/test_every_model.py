"""Every model config that is shipped can be built from random weights and, where that is cheap, answers an image."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from bench.adapter import load_adapter, load_light, predict
from bench.records import ClassSpec, Size, Target, TaskSpec
from bench.records.predictions import check_prediction
from bench.suite.model_configs import model_config_files, read_model_config, resolve_model
from tests.adapters.contracts import contracts

FILES_OF_OTHERS = {"onnxruntime", "openvino", "torchscript", "litert", "predictions"}
"""Adapters that run the files of others, and have nothing to build without one; their own tests make some."""

SHIPPED = [n for n in sorted(model_config_files()) if n.partition("/")[0] not in {"fake", *FILES_OF_OTHERS}]
LARGE_NAMES = (
    *("large", "vit_", "sam2_", "base", "_swin_", "101", "50", "b3", "b4", "b5"),
    *("yolo11x", "yolo11l", "yolo26x", "yolo26l"),
)
"""Parts of the names of networks that take seconds to draw."""

CHEAP_PARAMETERS = 60_000_000
"""Networks with no more answer an image here."""

SIDE = 64


def parameters():
    for name in SHIPPED:
        module = contracts()[name.partition("/")[0]]["modules"][0]
        marks = [pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is not installed; make install")]
        if any(part in name for part in LARGE_NAMES):
            marks.append(pytest.mark.slow)
        yield pytest.param(name, marks=marks)


def task_of(model):
    """A task that the network can do: one of two classes where a sigmoid names one of them."""
    if model.task == "prompted":
        return TaskSpec(kind="prompted", classes=())
    sigmoid = model.options.get("head") == "sigmoid"
    names = ["ground", "red"] if sigmoid else ["ground", "red", "green"]
    classes = tuple(ClassSpec(name=n, colour=(i, 0, 0), is_thing=i > 0) for i, n in enumerate(names))
    return TaskSpec(kind=model.task, classes=classes)


def untrained(name):
    """The model config without the weights that it would download or read."""
    options = {option: None for option in ("pretrained",) if read_model_config(name).options.get(option)}
    return resolve_model(name, options=options).model_copy(update={"weights": None, "trained_on": None})


@pytest.mark.few(14)
@pytest.mark.parametrize("name", [*parameters()])
def test_a_shipped_model_can_be_built_and_answers_an_image(name):
    model = untrained(name)
    light = load_light(model.adapter, "options")
    assert light.usage_errors(model) == []
    adapter, task = load_adapter(model.adapter), task_of(model)
    fixed = light.abilities(model).side or model.options.get("canvas")
    seen = fixed or SIDE
    # Networks that take any size would enlarge the image to that of their data set: seconds for the same answer.
    adapter.build(model, task, Target(threads=1, image_size=None if fixed else Size(SIDE, SIDE)), None)
    parameters = adapter.describe()["parameters"]
    assert parameters > 1000
    if parameters > CHEAP_PARAMETERS or seen > 4 * SIDE or task.kind == "prompted":
        return
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE - 7, 3), dtype=np.uint8)
    (found,) = predict(adapter, [image])
    size = Size(*image.shape[:2])
    check_prediction(found, kind=task.kind, num_classes=len(task.classes), size=size, image_id="drawn", model=name)


def test_no_adapter_of_networks_is_left_out():
    shipped = {name.partition("/")[0] for name in SHIPPED}
    assert shipped | FILES_OF_OTHERS | {"fake"} == {name.partition("/")[0] for name in model_config_files()}
