"""Turns a model config's options into a Detectron2 configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from detectron2 import model_zoo
from detectron2.config import CfgNode, get_cfg

from adapters._torch.input import InputContract
from adapters.detectron2.labels import LabelSpace
from adapters.detectron2.options import Detectron2Options
from adapters.detectron2.panoptic_deeplab import add_panoptic_deeplab_config
from bench.errors import BenchError, Unsupported, did_you_mean
from bench.records import IGNORE_LABEL

BGR_MEAN = [103.53, 116.28, 123.675]
BGR_STD = [57.375, 57.12, 58.395]
"""These are ImageNet's, BGR, in 0-255; weights from scratch train well at this scale."""

PYRAMID = ["p2", "p3", "p4", "p5"]
STAGES = ["res2", "res3", "res4", "res5"]


def make_config(options: Detectron2Options, labels: LabelSpace, *, label: str, device: str, compiled: bool) -> CfgNode:
    """Return the configuration of a model config, frozen; `compiled` if Detectron2's own operators can be used.

    Raises:
        BenchError: If the zoo has no such file or an override is wrong.
        Unsupported: If the model needs compiled operators that are not here.
    """
    cfg = get_cfg()
    add_panoptic_deeplab_config(cfg)  # includes that of DeepLab
    if options.config is not None:
        _merge_file(cfg, options, label)
    else:
        _small(cfg, options)
    _task(cfg, options, labels)
    cfg.MODEL.DEVICE = device
    cfg.MODEL.WEIGHTS = ""
    feed(cfg, contract_of(cfg).changed(options.input))
    _override(cfg, options.overrides, label)
    if not compiled:
        _refuse_compiled(cfg, label)
    cfg.freeze()
    return cfg


def is_own(config: str | None) -> bool:
    """Return whether the option `config` is a file of the user's own, not a name of the model zoo."""
    return config is not None and Path(config).is_file()


def _merge_file(cfg: CfgNode, options: Detectron2Options, label: str) -> None:
    """Start from a file of the model zoo, or from the config.yaml that a training of Detectron2 left."""
    name = str(options.config)
    if is_own(name):
        _merge_own_file(cfg, Path(name), label)
        found = architecture_of(cfg)
        if found != options.architecture:
            said = f"is a {found}" if found else f"has the MODEL.META_ARCHITECTURE {cfg.MODEL.META_ARCHITECTURE!r}"
            raise BenchError(
                f"{label}: option 'config': {name} {said}, and the model config is a {options.architecture}"
                + (f"; use detectron2/{found}" if found else ", which is none that is run here")
            )
        return
    try:
        path = model_zoo.get_config_file(name)
    except RuntimeError:
        raise BenchError(
            f"{label}: option 'config': there is no file {name!r}, and Detectron2's model zoo has none of this name; "
            "give the config.yaml of a training, or one such as COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"
        ) from None
    cfg.merge_from_file(path)


def _merge_own_file(cfg: CfgNode, path: Path, label: str) -> None:
    try:
        cfg.merge_from_file(str(path), allow_unsafe=False)
    except (KeyError, AssertionError, ValueError, AttributeError, TypeError) as error:
        raise BenchError(
            f"{label}: option 'config': {path} is no configuration of Detectron2 alone ({str(error)[:160]}); keys that "
            "a project adds are not known here"
        ) from None
    except (OSError, yaml.YAMLError) as error:
        raise BenchError(f"{label}: option 'config': {path} cannot be read ({str(error)[:160]})") from None


def architecture_of(cfg: CfgNode) -> str | None:
    """Return the option `architecture` of a configuration; None where it is none that is run here."""
    model, head = cfg.MODEL, cfg.MODEL.SEM_SEG_HEAD.NAME
    if model.META_ARCHITECTURE == "GeneralizedRCNN":
        return "mask_rcnn" if model.MASK_ON else None
    if model.META_ARCHITECTURE == "SemanticSegmentor":
        return "deeplabv3plus" if "DeepLabV3Plus" in head else "semantic_fpn" if head == "SemSegFPNHead" else None
    return {"PanopticFPN": "panoptic_fpn", "PanopticDeepLab": "panoptic_deeplab"}.get(model.META_ARCHITECTURE)


def _small(cfg: CfgNode, options: Detectron2Options) -> None:
    """A network from scratch: normalisation that learns, nothing frozen, input scaled to about one."""
    model = cfg.MODEL
    cfg.INPUT.FORMAT = "BGR"
    model.PIXEL_MEAN, model.PIXEL_STD = BGR_MEAN, BGR_STD
    model.BACKBONE.FREEZE_AT = 0
    resnet = model.RESNETS
    resnet.DEPTH, resnet.NORM = options.backbone_depth, options.norm
    resnet.STRIDE_IN_1X1, resnet.STEM_TYPE = False, "basic"
    if options.backbone_depth in (18, 34):
        resnet.RES2_OUT_CHANNELS = 64
    _ARCHITECTURES[options.architecture](cfg, options)


def _fcn(cfg: CfgNode, options: Detectron2Options) -> None:
    cfg.MODEL.META_ARCHITECTURE = "SemanticSegmentor"
    cfg.MODEL.BACKBONE.NAME = "build_resnet_backbone"
    finest = {32: 3, 16: 2, 8: 1}[options.stride]
    cfg.MODEL.RESNETS.OUT_FEATURES = STAGES[finest:]
    head = cfg.MODEL.SEM_SEG_HEAD
    head.NAME, head.IN_FEATURES = "FCNHead", STAGES[finest:]
    head.CONVS_DIM, head.NORM, head.COMMON_STRIDE = options.head_channels, options.norm, options.stride


def _semantic_fpn(cfg: CfgNode, options: Detectron2Options) -> None:
    _pyramid(cfg, options)
    cfg.MODEL.META_ARCHITECTURE = "SemanticSegmentor"
    _pyramid_head(cfg, options)


def _deeplabv3plus(cfg: CfgNode, options: Detectron2Options) -> None:
    """Atrous pooling at stride 16, as in the paper.

    A ResNet-50 gets there by dilating its last stage. Detectron2 does not dilate basic blocks, so a
    ResNet-18 or -34 ends with its fourth stage; at stride 32 the pooling of a small image would see
    a map of four by four.
    """
    model = cfg.MODEL
    model.META_ARCHITECTURE = "SemanticSegmentor"
    model.BACKBONE.NAME = "build_resnet_backbone"
    deepest = "res4" if options.backbone_depth in (18, 34) else "res5"
    model.RESNETS.RES5_DILATION = 1 if deepest == "res4" else 2
    model.RESNETS.OUT_FEATURES = ["res2", deepest]
    head = model.SEM_SEG_HEAD
    head.NAME, head.IN_FEATURES, head.COMMON_STRIDE = "AnySizeDeepLabV3PlusHead", ["res2", deepest], 4
    head.PROJECT_CHANNELS, head.ASPP_CHANNELS, head.CONVS_DIM = [32], options.aspp_channels, options.head_channels
    head.ASPP_DILATIONS, head.ASPP_DROPOUT, head.NORM = options.aspp_dilations, 0.1, options.norm
    head.LOSS_TYPE = "cross_entropy"


def _panoptic_deeplab(cfg: CfgNode, options: Detectron2Options) -> None:
    """Three maps from two decoders, both on the features of DeepLabV3+ and those of stride 8."""
    _deeplabv3plus(cfg, options)
    model = cfg.MODEL
    model.META_ARCHITECTURE = "PanopticDeepLab"
    deepest = model.RESNETS.OUT_FEATURES[-1]
    model.RESNETS.OUT_FEATURES = ["res2", "res3", deepest]
    embed, head = model.INS_EMBED_HEAD, model.SEM_SEG_HEAD
    embed.NAME, head.NAME = "EagerInstanceHead", "EagerSemanticHead"
    for branch in (embed, head):
        branch.IN_FEATURES, branch.PROJECT_FEATURES = ["res2", "res3", deepest], ["res2", "res3"]
        branch.PROJECT_CHANNELS, branch.NORM, branch.COMMON_STRIDE = [32, 64], options.norm, 4
        branch.ASPP_CHANNELS, branch.ASPP_DILATIONS = options.aspp_channels, options.aspp_dilations
        branch.ASPP_DROPOUT, branch.CONVS_DIM, branch.HEAD_CHANNELS = 0.1, options.head_channels, options.head_channels
    head.LOSS_TYPE, head.LOSS_TOP_K = "hard_pixel_mining", 1.0  # weighted by pixel, none left out
    model.PANOPTIC_DEEPLAB.SIZE_DIVISIBILITY = 16
    cfg.DATASETS.TRAIN = ("unregistered",)  # the network asks the catalogue for a name, and uses nothing of it here


def _mask_rcnn(cfg: CfgNode, options: Detectron2Options) -> None:
    _pyramid(cfg, options)
    model = cfg.MODEL
    model.META_ARCHITECTURE = "GeneralizedRCNN"
    model.MASK_ON = True
    model.ANCHOR_GENERATOR.SIZES = [[size] for size in options.anchor_sizes]
    model.ANCHOR_GENERATOR.ASPECT_RATIOS = [options.anchor_ratios]
    rpn = model.RPN
    rpn.IN_FEATURES, rpn.BATCH_SIZE_PER_IMAGE = [*PYRAMID, "p6"], options.rpn_batch
    rpn.PRE_NMS_TOPK_TRAIN, rpn.PRE_NMS_TOPK_TEST = 2 * options.proposals_train, 2 * options.proposals_test
    rpn.POST_NMS_TOPK_TRAIN, rpn.POST_NMS_TOPK_TEST = options.proposals_train, options.proposals_test
    heads = model.ROI_HEADS
    heads.NAME, heads.IN_FEATURES, heads.BATCH_SIZE_PER_IMAGE = "StandardROIHeads", PYRAMID, options.roi_batch
    box = model.ROI_BOX_HEAD
    box.NAME, box.NUM_FC, box.FC_DIM, box.POOLER_RESOLUTION = "FastRCNNConvFCHead", 2, options.box_head_channels, 7
    mask = model.ROI_MASK_HEAD
    mask.NAME, mask.NUM_CONV, mask.CONV_DIM = "MaskRCNNConvUpsampleHead", 2, options.mask_head_channels
    mask.POOLER_RESOLUTION = 14


def _panoptic_fpn(cfg: CfgNode, options: Detectron2Options) -> None:
    _mask_rcnn(cfg, options)
    cfg.MODEL.META_ARCHITECTURE = "PanopticFPN"
    _pyramid_head(cfg, options)


def _pyramid(cfg: CfgNode, options: Detectron2Options) -> None:
    cfg.MODEL.BACKBONE.NAME = "build_resnet_fpn_backbone"
    cfg.MODEL.RESNETS.OUT_FEATURES = STAGES
    fpn = cfg.MODEL.FPN
    fpn.IN_FEATURES, fpn.OUT_CHANNELS, fpn.NORM = STAGES, options.fpn_channels, options.norm


def _pyramid_head(cfg: CfgNode, options: Detectron2Options) -> None:
    head = cfg.MODEL.SEM_SEG_HEAD
    head.NAME, head.IN_FEATURES = "SemSegFPNHead", PYRAMID
    head.CONVS_DIM, head.NORM, head.COMMON_STRIDE, head.LOSS_WEIGHT = options.head_channels, options.norm, 4, 1.0


_ARCHITECTURES = {
    "fcn": _fcn,
    "semantic_fpn": _semantic_fpn,
    "deeplabv3plus": _deeplabv3plus,
    "mask_rcnn": _mask_rcnn,
    "panoptic_fpn": _panoptic_fpn,
    "panoptic_deeplab": _panoptic_deeplab,
}


def _task(cfg: CfgNode, options: Detectron2Options, labels: LabelSpace) -> None:
    """Set what the task and the evaluation decide, whatever the configuration came from."""
    model = cfg.MODEL
    model.SEM_SEG_HEAD.NUM_CLASSES, model.SEM_SEG_HEAD.IGNORE_VALUE = len(labels.semantic), IGNORE_LABEL
    model.ROI_HEADS.NUM_CLASSES, model.ROI_HEADS.SCORE_THRESH_TEST = len(labels.things), options.score_threshold
    cfg.TEST.DETECTIONS_PER_IMAGE = options.detections
    combine = model.PANOPTIC_FPN.COMBINE
    combine.OVERLAP_THRESH, combine.STUFF_AREA_LIMIT = options.combine_overlap, options.combine_stuff_area
    combine.INSTANCES_CONFIDENCE_THRESH = options.combine_score
    centres = model.PANOPTIC_DEEPLAB
    centres.STUFF_AREA, centres.CENTER_THRESHOLD = options.combine_stuff_area, options.center_score
    centres.NMS_KERNEL, centres.TOP_K_INSTANCE = options.center_nms, options.centers


def _override(cfg: CfgNode, overrides: dict[str, Any], label: str) -> None:
    for key, value in overrides.items():
        try:
            cfg.merge_from_list([key, value])
        except (KeyError, AssertionError):
            raise BenchError(
                f"{label}: option 'overrides': Detectron2's configuration has no key {key!r}."
                f"{did_you_mean(key, _keys(cfg))}"
            ) from None
        except ValueError as error:
            raise BenchError(f"{label}: option 'overrides': {key}: {error}") from None


def contract_of(cfg: CfgNode) -> InputContract:
    """Return the preprocessing of a configuration, R, G, B in 0-1 units."""
    bgr = cfg.INPUT.FORMAT == "BGR"
    if cfg.INPUT.FORMAT not in ("BGR", "RGB"):
        raise Unsupported(
            f"Detectron2's configuration has the INPUT.FORMAT {cfg.INPUT.FORMAT!r}; images are fed as RGB or BGR here"
        )
    statistics = cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD
    mean, std = (tuple(float(v) / 255 for v in values)[:: -1 if bgr else 1] for values in statistics)
    return InputContract(mean, std, channels="bgr" if bgr else "rgb", said_by="Detectron2's configuration")


def sizing_of(cfg: CfgNode) -> tuple[int | None, int]:
    """Return the short side that images are scaled to in a test, None where they are not, and the longest side."""
    return cfg.INPUT.MIN_SIZE_TEST or None, cfg.INPUT.MAX_SIZE_TEST


def sizing_of_zoo(name: str | None) -> tuple[int | None, int] | None:
    """Return `sizing_of` a file of the model zoo; None where it has none of this name."""
    try:
        return None if name is None else sizing_of(model_zoo.get_config(name))
    except (RuntimeError, KeyError):
        return None


def feed(cfg: CfgNode, contract: InputContract) -> None:
    """Make a configuration feed its network as a contract says."""
    bgr = contract.channels == "bgr"
    cfg.INPUT.FORMAT = "BGR" if bgr else "RGB"
    cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD = (
        [255 * value for value in values][:: -1 if bgr else 1] for values in (contract.mean, contract.std)
    )


def _keys(node: CfgNode, prefix: str = "") -> list[str]:
    found = []
    for name, value in node.items():
        found += _keys(value, f"{prefix}{name}.") if isinstance(value, CfgNode) else [f"{prefix}{name}"]
    return found


def _refuse_compiled(cfg: CfgNode, label: str) -> None:
    """Deformable and rotated operators exist only in the compiled extension."""
    needs = {
        "deformable convolutions (MODEL.RESNETS.DEFORM_ON_PER_STAGE)": any(cfg.MODEL.RESNETS.DEFORM_ON_PER_STAGE),
        "rotated boxes (MODEL.PROPOSAL_GENERATOR.NAME)": cfg.MODEL.PROPOSAL_GENERATOR.NAME.startswith("RR"),
        "rotated boxes (MODEL.ROI_HEADS.NAME)": cfg.MODEL.ROI_HEADS.NAME.startswith("RR"),
        "rotated anchors (MODEL.ANCHOR_GENERATOR.NAME)": cfg.MODEL.ANCHOR_GENERATOR.NAME.startswith("Rotated"),
    }
    for what, needed in needs.items():
        if needed:
            raise Unsupported(
                f"{label} needs {what}, an operator of detectron2._C, which is not here; build Detectron2 from source "
                "with: make detectron2-upstream"
            )
