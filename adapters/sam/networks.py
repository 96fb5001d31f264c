"""SAM and SAM 2 of transformers: their sizes, and how one is made from a model config or from a folder of weights.

The configurations are those of the published checkpoints. Weights lie in a folder as `save_pretrained`
writes it and the model hub holds it: `config.json` and `model.safetensors`. Nothing is downloaded.

Source: facebookresearch/segment-anything, `build_sam.py`; facebookresearch/sam2,
`sam2/configs/sam2.1/*.yaml` (SAM 2 and 2.1 differ in their memory, which single images do not use).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn
from transformers import (
    PretrainedConfig,
    Sam2Config,
    Sam2HieraDetConfig,
    Sam2MaskDecoderConfig,
    Sam2Model,
    Sam2PromptEncoderConfig,
    Sam2VisionConfig,
    SamConfig,
    SamMaskDecoderConfig,
    SamModel,
    SamPromptEncoderConfig,
    SamVisionConfig,
)

from adapters._torch.options import read_options
from adapters.sam.options import FAMILY, Family, SamOptions, usage_errors
from bench.errors import BenchError, did_you_mean, in_one_line
from bench.records import ModelSpec
from bench.records.base import merged

_CANNOT_BE_BUILT = (StrictDataclassError, TypeError, ValueError, AttributeError, RuntimeError, ZeroDivisionError)
"""This says how transformers and torch answer a configuration whose parts do not fit."""

SAM_SIZES: dict[str, dict[str, Any]] = {
    "vit_b": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "global": [2, 5, 8, 11]},
    "vit_l": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "global": [5, 11, 17, 23]},
    "vit_h": {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16, "global": [7, 15, 23, 31]},
}


@dataclass(frozen=True)
class Hiera:
    """An image encoder of SAM 2 (Ravi et al., SAM 2, 2024, appendix C; its configuration files)."""

    width: int
    heads: int
    blocks: tuple[int, int, int, int]
    windows: tuple[int, int, int, int]
    global_blocks: tuple[int, int, int]
    background: int


SAM2_SIZES = {
    "hiera_tiny": Hiera(96, 1, (1, 2, 7, 2), (8, 4, 14, 7), (5, 7, 9), 7),
    "hiera_small": Hiera(96, 1, (1, 2, 11, 2), (8, 4, 14, 7), (7, 10, 13), 7),
    "hiera_base_plus": Hiera(112, 2, (2, 3, 16, 3), (8, 4, 14, 7), (12, 16, 20), 14),
    "hiera_large": Hiera(144, 2, (2, 6, 36, 4), (8, 4, 16, 8), (23, 33, 43), 7),
}


@dataclass(frozen=True)
class SamNetwork:
    """A network with what must be known to feed it.

    Attributes:
        module: `SamModel` or `Sam2Model`, on the CPU in float32.
        family: Decides how images are resized.
        input_size: Side of its square input, pixels.
    """

    module: nn.Module
    family: Family
    input_size: int


def sam_options(model: ModelSpec) -> SamOptions:
    """Return the checked options of a model config; raises `BenchError` if a name or value is wrong."""
    if found := usage_errors(model):
        raise BenchError("\n".join(found))
    return read_options(SamOptions, model)


def make_network(model: ModelSpec, weights: Path | None) -> SamNetwork:
    """Return the network of a model config, with the weights of a folder or random ones from torch's generator.

    Raises:
        BenchError: If an option is wrong or the folder does not hold the weights of this network.
    """
    options = sam_options(model)
    family = FAMILY[options.network]
    wanted = _settings(options)
    try:
        config = _config(family, wanted, model.label)
        module: nn.Module = (
            _KINDS[family][1](config) if weights is None else _pretrained(family, wanted, weights, model.label)
        )
    except _CANNOT_BE_BUILT as error:
        if not options.overrides:
            raise
        reason = in_one_line(error, 160)
        raise BenchError(f"{model.label}: option 'overrides': no network can be built ({reason})") from None
    return SamNetwork(module, family, options.input_size)


def _settings(options: SamOptions) -> dict[str, dict[str, Any]]:
    """Return what the model config says of the configuration, by part."""
    side = options.input_size
    if options.network in SAM_SIZES:
        size = dict(SAM_SIZES[options.network])
        # Upstream's own spread, 1e-10, would leave an untrained encoder with one answer to everything.
        vision = {"global_attn_indexes": size.pop("global"), **size, "image_size": side, "initializer_range": 0.02}
    else:
        vision = _hiera_settings(SAM2_SIZES[options.network], side)
    parts: dict[str, dict[str, Any]] = {"vision": vision, "prompt_encoder": {"image_size": side}, "mask_decoder": {}}
    return merged(parts, {part: changes for part, changes in options.overrides.items()})  # noqa: C416 - of any names


def _hiera_settings(size: Hiera, side: int) -> dict[str, Any]:
    widths = [size.width * 2**stage for stage in range(4)]
    backbone = {
        "hidden_size": size.width,
        "num_attention_heads": size.heads,
        "blocks_per_stage": list(size.blocks),
        "embed_dim_per_stage": widths,
        "num_attention_heads_per_stage": [size.heads * 2**stage for stage in range(4)],
        "window_size_per_stage": list(size.windows),
        "global_attention_blocks": list(size.global_blocks),
        "window_positional_embedding_background_size": [size.background] * 2,
        "image_size": [side, side],
    }
    levels = [[side // 4] * 2, [side // 8] * 2, [side // 16] * 2]
    return {"backbone": backbone, "backbone_channel_list": widths[::-1], "backbone_feature_sizes": levels}


_KINDS: dict[Family, tuple[Any, ...]] = {
    "sam": (SamConfig, SamModel, SamVisionConfig, SamPromptEncoderConfig, SamMaskDecoderConfig),
    "sam2": (Sam2Config, Sam2Model, Sam2VisionConfig, Sam2PromptEncoderConfig, Sam2MaskDecoderConfig),
}
"""Family -> classes of its configuration, its network, and the configurations of its parts."""

_PARTS = ("vision", "prompt_encoder", "mask_decoder")


def _config(family: Family, settings: Mapping[str, dict[str, Any]], label: str) -> PretrainedConfig:
    whole, _, *kinds = _KINDS[family]
    vision = dict(settings["vision"])
    if family == "sam2":
        vision["backbone_config"] = _part(Sam2HieraDetConfig, vision.pop("backbone"), label)
    parts = {**settings, "vision": vision}
    config: PretrainedConfig = whole(
        **{f"{part}_config": _part(kind, parts[part], label) for part, kind in zip(_PARTS, kinds, strict=True)}
    )
    return config


def _part(kind: type[PretrainedConfig], settings: Mapping[str, Any], label: str) -> PretrainedConfig:
    """Make one part; transformers itself takes any key and ignores what it does not know."""
    known = vars(kind())
    unknown = sorted(settings.keys() - known.keys())
    if unknown:
        raise BenchError(
            f"{label}: option 'overrides': {kind.__name__} has no key {unknown[0]!r}.{did_you_mean(unknown[0], known)}"
        )
    return kind(**settings)


def _pretrained(family: Family, wanted: Mapping[str, dict[str, Any]], folder: Path, label: str) -> nn.Module:
    """Load a folder, which must hold exactly the network that the model config names."""
    _check_files(folder, label)
    try:
        config = _KINDS[family][0].from_pretrained(folder, local_files_only=True)
        _check_same(config, wanted, folder, label)
        module, info = _KINDS[family][1].from_pretrained(
            folder,
            config=config,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            dtype=torch.float32,
        )
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise BenchError(
            f"{label}: the weights in {folder} cannot be loaded ({in_one_line(error, 160)}); give a folder with "
            "config.json and model.safetensors, as save_pretrained writes it"
        ) from None
    missing = sorted(info["missing_keys"])
    if missing:
        raise BenchError(
            f"{label}: {folder} lacks {len(missing)} tensors of this network, for example {missing[0]}; "
            f"give weights of {family} that are whole"
        )
    loaded: nn.Module = module
    return loaded


def _check_files(folder: Path, label: str) -> None:
    """Refuse what transformers would take as a default configuration, or would unpickle."""
    lacking = "" if (folder / "config.json").is_file() else "config.json"
    lacking = lacking or ("" if any(folder.glob("*.safetensors")) else "model.safetensors")
    if lacking:
        raise BenchError(
            f"{label}: no weights to load in {folder}, which has no {lacking}; give a folder with config.json and "
            "model.safetensors, as save_pretrained writes it"
        )


def _check_same(config: PretrainedConfig, wanted: Mapping[str, dict[str, Any]], folder: Path, label: str) -> None:
    for path, value in _leaves(wanted):
        if path[-1] == "initializer_range":
            continue
        given: Any = getattr(config, f"{path[0]}_config")
        for key in path[1:]:
            given = getattr(given, "backbone_config" if key == "backbone" else key, None)
        if _plain(given) != _plain(value):
            raise BenchError(
                f"{label}: {folder} holds another network: {'.'.join(path)} is {_plain(given)} in its config.json and "
                f"{_plain(value)} in the model config. Use the model config of that network, or its input_size."
            )


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    else:
        yield path, value


def _plain(value: Any) -> Any:
    """Lists for tuples, so that equal settings are equal."""
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
