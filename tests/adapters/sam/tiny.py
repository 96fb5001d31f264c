"""SAM and SAM 2 small enough to test, and prompted images to show them."""

from __future__ import annotations

from adapters.sam.adapter import Adapter
from bench.dataset import objects_of
from bench.records import ModelSpec, Size, Target, TaskSpec
from bench.records.prompts import PromptedImage, prompts_of
from bench.suite.model_configs import resolve_model
from tests.adapters.rectangles import THREE_CLASSES, Rectangles

PROMPTED = TaskSpec(kind="prompted", classes=THREE_CLASSES.classes)
SIDE = 64
_PROMPTS = {"hidden_size": 32}
_DECODER = {"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
_SAM = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "global_attn_indexes": [1],
    "window_size": 3,
    "output_channels": 32,
    "num_pos_feats": 16,
}
_SAM2 = {
    "backbone": {
        "hidden_size": 8,
        "embed_dim_per_stage": [8, 16, 32, 64],
        "blocks_per_stage": [1, 1, 2, 1],
        "global_attention_blocks": [3],
    },
    "backbone_channel_list": [64, 32, 16, 8],
    "fpn_hidden_size": 32,
}
NETWORKS = {
    "sam/sam_vit_b": {"vision": _SAM, "prompt_encoder": _PROMPTS, "mask_decoder": _DECODER},
    "sam/sam2_hiera_tiny": {"vision": _SAM2, "prompt_encoder": _PROMPTS, "mask_decoder": _DECODER},
}
"""Model config -> overrides that make it small."""


def spec(model_config, prompt="box", **options) -> ModelSpec:
    small = {"input_size": SIDE, "overrides": NETWORKS[model_config]}
    return resolve_model(model_config, options={**small, **options}).model_copy(update={"prompt": prompt})


def built(model_config, prompt="box", *, task=PROMPTED, weights=None, target=None, **options) -> Adapter:
    adapter = Adapter()
    adapter.build(spec(model_config, prompt, **options), task, Target(threads=1, **(target or {})), weights)
    return adapter


SIZES = (Size(24, 32), Size(48, 33), Size(40, 21))


def scenes(sizes=SIZES, kind="box") -> list[PromptedImage]:
    """One image with two objects per size."""
    made = []
    for seed, size in enumerate(sizes):
        split = Rectangles(1, seed=seed, size=size, kind="instance")
        made.append(PromptedImage(split.image(0), prompts_of(objects_of(split.ground_truth(0)), kind)))
    return made


def without_objects(kind="box") -> PromptedImage:
    nothing = Rectangles(1, seed=0, classes=1, kind="instance")
    return PromptedImage(nothing.image(0), prompts_of(objects_of(nothing.ground_truth(0)), kind))
