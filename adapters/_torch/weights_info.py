"""Finds which model configs a weight file fits, by the names and shapes of its tensors; networks take no memory.

Run as `python -m adapters._torch.weights_info` with a question on standard input, JSON: `file`, and `models`, resolved
model configs. The answer is one line of JSON: what the file holds, and a row for each model config.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from adapters._torch.forwarding import ForwardingAdapter
from adapters._torch.input import contract_in
from adapters._torch.matching import choose, is_average, stands_beside
from adapters._torch.semantic import SemanticAdapter
from adapters._torch.weight_files import WeightFile, read_weight_file
from adapters._torch.weights import Shapes, _translated
from bench.adapter import load_adapter
from bench.errors import BenchError
from bench.records import ClassSpec, ModelSpec, TaskSpec

CLASSES = 23
"""Classes of the networks that a file is compared with: a prime, so that layers with an output per class stand out."""


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """Read the file and hold it against every model config; raises `BenchError` if the file cannot be read."""
    file = read_weight_file(Path(question["file"]), "bench weights info")
    rows = [
        _row(file, question["file"], ModelSpec.model_validate_json(json.dumps(model))) for model in question["models"]
    ]
    said = contract_in(file.input)
    return {
        "tensors": len(file.tensors),
        "numbers": sum(tensor.numel() for tensor in file.tensors.values()),
        "sets": {key: len(tensors) for key, tensors in file.sets.items()},
        "averages": sorted(key for key in file.sets if is_average(key)),
        "first": list(file.tensors)[:3],
        "class_names": None if file.class_names is None else list(file.class_names),
        "architecture": file.architecture,
        "input": None if said is None else said.as_json(),
        "models": [row for row in rows if row is not None],
    }


def _row(file: WeightFile, path: str, model: ModelSpec) -> dict[str, Any] | None:
    """Return how far a file fits a model config; None where its network cannot be made here."""
    made = _network(model)
    if made is None:
        return None
    network, classes = made
    own = {name: tuple(tensor.shape) for name, tensor in network.module.state_dict().items()}
    chosen = choose(file, own, weights_key=None, where="")
    if network.translate is not None and (chosen.unknown or len(chosen.names) < len(own)):
        file, chosen = _translated(network.translate, file, chosen, own)
    tensors = file.sets[chosen.key]
    given = {name: tuple(tensors[whole].shape) for name, whole in chosen.names.items()}
    unlike = [name for name, shape in given.items() if not _is_alike(shape, own[name], classes)]
    found = _classes_in(given, own, classes)
    lacking = [name for name in own if name not in given and not name.endswith("num_batches_tracked")]
    unknown = [n for n in chosen.unknown if not stands_beside(n.removeprefix(chosen.prefix), network.left_out)]
    odd = (unlike or [name for name in given if given[name] != own[name]]) if found is None else []
    fits = not lacking and not unknown and not odd
    fed = _network(model.model_copy(update={"weights": path})) if fits else None  # by what lies beside the file
    return {
        "name": model.name,
        "fits": fits,
        "alike": len(given) - len(unlike),
        "own": len(own),
        "classes": classes if not odd and found == 0 else found,
        "taken": chosen.place,
        "beside": list(chosen.beside),
        "input": (network if fed is None else fed[0]).input.as_json(),
        "differs": next(iter([*odd, *lacking, *unknown]), None),
    }


def _network(model: ModelSpec) -> tuple[Any, int] | None:
    """Return the network of a model config without memory, and its number of classes."""
    adapter: Any = load_adapter(model.adapter)
    if isinstance(adapter, ForwardingAdapter):
        chosen = model.options.get(adapter._option, adapter._default)
        adapter = adapter._adapters[str(chosen)]() if chosen in adapter._adapters else adapter
    if not isinstance(adapter, SemanticAdapter):
        return None
    for count in (CLASSES, 2):
        spec = tuple(ClassSpec(name=f"class {n}", colour=(n, 0, 0), is_thing=n > 0) for n in range(count))
        unfit = contextlib.suppress(BenchError, RuntimeError, NotImplementedError, OSError)
        with unfit, torch.device("meta"), contextlib.redirect_stdout(io.StringIO()):
            return adapter._make_network(model, TaskSpec(kind=model.task, classes=spec)), count
    return None


def _is_alike(shape: tuple[int, ...], mine: tuple[int, ...], classes: int) -> bool:
    """Return whether a tensor of the file is the network's, or may be for another number of classes."""
    outputs = bool(shape and mine) and shape[1:] == mine[1:] and mine[0] % classes == 0
    return shape == mine or outputs


def _classes_in(given: Shapes, own: Shapes, classes: int) -> int | None:
    """Return the classes of the file if shapes differ by their number alone: 0 if none differs, None if not."""
    found = 0
    for name, shape in given.items():
        mine = own[name]
        if shape == mine:
            continue
        if not shape or not mine or shape[1:] != mine[1:] or mine[0] % classes:
            return None
        count, rest = divmod(shape[0] * classes, mine[0])
        if rest or found not in (0, count):
            return None
        found = count
    return found


def main() -> int:
    """Answer one question; a usage error is the answer's `error`."""
    try:
        told = answer(json.loads(sys.stdin.read()))
    except BenchError as error:
        told = {"error": str(error)}
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
