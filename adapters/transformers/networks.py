"""A network of transformers that classifies masks, with all that is needed to feed it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from pydantic import JsonValue
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoTokenizer, PretrainedConfig, PreTrainedModel

from adapters._torch.class_names import match_classes
from adapters._torch.matching import LoadedWeights
from adapters.transformers.classes import Classes
from adapters.transformers.configs import MODELS, make_config
from adapters.transformers.float32 import InFloat32
from adapters.transformers.masks import ClassifiedMasks
from adapters.transformers.options import UniversalOptions
from adapters.transformers.published import (
    load_published,
    place_of,
    raised_as_bench_error,
    refuse_other_channels,
    stated_classes,
)
from adapters.transformers.rf_detr import BoxedMasks
from bench.errors import BenchError, Unsupported, in_one_line
from bench.records import ModelSpec, Size, TaskKind

SQUARES = ("eomt", "eomt_dinov3", "rf_detr")
"""Architectures that see a square of one size."""

COARSEST_GRID = 32
"""Pixels of a cell of the coarsest features; inputs are padded to multiples of it."""


class MaskClassifier(nn.Module):
    """The network of transformers under one signature.

    Args:
        module: Module of transformers.
        task_tokens: Tokens that tell OneFormer its task, (1, length); None for the others.
    """

    task_tokens: Tensor | None

    def __init__(self, module: PreTrainedModel, task_tokens: Tensor | None) -> None:
        super().__init__()
        module.criterion = InFloat32(module.get_submodule("criterion"))
        self.module = module
        self.register_buffer("task_tokens", task_tokens, persistent=False)

    def forward(self, pixels: Tensor) -> ClassifiedMasks:
        """Return what is found in normalised, padded pixels (B, 3, H, W)."""
        found = self._forward(pixels)
        return ClassifiedMasks(found.class_queries_logits, found.masks_queries_logits)

    def loss(self, pixels: Tensor, masks: Sequence[Tensor], numbers: Sequence[Tensor]) -> Tensor:
        """Return the network's own loss.

        Args:
            masks: Masks of each image, float (N, H, W), at the size of the pixels.
            numbers: Their classes, int64 (N,).
        """
        loss: Tensor = self._forward(pixels, mask_labels=list(masks), class_labels=list(numbers)).loss
        return loss.reshape(())

    def _forward(self, pixels: Tensor, **labels: Any) -> Any:
        if self.task_tokens is not None:
            labels["task_inputs"] = self.task_tokens.expand(len(pixels), -1)
        if self.module.config.model_type == "maskformer":
            labels["output_hidden_states"] = True  # it predicts from each layer, and fails without
        return self.module(pixel_values=pixels, **labels)


@dataclass(frozen=True)
class UniversalNetwork:
    """A network and how to use it; see `adapters._torch.weights.Weighted`.

    Attributes:
        module: Module from normalised, padded pixels to classified masks.
        architecture, class_names: Stand in weight files.
        classes: Numbering of its classes.
        canvas: Side of the only square it sees, pixels; None where any multiple of 32 will do.
        smallest: Side of the smallest input, pixels.
        stretches: True if an image fills the canvas, whatever its shape; else it is padded.
        loaded, unfit, backbone: The fields of the same names of `adapters._torch.network.SemanticNetwork`.
    """

    module: MaskClassifier | BoxedMasks
    architecture: dict[str, JsonValue]
    class_names: tuple[str, ...]
    classes: Classes
    canvas: int | None
    smallest: int = COARSEST_GRID
    stretches: bool = False
    loaded: LoadedWeights | None = None
    unfit: str | None = None
    backbone: tuple[str, ...] = ()

    def padded_size(self, size: Size) -> Size:
        """Return the size that an input of a size is padded to."""
        if self.canvas is not None:
            return Size(self.canvas, self.canvas)
        return Size(*(max(self.smallest, side + -side % COARSEST_GRID) for side in size))

    def padded(self, pixels: Tensor) -> Tensor:
        """Pad normalised pixels (B, 3, H, W), or masks (N, H, W), at the bottom and on the right by zeros."""
        height, width = pixels.shape[-2:]
        size = self.padded_size(Size(height, width))
        down, right = size.height - height, size.width - width
        return F.pad(pixels, (0, right, 0, down)) if down or right else pixels

    def check_fits(self, size: Size, what: str, label: str) -> None:
        """Refuse an input that is larger than the canvas.

        Raises:
            Unsupported: Naming the model, and `what` is too large.
        """
        if self.canvas is not None and max(size) > self.canvas:
            raise Unsupported(
                f"{label} sees {self.canvas} x {self.canvas} pixels and {what} has {size.height} x {size.width}; make "
                "it smaller, or set the model's option 'canvas'"
            )


def make_network(
    options: UniversalOptions, classes: Classes, kind: TaskKind, *, load: bool, model: ModelSpec
) -> UniversalNetwork:
    """Return the network of a model config on the CPU, for a form of prediction and the classes that it tells apart.

    The configuration of `pretrained` is read in any case, its weights only with `load`.

    Raises:
        BenchError: If the pretrained network cannot be had or is of another architecture.
    """
    if options.pretrained is None:
        config = make_config(options, labels=len(classes))
        module = MODELS[options.architecture](config)
        if options.architecture in ("maskformer", "oneformer"):
            _initialise_as_published(module, options.architecture)
        made = _LoadedNetwork(module, classes)
    else:
        made = _pretrained(options, classes, model, load=load)
        module, config = made.module, made.module.config
    tokens = (
        _task_tokens(options, kind, config.task_seq_len, model.label) if options.architecture == "oneformer" else None
    )
    boxed = options.architecture == "rf_detr"
    return UniversalNetwork(
        module=BoxedMasks(module) if boxed else MaskClassifier(module, tokens),
        architecture={**options.shape(), "task": kind},
        class_names=made.classes.names,
        classes=made.classes,
        loaded=made.loaded,
        unfit=made.unfit,
        canvas=_canvas(config) if options.architecture in SQUARES else None,
        stretches=boxed,
        backbone=BACKBONES.get(options.architecture, ("module.model.pixel_level_module.encoder.",)),
        # MaskFormer's queries begin alike and look at the coarsest grid alone: one cell would leave them alike.
        smallest=2 * COARSEST_GRID if options.architecture == "maskformer" else COARSEST_GRID,
    )


BACKBONES = {
    **dict.fromkeys(("eomt", "eomt_dinov3"), ("module.embeddings.", "module.layers.")),
    "rf_detr": ("module.model.model.backbone.",),
}
"""Architecture -> beginnings of the names of its backbone's parameters; the others have theirs in one place."""


def _canvas(config: PretrainedConfig) -> int:
    """Side of the square that a network sees, which RF-DETR's backbone knows."""
    seen: Any = config.backbone_config if config.model_type == "rf_detr" else config
    side = seen.image_size
    return int(side[0] if isinstance(side, list | tuple) else side)


def _initialise_as_published(module: nn.Module, architecture: str) -> None:
    """Draw the queries of MaskFormer and OneFormer, and MaskFormer's decoder, as their authors do.

    transformers draws them with a deviation of 0.02, from which the queries hardly differ and stay
    alike for as long as a short training lasts. The official codes have unit deviation for the
    queries (`query_embed` of the transformer decoders) and Xavier's rule for the decoder
    (`Transformer._reset_parameters`): https://github.com/facebookresearch/MaskFormer,
    https://github.com/SHI-Labs/OneFormer.
    """
    transformer = module.get_submodule("model.transformer_module")
    if architecture == "maskformer":
        for weight in transformer.get_submodule("decoder").parameters():
            if weight.dim() > 1:
                nn.init.xavier_uniform_(weight)
    queries = transformer.get_submodule("queries_embedder")
    assert isinstance(queries, nn.Embedding)
    nn.init.normal_(queries.weight)


def _pretrained(options: UniversalOptions, classes: Classes, model: ModelSpec, *, load: bool) -> _LoadedNetwork:
    """Return the network of a folder, with the numbering of its classes."""
    cls, source = MODELS[options.architecture], str(options.pretrained)
    with raised_as_bench_error(source, model.label):
        config: PretrainedConfig = cls.config_class.from_pretrained(place_of(source))
    if config.model_type != options.architecture:
        raise BenchError(
            f"{model.label}: option 'pretrained': {source!r} is a {config.model_type}; the model config's "
            f"architecture is {options.architecture}. Give the one that fits the other"
        )
    refuse_other_channels(config, 3, model.label)
    stated = stated_classes(source, config)
    config.num_labels = len(classes)
    if not load:
        return _LoadedNetwork(cls(config), classes)
    found = load_published(cls, source, config, model.label)
    where = f"{model.label}: option 'pretrained': {source!r}"
    matched = match_classes(stated, classes.names, model, where, training_follows=found.unfit is not None)
    remarks = () if matched.remark is None else (matched.remark,)
    loaded = replace(found.loaded, remarks=remarks, classes=matched.pairs)
    return _LoadedNetwork(found.module, classes.numbered(matched.order), loaded, found.unfit)


@dataclass(frozen=True)
class _LoadedNetwork:
    """A network of transformers, the numbering of its classes, and what was made of its weights."""

    module: PreTrainedModel
    classes: Classes
    loaded: LoadedWeights | None = None
    unfit: str | None = None


def _task_tokens(options: UniversalOptions, kind: TaskKind, length: int, label: str) -> Tensor:
    """Return what OneFormer is told, (1, length), float32: by its own tokenizer, or from scratch as bytes."""
    text = f"the task is {kind}"
    if options.pretrained is None:
        tokens = list(text.encode())[:length]
        return torch.tensor([tokens + [0] * (length - len(tokens))], dtype=torch.float32)
    try:
        tokenizer = AutoTokenizer.from_pretrained(options.pretrained)
        read = tokenizer([text], padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        # Without its files transformers makes a tokenizer that knows no words.
        if str(tokenizer.decode(read["input_ids"][0], skip_special_tokens=True)).strip() != text:
            raise ValueError(f"it cannot read {text!r}")
    except (OSError, ValueError) as error:
        raise BenchError(
            f"{label}: option 'pretrained': no tokenizer at {options.pretrained!r} ({in_one_line(error, 160)}); "
            "OneFormer's weights were trained with the one of their folder: put its files there too"
        ) from None
    ids: Tensor = read["input_ids"]
    return ids.float()
