"""Options of YOLO's model configs, without the framework."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from adapters._torch.options import ObjectInput, Options, option_errors, refuse_in_input
from bench.errors import did_you_mean
from bench.records import ModelSpec
from bench.records.abilities import BACKBONE_FIELDS, Abilities

SIZES = "nsmlx"


FAMILIES: dict[str, tuple[str, ...]] = {
    "instance": ("yolov8{}-seg", "yolo11{}-seg", "yolo12{}-seg", "yolo26{}-seg"),
    "semantic": ("yolo26{}-sem",),
}
"""Names of the framework's own YAML files by the form of their prediction."""


class YoloInput(ObjectInput):
    """`input` of YOLO, whose boxes and masks are undone from a letterbox."""

    @model_validator(mode="after")
    def _is_a_letterbox(self) -> YoloInput:
        other = "its answers are undone from a letterbox on grey, as the framework's; leave it out"
        refuse_in_input(
            self,
            {
                **{f"fit: {fit}": other for fit in ("stretch", "pad", "crop")},
                "fill": other,
                "interpolation": "images are resized linearly, as the framework does; leave it out",
            },
        )
        return self


class NetworkOptions(Options):
    """Hold what every model config may set.

    Attributes:
        input: The preprocessing that the weights were trained with; `size` letterboxes images into it where a
            target has no `image_size`. The framework's own is 0 to 1, RGB.
        weights_key: Which network of a checkpoint: `ema` or `model` of Ultralytics', a key of a file of plain
            tensors; the moving average if left out.
        network: Name of the framework's YAML with its size, for example `yolo11n-seg`.
        bn_momentum: Momentum of batch normalisation in training. The framework's own 0.03 needs hundreds of steps
            before the running statistics describe the weights; a training of seconds has fewer.
    """

    input: YoloInput | None = None
    weights_key: str | None = None
    network: str
    bn_momentum: float = Field(default=0.1, gt=0, le=1)


class SemanticOptions(NetworkOptions):
    """Options of a network that labels pixels."""


class InstanceOptions(NetworkOptions):
    """Options of a network that finds instances.

    Attributes:
        conf: Confidence below which nothing is returned. AP wants the whole curve, hence so low.
        user_conf: The floor of somebody who looks at the answers; kept in the record, for reductions
            to label maps and for pictures. The framework's default in prediction.
        iou: Overlap of boxes above which the less confident one is suppressed.
        max_det: Most detections per image. COCO's AP looks at 100; the framework's default is 300.
        retina_masks: Prototypes are resized to the original image (True), or to the network's input
            and cut there, whose masks are then resized (False, the framework's default in prediction).
        nms: False takes the head that needs no suppression, where there is one (YOLO26); True is
            the framework's default for all.
        mask_ratio: Factor by which training masks are smaller than the input.
    """

    conf: float = Field(default=0.001, ge=0, le=1)
    user_conf: float = Field(default=0.25, ge=0, le=1)
    iou: float = Field(default=0.7, ge=0, le=1)
    max_det: int = Field(default=100, ge=1)
    retina_masks: bool = True
    nms: bool = True
    mask_ratio: Literal[1, 2, 4] = 2


def known_networks(*kinds: str) -> list[str]:
    """Return names of the framework's networks for these forms of predictions, or for all."""
    families = [family for kind in kinds or FAMILIES for family in FAMILIES.get(kind, ())]
    return [family.format(size) for family in families for size in SIZES]


def usage_errors(model: ModelSpec) -> list[str]:
    found = option_errors(InstanceOptions if model.task == "instance" else SemanticOptions, model)
    network = model.options.get("network")
    known = known_networks(model.task)
    # A checkpoint brings its network, which may be from a YAML file of the user's own.
    if isinstance(network, str) and network not in known and (model.weights is None or network in known_networks()):
        found.append(
            f"{model.label}: option 'network': no {model.task} network named {network!r}."
            f"{did_you_mean(network, known)} There are: {', '.join(known)}"
        )
    return found


NOT_OFFERED = ("augmentation", "accumulate", "devices")
"""Fields of a recipe that its trainers, as they are used here, do not know."""


def abilities(model: ModelSpec) -> Abilities:
    return Abilities(
        several_passes=model.task == "semantic",
        probabilities=model.task == "semantic",
        untrainable=dict.fromkeys(("random_crop", *BACKBONE_FIELDS), "Ultralytics' trainer does not offer it"),
        not_honoured={
            **dict.fromkeys(NOT_OFFERED, "Ultralytics' trainer does not offer it"),
            "loss": "the framework's own losses are used",
            "ema_decay": "the framework's own moving average is always on, with a decay of 0.9999",
            "clip_gradient_norm": "the framework always clips at 10",
        },
    )
