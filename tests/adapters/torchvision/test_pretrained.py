"""torchvision's published weights, from where they lie once they were downloaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("torchvision", reason="torchvision is not installed; make install")

from torchvision.models import detection, segmentation

from adapters.torchvision.adapter import Adapter
from adapters.torchvision.mask_rcnn import make_mask_rcnn
from adapters.torchvision.semantic import make_network
from bench.data.labels.spaces import label_space
from bench.errors import BenchError
from bench.records import Size, Target, TaskSpec
from bench.suite.model_configs import model_config_files, resolve_model
from tests.adapters.rectangles import INSTANCES, THREE_CLASSES

SIZE = Size(48, 64)
TASKS = {
    "semantic": TaskSpec(kind="semantic", classes=label_space("voc").classes),
    "instance": TaskSpec(kind="instance", classes=label_space("coco_91").classes),
}
CONFIGS = [
    name for name in sorted(model_config_files()) if name.startswith("torchvision/") and resolve_model(name).trained_on
]


@pytest.fixture
def downloads(tmp_path, monkeypatch) -> Path:
    """Where torch keeps what it downloaded."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def image():
    return np.random.default_rng(5).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def as_published(image):
    """float32, (3, H, W), 0-1."""
    return torch.from_numpy(image).permute(2, 0, 1).float() / 255


def built(config, task, **options) -> Adapter:
    adapter = Adapter()
    adapter.build(resolve_model(f"torchvision/{config}", options=options), task, Target(threads=1), None)
    return adapter


@torch.inference_mode()
def test_a_network_with_an_auxiliary_head_answers_as_torchvisions_own_and_without_that_head(downloads):
    torch.manual_seed(1)
    weights = segmentation.DeepLabV3_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1
    module = segmentation.deeplabv3_mobilenet_v3_large(weights_backbone=None, aux_loss=True)
    torch.save(module.state_dict(), downloads / Path(weights.url).name)
    network = make_network(
        resolve_model("torchvision/deeplabv3_mobilenet_v3_large_voc"), TASKS["semantic"]
    ).module.eval()
    pixels = as_published(image())[None]
    assert torch.equal(network(pixels), module.eval()(pixels)["out"])
    kept = [name for name, _ in module.named_parameters() if not name.startswith("aux_classifier")]
    assert len([*network.parameters()]) == len(kept) < len([*module.parameters()])


def test_the_published_mask_rcnn_is_loaded_and_its_labels_are_cocos_own_ids(downloads):
    weights = detection.MaskRCNN_ResNet50_FPN_Weights.COCO_V1
    drawn = detection.maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=91)
    state = {name: tensor for name, tensor in drawn.state_dict().items() if not name.endswith("num_batches_tracked")}
    torch.save(state, downloads / Path(weights.url).name)
    network = make_mask_rcnn(resolve_model("torchvision/maskrcnn_resnet50_fpn_coco"), TASKS["instance"])
    classifier = "roi_heads.box_predictor.cls_score.weight"
    assert torch.equal(network.module.state_dict()[classifier], state[classifier])
    assert len(state[classifier]) == 91
    # The network numbers its labels from 1, the background being 0; class ids are positions among the 91.
    assert network.things.tolist() == [*range(1, 91)]


@pytest.mark.parametrize(
    ("config", "task", "message"),
    [
        ("fcn_resnet50_voc", THREE_CLASSES, "tells 21 classes apart and the task has 3; say trained_on: voc"),
        ("maskrcnn_resnet50_fpn_coco", INSTANCES, "answers with 91 ids and the task has 3 classes; say trained_on: "),
    ],
)
def test_published_weights_of_other_classes_are_refused_with_what_to_say(config, task, message):
    with pytest.raises(BenchError, match=message):
        built(config, task)


def test_there_is_a_config_for_each_published_network_with_the_label_space_of_its_weights():
    spaces = {config: resolve_model(config).trained_on for config in CONFIGS}
    assert spaces == {
        **{f"torchvision/{name}_voc": "voc" for name in (
            "deeplabv3_mobilenet_v3_large", "deeplabv3_resnet101", "deeplabv3_resnet50", "fcn_resnet101",
            "fcn_resnet50", "lraspp_mobilenet_v3_large",
        )},
        **{f"torchvision/{name}_coco": "coco_91" for name in ("maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2")},
    }  # fmt: skip


def test_the_order_of_the_classes_is_that_of_the_weights():
    # torchvision says its names with the weights; VOC's own spelling differs in spaces alone.
    categories = segmentation.FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1.meta["categories"]
    ours = [spec.name for spec in label_space("voc").classes]
    assert [name.replace("__background__", "background") for name in categories] == ours
    coco = detection.MaskRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    space = label_space("coco_91")
    assert [name for name in coco if name != "N/A"] == [
        "__background__",
        *(spec.name for spec in space.classes[1:] if spec.name not in space.unused),
    ]
    assert [i for i, name in enumerate(coco) if name == "N/A"] == [
        i for i, spec in enumerate(space.classes) if spec.name in space.unused
    ]
