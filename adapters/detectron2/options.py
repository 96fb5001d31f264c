"""What a Detectron2 card may set, and which keys of Detectron2's configuration that is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue, model_validator

from adapters._torch.options import Options
from bench.records import TaskKind

Architecture = Literal["fcn", "semantic_fpn", "deeplabv3plus", "mask_rcnn", "panoptic_fpn", "panoptic_deeplab"]

TASK_OF: dict[str, TaskKind] = {
    "fcn": "semantic",
    "semantic_fpn": "semantic",
    "deeplabv3plus": "semantic",
    "mask_rcnn": "instance",
    "panoptic_fpn": "panoptic",
    "panoptic_deeplab": "panoptic",
}

REGIONS = ("mask_rcnn", "panoptic_fpn")
PYRAMIDS = ("semantic_fpn", *REGIONS)
LABELLERS = ("fcn", "semantic_fpn", "deeplabv3plus", "panoptic_fpn", "panoptic_deeplab")
DEEPLABS = ("deeplabv3plus", "panoptic_deeplab")

ONLY_FOR: dict[str, tuple[str, ...]] = {
    "stem": DEEPLABS,
    "output_stride": DEEPLABS,
    "aspp_dilations": DEEPLABS,
    "aspp_channels": DEEPLABS,
    "fpn_channels": PYRAMIDS,
    "head_width": LABELLERS,
    "stride": ("fcn",),
    "upsampling": ("fcn",),
    "anchor_sizes": REGIONS,
    "anchor_ratios": REGIONS,
    "proposals": REGIONS,
    "train_proposals": REGIONS,
    "rpn_batch": REGIONS,
    "roi_batch": REGIONS,
    "box_head_width": REGIONS,
    "mask_head_width": REGIONS,
    "mask_head_convs": REGIONS,
    "score_threshold": REGIONS,
    "nms_threshold": REGIONS,
    "detections": REGIONS,
    "overlap_threshold": ("panoptic_fpn",),
    "instance_confidence": ("panoptic_fpn",),
    "stuff_area_limit": ("panoptic_fpn", "panoptic_deeplab"),
    "center_threshold": ("panoptic_deeplab",),
    "center_sigma": ("panoptic_deeplab",),
}
"""Architectures that an option has a meaning for; options that are not named here suit them all."""


class DetectronOptions(Options):
    """Options of a card; what is left out stays as the architecture or the configuration has it.

    Attributes:
        architecture: A network from this adapter, small by default and trained from scratch.
        config: Instead of it, a configuration of Detectron2's model zoo, such as
            `COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml`.
        depth, width, norm, freeze_at: ResNet depth; channels of its stem and first stage (of the
            3 × 3 convolutions from depth 50 on); normalisation of all parts but the box and mask
            heads; stages that are not trained.
        stem, output_stride: DeepLab's: `deeplab` is three 3 × 3 convolutions; the stride of the
            last features, by dilation.
        aspp_dilations, aspp_channels: Of the atrous pyramid.
        fpn_channels, head_width: Channels of the pyramid, and of the semantic head.
        stride, upsampling: 32, 16 or 8 is FCN-32s, FCN-16s or FCN-8s; see `fcn_head`.
        anchor_sizes, anchor_ratios: Pixels of the network's input per pyramid level; height / width.
        proposals, train_proposals: Boxes kept per image after the proposals' NMS.
        rpn_batch, roi_batch: Anchors and boxes per image that the losses sample.
        box_head_width, mask_head_width, mask_head_convs: Sizes of the region heads.
        score_threshold, nms_threshold, detections: What the box head keeps; at most so many.
        overlap_threshold, stuff_area_limit, instance_confidence: How instances and stuff are
            combined: an instance that is covered by more than the share, a stuff class with fewer
            pixels of the original image, an instance with a lower score is left out.
        center_threshold, center_sigma: Panoptic-DeepLab's least centre score, and the width of the
            centres it is trained on, pixels.
        short_edge, max_size: Detectron2's sizing, the short edge scaled so far as the long one
            allows; applies where the target or recipe has no `image_size`. Unset keeps the size.
        pixel_format, pixel_mean, pixel_std: Channel order, and per channel in that order, 0-255.
        gradient_clip: Largest norm of all gradients together in training; None does not clip.
        overrides: Any further keys of Detectron2's configuration, set last.
    """

    architecture: Architecture | None = None
    config: str | None = None
    depth: Literal[18, 34, 50, 101] | None = None
    width: int | None = Field(default=None, ge=1)
    norm: Literal["BN", "GN", "SyncBN", "FrozenBN"] | None = None
    freeze_at: int | None = Field(default=None, ge=0, le=5)
    stem: Literal["basic", "deeplab"] | None = None
    output_stride: Literal[8, 16, 32] | None = None
    aspp_dilations: list[int] | None = Field(default=None, min_length=3, max_length=3)
    aspp_channels: int | None = Field(default=None, ge=1)
    fpn_channels: int | None = Field(default=None, ge=1)
    head_width: int | None = Field(default=None, ge=0)
    stride: Literal[8, 16, 32] | None = None
    upsampling: Literal["transposed", "bilinear"] | None = None
    anchor_sizes: list[list[int]] | None = None
    anchor_ratios: list[float] | None = Field(default=None, min_length=1)
    proposals: int | None = Field(default=None, ge=1)
    train_proposals: int | None = Field(default=None, ge=1)
    rpn_batch: int | None = Field(default=None, ge=1)
    roi_batch: int | None = Field(default=None, ge=1)
    box_head_width: int | None = Field(default=None, ge=1)
    mask_head_width: int | None = Field(default=None, ge=1)
    mask_head_convs: int | None = Field(default=None, ge=0)
    score_threshold: float | None = Field(default=None, ge=0, le=1)
    nms_threshold: float | None = Field(default=None, gt=0, le=1)
    detections: int | None = Field(default=None, ge=1)
    overlap_threshold: float | None = Field(default=None, ge=0, le=1)
    stuff_area_limit: int | None = Field(default=None, ge=0)
    instance_confidence: float | None = Field(default=None, ge=0, le=1)
    center_threshold: float | None = Field(default=None, ge=0, le=1)
    center_sigma: int | None = Field(default=None, ge=1)
    short_edge: int | None = Field(default=None, ge=1)
    max_size: int | None = Field(default=None, ge=1)
    pixel_format: Literal["BGR", "RGB"] | None = None
    pixel_mean: list[float] | None = Field(default=None, min_length=3, max_length=3)
    pixel_std: list[float] | None = Field(default=None, min_length=3, max_length=3)
    gradient_clip: float | None = Field(default=5.0, gt=0)
    overrides: dict[str, JsonValue] = {}

    @model_validator(mode="after")
    def _fits_together(self) -> DetectronOptions:
        if (self.architecture is None) == (self.config is None):
            raise ValueError("give either option 'architecture' or option 'config'")
        if self.max_size is not None and self.short_edge is None:
            raise ValueError("option 'max_size' limits what 'short_edge' makes of an image; give both")
        here = PYRAMIDS if self.architecture is None else (self.architecture,)
        for name, architectures in ONLY_FOR.items():
            if getattr(self, name) is not None and not set(here) & set(architectures):
                raise ValueError(
                    f"option '{name}' belongs to {', '.join(architectures)}, not to {self.architecture or self.config}"
                )
        return self


AFTER_TRAINING = {
    "proposals",
    "score_threshold",
    "nms_threshold",
    "detections",
    "overlap_threshold",
    "stuff_area_limit",
    "instance_confidence",
    "center_threshold",
    "center_sigma",
    "short_edge",
    "max_size",
    "gradient_clip",
}
"""Options that weights do not depend on: trained with one value, they serve any other."""

KEYS: dict[str, tuple[str, ...]] = {
    "depth": ("MODEL.RESNETS.DEPTH",),
    "norm": ("MODEL.RESNETS.NORM", "MODEL.FPN.NORM", "MODEL.SEM_SEG_HEAD.NORM", "MODEL.INS_EMBED_HEAD.NORM"),
    "freeze_at": ("MODEL.BACKBONE.FREEZE_AT",),
    "stem": ("MODEL.RESNETS.STEM_TYPE",),
    "aspp_dilations": ("MODEL.SEM_SEG_HEAD.ASPP_DILATIONS", "MODEL.INS_EMBED_HEAD.ASPP_DILATIONS"),
    "aspp_channels": ("MODEL.SEM_SEG_HEAD.ASPP_CHANNELS", "MODEL.INS_EMBED_HEAD.ASPP_CHANNELS"),
    "fpn_channels": ("MODEL.FPN.OUT_CHANNELS",),
    "head_width": ("MODEL.SEM_SEG_HEAD.CONVS_DIM", "MODEL.INS_EMBED_HEAD.CONVS_DIM"),
    "upsampling": ("MODEL.SEM_SEG_HEAD.UPSAMPLING",),
    "anchor_sizes": ("MODEL.ANCHOR_GENERATOR.SIZES",),
    "proposals": ("MODEL.RPN.POST_NMS_TOPK_TEST",),
    "train_proposals": ("MODEL.RPN.POST_NMS_TOPK_TRAIN",),
    "rpn_batch": ("MODEL.RPN.BATCH_SIZE_PER_IMAGE",),
    "roi_batch": ("MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE",),
    "box_head_width": ("MODEL.ROI_BOX_HEAD.FC_DIM",),
    "mask_head_width": ("MODEL.ROI_MASK_HEAD.CONV_DIM",),
    "mask_head_convs": ("MODEL.ROI_MASK_HEAD.NUM_CONV",),
    "score_threshold": ("MODEL.ROI_HEADS.SCORE_THRESH_TEST",),
    "nms_threshold": ("MODEL.ROI_HEADS.NMS_THRESH_TEST",),
    "detections": ("TEST.DETECTIONS_PER_IMAGE",),
    "overlap_threshold": ("MODEL.PANOPTIC_FPN.COMBINE.OVERLAP_THRESH",),
    "stuff_area_limit": ("MODEL.PANOPTIC_FPN.COMBINE.STUFF_AREA_LIMIT", "MODEL.PANOPTIC_DEEPLAB.STUFF_AREA"),
    "instance_confidence": ("MODEL.PANOPTIC_FPN.COMBINE.INSTANCES_CONFIDENCE_THRESH",),
    "center_threshold": ("MODEL.PANOPTIC_DEEPLAB.CENTER_THRESHOLD",),
    "center_sigma": ("INPUT.GAUSSIAN_SIGMA",),
    "pixel_format": ("INPUT.FORMAT",),
    "pixel_mean": ("MODEL.PIXEL_MEAN",),
    "pixel_std": ("MODEL.PIXEL_STD",),
}
"""Option -> keys that take its value as it is; keys that a configuration has not are passed over."""
