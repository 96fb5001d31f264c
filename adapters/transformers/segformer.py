"""SegFormer of transformers, built from its configuration: nothing is downloaded unless a model config asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue
from torch import Tensor, nn
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from adapters._torch.input import IMAGENET
from adapters._torch.network import SemanticNetwork, bands_of
from adapters._torch.options import read_options
from adapters._torch.padding import PadsToMultiple
from adapters.transformers.options import SegFormerOptions
from adapters.transformers.published import load_in_order, network_of, stated_config
from bench.errors import BenchError, in_one_line
from bench.records import ModelSpec, TaskSpec

OF_A_PASS = ("num_attention_heads", "strides", "patch_sizes", "sr_ratios", "mlp_ratios", "hidden_act", "layer_norm_eps")
"""Keys of a configuration that decide what is computed, and that all published variants have alike."""

CLASSIFIER = "decode_head.classifier"

COARSEST_GRID = 32
"""Pixels of a cell of its last stage; the attention of the first is reduced by the same factor."""


@dataclass(frozen=True)
class Variant:
    """Depths and widths of a SegFormer (Xie et al., SegFormer, NeurIPS 2021, table 6)."""

    depths: tuple[int, int, int, int]
    widths: tuple[int, int, int, int]
    decoder_width: int


VARIANTS = {
    "b0": Variant((2, 2, 2, 2), (32, 64, 160, 256), 256),
    "b1": Variant((2, 2, 2, 2), (64, 128, 320, 512), 256),
    "b2": Variant((3, 4, 6, 3), (64, 128, 320, 512), 768),
    "b3": Variant((3, 4, 18, 3), (64, 128, 320, 512), 768),
    "b4": Variant((3, 8, 27, 3), (64, 128, 320, 512), 768),
    "b5": Variant((3, 6, 40, 3), (64, 128, 320, 512), 768),
}


class Logits(nn.Module):
    """The network without its output class: logits (B, K, H/4, W/4)."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the logits at a quarter of the input's size."""
        logits: Tensor = self.module(pixel_values=pixels).logits
        return logits


def make_network(model: ModelSpec, task: TaskSpec) -> SemanticNetwork:
    """Return the SegFormer of a model config for a task.

    Raises:
        BenchError: If an option is wrong or the pretrained weights cannot be had.
    """
    options = read_options(SegFormerOptions, model)
    head = options.for_task(task)
    config = _config(options, model, channels=task.channels)
    config.num_labels = head.channels
    published = None
    if options.pretrained is None or model.weights is not None:
        module: nn.Module = SegformerForSemanticSegmentation(config)
    else:
        names = head.names_of([spec.name for spec in task.classes])
        published = load_in_order(
            SegformerForSemanticSegmentation, CLASSIFIER, options.pretrained, config, model, names
        )
        module = published.module
    architecture: dict[str, JsonValue] = {"network": f"segformer {options.variant}", **bands_of(task)}
    return network_of(
        SegformerForSemanticSegmentation,
        config,
        model,
        published,
        module=PadsToMultiple(Logits(module), COARSEST_GRID),
        head=head,
        architecture=architecture,
        class_names=tuple(spec.name for spec in task.classes),
        input=IMAGENET,
        backbone=("module.module.segformer.",),
    )


def _config(options: SegFormerOptions, model: ModelSpec, *, channels: int) -> SegformerConfig:
    """Return a variant's configuration; heads, strides and activations, which no shape shows, are the folder's own."""
    said = stated_config(options.pretrained, model.weights) or {}
    theirs = said if said.get("model_type") == SegformerConfig.model_type else {}
    variant = VARIANTS[options.variant]
    shape: dict[str, Any] = {
        "num_channels": channels,
        "depths": list(variant.depths),
        "hidden_sizes": list(variant.widths),
        "decoder_hidden_size": variant.decoder_width,
        "classifier_dropout_prob": options.dropout,
    }
    kept: dict[str, Any] = {name: theirs[name] for name in OF_A_PASS if name in theirs}
    try:
        return SegformerConfig(**kept, **shape)
    except (TypeError, ValueError) as error:  # transformers checks types alone
        reason = in_one_line(error, 160)
        raise BenchError(f"{model.label}: the config.json of its weights cannot be read ({reason})") from None
