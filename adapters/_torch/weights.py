"""Weight files: tensors with what they were trained for, never code."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from adapters._torch.input import InputContract, contract_in
from adapters._torch.matching import (
    Chosen,
    LoadedWeights,
    averages_with_buffers,
    choose,
    is_average,
    nameless_average,
    stands_beside,
)
from adapters._torch.weight_files import WeightFile, read_weight_file, shared_prefix
from bench.errors import BenchError, few
from bench.records.stated_classes import classes_beside, key_of

FORMAT = 1

BACKGROUND = ("background", "bg")

Shapes: TypeAlias = dict[str, tuple[int, ...]]
"""A state holds tensors by name."""


Translate: TypeAlias = Callable[[dict[str, Tensor]], dict[str, Tensor] | None]
"""Tensors by the names of a file -> by those of the library's module today; None where they are of neither."""


class Weighted(Protocol):
    """A network whose weights can be stored: see `adapters._torch.network.SemanticNetwork`."""

    @property
    def module(self) -> nn.Module:
        """Return what has the tensors."""
        ...

    @property
    def architecture(self) -> dict[str, JsonValue]:
        """The options that decide which tensors there are."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the outputs."""
        ...


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
    """Write a network's weights with its architecture, its classes and, where it is another's, its preprocessing."""
    said: InputContract | None = getattr(network, "input", None)
    content = {
        "format": FORMAT,
        "architecture": network.architecture,
        "class_names": list(network.class_names),
        **({} if said is None else {"input": said.as_json()}),
        "state_dict": {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()},
    }
    save_atomically(content, path)


def load_weights(network: Weighted, path: Path, *, label: str, weights_key: str | None = None) -> LoadedWeights:
    """Load weights that `save_weights` wrote, or anybody's of the same names and shapes.

    Names may have any prefix, or lack those that the module has, and lie under any key; see
    `adapters._torch.matching`. Where the file has a moving average too, that is taken. What the file says of
    its architecture and its classes must agree with the network; where it says nothing, the tensors decide.
    Every tensor of the module must be in the file, whatever else is.

    Args:
        network: Its module takes the weights. Its `translate`, where it has one, turns names of older or
            published files into those of its library.
        label: The model's label, for messages.
        weights_key: Key under which the tensors lie in the file; None leaves the choice.

    Returns:
        Account of what was loaded, left and renamed.

    Raises:
        BenchError: If the file is not there, is not a weight file, or belongs to another
            architecture or to other classes; says which. The module is then of no use.
        Unsupported: If the package that reads the file is not installed.
    """
    file = read_weight_file(path, label)
    where = f"{label}: {path}"
    if file.architecture is not None:
        _check_architecture(file.architecture, network.architecture, where)
    remarks = _checked_classes(file, path, network.class_names, where)
    own = {name: tuple(tensor.shape) for name, tensor in network.module.state_dict().items()}
    parameters = {name: tuple(tensor.shape) for name, tensor in network.module.named_parameters()}
    stated = file = averages_with_buffers(file, own, parameters)
    nameless, of_nameless = nameless_average(file, parameters, weights_key)
    chosen = choose(file, own, weights_key=None if nameless else weights_key, where=where)
    tensors = file.sets[chosen.key]
    prefixes = ("", chosen.prefix, shared_prefix([*tensors]))
    known = {name.removeprefix(prefix) for name in tensors for prefix in prefixes}
    translate: Translate | None = getattr(network, "translate", None)
    if translate is not None and (chosen.unknown or len(chosen.names) < len(own)):
        file, chosen = _translated(translate, file, chosen, own)
        tensors = file.sets[chosen.key]
    tolerated: tuple[str, ...] = getattr(network, "left_out", ())
    left = [name for name in chosen.unknown if stands_beside(name.removeprefix(chosen.prefix), tolerated)]
    given = {name: tensors[whole] for name, whole in chosen.names.items()}
    given |= {name: tensors[name] for name in chosen.unknown if name not in left}
    given |= dict(zip(parameters, stated.nameless[nameless], strict=True)) if nameless else {}
    _refuse_whole_numbers(network.module, given, where)
    _load(network, given, own, where)
    input_in: Callable[[dict[str, Tensor]], InputContract | None] | None = getattr(network, "input_in", None)
    remarks = (*remarks, *_of_others(left, chosen, tolerated), *_of_places(chosen), *_not_finite(given))
    return LoadedWeights(
        loaded=len(given),
        left=len(left) + chosen.elsewhere,
        renamed=sum(whole.removeprefix(chosen.prefix) not in known for whole in chosen.names.values()),
        taken=nameless or chosen.place,
        beside=(*chosen.beside, chosen.place or "the file") if nameless else chosen.beside,
        input=contract_in(stated.input)
        or (None if input_in is None else input_in(stated.sets.get(chosen.key, tensors))),
        classes=tuple(zip(map(str, stated.class_names or ()), network.class_names, strict=False)),
        remarks=(*remarks, *of_nameless),
    )


def _refuse_whole_numbers(module: nn.Module, given: dict[str, Tensor], where: str) -> None:
    """Refuse quantised weights: copied into a float, their whole numbers would be taken for the weights."""
    own = module.state_dict()
    whole = [n for n, t in given.items() if n in own and own[n].is_floating_point() and not t.is_floating_point()]
    if whole:
        kind = str(given[whole[0]].dtype).removeprefix("torch.")
        raise BenchError(
            f"{where} holds {kind} for {len(whole)} tensors of floating point, such as {whole[0]}: they are quantised, "
            "and mean nothing without their scales. Give the weights from before the quantisation"
        )


def _of_others(left: list[str], chosen: Chosen, tolerated: tuple[str, ...]) -> tuple[str, ...]:
    """Return a remark on tensors that were passed over by their names alone."""
    short = {name.removeprefix(chosen.prefix) for name in left}
    passed = tuple(sorted(name for name in short if not name.startswith(tolerated)))
    return (f"passed over as of the training, not of the network: {few(passed, 6)}",) if passed else ()


def _of_places(chosen: Chosen) -> tuple[str, ...]:
    """Return a remark where as many tensors of the network lie under other keys, as those of several folds."""
    others = tuple(place for place in chosen.beside if place.partition(".")[0] != chosen.place.partition(".")[0])
    others = others or tuple(place for place in chosen.beside if place.rpartition(".")[2].isdigit())
    if not others or is_average(chosen.place):
        return ()
    return (f"{chosen.place or 'the file'} was taken, and as many of its tensors lie in {few(others, 6)}",)


def _not_finite(given: dict[str, Tensor]) -> tuple[str, ...]:
    """Return a remark on weights that are no numbers, as a training that diverged leaves them."""
    found = [name for name, tensor in given.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    return (f"{len(found)} tensors hold NaN or infinity, the first {found[0]}",) if found else ()


def _load(network: Weighted, given: dict[str, Tensor], own: Shapes, where: str) -> None:
    """Put tensors into the network; raises `BenchError` where they do not fit, in a paragraph."""
    try:
        network.module.load_state_dict(given)
    except RuntimeError:  # torch's list of tensors can be hundreds of lines long
        shapes = {name: tuple(tensor.shape) for name, tensor in given.items()}
        told = (
            _other_classes(shapes, own, network.class_names)
            or _other_channels(shapes, own)
            or _other_network(shapes, own)
        )
        raise BenchError(f"{where} {told}") from None


def _translated(translate: Translate, file: WeightFile, chosen: Chosen, own: Shapes) -> tuple[WeightFile, Chosen]:
    """Return the file with its names as the network's library has them today, where that finds more of the network."""
    tensors = file.sets[chosen.key]
    candidates = [chosen.prefix, shared_prefix([*tensors])]
    for prefix in candidates:
        inside = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        renamed = translate(inside)
        if renamed is None:
            continue
        again = choose(WeightFile(renamed, sets={chosen.key: renamed}), own, weights_key=None, where="")
        if len(again.names) > len(chosen.names):
            elsewhere = len(tensors) - len(inside)
            new = Chosen(chosen.key, again.prefix, again.names, again.unknown, elsewhere, chosen.beside)
            return WeightFile(renamed, sets={chosen.key: renamed}), new
    return file, chosen


# --------------------------------------------------------------------------- what does not fit, in a paragraph


def _check_architecture(given: dict[str, Any], own: dict[str, Any], where: str) -> None:
    kinds = given.get("network"), own.get("network")
    if kinds[0] != kinds[1] and None not in kinds:
        raise BenchError(
            f"{where} was trained as another network: {kinds[0]} in the file, {kinds[1]} in the model. "
            "Choose a model config of the network in the file, or train this one."
        )
    differences = [
        f"{name} is {given.get(name)!r} in the file and {own.get(name)!r} in the model"
        for name in sorted(given.keys() | own.keys())
        if given.get(name) != own.get(name)
    ]
    if differences:
        raise BenchError(
            f"{where} was trained with other options: {'; '.join(differences)}. "
            "Give the model the options of the file, or train it again."
        )


def _checked_classes(file: WeightFile, path: Path, own: tuple[str, ...], where: str) -> tuple[str, ...]:
    """Hold the classes of a file against the network's; what a list of names beside it says of others is a remark."""
    if file.class_names is not None:
        _check_classes(file.class_names, own, where)
        return ()
    beside = classes_beside(path)
    if beside is None:
        return ("the weights name no classes; their outputs were taken for the task's classes in its order",)
    names, called = beside
    if sorted(map(key_of, names)) == sorted(map(key_of, own)):
        _check_classes(names, own, f"{where} (by {called} beside it)")
        return ()
    return (
        f"{called} beside it names the classes {few(names, 6)}, and the task has {few(own, 6)}; if it is of these "
        "weights, say trained_on with its names",
    )


def _check_classes(given: tuple[str, ...], own: tuple[str, ...], where: str) -> None:
    if _without_background(given) == _without_background(own):
        return
    if sorted(given) == sorted(own):
        how = "They are the same in another order, so that each id would name another class"
    elif len(given) == len(own):
        how = f"Both are {len(own)}, but ids would name other classes"
    else:
        how = f"That is {len(given)} in the file and {len(own)} in the task"
    raise BenchError(
        f"{where} was trained for the classes {', '.join(given)}; this task has {', '.join(own)}. {how}. "
        f"Say trained_on: [{', '.join(given)}], which maps them by name, or train on this data set."
    )


def refuse_inverted(loaded: LoadedWeights, class_names: tuple[str, ...], label: str) -> None:
    """Refuse weights of one sigmoid that name no classes where class 1, which it would stand for, is the background."""
    first, second = class_names
    if not loaded.classes and key_of(second) in BACKGROUND:
        raise BenchError(
            f"{label}: its one output would stand for {second}, class 1 of the task, and the weights name no classes; "
            f"say trained_on: [{second}, {first}], so that it stands for {first}"
        )


def _without_background(names: tuple[str, ...]) -> list[str]:
    """Return names without case, punctuation and a first background, which many lists leave out."""
    keys = [key_of(name) for name in names]
    return keys[1:] if keys[0] in BACKGROUND else keys


def _other_classes(given: Shapes, own: Shapes, class_names: tuple[str, ...]) -> str | None:
    """Return the explanation where all that differs is the number of outputs of some layers; else None."""
    unlike = {name: (given[name], own[name]) for name in own.keys() & given.keys() if given[name] != own[name]}
    only_outputs = all(len(g) == len(o) > 0 and g[1:] == o[1:] for g, o in unlike.values())
    if not unlike or not only_outputs or _needed(own) - given.keys():
        return None
    # The layer of the fewest outputs: others have several for each class, such as the sides of a box.
    if len(class_names) == 2 and all(g[0] == 1 and o[0] == 2 for g, o in unlike.values()):
        return (
            "has a head of one channel, a sigmoid's, and the model a softmax of two. Give the model the options "
            "{head: sigmoid}, where its adapter has that."
        )
    hint = ""
    if class_names and key_of(class_names[0]) in BACKGROUND and all(g[0] == o[0] - 1 for g, o in unlike.values()):
        hint = (
            " If each class but the background has a sigmoid of its own, give the model the options {head: multilabel}."
        )
    name = min(unlike, key=lambda n: (unlike[n][1][0], n.endswith(".bias"), n))
    (in_file, *_), (in_model, *_) = unlike[name]
    layer, classes = name.rpartition(".")[0] or name, len(class_names)
    if in_model == classes:
        counts = f"{layer} tells {in_file} classes apart in the file, and the task has {classes}"
    else:
        counts = f"{layer} has {in_file} outputs in the file, and {in_model} in the model for the task's {classes}"
    return (
        f"was trained for another number of classes: {counts} ({few(class_names, 6)}). "
        f"Train on this data set, or give weights that were trained for its classes.{hint}"
    )


def _other_channels(given: Shapes, own: Shapes) -> str | None:
    """Return the explanation where all that differs is how many channels one layer, the first, sees; else None."""
    unlike = [(name, given[name], own[name]) for name in own.keys() & given.keys() if given[name] != own[name]]
    if len(unlike) != 1 or (_needed(own) ^ _needed(given)):
        return None
    ((name, in_file, in_model),) = unlike
    if len(in_file) != 4 or len(in_model) != 4 or in_file[:1] + in_file[2:] != in_model[:1] + in_model[2:]:
        return None
    grey = " For one that sees grey say input: {channels: gray}." if in_file[1] == 1 else ""
    return (
        f"sees images of {in_file[1]} channels ({name}), and these have {in_model[1]}. Use a data set of as many "
        f"bands, or weights for {in_model[1]}.{grey}"
    )


def _other_network(given: Shapes, own: Shapes) -> str:
    fitting = sum(given.get(name) == shape for name, shape in own.items())
    name = sorted(name for name in _needed(own) | given.keys() if own.get(name) != given.get(name))[0]
    return (
        f"holds weights of another network: {fitting} of its {len(given)} tensors fit the {len(own)} of the model; "
        f"{name} is {given.get(name, 'missing')} in the file and {own.get(name, 'missing')} in the model. "
        "Choose the model config, and set the options, that the weights were trained with."
    )


def _needed(own: Shapes) -> set[str]:
    """Return the tensors without which torch does not load: older files have no counts of batches."""
    return {name for name in own if not name.endswith("num_batches_tracked")}
