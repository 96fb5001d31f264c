"""Folders that `save_pretrained` wrote, and names on the model hub: every tensor is loaded, or it is said."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from adapters._torch.class_names import listed, match_classes
from adapters._torch.input import InputContract, contract_of_processor
from adapters._torch.matching import LoadedWeights
from bench.errors import BenchError
from bench.records import ModelSpec

PROCESSOR = "preprocessor_config.json"


@dataclass(frozen=True)
class Published:
    """A network that was loaded.

    Attributes:
        module: Module of transformers.
        loaded: What was made of the weights.
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
    with told_as_bench_error(source, label):
        module, info = cls.from_pretrained(
            where,
            config=config,
            ignore_mismatched_sizes=True,
            use_safetensors=not torch_file,
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
    return Published(
        module,
        loaded,
        f"{label}: option 'pretrained': {source!r} does not fit the model: {drawn} of its {own} tensors would stay "
        f"random ({'; '.join(parts)}). Choose the model config, and with trained_on the classes, that the "
        "weights were trained with; or give the suite a recipe, so that a training follows.",
    )


@contextmanager
def told_as_bench_error(source: str, label: str) -> Iterator[None]:
    """Turn what transformers raises where there is nothing to load into a paragraph."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise BenchError(
            f"{label}: option 'pretrained': nothing to load at {source!r} ({reason}); give a folder with config.json "
            "and model.safetensors, or connect to the network once"
        ) from None


def classes_of(config: PretrainedConfig) -> tuple[str, ...] | None:
    """Return the classes of a configuration by id, from its `id2label`; None where it has none."""
    names = getattr(config, "id2label", None) or {}
    by_id = {int(number): str(name) for number, name in names.items()}
    return tuple(by_id[i] for i in range(len(by_id))) if by_id and sorted(by_id) == list(range(len(by_id))) else None


def contract_of_folder(source: str) -> InputContract | None:
    """Return what the preprocessor's configuration of a local folder says of colours; None where there is none."""
    file = Path(source, PROCESSOR)
    if not file.is_file():
        return None
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None
    return contract_of_processor(said) if isinstance(said, dict) else None


def translated(cls: Any, config: PretrainedConfig, tensors: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Return tensors under the names that transformers has for them today; None where it knows none of them."""
    try:
        module, info = cls.from_pretrained(
            None, config=config, state_dict=dict(tensors), ignore_mismatched_sizes=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, TypeError):
        return None
    absent = set(info["missing_keys"]) | {name for name, *_ in info["mismatched_keys"]}
    found = {name: tensor for name, tensor in module.state_dict().items() if name not in absent}
    return found | {name: tensors[name] for name in info["unexpected_keys"] if name in tensors} or None


def load_in_order(
    cls: Any, classifier: str, source: str, config: PretrainedConfig, model: ModelSpec, names: Sequence[str]
) -> Published:
    """Load a network that labels pixels, its classes in the task's order.

    Args:
        cls: Of transformers.
        classifier: Name of the last convolution, which has an output for each class.
        source: Folder, or name on the hub.
        config: Of the network, for the task's number of classes.
        model: Its label and `trained_on` are read.
        names: Names of the task's classes.

    Raises:
        BenchError: If there is nothing to load, or the classes are others.
    """
    found = load_published(cls, source, config, model.label)
    with told_as_bench_error(source, model.label):
        stated = classes_of(cls.config_class.from_pretrained(place_of(source)))
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


def contract_beside(*sources: str | None) -> InputContract | None:
    """Return the preprocessing that stands beside the weights, in their folder or, for a file, in the one it lies
    in.
    """
    folders = [place for source in sources if source for place in (source, str(Path(source).parent))]
    return next((found for found in map(contract_of_folder, folders) if found is not None), None)
