"""Files of weights as people have them, read as named tensors and never as code."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adapters._torch import unpickling
from bench.errors import BenchError, Unsupported
from bench.records.array_files import bounded_zip, packed_arrays
from bench.records.damage import ARRAY_DAMAGE
from bench.records.foreign_weights import instead_of
from bench.records.stated_classes import classes_in, classes_of_config

DAMAGE = tuple(kind for kind in ARRAY_DAMAGE if kind is not MemoryError)
"""Errors that readers of a damaged file raise; memory may be short for a whole one, too, which is told as that."""

WRAPPED_UNDER = ("state_dict", "model_state_dict", "model")
"""Keys under which checkpoints keep a network's tensors beside what else a training needs; others are tried too."""

WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
"""Prefixes that `torch.compile`, FSDP and activation checkpoints put into the names of a module that they wrap."""

IN_FOLDERS = ("model.safetensors", "pytorch_model.bin")
"""Weights in a folder of transformers; `.index.json` behind the name lists the parts that they were cut into."""

SHARDED = (".safetensors.index.json", ".bin.index.json")
"""Ends of the names of lists of the files that weights were cut into."""

DEEPEST = 6
"""Levels of dictionaries and lists that are looked into for tensors."""

NOT_NETWORKS = ("optim", "sched", "scaler", "amp", "rng", "callback", "loop")
"""Parts of keys under which a training keeps tensors of its own."""


@dataclass(frozen=True)
class WeightFile:
    """The contents of a weights file.

    Attributes:
        tensors: Tensors by name, as stored but for `WRAPPERS`: those of the first of `WRAPPED_UNDER`, else the most.
        architecture: Architecture of the network that they belong to, where the file says it.
        class_names: Class names by id, where the file says them.
        sets: Key under which tensors lie ("" for the whole file, dotted where deeper) -> those tensors.
        input: The preprocessing the weights were trained with, where the file says it.
        nameless: Key -> tensors in the order of a network's parameters, as some keep a moving average.
        swapped: True if keys named for a moving average hold the raw weights, and the others the average.
    """

    tensors: dict[str, Tensor]
    architecture: dict[str, Any] | None = None
    class_names: tuple[str, ...] | None = None
    sets: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    input: dict[str, Any] | None = None
    nameless: dict[str, list[Tensor]] = field(default_factory=dict)
    swapped: bool = False


def read_weight_file(path: Path, label: str) -> WeightFile:
    """Read a `.safetensors` or `.npz` file, a folder of transformers, or what `torch.save` wrote.

    The tensors may be the whole file or lie under any key, together with `architecture`, `class_names` and
    `input`; a `.safetensors` file has these as JSON in its metadata. Of a module that was pickled whole the
    tensors are taken. Objects beside them, such as a NumPy scalar, a Namespace or a Path, are passed over and
    never restored.

    Raises:
        BenchError: If the file is not there, carries code, is damaged, or holds no tensors.
        Unsupported: If the package that reads it is not installed.
    """
    instead = instead_of(path)
    if instead is not None and path.exists():
        raise BenchError(f"{label}: {path} {instead}")
    if path.is_dir():
        path = _file_in(path, label)
        if path.name.endswith(SHARDED):
            return _read_parts(path, label)
    if not path.is_file():
        raise BenchError(f"{label}: there is no weight file at {path}; correct 'weights', or leave it out to train")
    if path.suffix == ".safetensors":
        return _read_safetensors(path, label)
    if path.suffix == ".npz":
        return _whole(_read_arrays(path, label), {}, path)
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
        classes_in(content) or _of_config(path),
        sets,
        _dictionary(content.get("input")),
        _lists_in(content),
        _swaps_averages(content),
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


def _swaps_averages(content: Mapping[Any, Any]) -> bool:
    """Return whether MMEngine wrote the file, whose EMAHook saves the average as `state_dict` for deployment."""
    meta = content.get("meta")
    return isinstance(meta, Mapping) and "mmengine_version" in meta and "ema_state_dict" in content


# --------------------------------------------------------------------------- torch


def _read_torch(path: Path, label: str) -> Mapping[Any, Any]:
    failures = (pickle.UnpicklingError, *DAMAGE)
    if _is_torchscript(path, label):
        raise BenchError(
            f"{label}: {path} is TorchScript, a network with its code; run it as it is: "
            f"{{name: torchscript/file, weights: {path}}}"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except failures as error:
        content = _around_objects(path)
        if content is None:
            raise BenchError(
                f"{label}: {path} is not a weight file of plain tensors ({_reason(error)}); "
                "save it with torch.save(module.state_dict(), path)"
            ) from None
    content = _as_mapping(content)
    if not isinstance(content, Mapping):
        raise BenchError(f"{label}: {path} holds a {type(content).__name__}; a state dict is expected")
    return content


def _is_torchscript(path: Path, label: str) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    try:
        with bounded_zip(path) as archive:
            return any("/code/" in name or name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False  # a damaged file is for its reader to refuse
    except ValueError as error:
        raise BenchError(f"{label}: {path} is not read: {error}") from None


def _around_objects(path: Path) -> Any:
    """Return what lies beside objects that are not restored; None where no tensors do, or nothing can be read."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=False, pickle_module=unpickling)
    except Exception:
        return None
    whole = _as_mapping(content)
    return whole if isinstance(whole, Mapping) and _sets_in(whole) else None


def _as_mapping(content: Any) -> Any:
    """Return a list by its places, and a module by no name, as a mapping; anything else as it is."""
    # A process in which YOLO's framework has read a checkpoint restores the modules that it allowed.
    if isinstance(content, unpickling.Inert | nn.Module):
        return {"": content}
    return {str(place): one for place, one in enumerate(content)} if isinstance(content, list | tuple) else content


def _reason(error: Exception) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # torch prints some words in bold
    code = re.search(r"GLOBAL (\S+)", text)
    if code is not None:
        return f"it holds {code[1]}, which only running code could restore"
    # torch advises to run what is in it, which is not done here.
    first = text.split("In PyTorch 2.6")[0].splitlines()[0].strip() if text.strip() else ""
    return first.rstrip(".") or type(error).__name__


def _sets_in(content: Mapping[Any, Any], key: str = "", depth: int = 0) -> dict[str, dict[str, Tensor]]:
    """Every dictionary with tensors in it, and the state of every pickled module, by the dotted key it lies under."""
    read = {unwrapped(name): _tensor(value) for name, value in content.items() if isinstance(name, str)}
    own = {name: tensor for name, tensor in read.items() if tensor is not None}
    found = {key: own} if own else {}
    for name, inner in content.items():
        below = f"{key}.{name}" if key else str(name)
        if any(part in str(name).lower() for part in NOT_NETWORKS):
            continue
        of_module = inner.state_dict() if isinstance(inner, nn.Module) else unpickling.tensors_of_module(inner)
        if of_module:
            found[below] = {unwrapped(name): tensor for name, tensor in of_module.items()}
            continue
        inside = inner.state if isinstance(inner, unpickling.Inert) else inner
        # A list of tensors is for `_lists_in`: they have no names.
        if isinstance(inside, list | tuple):
            inside = {str(place): one for place, one in enumerate(inside) if not isinstance(one, Tensor)}
        if isinstance(inside, Mapping) and depth < DEEPEST:
            found |= _sets_in(inside, below, depth + 1)
    return found


def _tensor(value: Any) -> Tensor | None:
    """Return a tensor, or an array of numbers as one, in plain numbers; None of anything else."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return torch.from_numpy(np.ascontiguousarray(value))
    if not isinstance(value, Tensor):
        return None
    return value.dequantize() if value.is_quantized else value


def _lists_in(content: Mapping[Any, Any], key: str = "", depth: int = 0) -> dict[str, list[Tensor]]:
    """Every list of tensors, by the dotted key it lies under."""
    found = {}
    for name, inner in content.items():
        below = f"{key}.{name}" if key else str(name)
        if any(part in str(name).lower() for part in NOT_NETWORKS):
            continue
        if isinstance(inner, list | tuple) and inner and all(isinstance(one, Tensor) for one in inner):
            found[below] = list(inner)
        elif isinstance(inner, Mapping) and depth < DEEPEST:
            found |= _lists_in(inner, below, depth + 1)
    return found


def unwrapped(name: str) -> str:
    """Return the name of a tensor without what wraps its modules.

    >>> unwrapped("model._orig_mod.module.stem._checkpoint_wrapped_module.weight")
    'model.module.stem.weight'
    """
    for wrapper in WRAPPERS:
        name = name.replace(wrapper, "")
    return name


# --------------------------------------------------------------------------- NumPy


def _read_arrays(path: Path, label: str) -> dict[str, Tensor]:
    """The arrays of a `.npz`; slashes in names are dots in torch's."""
    try:
        with packed_arrays(path) as archive:
            arrays = dict(archive)
    except DAMAGE as error:
        raise BenchError(f"{label}: {path} is not a readable .npz file of plain arrays ({_reason(error)})") from None
    numbers = {name: array for name, array in arrays.items() if array.dtype.kind in "fiub"}
    if not numbers:
        raise BenchError(f"{label}: {path} holds no weights; a state dict is expected")
    return {name.replace("/", "."): torch.from_numpy(array) for name, array in numbers.items()}


# --------------------------------------------------------------------------- safetensors


def _read_safetensors(path: Path, label: str) -> WeightFile:
    try:
        from safetensors import SafetensorError, safe_open
    except ModuleNotFoundError:
        raise Unsupported(f"{label}: {path} needs the package safetensors, which is not installed") from None
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            said = {name: _parsed(text) for name, text in (file.metadata() or {}).items()}
    except (SafetensorError, OSError) as error:
        raise BenchError(
            f"{label}: {path} is not a readable safetensors file ({_reason(error)}); copy or download it again"
        ) from None
    if not tensors:
        raise BenchError(f"{label}: {path} holds no weights; a state dict is expected")
    return _whole(tensors, said, path)


def _whole(tensors: dict[str, Tensor], said: Mapping[str, Any], path: Path) -> WeightFile:
    """A file whose tensors lie under no key, with what it says of them."""
    named = {unwrapped(name): tensor for name, tensor in tensors.items()}
    names = classes_in(said) or _of_config(path)
    return WeightFile(named, _dictionary(said.get("architecture")), names, {"": named}, _dictionary(said.get("input")))


def _read_parts(index: Path, label: str) -> WeightFile:
    """The weights of a folder that were cut into several files, which its index names."""
    try:
        parts = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BenchError(f"{label}: {index} is no list of files of weights; download the folder again") from None
    missing = [name for name in parts if not index.with_name(name).is_file()]
    if missing:
        raise BenchError(
            f"{label}: {index} names {len(parts)} files, of which {len(missing)} are missing, such as {missing[0]}; "
            "download them"
        )
    tensors: dict[str, Tensor] = {}
    for name in parts:
        tensors |= read_weight_file(index.with_name(name), label).tensors
    return _whole(tensors, {}, index)


def _parsed(text: str) -> Any:
    """The value of JSON; None where the metadata is anything else."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


# --------------------------------------------------------------------------- what a file says of itself


def _file_in(folder: Path, label: str) -> Path:
    """The weights in a folder that `save_pretrained` wrote."""
    names = [name for whole in IN_FOLDERS for name in (whole, f"{whole}.index.json")]
    found = [folder / name for name in names if (folder / name).is_file()]
    if not found:
        inside = ", ".join(sorted(path.name for path in folder.iterdir())[:6]) or "nothing"
        raise BenchError(
            f"{label}: {folder} is a folder without {' or '.join(IN_FOLDERS)}; it has {inside}. Give the weight file "
            "itself as 'weights'"
        )
    return found[0]


def _of_config(path: Path) -> tuple[str, ...] | None:
    """Classes that the `id2label` of a config.json beside the weights of a folder names; None where it names none."""
    config = path.with_name("config.json")
    if not path.name.removesuffix(".index.json").endswith(IN_FOLDERS) or not config.is_file():
        return None
    try:
        return classes_of_config(json.loads(config.read_text(encoding="utf-8")))
    except (ValueError, AttributeError, RecursionError):
        return None


def _dictionary(value: Any) -> dict[str, Any] | None:
    return dict(value) if isinstance(value, Mapping) else None
