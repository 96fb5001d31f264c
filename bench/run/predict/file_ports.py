"""Files that a runtime runs as they are, and folders of transformers: lines of `bench weights info`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.run.environments.interpreters import asked
from bench.suite.model_configs import model_config_files, read_model_config

QUESTION = "adapters._torch.runtimes.file_info"
ARCHITECTURES = {"data2vec-vision": "data2vec"}
"""`model_type` of a config.json -> architecture of the model configs, where they differ."""


@dataclass(frozen=True)
class FileDescription:
    """Hold what a runtime says of a file.

    Attributes:
        lines: Its inputs, outputs and metadata, and what follows from them.
        options: Options of the model config that follow, as YAML between braces; empty where none do.
    """

    lines: list[str]
    options: str = ""


def ports(path: Path, python: Path, *, finds_objects: bool) -> FileDescription:
    """Return what the runtime of a file says of its inputs, outputs and metadata, and what options follow from that.

    Args:
        path: The file.
        python: Interpreter with its runtime.
        finds_objects: True if its model config reads all outputs of a network that finds objects.
    """
    answer = asked(python, QUESTION, str(path.absolute()))
    if answer is None:
        return FileDescription([f"  {python} could not read it; see: bench doctor"])
    if "error" in answer:
        return FileDescription([f"  it cannot be read: {answer['error']}"])
    lines = [f"  {way[:-1]} {_port(one)}" for way in ("inputs", "outputs") for one in answer[way]]
    lines += [f"  its metadata say {name}: {str(text)[:120]}" for name, text in sorted(answer["metadata"].items())]
    hints, options = _of_input(answer["inputs"][0]), ""
    if not finds_objects:
        of_output, options = _of_outputs(answer["outputs"])
        hints += of_output
    return FileDescription([*lines, *hints], options)


def _port(one: Mapping[str, Any]) -> str:
    return f"{one['name']}: {one['type']}, {' x '.join(map(str, one['shape']))}"


def _of_input(first: Mapping[str, Any]) -> list[str]:
    """Return what follows from the input: the layout, how many images at once, and whether bytes go in."""
    shape, found = first["shape"], []
    if len(shape) == 4 and shape[1] not in (1, 3) and shape[3] in (1, 3):
        found.append("  channels are last: layout NHWC, which is seen from the file")
    if "int" in first["type"]:
        found.append("  it takes bytes as they are: mean and std are not applied")
    if len(shape) == 4 and isinstance(shape[0], int) and shape[0] > 1:
        found.append(f"  it takes {shape[0]} images at once: the suite's target needs batch_size: {shape[0]}")
    return found


def _of_outputs(outputs: Sequence[Mapping[str, Any]]) -> tuple[list[str], str]:
    """Return what follows from the outputs, and the options that say so."""
    first, found = outputs[0], []
    if len(outputs) > 1:
        names = ", ".join(one["name"] for one in outputs)
        found.append(f"  it has several outputs ({names}); options: {{output: NAME}} says which one is read")
    count = _classes(first["shape"])
    if "int" in first["type"] and (count in (None, 1) or len(first["shape"]) == 3):
        return [*found, "  its first output holds whole numbers, ids of classes"], "{output_is: labels}"
    if count == 1:
        found.append(
            "  its first output has one channel, a sigmoid's; sigmoid_probability where it ends with its activation"
        )
        return found, "{output_is: sigmoid_logit}"
    if count is not None:
        found.append(
            f"  its first output has {count} channels, one for each class, taken for logits; options: {{output_is: …}} "
            "says what else they are"
        )
    return found, ""


def _classes(shape: Sequence[Any]) -> int | None:
    """Return channels of an output (B, K, H, W) or (B, H, W, K); None where that is not known."""
    if len(shape) != 4 or not all(isinstance(side, int) and side > 0 for side in (shape[1], shape[3])):
        sides = [shape[i] for i in (1, 3) if len(shape) == 4 and isinstance(shape[i], int) and shape[i] > 0]
        return sides[0] if len(sides) == 1 else None
    return int(min(shape[1], shape[3]))


def of_folder(path: Path) -> list[str]:
    """Return the lines of a suite that use a folder of transformers, by the `model_type` of its config.json.

    Empty where no model config builds its network from the configuration in a folder.
    """
    try:
        said = str(json.loads((path / "config.json").read_text(encoding="utf-8")).get("model_type"))
    except (OSError, ValueError, AttributeError, RecursionError):
        return []
    architecture = ARCHITECTURES.get(said, said)
    configs = {name: read_model_config(name) for name in model_config_files()}
    fitting = [
        name for name, one in configs.items() if one.options.get("architecture") == architecture and not one.trained_on
    ]
    by_task: dict[str, str] = {}
    for name in sorted(fitting, key=len, reverse=True):
        by_task.setdefault(str(configs[name].task), name)
    if not by_task:
        return []
    lines = [f"built from its own config.json by architecture {architecture}; in a suite:", "  models:"]
    for task, name in sorted(by_task.items(), reverse=True):
        comment = f"    # task: {task}" if len(by_task) > 1 else ""
        lines.append(f"    - {{name: {name}, label: {path.name}, options: {{pretrained: {path.absolute()}}}}}{comment}")
    return lines
