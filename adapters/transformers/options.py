"""Lists what a model config or a suite may set about a mask-classification network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue, model_validator

from adapters._torch.options import (
    OUTSIDE_THE_NETWORK,
    HeadOptions,
    NetworkOptions,
    ObjectOptions,
    Options,
    option_errors,
)
from bench.records import ModelSpec
from bench.records.abilities import NO_BACKBONE, Abilities

READING = frozenset(
    {
        *OUTSIDE_THE_NETWORK,
        "pretrained",
        "score_threshold",
        "detections",
        "object_score",
        "mask_threshold",
        "overlap",
        "short_edge",
        "max_size",
        "train_points",
        "clip_gradients",
    }
)
"""Options that feed, train or read a network; weights that were trained with one value serve any other."""


class UniversalOptions(ObjectOptions):
    """Options of a model config; the defaults are a small network that learns from scratch on a CPU.

    Attributes:
        architecture: Kind of network that is built.
        pretrained: Folder that `save_pretrained` wrote, or a name on the model hub: its configuration,
            and its weights, those of the classifier only where it has as many classes. The options
            from `backbone` to `blocks` are then not read. None starts from scratch.
        backbone: Backbone of all architectures but those that see one square.
        width: Channels of the pixel decoder, the mask features and the queries; of `eomt`'s tokens.
        backbone_width: `rf_detr`: channels of its backbone's tokens, with a head of attention for each 64 of them.
        queries: Masks per image; at least as many as an image has objects.
        heads: Heads of attention.
        feedforward: Width of the feed-forward layers; `eomt`'s is four times its `width`.
        encoder_layers: Encoder layers: of the pixel decoder (`mask2former`, `oneformer`), of `eomt` in front of the
            queries, or of `rf_detr`'s backbone; `maskformer`'s pixel decoder has none.
        decoder_layers: Layers that see the queries.
        canvas: `eomt`, `rf_detr`: side of the square it sees, pixels; smaller images are padded to it.
        patch: `eomt`, `rf_detr`: side of a token, pixels.
        windows: `rf_detr`: parts of a side whose tokens see each other in most layers of the backbone.
        groups: `rf_detr`: sets of queries that learn side by side; the first one answers.
        upscale_blocks: `eomt`: how often the tokens' grid is doubled before masks are made.
        train_points: Points of a mask that the loss of all but `maskformer` looks at.
        object_score: Panoptic: a query below this probability of its class is left out.
        mask_threshold: Panoptic: a pixel below this probability of its query's mask stays void.
        overlap: Panoptic: a query that keeps less than this share of its mask is left out.
    """

    architecture: Literal["mask2former", "maskformer", "oneformer", "eomt", "eomt_dinov3", "rf_detr"]
    pretrained: str | None = None
    backbone: Literal["resnet18", "resnet50", "resnet101", "swin_tiny", "swin_small", "swin_base", "swin_large"] = (
        "resnet18"
    )
    width: int = Field(default=64, ge=64)
    backbone_width: int = Field(default=64, ge=64)
    queries: int = Field(default=20, ge=1)
    heads: int = Field(default=4, ge=1)
    feedforward: int = Field(default=256, ge=1)
    encoder_layers: int = Field(default=2, ge=1)
    decoder_layers: int = Field(default=3, ge=1)
    canvas: int = Field(default=96, ge=16)
    patch: int = Field(default=8, ge=1)
    windows: int = Field(default=1, ge=1)
    groups: int = Field(default=1, ge=1)
    upscale_blocks: int = Field(default=1, ge=0)
    train_points: int = Field(default=1024, ge=1)
    clip_gradients: float | None = Field(default=0.01, gt=0)
    score_threshold: float = Field(default=0.0, ge=0, le=1)
    object_score: float = Field(default=0.8, ge=0, le=1)
    mask_threshold: float = Field(default=0.5, ge=0, le=1)
    overlap: float = Field(default=0.8, ge=0, le=1)

    @model_validator(mode="after")
    def _shapes_fit(self) -> UniversalOptions:
        # Normalisation has 32 groups: with a channel each it would have one value for a cell of 32 pixels.
        if self.width % 64 or self.width % self.heads:
            raise ValueError(
                f"option 'width' ({self.width}) must be a multiple of 64 and of 'heads' ({self.heads}), such as 64"
            )
        if self.canvas % (self.patch * self.windows):
            raise ValueError(
                f"option 'canvas' ({self.canvas}) must be a multiple of 'patch' ({self.patch}) times 'windows' "
                f"({self.windows})"
            )
        return self

    def shape(self) -> dict[str, JsonValue]:
        """Return what decides the shapes and the meaning of the weights; stands in weight files."""
        if self.pretrained is not None:
            return {"architecture": self.architecture, "from": "pretrained"}
        # What an architecture does not have is no part of it, and not in files of before it was an option.
        foreign = () if self.architecture == "rf_detr" else ("backbone_width", "windows", "groups")
        return self.model_dump(exclude={*READING, *foreign})


class SegFormerOptions(HeadOptions):
    """Options that a model config or a suite may set.

    Attributes:
        architecture: Kind of network that is built; see `adapters.transformers.adapter`.
        variant: b0 to b5.
        pretrained: Folder that `save_pretrained` wrote, or a name on the model hub: its weights,
            the classifier's only where it has as many classes. None starts from scratch.
        dropout: Dropout of the classifier.
    """

    architecture: Literal["segformer"] = "segformer"
    variant: Literal["b0", "b1", "b2", "b3", "b4", "b5"]
    pretrained: str | None = None
    dropout: float = Field(default=0.1, ge=0, lt=1)


class OfTransformers(NetworkOptions):
    """Hold what a model config or a suite may set of a network that transformers' own configuration describes.

    Attributes:
        pretrained: Folder that `save_pretrained` wrote, or a name on the model hub: its configuration, its
            preprocessing and its weights; `arguments` are then not read. None starts from scratch.
        arguments: Arguments of the configuration, by transformers' own names; what is left out is as transformers has
            it.
    """

    pretrained: str | None = None
    arguments: dict[str, JsonValue] = {}

    def shape(self) -> dict[str, JsonValue]:
        """Return what decides the shapes and the meaning of the weights; stands in weight files."""
        return {"from": "pretrained"} if self.pretrained is not None else {"arguments": dict(self.arguments)}


class PixelOptions(HeadOptions, OfTransformers):
    """Options that a model config or a suite may set.

    Attributes:
        architecture: Kind of network that is built; see `adapters.transformers.pixels`.
    """

    architecture: Literal["upernet", "beit", "data2vec", "dpt", "mobilevit"]


class CLIPSegOptions(OfTransformers):
    """Options that a model config or a suite may set.

    Attributes:
        architecture: Kind of network that is built; see `adapters.transformers.clipseg`.
        prompt: Text that asks for a class, with `{}` where its name stands.
    """

    architecture: Literal["clipseg"] = "clipseg"
    prompt: str = "{}"


FIXED_LEVELS = ("mask2former", "oneformer")
"""Architectures whose pixel decoder unpacks its levels by sizes that it holds as numbers."""

FIXED_SIZES = "it takes the sizes of its feature maps for constants"

OPTIONS: dict[str, type[Options]] = {
    "segformer": SegFormerOptions,
    "clipseg": CLIPSegOptions,
    **dict.fromkeys(("upernet", "beit", "data2vec", "dpt", "mobilevit"), PixelOptions),
}
"""Architecture -> its options; all others classify masks."""


def _kind(model: ModelSpec) -> type[Options]:
    return OPTIONS.get(str(model.options.get("architecture", "segformer")), UniversalOptions)


def usage_errors(model: ModelSpec) -> list[str]:
    return option_errors(_kind(model), model)


def abilities(model: ModelSpec) -> Abilities:
    if _kind(model) is CLIPSegOptions:
        given = model.options.get("input")
        sized = model.options.get("pretrained") is not None or (isinstance(given, dict) and "size" in given)
        fixed = None if sized else "the side of its grid is a square root, which an export has not"
        return Abilities(untrainable=NO_BACKBONE, one_size_exported=fixed)  # CLIP does not learn at all
    if _kind(model) is not UniversalOptions:
        return Abilities()
    fixed = FIXED_SIZES if model.options.get("architecture") in FIXED_LEVELS else None
    return Abilities(
        several_passes=model.task == "semantic",
        training_devices=False,
        probabilities=model.task == "semantic",
        one_size_exported=fixed,
    )
