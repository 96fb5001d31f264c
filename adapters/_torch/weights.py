"""Weight files: tensors with what they were trained for, never code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any, Protocol

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from bench.errors import BenchError

FORMAT = 1


class Weighted(Protocol):
    """A network whose weights can be stored: see `adapters._torch.network.SemanticNetwork`."""

    @property
    def module(self) -> nn.Module: ...
    @property
    def architecture(self) -> dict[str, JsonValue]: ...
    @property
    def class_names(self) -> tuple[str, ...]: ...


def save_atomically(content: dict[str, Any], path: Path) -> None:
    """Write a file that `torch.load(weights_only=True)` reads; a kill leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".tmp")
    with unfinished.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def save_weights(network: Weighted, state: dict[str, Tensor], path: Path) -> None:
    """Write a network's weights with its architecture and classes."""
    content = {
        "format": FORMAT,
        "architecture": network.architecture,
        "class_names": list(network.class_names),
        "state_dict": {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()},
    }
    save_atomically(content, path)


def load_weights(network: Weighted, path: Path, *, label: str) -> None:
    """Load weights that `save_weights` wrote, or a bare state dict of the same names and shapes.

    Args:
        network: Its module takes the weights.
        path: The file.
        label: Of the model, for messages.

    Raises:
        BenchError: If the file is not there, is not a weight file, or belongs to another
            architecture or to other classes; says which.
    """
    content = _read(path, label)
    if "state_dict" in content:
        _check_architecture(content.get("architecture", {}), network.architecture, path, label)
        names = tuple(content.get("class_names", network.class_names))
        if names != network.class_names:
            raise BenchError(
                f"{label}: {path} was trained for the classes {', '.join(names)}; this task has "
                f"{', '.join(network.class_names)}. Train on this data set, or give weights with its classes."
            )
        content = content["state_dict"]
    own = {name: tuple(tensor.shape) for name, tensor in network.module.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in content.items() if isinstance(tensor, Tensor)}
    if own != given:
        name = sorted(name for name in own.keys() | given.keys() if own.get(name) != given.get(name))[0]
        raise BenchError(
            f"{label}: {path} holds weights of another network: {name} is {given.get(name, 'missing')} in the file and "
            f"{own.get(name, 'missing')} in the model. Set the model's options to those the weights were trained with."
        )
    network.module.load_state_dict(content)


def _read(path: Path, label: str) -> dict[str, Any]:
    if not path.is_file():
        raise BenchError(f"{label}: there is no weight file at {path}; correct 'weights', or leave it out to train")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BenchError(
            f"{label}: {path} is not a weight file of plain tensors ({reason}); "
            "save it with torch.save(module.state_dict(), path)"
        ) from None
    if not isinstance(content, dict):
        raise BenchError(f"{label}: {path} holds a {type(content).__name__}; a state dict is expected")
    return content


def _check_architecture(given: dict[str, Any], own: dict[str, Any], path: Path, label: str) -> None:
    differences = [
        f"{name} is {given.get(name)!r} in the file and {own.get(name)!r} in the model"
        for name in sorted(given.keys() | own.keys())
        if given.get(name) != own.get(name)
    ]
    if differences:
        raise BenchError(
            f"{label}: {path} was trained with other options: {'; '.join(differences)}. "
            "Give the model the options of the file, or train it again."
        )
