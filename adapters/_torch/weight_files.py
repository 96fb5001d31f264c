"""Files of weights as people have them, read as named tensors and never as code."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adapters._torch import unpickling
from adapters._torch.class_names import are_generic
from bench.errors import BenchError, Unsupported

WRAPPED_UNDER = ("state_dict", "model_state_dict", "model")
"""Keys under which checkpoints keep a network's tensors beside what else a training needs; others are tried too."""

COMPILED = "_orig_mod."
"""What `torch.compile` puts before the names of the module that it wraps, wherever that is."""

IN_FOLDERS = ("model.safetensors", "pytorch_model.bin")
"""Weights in a folder of transformers."""

DEEPEST = 3
"""Levels of dictionaries that are looked into for tensors."""

NOT_NETWORKS = ("optim", "sched", "scaler", "amp", "rng", "callback", "loop")
"""Parts of keys under which a training keeps tensors of its own."""


@dataclass(frozen=True)
class WeightFile:
    """What a file holds.

    Attributes:
        tensors: By name, as stored but for `COMPILED`: those of the first of `WRAPPED_UNDER`, else the most.
        architecture: Of the network they belong to, where the file says it.
        class_names: By id, where the file says them.
        sets: Key under which tensors lie ("" for the whole file, dotted where deeper) -> those tensors.
        input: The preprocessing the weights were trained with, where the file says it.
    """

    tensors: dict[str, Tensor]
    architecture: dict[str, Any] | None = None
    class_names: tuple[str, ...] | None = None
    sets: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    input: dict[str, Any] | None = None


def read_weight_file(path: Path, label: str) -> WeightFile:
    """Read a `.safetensors` file, or what `torch.save` wrote of tensors, numbers and strings.

    The tensors may be the whole file or lie under any key, together with `architecture`, `class_names` and
    `input`; a `.safetensors` file has these as JSON in its metadata. Objects beside them, such as a NumPy
    scalar, a Namespace or a Path, are passed over and never restored.

    Args:
        path: The file.
        label: Of the model, for messages.

    Raises:
        BenchError: If the file is not there, carries code, is damaged, or holds no tensors.
        Unsupported: If the package that reads it is not installed.
    """
    if path.is_dir():
        path = _file_in(path, label)
    if not path.is_file():
        raise BenchError(f"{label}: there is no weight file at {path}; correct 'weights', or leave it out to train")
    if path.suffix == ".safetensors":
        return _read_safetensors(path, label)
    content = _read_torch(path, label)
    sets = _sets_in(content)
    if not sets:
        entries = ", ".join(sorted(map(str, content))) or "nothing"
        raise BenchError(
            f"{label}: {path} holds no weights, but {entries}; a state dict is expected, alone or under one of "
            f"{', '.join(WRAPPED_UNDER)}"
        )
    first = next((key for key in WRAPPED_UNDER if key in sets), max(sets, key=lambda key: len(sets[key])))
    return WeightFile(
        sets[first],
        _dictionary(content.get("architecture")),
        _names(content.get("class_names")) or _beside(path),
        sets,
        _dictionary(content.get("input")),
    )


def without_wrappers(names: Iterable[str]) -> dict[str, str]:
    """Return each name without the parts that all of them begin with -> the name.

    >>> without_wrappers(["module.net.stem.weight", "module.net.head.weight"])
    {'stem.weight': 'module.net.stem.weight', 'head.weight': 'module.net.head.weight'}
    >>> without_wrappers(["model.weight", "head.weight"])
    {'model.weight': 'model.weight', 'head.weight': 'head.weight'}
    """
    whole = list(names)
    shared = len(shared_prefix(whole))
    return {name[shared:]: name for name in whole}


def shared_prefix(names: Sequence[str]) -> str:
    """Return the dotted parts that all names begin with, each with its dot; a name keeps its last part.

    >>> shared_prefix(["a.b.c", "a.b.d.e"]), shared_prefix(["a.b"]), shared_prefix(["a.b", "c"])
    ('a.b.', 'a.', '')
    """
    parts = [name.split(".")[:-1] for name in names]
    count = 0
    while parts and all(len(own) > count and own[count] == parts[0][count] for own in parts):
        count += 1
    return "".join(f"{part}." for part in parts[0][:count]) if parts else ""


# --------------------------------------------------------------------------- torch


def _read_torch(path: Path, label: str) -> Mapping[Any, Any]:
    failures = (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except failures as error:
        content = _around_objects(path)
        if content is None:
            raise BenchError(
                f"{label}: {path} is not a weight file of plain tensors ({_reason(error)}); "
                "save it with torch.save(module.state_dict(), path)"
            ) from None
    if not isinstance(content, Mapping):
        raise BenchError(f"{label}: {path} holds a {type(content).__name__}; a state dict is expected")
    return content


def _around_objects(path: Path) -> Mapping[Any, Any] | None:
    """What lies beside objects that are not restored; None where no tensors do, or nothing can be read."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=False, pickle_module=unpickling)
    except Exception:
        return None
    return content if isinstance(content, Mapping) and _sets_in(content) else None


def _reason(error: Exception) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # torch prints some words in bold
    code = re.search(r"GLOBAL (\S+)", text)
    if code is not None:
        return f"it holds {code[1]}, which only running code could restore"
    return text.splitlines()[0].strip() if text.strip() else type(error).__name__


def _sets_in(content: Mapping[Any, Any], key: str = "", depth: int = 0) -> dict[str, dict[str, Tensor]]:
    """Every dictionary with tensors in it, by the dotted key it lies under."""
    own = {
        name.replace(COMPILED, ""): value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    found = {key: own} if own else {}
    if depth < DEEPEST:
        for name, inner in content.items():
            if isinstance(inner, Mapping) and not any(part in str(name).lower() for part in NOT_NETWORKS):
                found |= _sets_in(inner, f"{key}.{name}" if key else str(name), depth + 1)
    return found


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
    architecture, names = _dictionary(said.get("architecture")), _names(said.get("class_names")) or _beside(path)
    return WeightFile(tensors, architecture, names, {"": tensors}, _dictionary(said.get("input")))


def _parsed(text: str) -> Any:
    """The value of JSON; None where the metadata is anything else."""
    try:
        return json.loads(text)
    except ValueError:
        return None


# --------------------------------------------------------------------------- what a file says of itself


def _file_in(folder: Path, label: str) -> Path:
    """The weights in a folder that `save_pretrained` wrote."""
    found = [folder / name for name in IN_FOLDERS if (folder / name).is_file()]
    if not found:
        inside = ", ".join(sorted(path.name for path in folder.iterdir())[:6]) or "nothing"
        raise BenchError(
            f"{label}: {folder} is a folder without {' or '.join(IN_FOLDERS)}; it has {inside}. Give the weight file "
            "itself as 'weights'"
        )
    return found[0]


def _beside(path: Path) -> tuple[str, ...] | None:
    """Classes that the `id2label` of a config.json beside the weights of a folder names; None where it names none."""
    config = path.with_name("config.json")
    if path.name not in IN_FOLDERS or not config.is_file():
        return None
    try:
        said = json.loads(config.read_text(encoding="utf-8")).get("id2label")
        names = {int(number): str(name) for number, name in said.items()}
    except (ValueError, AttributeError):
        return None
    if sorted(names) != list(range(len(names))) or not names or are_generic([*names.values()]):
        return None
    return tuple(names[i] for i in range(len(names)))


def _dictionary(value: Any) -> dict[str, Any] | None:
    return dict(value) if isinstance(value, Mapping) else None


def _names(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, list | tuple) and value and all(isinstance(name, str) for name in value):
        return tuple(value)
    return None
