"""Asks its runtime for the inputs and outputs of a file of ONNX or LiteRT: `python -m …file_info FILE`.

The answer is one line of JSON: `inputs` and `outputs`, each with name, shape and type, and `metadata`, text by text.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from adapters._torch.runtimes.litert_session import litert_metadata
from bench.errors import in_one_line


def answer(file: Path) -> dict[str, Any]:
    """Ask the runtime of a file by its ending."""
    return _of_litert(file) if file.suffix == ".tflite" else _of_onnx(file)


def _of_onnx(file: Path) -> dict[str, Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return {
        "inputs": [_port(one.name, one.shape, one.type) for one in session.get_inputs()],
        "outputs": [_port(one.name, one.shape, one.type) for one in session.get_outputs()],
        "metadata": dict(session.get_modelmeta().custom_metadata_map),
    }


def _of_litert(file: Path) -> dict[str, Any]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(file))

    def ports(details: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [_port(one["name"], one["shape_signature"].tolist(), one["dtype"].__name__) for one in details]

    return {
        "inputs": ports(interpreter.get_input_details()),
        "outputs": ports(interpreter.get_output_details()),
        "metadata": litert_metadata(file),
    }


def _port(name: str, shape: list[Any], kind: str) -> dict[str, Any]:
    return {"name": name, "shape": [side if isinstance(side, int) else str(side) for side in shape], "type": kind}


def main() -> int:
    """Answer for the file that is named; whatever the runtime raises is the answer's `error`."""
    try:
        told = answer(Path(sys.argv[1]))
    except Exception as error:  # a runtime's own errors have no common kind
        told = {"error": in_one_line(error, 300)}
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
