"""Reads what an ONNX graph does to its input before anything else: many files normalise images themselves."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters._torch.input import DEFAULT, STATED, InputContract

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
