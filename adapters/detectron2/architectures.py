"""Networks that train from scratch in seconds: keys of Detectron2's configuration by architecture.

What differs from Detectron2's defaults, and why: nothing is frozen and batch normalisation is
plain, for there are no pretrained weights; pixels are scaled to about ±2, for there are no Caffe
weights that want them as they are; anchors and samples are few and small, for the images are.
"""

from __future__ import annotations

from typing import Any

from adapters.detectron2 import fcn_head
from adapters.detectron2.backbones import RESNET, RESNET_FPN, STAGES

COMMON: dict[str, Any] = {
    "MODEL.BACKBONE.NAME": RESNET,
    "MODEL.BACKBONE.FREEZE_AT": 0,
    "MODEL.RESNETS.DEPTH": 18,
    "MODEL.RESNETS.STEM_TYPE": "basic",
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 64,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 64,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
    "MODEL.RESNETS.NORM": "BN",
    "MODEL.RESNETS.STRIDE_IN_1X1": False,
    "MODEL.RESNETS.RES5_MULTI_GRID": [1, 1, 1],
    "MODEL.SEM_SEG_HEAD.NORM": "BN",
    "MODEL.SEM_SEG_HEAD.LOSS_TYPE": "cross_entropy",
    "MODEL.PIXEL_MEAN": [127.5, 127.5, 127.5],
    "MODEL.PIXEL_STD": [64.0, 64.0, 64.0],
}

FPN: dict[str, Any] = {
    "MODEL.BACKBONE.NAME": RESNET_FPN,
    "MODEL.RESNETS.OUT_FEATURES": list(STAGES),
    "MODEL.FPN.IN_FEATURES": list(STAGES),
    "MODEL.FPN.OUT_CHANNELS": 64,
    "MODEL.FPN.NORM": "BN",
    "MODEL.SEM_SEG_HEAD.CONVS_DIM": 64,
}

REGIONS: dict[str, Any] = {
    "MODEL.MASK_ON": True,
    "MODEL.ANCHOR_GENERATOR.SIZES": [[8], [16], [32], [64], [96]],
    "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS": [[1.0]],
    "MODEL.RPN.IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
    "MODEL.RPN.PRE_NMS_TOPK_TRAIN": 400,
    "MODEL.RPN.PRE_NMS_TOPK_TEST": 200,
    "MODEL.RPN.POST_NMS_TOPK_TRAIN": 200,
    "MODEL.RPN.POST_NMS_TOPK_TEST": 60,
    "MODEL.RPN.BATCH_SIZE_PER_IMAGE": 64,
    "MODEL.ROI_HEADS.NAME": "StandardROIHeads",
    "MODEL.ROI_HEADS.IN_FEATURES": ["p2", "p3", "p4", "p5"],
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 32,
    "MODEL.ROI_BOX_HEAD.NAME": "FastRCNNConvFCHead",
    "MODEL.ROI_BOX_HEAD.NUM_FC": 2,
    "MODEL.ROI_BOX_HEAD.FC_DIM": 256,
    "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 7,
    "MODEL.ROI_MASK_HEAD.NAME": "MaskRCNNConvUpsampleHead",
    "MODEL.ROI_MASK_HEAD.NUM_CONV": 2,
    "MODEL.ROI_MASK_HEAD.CONV_DIM": 64,
    "MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION": 14,
}

DEEPLAB: dict[str, Any] = {
    "MODEL.RESNETS.OUT_FEATURES": ["res2", "res5"],
    "MODEL.RESNETS.OUTPUT_STRIDE": 16,
    "MODEL.SEM_SEG_HEAD.IN_FEATURES": ["res2", "res5"],
    "MODEL.SEM_SEG_HEAD.PROJECT_FEATURES": ["res2"],
    "MODEL.SEM_SEG_HEAD.PROJECT_CHANNELS": [32],
    "MODEL.SEM_SEG_HEAD.ASPP_CHANNELS": 64,
    "MODEL.SEM_SEG_HEAD.ASPP_DILATIONS": [1, 2, 3],
    "MODEL.SEM_SEG_HEAD.CONVS_DIM": 64,
}

_OF: dict[str, dict[str, Any]] = {
    "fcn": {
        "MODEL.META_ARCHITECTURE": "SemanticSegmentor",
        "MODEL.SEM_SEG_HEAD.NAME": fcn_head.NAME,
        "MODEL.RESNETS.OUT_FEATURES": ["res3", "res4", "res5"],
        "MODEL.SEM_SEG_HEAD.IN_FEATURES": ["res3", "res4", "res5"],
        "MODEL.SEM_SEG_HEAD.CONVS_DIM": 128,
    },
    "semantic_fpn": {
        **FPN,
        "MODEL.META_ARCHITECTURE": "SemanticSegmentor",
        "MODEL.SEM_SEG_HEAD.NAME": "SemSegFPNHead",
    },
    "deeplabv3plus": {
        **DEEPLAB,
        "MODEL.META_ARCHITECTURE": "SemanticSegmentor",
        "MODEL.SEM_SEG_HEAD.NAME": "DeepLabV3PlusHead",
    },
    "mask_rcnn": {**FPN, **REGIONS, "MODEL.META_ARCHITECTURE": "GeneralizedRCNN"},
    "panoptic_fpn": {**FPN, **REGIONS, "MODEL.META_ARCHITECTURE": "PanopticFPN"},
}


def defaults_of(architecture: str) -> dict[str, Any]:
    """Keys and values of an architecture, on top of `COMMON`."""
    return _OF[architecture]
