"""Lists what a model config or a suite may set about a Detectron2 model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from adapters._torch.options import ObjectInput, RegionOptions, option_errors, refuse_in_input
from bench.records import ModelSpec, TaskKind
from bench.records.abilities import Abilities

ARCHITECTURES: dict[str, TaskKind] = {
    "fcn": "semantic",
    "semantic_fpn": "semantic",
    "deeplabv3plus": "semantic",
    "mask_rcnn": "instance",
    "panoptic_fpn": "panoptic",
    "panoptic_deeplab": "panoptic",
}
"""Architecture -> the form of its native prediction."""


class Detectron2Input(ObjectInput):
    """`input` of a Detectron2 network, whose answers are undone from the top left."""

    @model_validator(mode="after")
    def _begins_at_the_top_left(self) -> Detectron2Input:
        other = "its answers are undone from the top left of the input; use stretch or pad"
        refuse_in_input(self, {"fit: letterbox": other, "fit: crop": other})
        return self


class Detectron2Options(RegionOptions):
    """Options of a model config.

    Attributes:
        input: The preprocessing that the weights were trained with, where it is not that of `config`.
        architecture: Kind of network that is built.
        config: A file of Detectron2's model zoo to start from, for example
            `COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml`, or the path of the config.yaml that a
            training of Detectron2 left; without one a small network that trains from scratch. Its classes
            become the task's. A config.yaml of Detectron2 beside `weights` comes before the model zoo's.
        overrides: Detectron2 configuration keys, applied last: `{MODEL.RPN.NMS_THRESH: 0.8}`.
        backbone_depth: Layers of the ResNet.
        norm: Normalisation of backbone, pyramid and heads; an empty string is none.
        stride: `fcn`: stride of the finest score map: 32, 16 or 8 as in FCN-32s, -16s and -8s.
        head_channels: Channels of the convolutions of the semantic head.
        aspp_channels, aspp_dilations: `deeplabv3plus` and `panoptic_deeplab`: channels and dilations of the atrous
            spatial pyramid pooling.
        combine_overlap, combine_stuff_area, combine_score: `panoptic_fpn`: an instance that lies by
            more than this share on surer ones is dropped; stuff of fewer pixels of the original
            image is; an instance below this score is. They decide the PQ: they stand in every
            record. `panoptic_deeplab` has the second alone.
        center_sigma: `panoptic_deeplab`: standard deviation of the bump that stands for a centre in
            training, pixels of the training image.
        center_score, center_nms, centers: `panoptic_deeplab`: lowest score of a centre, side of the
            window in which it is the highest (odd, pixels of the original image), largest number.
        small_area, small_weight: `panoptic_deeplab`: instances of fewer pixels than `small_area` weigh `small_weight`
            times as much in the semantic loss.
        short_edge, max_size: Detectron2's sizing, used where the target has no `image_size`; with a
            `config` of one's own that of its INPUT.
    """

    input: Detectron2Input | None = None
    architecture: Literal["fcn", "semantic_fpn", "deeplabv3plus", "mask_rcnn", "panoptic_fpn", "panoptic_deeplab"]
    config: str | None = None
    overrides: dict[str, JsonValue] = {}
    backbone_depth: Literal[18, 34, 50, 101] = 18
    norm: Literal["BN", "GN", "SyncBN", "FrozenBN", ""] = "BN"
    stride: Literal[8, 16, 32] = 8
    head_channels: int = Field(default=64, ge=1)
    aspp_channels: int = Field(default=128, ge=1)
    aspp_dilations: list[int] = Field(default=[2, 4, 6], min_length=3, max_length=3)
    rpn_batch: int = Field(default=64, ge=1)
    roi_batch: int = Field(default=32, ge=1)
    proposals_train: int = Field(default=200, ge=1)
    proposals_test: int = Field(default=60, ge=1)
    combine_overlap: float = Field(default=0.5, ge=0, le=1)
    combine_stuff_area: int = Field(default=64, ge=0)
    combine_score: float = Field(default=0.3, ge=0, le=1)
    center_sigma: int = Field(default=3, ge=1)
    center_score: float = Field(default=0.1, ge=0, le=1)
    center_nms: int = Field(default=7, ge=1)
    centers: int = Field(default=200, ge=1)
    small_area: int = Field(default=256, ge=0)
    small_weight: int = Field(default=3, ge=1)

    @field_validator("center_nms")
    @classmethod
    def _window_has_a_middle(cls, side: int) -> int:
        if side % 2 == 0:
            raise ValueError("must be odd, such as 7")
        return side

    @property
    def task(self) -> TaskKind:
        """Form of the native prediction."""
        return ARCHITECTURES[self.architecture]


def config_beside(weights: Path | None, options: Detectron2Options) -> Path | None:
    """Return the configuration that a training of Detectron2 left beside its weights; None where none lies there.

    One of the user's own that the option `config` names comes first.
    """
    if weights is None or (options.config is not None and Path(options.config).is_file()):
        return None
    beside = weights.with_name("config.yaml")
    try:
        text = beside.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    return beside if re.search(r"\bMETA_ARCHITECTURE\s*:", text) else None


def usage_errors(model: ModelSpec) -> list[str]:
    return option_errors(Detectron2Options, model)


NOT_OFFERED = ("augmentation", "accumulate", "ema_decay", "devices")
"""Fields of a recipe that its trainer, as it is used here, does not know."""

NO_GRAPH = "the structures that Detectron2 hands on between its parts are no tensors, which a graph is made of"


def abilities(model: ModelSpec) -> Abilities:
    semantic = Detectron2Options.model_validate(model.options).task == "semantic"
    return Abilities(
        runtimes=("eager",),
        no_other_runtime=NO_GRAPH,
        cpu_precisions=("fp32", "bf16") if semantic else ("fp32",),
        several_passes=semantic,
        probabilities=semantic,
        untrainable={"random_crop": "Detectron2's trainer does not offer it, as it is used here"},
        not_honoured={
            **dict.fromkeys(NOT_OFFERED, "Detectron2's trainer does not offer it"),
            "loss": "Detectron2's heads bring their own losses; semantic ones use cross-entropy",
        },
    )
