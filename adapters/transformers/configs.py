"""Turns a model config's options into a configuration of transformers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from transformers import (
    EomtConfig,
    EomtDinov3Config,
    EomtDinov3ForUniversalSegmentation,
    EomtForUniversalSegmentation,
    Mask2FormerConfig,
    Mask2FormerForUniversalSegmentation,
    MaskFormerConfig,
    MaskFormerForInstanceSegmentation,
    OneFormerConfig,
    OneFormerForUniversalSegmentation,
    PretrainedConfig,
    ResNetConfig,
    RfDetrConfig,
    RfDetrDinov2Config,
    RfDetrForInstanceSegmentation,
    SwinConfig,
)

from adapters.transformers.options import UniversalOptions

MODELS: dict[str, Any] = {
    "mask2former": Mask2FormerForUniversalSegmentation,
    "maskformer": MaskFormerForInstanceSegmentation,
    "oneformer": OneFormerForUniversalSegmentation,
    "eomt": EomtForUniversalSegmentation,
    "eomt_dinov3": EomtDinov3ForUniversalSegmentation,
    "rf_detr": RfDetrForInstanceSegmentation,
}
"""Architecture -> the class of its network."""

_RESNETS: dict[str, dict[str, Any]] = {
    "resnet18": {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"},
    "resnet50": {"depths": [3, 4, 6, 3]},
    "resnet101": {"depths": [3, 4, 23, 3]},
}

_SWINS: dict[str, dict[str, Any]] = {
    "swin_tiny": {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "window_size": 7},
    "swin_small": {"embed_dim": 96, "depths": [2, 2, 18, 2], "num_heads": [3, 6, 12, 24], "window_size": 7},
    "swin_base": {"embed_dim": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32], "window_size": 12},
    "swin_large": {"embed_dim": 192, "depths": [2, 2, 18, 2], "num_heads": [6, 12, 24, 48], "window_size": 12},
}
"""Liu et al., Swin Transformer, ICCV 2021, section 3.3; windows of 12 are those of its 384-pixel models."""


def make_config(options: UniversalOptions, *, labels: int) -> PretrainedConfig:
    """Return the configuration of a network from scratch that tells so many classes apart."""
    config: PretrainedConfig = _CONFIGS[options.architecture](options)
    config.num_labels = labels
    return config


def _backbone(options: UniversalOptions) -> PretrainedConfig:
    stages = _features(["stage1", "stage2", "stage3", "stage4"])
    if options.backbone in _RESNETS:
        return ResNetConfig(**stages, **_RESNETS[options.backbone])
    return SwinConfig(**stages, drop_path_rate=0.3, **_SWINS[options.backbone])


def _masked_attention(options: UniversalOptions) -> dict[str, Any]:
    """Return the transformer that Mask2Former and OneFormer share, under the names both have for it."""
    return {
        "hidden_dim": options.width,
        "encoder_feedforward_dim": options.feedforward // 2,
        "dim_feedforward": options.feedforward,
        "encoder_layers": options.encoder_layers,
        "decoder_layers": options.decoder_layers + 1,  # transformers counts the prediction before the first layer
        "num_attention_heads": options.heads,
        "num_queries": options.queries,
        "train_num_points": options.train_points,
    }


def _maskformer(options: UniversalOptions) -> PretrainedConfig:
    decoder = {
        "model_type": "detr",
        "backbone_config": ResNetConfig(**_features(["stage4"])).to_dict(),  # asked for, not built
        "use_timm_backbone": False,
        "d_model": options.width,
        "num_queries": options.queries,
        "decoder_layers": options.decoder_layers,
        "decoder_ffn_dim": options.feedforward,
        "decoder_attention_heads": options.heads,
        "encoder_attention_heads": options.heads,
    }
    return MaskFormerConfig(
        backbone_config=_backbone(options).to_dict(),
        decoder_config=decoder,
        fpn_feature_size=options.width,
        mask_feature_size=options.width,
        use_auxiliary_loss=True,
    )


def _tokens_with_queries(options: UniversalOptions) -> dict[str, Any]:
    """Return the transformer of both kinds of EoMT, under the names both have for it."""
    return {
        "hidden_size": options.width,
        "num_hidden_layers": options.encoder_layers + options.decoder_layers,
        "num_blocks": options.decoder_layers,
        "num_attention_heads": options.heads,
        "image_size": options.canvas,
        "patch_size": options.patch,
        "num_upscale_blocks": options.upscale_blocks,
        "num_queries": options.queries,
        "train_num_points": options.train_points,
    }


def _rf_detr(options: UniversalOptions) -> PretrainedConfig:
    layers, width = options.encoder_layers, options.backbone_width
    quarters = sorted({math.ceil(layers * part / 4) for part in (1, 2, 3, 4)})
    backbone = RfDetrDinov2Config(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // 64),
        image_size=options.canvas,
        patch_size=options.patch,
        num_windows=options.windows,
        **_features([f"stage{layer}" for layer in quarters]),
    )
    return RfDetrConfig(
        backbone_config=backbone,
        d_model=options.width,
        num_queries=options.queries,
        group_detr=options.groups,
        decoder_layers=options.decoder_layers,
        decoder_ffn_dim=options.feedforward,
        decoder_self_attention_heads=options.heads,
        decoder_cross_attention_heads=2 * options.heads,
        decoder_n_points=2,
    )


def _features(names: list[str]) -> dict[str, Any]:
    """Return what a backbone hands on, which the hints of configurations do not know."""
    return {"out_features": names}


_CONFIGS: dict[str, Callable[[UniversalOptions], PretrainedConfig]] = {
    "mask2former": lambda options: Mask2FormerConfig(
        backbone_config=_backbone(options),
        feature_size=options.width,
        mask_feature_size=options.width,
        **_masked_attention(options),
    ),
    "maskformer": _maskformer,
    "oneformer": lambda options: OneFormerConfig(
        backbone_config=_backbone(options),
        conv_dim=options.width,
        mask_dim=options.width,
        **_masked_attention(options),
    ),
    "eomt": lambda options: EomtConfig(**_tokens_with_queries(options)),
    "eomt_dinov3": lambda options: EomtDinov3Config(
        intermediate_size=4 * options.width, **_tokens_with_queries(options)
    ),
    "rf_detr": _rf_detr,
}
