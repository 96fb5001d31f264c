"""Files of weights as people have them, read as named tensors and never as code."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.errors import BenchError, Unsupported

WRAPPED_UNDER = ("state_dict", "model_state_dict", "model")
"""Keys under which checkpoints keep a network's tensors beside what else a training needs."""

COMPILED = "_orig_mod."
"""What `torch.compile` puts before the names of the module that it wraps, wherever that is."""

WRAPPERS = ("module.", "model.")
"""Prefixes of all names where a network is a part of another module: of DDP's, of a LightningModule."""


@dataclass(frozen=True)
class WeightFile:
    """What a file holds.

    Attributes:
        tensors: By name, as stored but for `COMPILED`.
        architecture: Of the network they belong to, where the file says it.
        class_names: By id, where the file says them.
    """

    tensors: dict[str, Tensor]
    architecture: dict[str, Any] | None = None
    class_names: tuple[str, ...] | None = None


def read_weight_file(path: Path, label: str) -> WeightFile:
    """Read a `.safetensors` file, or what `torch.save` wrote of tensors, numbers and strings.

    The tensors may be the whole file or lie under one of `WRAPPED_UNDER`, together with
    `architecture` and `class_names`; a `.safetensors` file has these as JSON in its metadata.

    Args:
        path: The file.
        label: Of the model, for messages.

    Raises:
        BenchError: If the file is not there, carries code, is damaged, or holds no tensors.
        Unsupported: If the package that reads it is not installed.
    """
    if not path.is_file():
        raise BenchError(f"{label}: there is no weight file at {path}; correct 'weights', or leave it out to train")
    if path.suffix == ".safetensors":
        return _read_safetensors(path, label)
    content = _read_torch(path, label)
    tensors = _tensors_in(content)
    if not tensors:
        entries = ", ".join(sorted(map(str, content))) or "nothing"
        raise BenchError(
            f"{label}: {path} holds no weights, but {entries}; a state dict is expected, alone or under one of "
            f"{', '.join(WRAPPED_UNDER)}"
        )
    return WeightFile(tensors, _architecture(content.get("architecture")), _names(content.get("class_names")))


def without_wrappers(names: Iterable[str]) -> dict[str, str]:
    """Return each name without the `WRAPPERS` that all of them begin with -> the name.

    >>> without_wrappers(["module.model.stem.weight", "module.model.head.weight"])
    {'stem.weight': 'module.model.stem.weight', 'head.weight': 'module.model.head.weight'}
    >>> without_wrappers(["model.weight", "head.weight"])
    {'model.weight': 'model.weight', 'head.weight': 'head.weight'}
    """
    shortened = {name: name for name in names}
    while shortened:
        common = [w for w in WRAPPERS if all(name.startswith(w) and name != w for name in shortened)]
        if not common:
            break
        shortened = {name.removeprefix(common[0]): whole for name, whole in shortened.items()}
    return shortened


# --------------------------------------------------------------------------- torch


def _read_torch(path: Path, label: str) -> Mapping[Any, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise BenchError(
            f"{label}: {path} is not a weight file of plain tensors ({_reason(error)}); "
            "save it with torch.save(module.state_dict(), path)"
        ) from None
    if not isinstance(content, Mapping):
        raise BenchError(f"{label}: {path} holds a {type(content).__name__}; a state dict is expected")
    return content


def _reason(error: Exception) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # torch prints some words in bold
    code = re.search(r"GLOBAL (\S+)", text)
    if code is not None:
        return f"it holds {code[1]}, which only running code could restore"
    return text.splitlines()[0].strip() if text.strip() else type(error).__name__


def _tensors_in(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    found = {
        name.replace(COMPILED, ""): value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    inner = (content[key] for key in WRAPPED_UNDER if isinstance(content.get(key), Mapping))
    return next((tensors for tensors in map(_tensors_in, inner) if tensors), found)


# --------------------------------------------------------------------------- safetensors


def _read_safetensors(path: Path, label: str) -> WeightFile:
    try:
        from safetensors import SafetensorError, safe_open
    except ModuleNotFoundError:
        raise Unsupported(f"{label}: {path} needs the package safetensors, which is not installed") from None
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {name.replace(COMPILED, ""): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            said = {name: _parsed(text) for name, text in (file.metadata() or {}).items()}
    except (SafetensorError, OSError) as error:
        raise BenchError(
            f"{label}: {path} is not a readable safetensors file ({_reason(error)}); copy or download it again"
        ) from None
    if not tensors:
        raise BenchError(f"{label}: {path} holds no weights; a state dict is expected")
    return WeightFile(tensors, _architecture(said.get("architecture")), _names(said.get("class_names")))


def _parsed(text: str) -> Any:
    """The value of JSON; None where the metadata is anything else."""
    try:
        return json.loads(text)
    except ValueError:
        return None


# --------------------------------------------------------------------------- what a file says of itself


def _architecture(value: Any) -> dict[str, Any] | None:
    return dict(value) if isinstance(value, Mapping) else None


def _names(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, list | tuple) and value and all(isinstance(name, str) for name in value):
        return tuple(value)
    return None
