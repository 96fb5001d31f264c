"""Model configs of published weights: the label space of each is the one that its framework states, in its order."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from bench.data.labels.spaces import label_space
from bench.records import TaskSpec
from bench.suite.model_configs import model_config_files, read_model_config, resolve_model

PUBLISHED = {
    name: model_config
    for name in sorted(model_config_files())
    if (model_config := read_model_config(name)).trained_on is not None
}


def names_of(space):
    return [spec.name for spec in label_space(space).classes]


def test_every_model_config_with_a_label_space_says_where_its_weights_come_from():
    assert len(PUBLISHED) >= 26
    for name, model_config in PUBLISHED.items():
        address = model_config.weights is not None and model_config.weights.startswith("https://")
        assert address or model_config.options.get("pretrained"), name
        assert names_of(model_config.trained_on)


def test_detectron2s_model_configs_have_the_addresses_of_its_zoo_and_as_many_classes_as_their_files():
    pytest.importorskip("detectron2", reason="detectron2 is not installed; make install")
    from detectron2 import model_zoo

    from adapters.detectron2.config import make_config
    from adapters.detectron2.labels import LabelSpace
    from adapters.detectron2.options import Detectron2Options

    model_configs = {name: model_config for name, model_config in PUBLISHED.items() if name.startswith("detectron2/")}
    assert len(model_configs) == 4
    for name, model_config in model_configs.items():
        options = Detectron2Options(**model_config.options)
        assert model_config.weights == model_zoo.get_checkpoint_url(options.config)
        task = TaskSpec(kind=resolve_model(name).task, classes=label_space(model_config.trained_on).classes)
        config = make_config(options, LabelSpace.of(task), label=name, device="cpu", compiled=False)
        published = model_zoo.get_config(options.config).MODEL
        assert config.MODEL.ROI_HEADS.NUM_CLASSES == published.ROI_HEADS.NUM_CLASSES == 80
        if model_config.task == "panoptic":
            assert config.MODEL.SEM_SEG_HEAD.NUM_CLASSES == published.SEM_SEG_HEAD.NUM_CLASSES == 54


def test_cocos_classes_are_numbered_as_detectron2_numbers_them():
    pytest.importorskip("detectron2", reason="detectron2 is not installed; make install")
    from detectron2.data.datasets.builtin_meta import COCO_CATEGORIES

    things = [row["name"] for row in COCO_CATEGORIES if row["isthing"]]
    stuff = [row["name"] for row in COCO_CATEGORIES if not row["isthing"]]
    assert names_of("coco_things") == things
    assert names_of("coco_panoptic") == things + stuff


def test_cocos_things_are_numbered_as_ultralytics_numbers_them():
    spec = find_spec("ultralytics")
    if spec is None:
        pytest.skip("ultralytics is not installed; make install")
    file = Path(spec.origin).parent / "cfg" / "datasets" / "coco.yaml"  # read, not imported: an import would phone home
    names = yaml.safe_load(file.read_text(encoding="utf-8"))["names"]
    assert [names[i] for i in range(80)] == names_of("coco_things")
