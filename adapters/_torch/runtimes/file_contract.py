"""The preprocessing of a file: what a model config says, else what stands in or beside the file, else a default."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters._torch.input import DEFAULT, PROCESSORS, STATED, InputContract, processor_in
from adapters._torch.options import InputOptions
from adapters._torch.runtimes.cpu_sessions import Port
from adapters._torch.runtimes.file_inputs import takes_bytes
from adapters._torch.runtimes.file_metadata import FileMetadata
from adapters._torch.runtimes.file_options import FileOptions
from bench.records import Size
from bench.records.flag import Flag


def contract_of(options: FileOptions, said: InputContract | None) -> InputContract:
    """Return the preprocessing of a file, with the source of each of its parts: first the options, then what is `said`.

    A part of that whose source is the default states nothing.
    """
    values: dict[str, Any] = {"mean": (0.0,), "std": (1.0,), "fill": (0.0, 0.0, 0.0)}
    sources = dict.fromkeys(STATED, DEFAULT)
    for by, given in (
        ("the model config, for files that say nothing", _of_input(options.default_input)),
        ("" if said is None else said.said_by, _of_contract(said)),
        ("the model config", _of_options(options)),
        ("the option input", _of_input(options.input)),
    ):
        values |= given
        own = {} if said is None or by != said.said_by else said.sources()
        sources |= {name: own.get(name, by) for name in given if name in sources}
    count = max(len(values["mean"]), len(values["std"]))
    for name in ("mean", "std"):
        values[name] = values[name] * count if len(values[name]) == 1 else values[name]
    return InputContract(**values, said_by=sources["mean"], stated=tuple(sources.items()))


def contract_beside(file: Path) -> InputContract | None:
    """Return what the preprocessor of transformers beside a file says; None where none lies there."""
    found = processor_in(file.with_name(name) for name in PROCESSORS)
    return None if found is None else found.contract


def _of_input(given: InputOptions | str | None) -> dict[str, Any]:
    """Return the parts that an option of all networks sets."""
    if not isinstance(given, InputOptions):
        return {}
    found = {
        name: getattr(given, name) for name in given.model_fields_set & {*STATED, "fill", "trained_fit", "overlap"}
    }
    found = {name: value for name, value in found.items() if value is not None}
    for name in ("mean", "std"):
        if name in found:
            found[name] = tuple(value / given.scale for value in found[name])
    return found | ({"size": Size(*found["size"])} if "size" in found else {})


def _of_contract(said: InputContract | None) -> dict[str, Any]:
    if said is None:
        return {}
    found = {name: getattr(said, name) for name, by in said.sources().items() if by != DEFAULT}
    return found | ({} if said.fill is None else {"fill": said.fill})


def _of_options(options: FileOptions) -> dict[str, Any]:
    """Return the parts that the options of files set; a range is that of mean and std, which then are set both."""
    named = options.model_fields_set & {*STATED, "fill"}
    named |= {"mean", "std"} if "range_max" in options.model_fields_set else set()
    found: dict[str, Any] = {name: getattr(options, name) for name in named}
    for name in named & {"mean", "std"}:
        found[name] = tuple(value / options.range_max for value in found[name])
    return found | ({"fill": tuple(map(float, options.fill))} if "fill" in named else {})


PASSED = ("Cast", "Transpose", "Identity")
"""Operators that leave the numbers of an image as they are."""

OF_BYTES = 0.05
"""Slope below which numbers of 0 to 255 are meant: others would come out nearly alike."""

LARGEST = 4
"""Numbers of a constant of a normalisation at most, one for each channel."""


def contract_of_graph(file: Path) -> InputContract | None:
    """Return that images are fed as they are, 0 to 1 or 0 to 255, to a file that normalises them itself; else None.

    It does if the first operators on its input are differences, quotients, products or sums with constants, of one
    number or one for each channel. Needs the package onnx, without which nothing is said.
    """
    if file.suffix != ".onnx" or importlib.util.find_spec("onnx") is None:
        return None
    slope, names = 1.0, []
    for operator, constant in _first_steps(file):
        names.append(operator)
        factor = float(np.abs(constant).max(initial=0)) or 1.0
        slope *= {"Mul": factor, "Div": 1 / factor}.get(operator, 1.0)
    if not names:
        return None
    most = 255.0 if slope < OF_BYTES else 1.0
    silent = tuple((name, DEFAULT) for name in STATED if name not in ("mean", "std"))
    said = f"its graph, which begins with {' and '.join(names)} by constants and so normalises images itself"
    return InputContract((0.0,), (1 / most,), said_by=said, stated=silent)


def _first_steps(file: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield operator and constant of what is done to the only input, up to the first that is no arithmetic."""
    onnx = importlib.import_module("onnx")
    try:
        graph = onnx.load(str(file), load_external_data=False).graph
    except Exception:  # what a reader of Protocol Buffers raises has no common kind, and the runtime has read the file
        return
    constants = {one.name: one for one in graph.initializer}
    constants |= {
        node.output[0]: attribute.t
        for node in graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }
    inputs = [one.name for one in graph.input if one.name not in constants]
    name = inputs[0] if len(inputs) == 1 else None
    while name is not None:
        users = [node for node in graph.node if name in node.input]
        node = users[0] if len(users) == 1 else None
        if node is None:
            return
        if node.op_type not in PASSED:
            others = [constants.get(one) for one in node.input if one != name]
            if node.op_type not in ("Sub", "Div", "Mul", "Add") or len(others) != 1 or others[0] is None:
                return
            if int(np.prod(others[0].dims, initial=1)) > LARGEST:
                return
            yield node.op_type, onnx.numpy_helper.to_array(others[0])
        name = node.output[0]


SLACK = 0.1
"""Share of the range of a quantised input that what is fed may lie outside of it."""

LEAST_USED = 0.7
"""Share of that range that what is fed uses at least: half of it means another scale."""


def doubts_of_input(
    contract: InputContract, port: Port, metadata: FileMetadata, said: InputContract | None
) -> list[Flag]:
    """Return flags, none of them certain, where a file is fed other numbers than its exporter, what it states, or its
    quantisation say.
    """
    stated = [] if said is None or takes_bytes(port) else _of_statement(contract, said)
    return [*_of_ultralytics(contract, metadata), *stated, *_of_range(contract, port)]


def _of_ultralytics(contract: InputContract, metadata: FileMetadata) -> list[Flag]:
    mean, std = contract.mean, contract.std
    if not metadata.by_ultralytics or ({*mean} == {0.0} and {*std} == {1.0}):
        return []
    seen = f"Ultralytics exported the file, whose networks see 0 to 1, and it is fed mean {mean}, std {std}"
    advice = "set options: {mean: 0, std: 1, fit: letterbox, fill: [114, 114, 114], interpolation: linear}"
    return [Flag(name="input_unlike_training", seen=seen, advice=advice)]


def _of_statement(contract: InputContract, said: InputContract) -> list[Flag]:
    mean, std = (values * len(contract.mean) if len(values) == 1 else values for values in (said.mean, said.std))
    pairs = [*zip(mean, contract.mean, strict=False), *zip(std, contract.std, strict=False)]
    of_numbers = said.sources()["mean"] == DEFAULT or all(abs(a - b) < 1e-3 for a, b in pairs)
    of_colours = said.sources()["channels"] == DEFAULT or said.channels == contract.channels
    if of_numbers and of_colours:
        return []
    theirs = f"mean {_describe(said.mean)}, std {_describe(said.std)}, {said.channels}"
    seen = (
        f"{said.said_by} says {theirs}, and it is fed mean {_describe(contract.mean)}, std {_describe(contract.std)}, "
        f"{contract.channels}"
    )
    line = f"mean: {_describe(said.mean)}, std: {_describe(said.std)}, channels: {said.channels}"
    return [Flag(name="input_unlike_training", seen=seen, advice=f"set options: {{input: {{{line}}}}}")]


USUAL = (("0 to 1", 0.0, 1.0), ("-1 to 1", -1.0, 1.0), ("0 to 255", 0.0, 255.0))
"""Ranges that images are commonly scaled to."""

CLOSE = 0.02
"""Share of the span of a range by which its ends may lie elsewhere: 8 bits have 256 steps."""


def contract_of_range(port: Port) -> InputContract | None:
    """Return the preprocessing that the range of a quantised input gives away; None where it is none of the usual."""
    if port.range is None:
        return None
    for told, low, high in USUAL:
        span = high - low
        if max(abs(port.range[0] - low), abs(port.range[1] - high)) <= CLOSE * span:
            said = f"the range of its quantised input, {told}"
            silent = tuple((name, DEFAULT) for name in STATED if name not in ("mean", "std"))
            return InputContract((-low / span,), (1 / span,), said_by=said, stated=silent)
    return None


def _of_range(contract: InputContract, port: Port) -> list[Flag]:
    if port.range is None:
        return []
    pairs = [*zip(contract.mean, contract.std, strict=True)]
    low, high = min((0 - m) / s for m, s in pairs), max((1 - m) / s for m, s in pairs)
    held, span = port.range, port.range[1] - port.range[0]
    outside = max(held[0] - low, high - held[1]) > SLACK * span
    if not outside and high - low >= LEAST_USED * span:
        return []
    seen = (
        f"its quantised input holds {held[0]:.3g} to {held[1]:.3g}, and it is fed {low:.3g} to {high:.3g} "
        f"(mean {_describe(contract.mean)}, std {_describe(contract.std)})"
    )
    line = f"{{mean: {-held[0] / span:.3g}, std: {1 / span:.3g}}}"
    advice = f"if all of its range is that of an image, set options: {line}"
    return [Flag(name="input_unlike_training", seen=seen, advice=advice)]


def _describe(values: tuple[float, ...]) -> str:
    """Return numbers as YAML has them.

    >>> _describe((0.485, 0.5)), _describe((0.0, 0.0))
    ('[0.485, 0.5]', '0')
    """
    if len(set(values)) == 1:
        return f"{values[0]:.4g}"
    return f"[{', '.join(f'{value:.4g}' for value in values)}]"
