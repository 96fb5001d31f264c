from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

detectron2 = pytest.importorskip("detectron2", reason="Detectron2 is not installed; make install")

from adapters.detectron2.config import make_config
from adapters.detectron2.framework import has_compiled_operators
from adapters.detectron2.labels import LabelSpace
from adapters.detectron2.options import Detectron2Options
from bench.errors import BenchError, Unsupported
from bench.records import TaskSpec
from bench.suite.model_configs import model_config_files, resolve_model
from tests.adapters.detectron2.made import TASKS, built
from tests.adapters.rectangles import THREE_CLASSES

MODEL_CONFIGS = [
    model_config for model_config in sorted(model_config_files()) if model_config.startswith("detectron2/")
]
DEFORMABLE = {"MODEL.RESNETS.DEFORM_ON_PER_STAGE": [False, True, True, True]}


def config(architecture, *, compiled=False, **options):
    read = Detectron2Options(architecture=architecture, **options)
    labels = LabelSpace.of(TASKS[read.task])
    return make_config(read, labels, label="detectron2/test", device="cpu", compiled=compiled)


@pytest.mark.parametrize("model_config", MODEL_CONFIGS)
def test_every_model_config_becomes_a_configuration_with_the_tasks_classes(model_config):
    model = resolve_model(model_config)
    found = config(**model.options)
    assert found.MODEL.ROI_HEADS.NUM_CLASSES == 2
    semantic_classes = 2 if model.task == "panoptic" else 3  # all things are one, beside the ground
    assert semantic_classes == found.MODEL.SEM_SEG_HEAD.NUM_CLASSES
    assert found.MODEL.SEM_SEG_HEAD.IGNORE_VALUE == 255
    assert (found.MODEL.DEVICE, found.MODEL.WEIGHTS) == ("cpu", "")
    assert found.is_frozen()


def test_a_zoo_file_decides_the_network_and_the_model_config_its_reading():
    found = config("mask_rcnn", config="COCO-InstanceSegmentation/mask_rcnn_R_101_FPN_3x.yaml", score_threshold=0.25)
    assert found.MODEL.RESNETS.DEPTH == 101
    assert found.MODEL.META_ARCHITECTURE == "GeneralizedRCNN"
    assert found.MODEL.ROI_HEADS.SCORE_THRESH_TEST == 0.25
    assert found.SOLVER.MAX_ITER == 270000  # 3x, of that file alone


def test_a_file_that_is_not_in_the_zoo_is_named():
    with pytest.raises(
        BenchError, match=r"detectron2/test: option 'config': .* 'COCO/no_such\.yaml'.*or one such as COCO"
    ):
        built("mask_rcnn", config="COCO/no_such.yaml")


def test_an_unknown_override_is_named_with_the_nearest_key():
    with pytest.raises(BenchError, match=r"no key 'MODEL\.RPN\.NMS_TRESH'\. Did you mean 'MODEL\.RPN\.NMS_THRESH'\?"):
        built("mask_rcnn", overrides={"MODEL.RPN.NMS_TRESH": 0.8})


def test_an_override_of_another_type_is_named():
    with pytest.raises(BenchError, match=r"option 'overrides': MODEL\.RPN\.NMS_THRESH: "):
        built("mask_rcnn", overrides={"MODEL.RPN.NMS_THRESH": "high"})


def test_overrides_are_applied_last():
    assert config("mask_rcnn").MODEL.ROI_HEADS.SCORE_THRESH_TEST == 0.001
    found = config("mask_rcnn", overrides={"MODEL.ROI_HEADS.SCORE_THRESH_TEST": 0.7, "MODEL.RPN.NMS_THRESH": 0.8})
    assert (found.MODEL.ROI_HEADS.SCORE_THRESH_TEST, found.MODEL.RPN.NMS_THRESH) == (0.7, 0.8)


@pytest.mark.parametrize(
    "overrides",
    [
        DEFORMABLE,
        {"MODEL.PROPOSAL_GENERATOR.NAME": "RRPN"},
        {"MODEL.ROI_HEADS.NAME": "RROIHeads"},
        {"MODEL.ANCHOR_GENERATOR.NAME": "RotatedAnchorGenerator"},
    ],
    ids=lambda overrides: next(iter(overrides)),
)
def test_what_needs_compiled_operators_is_refused_without_them_alone(overrides):
    with pytest.raises(Unsupported, match=rf"{next(iter(overrides))}.*detectron2\._C.*make detectron2-upstream"):
        config("mask_rcnn", overrides=overrides)
    assert config("mask_rcnn", overrides=overrides, compiled=True)


@pytest.mark.parametrize(("device", "compiled"), [("cpu", True), ("cuda:0", False)])
def test_operators_that_were_compiled_without_cuda_serve_a_processor_alone(monkeypatch, device, compiled):
    without_cuda = SimpleNamespace(has_cuda=lambda: False)
    monkeypatch.setitem(sys.modules, "detectron2._C", without_cuda)
    monkeypatch.setattr(detectron2, "_C", without_cuda, raising=False)
    assert has_compiled_operators(device) is compiled


@pytest.mark.skipif(has_compiled_operators(), reason="detectron2._C is here")
def test_a_deformable_network_is_not_built_here():
    with pytest.raises(Unsupported, match="deformable convolutions"):
        built("mask_rcnn", overrides=DEFORMABLE)


@pytest.mark.parametrize("architecture", ["fcn", "semantic_fpn", "deeplabv3plus", "mask_rcnn", "panoptic_fpn"])
def test_a_task_of_another_form_is_refused(architecture):
    kinds = {"semantic", "instance", "panoptic"} - {Detectron2Options(architecture=architecture).task}
    for kind in sorted(kinds):
        with pytest.raises(Unsupported, match=f"it has no {kind} prediction"):
            built(architecture, task=TASKS[kind])


@pytest.mark.parametrize("architecture", ["mask_rcnn", "panoptic_fpn"])
def test_a_task_without_things_has_no_instances_to_find(architecture):
    ground = THREE_CLASSES.classes[:1]
    kind = Detectron2Options(architecture=architecture).task
    with pytest.raises(Unsupported, match="this label space has none"):
        built(architecture, task=TaskSpec(kind=kind, classes=ground))


def test_an_option_of_another_name_is_told_with_the_nearest():
    with pytest.raises(BenchError, match=r"no option named 'fpn_chanels'\. Did you mean 'fpn_channels'\?"):
        built("semantic_fpn", fpn_chanels=8)
