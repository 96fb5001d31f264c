"""Folders that `save_pretrained` wrote, and names on the model hub: every tensor is loaded, or it is said."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils.hub import cached_file

from adapters._torch.class_names import listed, match_classes
from adapters._torch.input import PROCESSORS, Processor, json_in, processor_in
from adapters._torch.matching import LoadedWeights
from adapters._torch.network import SemanticNetwork
from bench.errors import BenchError, in_one_line
from bench.records import ModelSpec
from bench.records.stated_classes import classes_of_config

OF_A_TRAINING = re.compile(
    r"label|dropout|drop_path|init|loss|auxiliary|dtype|architectures|version|_name_or_path|return_dict|problem_type"
    r"|(?:^|\.)output_|weight|train_num_points|oversample|importance_sample|cost|matcher|use_cache|attn_implementation"
    r"|image_size|chunk_size|pretrained|gradient_checkpointing|_commit_hash"
)
"""Keys of a configuration of transformers that decide nothing of a forward pass, or show in the shapes of tensors."""


@dataclass(frozen=True)
class Published:
    """A network that was loaded.

    Attributes:
        module: Module of transformers.
        loaded: Account of what was made of the weights.
        unfit: Why it must be trained before it may predict; None if every tensor was loaded.
    """

    module: PreTrainedModel
    loaded: LoadedWeights
    unfit: str | None


def place_of(source: str) -> str:
    """Return a folder as a path, or a name on the hub as it is."""
    return str(Path(source)) if Path(source).is_dir() else source


def load_published(cls: Any, source: str, config: PretrainedConfig, label: str) -> Published:
    """Load a network with the weights of a folder; where they do not fit it, they stay as drawn, which is told.

    Raises:
        BenchError: If there is nothing to load.
    """
    where = place_of(source)
    torch_file = Path(where, "pytorch_model.bin").is_file() and not any(Path(where).glob("*.safetensors"))
    with raised_as_bench_error(source, label):
        module, info = cls.from_pretrained(
            where,
            config=config,
            ignore_mismatched_sizes=True,
            use_safetensors=not torch_file,
            dtype=torch.float32,  # of a file in half precision it would be half
            output_loading_info=True,
        )
    missing = sorted(info["missing_keys"])
    unlike = sorted((name, tuple(theirs), tuple(own)) for name, theirs, own in info["mismatched_keys"])
    own = len(module.state_dict())
    drawn = len(missing) + len(unlike)
    loaded = LoadedWeights(loaded=own - drawn, left=len(info["unexpected_keys"]), drawn=drawn, taken=source)
    if not drawn:
        return Published(module, loaded, None)
    parts = [f"{name} is {theirs} in the file and {own_shape} in the model" for name, theirs, own_shape in unlike[:2]]
    parts += [f"{listed(missing, 2)} missing"] if missing else []
    one_output = not missing and all(theirs[:1] == (1,) and own_shape[:1] == (2,) for _, theirs, own_shape in unlike)
    hint = " It has one output, a sigmoid's: set options: {head: sigmoid}." if one_output else ""
    return Published(
        module,
        loaded,
        f"{label}: option 'pretrained': {source!r} does not fit the model: {drawn} of its {own} tensors would stay "
        f"random ({'; '.join(parts)}). Choose the model config, and with trained_on the classes, that the "
        f"weights were trained with; or give the suite a recipe, so that a training follows.{hint}",
    )


def refuse_other_channels(config: PretrainedConfig, channels: int, label: str) -> None:
    """Refuse a network of a folder that sees another number of channels than images have; raises `BenchError`."""
    seen: Any = getattr(config, "backbone_config", None) or config
    count = getattr(seen, "num_channels", None)
    if count not in (None, channels):
        raise BenchError(
            f"{label}: option 'pretrained': its network sees images of {count} channels (num_channels), and these have "
            f"{channels}; give weights for {channels}"
        )


@contextmanager
def raised_as_bench_error(source: str, label: str) -> Iterator[None]:
    """Turn what transformers raises where there is nothing to load into a paragraph."""
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, AttributeError, StrictDataclassError) as error:
        raise BenchError(
            f"{label}: option 'pretrained': nothing to load at {source!r} ({in_one_line(error, 160)}); give a folder "
            "with config.json and model.safetensors, or connect to the network once"
        ) from None


def classes_of(config: PretrainedConfig) -> tuple[str, ...] | None:
    """Return the classes of a configuration by id; None where it has none, or only numbers them."""
    return classes_of_config({name: getattr(config, name, None) for name in ("id2label", "label2id")})


def stated_classes(source: str, config: PretrainedConfig) -> tuple[str, ...] | None:
    """Return the classes of a folder; of a `label2id` without its `id2label` transformers makes names of its own."""
    return classes_of_config(stated_config(source, None) or {}) or classes_of(config)


def _file_of(source: str, name: str) -> Path | None:
    """Return a file of a folder, or of a name on the hub from its cache; None where there is none."""
    if Path(source).is_dir():
        return Path(source, name)
    if source.count("/") != 1:
        return None
    try:
        found = cached_file(source, name, _raise_exceptions_for_missing_entries=False)
    except (OSError, ValueError, RecursionError):
        return None
    return None if found is None else Path(found)


def config_beside(source: str | None) -> dict[str, Any] | None:
    """Return the config.json of a folder, or of the one that a weight file lies in; None where there is none."""
    if source is None:
        return None
    return json_in((Path(source) if Path(source).is_dir() else Path(source).parent) / "config.json")


def unlike_in(theirs: PretrainedConfig, own: PretrainedConfig) -> dict[str, tuple[Any, Any]]:
    """Return what two configurations of a kind of network state differently of its forward pass: key -> both values.

    Heads of attention, strides and activations leave no trace in the shapes of tensors.
    """
    sides = [dict(_leaves(json.loads(json.dumps(one.to_dict(), default=str)))) for one in (theirs, own)]
    keys = [key for key in sides[0].keys() & sides[1].keys() if not OF_A_TRAINING.search(key)]
    return {key: (sides[0][key], sides[1][key]) for key in sorted(keys) if sides[0][key] != sides[1][key]}


def refuse_other_config(own: PretrainedConfig, source: str | None, label: str) -> None:
    """Refuse weights whose config.json states a network that the model config's differs from.

    Raises:
        BenchError: With the first key that differs, and what to write.
    """
    said = config_beside(source)
    if said is None or said.get("model_type") != own.model_type:
        return
    unlike = unlike_in(type(own).from_dict(said), own)
    if unlike:
        key, (theirs, mine) = next(iter(unlike.items()))
        place = Path(str(source))
        raise BenchError(
            f"{label}: the config.json of {source} states another network: {key} is {theirs} there and {mine} in the "
            f"model ({len(unlike)} keys differ). Give the folder as options: {{pretrained: "
            f"{place if place.is_dir() else place.parent}}} instead of weights"
        )


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted key and value of everything in nested dictionaries that is none."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def translated(cls: Any, config: PretrainedConfig, tensors: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Return tensors under the names that transformers has for them today; None where it knows none of them."""
    try:
        module, info = cls.from_pretrained(
            None,
            config=config,
            state_dict=dict(tensors),
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            dtype=torch.float32,
        )
    except (OSError, ValueError, RuntimeError, TypeError):
        return None
    unlike = {name for name, *_ in info["mismatched_keys"]}
    absent = set(info["missing_keys"]) | unlike
    found = {name: tensor for name, tensor in module.state_dict().items() if name not in absent}
    # A classifier for other classes keeps its shape, by which it is told.
    found |= {name: tensors[name] for name in unlike if name in tensors}
    return found | {name: tensors[name] for name in info["unexpected_keys"] if name in tensors} or None


def load_in_order(
    cls: Any, classifier: str, source: str, config: PretrainedConfig, model: ModelSpec, names: Sequence[str]
) -> Published:
    """Load a network that labels pixels, its classes, the outputs of the convolution `classifier`, in the task's order.

    Raises:
        BenchError: If there is nothing to load, or the classes are others.
    """
    found = load_published(cls, source, config, model.label)
    with raised_as_bench_error(source, model.label):
        stated = stated_classes(source, cls.config_class.from_pretrained(place_of(source)))
    where = f"{model.label}: option 'pretrained': {source!r}"
    # Weights that do not fit are trained before they are used, or refused.
    matched = match_classes(stated, names, model, where, training_follows=found.unfit is not None)
    if matched.order is not None:
        layer = found.module.get_submodule(classifier)
        assert isinstance(layer, nn.Conv2d)
        rows = torch.tensor(matched.order)
        with torch.no_grad():
            for tensor in (layer.weight, layer.bias):
                if tensor is not None:
                    tensor.copy_(tensor[rows].clone())
    remarks = () if matched.remark is None else (matched.remark,)
    return replace(found, loaded=replace(found.loaded, remarks=remarks, classes=matched.pairs))


def processor_beside(pretrained: str | None, weights: str | None) -> Processor | None:
    """Return the preprocessing that stands beside the weights, in their folder or, for a file, in the one it lies
    in; else beside `pretrained`, which may be a name on the hub where there are no weights.
    """
    places = [] if weights is None else [Path(weights) if Path(weights).is_dir() else Path(weights).parent]
    places += [Path(pretrained)] if pretrained is not None and Path(pretrained).is_dir() else []
    sources = [str(place) for place in places]
    if pretrained is not None and weights is None and not places:
        sources.append(pretrained)
    return processor_in(_file_of(source, name) for source in sources for name in PROCESSORS)


def stated_config(pretrained: str | None, weights: str | None) -> dict[str, Any] | None:
    """Return the config.json beside a weight file, else that of `pretrained`; None where there is none."""
    beside = config_beside(weights)
    if beside is not None or pretrained is None:
        return beside
    file = _file_of(pretrained, "config.json")
    return None if file is None else config_beside(str(file))


def network_of(
    cls: Any, config: PretrainedConfig, model: ModelSpec, published: Published | None, **fields: Any
) -> SemanticNetwork:
    """Return a network that labels pixels, with what was read of its weights and what stands beside them.

    The fields are those of `SemanticNetwork` that are not known from these.

    Raises:
        BenchError: If the config.json beside the weights states another network.
    """
    refuse_other_config(config, model.weights, model.label)
    network = SemanticNetwork(
        translate=lambda tensors: translated(cls, config, tensors),
        loaded=None if published is None else published.loaded,
        unfit=None if published is None else published.unfit,
        **fields,
    )
    pretrained = model.options.get("pretrained")
    said = processor_beside(pretrained if isinstance(pretrained, str) else None, model.weights)
    return network if said is None else replace(network, input=said.contract)
