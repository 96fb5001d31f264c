"""From a card's options to a Detectron2 configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import detectron2
from detectron2.config import CfgNode, get_cfg
from detectron2.projects.deeplab import add_deeplab_config

from adapters.detectron2 import COMPILED
from adapters.detectron2.architectures import COMMON, defaults_of
from adapters.detectron2.backbones import add_backbone_config
from adapters.detectron2.fcn_head import add_fcn_config
from adapters.detectron2.framework import HOW_TO_COMPILE, import_panoptic_deeplab
from adapters.detectron2.labels import LabelSpace
from adapters.detectron2.options import KEYS, DetectronOptions
from bench.errors import BenchError, Unsupported, did_you_mean
from bench.records import TaskKind, TaskSpec

ZOO = Path(detectron2.__file__).with_name("model_zoo") / "configs"

KIND_OF: dict[str, TaskKind] = {
    "SemanticSegmentor": "semantic",
    "GeneralizedRCNN": "instance",
    "PanopticFPN": "panoptic",
    "PanopticDeepLab": "panoptic",
}
"""Detectron2's meta-architectures that make predictions of ours."""

FCN_FEATURES = {32: ("res5",), 16: ("res4", "res5"), 8: ("res3", "res4", "res5")}
DILATIONS = {32: (1, 1), 16: (1, 2), 8: (2, 4)}  # of res4 and res5


def make_config(options: DetectronOptions, task: TaskSpec, *, label: str) -> CfgNode:
    """Return the configuration of a card for a task, on the CPU and without weights.

    Args:
        options: Of the card.
        task: Decides the numbers of classes.
        label: Of the model, for messages.

    Raises:
        BenchError: If a configuration or a key does not exist, or a value does not fit its key.
        Unsupported: If it predicts another kind of thing than the task asks for, or needs
            operators that are not compiled here.
    """
    cfg = get_cfg()
    add_deeplab_config(cfg)
    add_backbone_config(cfg)
    add_fcn_config(cfg)
    if options.architecture == "panoptic_deeplab":
        import_panoptic_deeplab().add_panoptic_deeplab_config(cfg)
    if options.config is not None:
        cfg.merge_from_file(str(_zoo_file(options.config, label)))
    else:
        for key, value in {**COMMON, **defaults_of(options.architecture)}.items():
            _set(cfg, key, value, label)
    _apply(options, cfg, label)
    for key, value in options.overrides.items():
        _set(cfg, key, value, label)
    cfg.MODEL.WEIGHTS, cfg.MODEL.DEVICE, cfg.VIS_PERIOD = "", "cpu", 0
    _check(cfg, task, label)
    _fit_to_task(cfg, task)
    return cfg


def _zoo_file(name: str, label: str) -> Path:
    known = {str(file.relative_to(ZOO)) for file in ZOO.rglob("*.yaml")}
    if name not in known:
        raise BenchError(
            f"{label}: Detectron2's model zoo has no configuration {name!r}.{did_you_mean(name, known)} "
            f"They lie in {ZOO}"
        )
    return ZOO / name


def _apply(options: DetectronOptions, cfg: CfgNode, label: str) -> None:
    for option, keys in KEYS.items():
        value = getattr(options, option)
        if value is not None:
            for key in keys:
                if _has(cfg, key):
                    _set(cfg, key, value, label)
    if options.anchor_ratios is not None:
        cfg.MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS = [options.anchor_ratios]
    if options.train_proposals is not None:
        cfg.MODEL.RPN.PRE_NMS_TOPK_TRAIN = max(cfg.MODEL.RPN.PRE_NMS_TOPK_TRAIN, options.train_proposals)
    if options.proposals is not None:
        cfg.MODEL.RPN.PRE_NMS_TOPK_TEST = max(cfg.MODEL.RPN.PRE_NMS_TOPK_TEST, options.proposals)
    if options.stride is not None:
        cfg.MODEL.RESNETS.OUT_FEATURES = cfg.MODEL.SEM_SEG_HEAD.IN_FEATURES = list(FCN_FEATURES[options.stride])
    if options.output_stride is not None:
        cfg.MODEL.RESNETS.OUTPUT_STRIDE = options.output_stride
    if options.config is None:
        resnets = cfg.MODEL.RESNETS
        resnets.RES4_DILATION, resnets.RES5_DILATION = DILATIONS[resnets.OUTPUT_STRIDE]
    _set_widths(options, cfg)


def _set_widths(options: DetectronOptions, cfg: CfgNode) -> None:
    """Widths of the ResNet; those of res2 and its bottlenecks follow from the stem's by its depth."""
    resnets = cfg.MODEL.RESNETS
    if options.width is not None:
        resnets.STEM_OUT_CHANNELS = resnets.WIDTH_PER_GROUP = options.width
    if options.width is not None or (options.depth is not None and resnets.NUM_GROUPS == 1):
        resnets.RES2_OUT_CHANNELS = resnets.WIDTH_PER_GROUP * (1 if resnets.DEPTH < 50 else 4)


def _has(cfg: CfgNode, key: str) -> bool:
    node: Any = cfg
    for part in key.split("."):
        if not isinstance(node, CfgNode) or part not in node:
            return False
        node = node[part]
    return True


def _set(cfg: CfgNode, key: str, value: Any, label: str) -> None:
    if not _has(cfg, key):
        raise BenchError(
            f"{label}: Detectron2's configuration has no key {key!r}.{did_you_mean(key, set(_keys(cfg)))} "
            "Its keys are explained in detectron2/config/defaults.py"
        )
    *path, last = key.split(".")
    node = cfg
    for part in path:
        node = node[part]
    if isinstance(node[last], float) and isinstance(value, int):
        value = float(value)
    try:
        cfg.merge_from_list([key, value])
    except ValueError:
        raise BenchError(
            f"{label}: {key} takes a value like {node[last]!r}, a {type(node[last]).__name__}, not {value!r}"
        ) from None


def _keys(node: CfgNode, prefix: str = "") -> Iterator[str]:
    for name, value in node.items():
        if isinstance(value, CfgNode):
            yield from _keys(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def _check(cfg: CfgNode, task: TaskSpec, label: str) -> None:
    model = cfg.MODEL
    kind = KIND_OF.get(model.META_ARCHITECTURE)
    if kind is None or (kind != "semantic" and not model.MASK_ON) or model.KEYPOINT_ON or model.LOAD_PROPOSALS:
        raise Unsupported(f"{label}: this configuration of {model.META_ARCHITECTURE} does not predict masks alone")
    if kind != task.kind:
        raise Unsupported(f"{label} makes {kind} predictions; it has no {task.kind} prediction")
    if kind != "semantic" and not any(c.is_thing for c in task.classes):
        raise Unsupported(f"{label} finds things, and the task has none among its classes")
    needs = _needs_compiled(cfg)
    if needs and not COMPILED:
        raise Unsupported(f"{label}: {needs} needs detectron2._C, which is not compiled here; {HOW_TO_COMPILE}")


def _needs_compiled(cfg: CfgNode) -> str | None:
    """The key that asks for deformable or rotated operators, if one does."""
    model = cfg.MODEL
    if any(model.RESNETS.DEFORM_ON_PER_STAGE):
        return "MODEL.RESNETS.DEFORM_ON_PER_STAGE"
    names = {
        "MODEL.ROI_HEADS.NAME": ("RROIHeads",),
        "MODEL.PROPOSAL_GENERATOR.NAME": ("RRPN",),
        "MODEL.ANCHOR_GENERATOR.NAME": ("RotatedAnchorGenerator",),
        "MODEL.ROI_BOX_HEAD.POOLER_TYPE": ("ROIAlignRotated",),
        "MODEL.ROI_MASK_HEAD.POOLER_TYPE": ("ROIAlignRotated",),
    }
    for key, rotated in names.items():
        node: Any = cfg
        for part in key.split("."):
            node = node[part]
        if node in rotated:
            return f"{key} {node}"
    return None


def _fit_to_task(cfg: CfgNode, task: TaskSpec) -> None:
    labels = LabelSpace.of(task)
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = max(1, len(labels.things))
    on_stuff = cfg.MODEL.META_ARCHITECTURE == "PanopticFPN"
    cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES = 1 + len(labels.stuff) if on_stuff else labels.count
    cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE = 255
    cfg.DATASETS.TRAIN = ("segbench",)  # Panoptic-DeepLab asks for the name of one; nothing is registered
