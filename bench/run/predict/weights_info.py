"""Tells what a weight file is, which model configs it fits, and the lines of a suite that use it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.adapter import adapter_folders
from bench.errors import BenchError, PluginError, few
from bench.records import ModelSpec, as_json_dict
from bench.records.stated_classes import classes_beside
from bench.records.store.files import content_sha256
from bench.run.environments.interpreters import Interpreters, asked
from bench.run.predict.weight_classes import classes_of_weights
from bench.run.predict.weight_files import Kind, kind_of
from bench.suite.model_configs import model_config_files, read_model_config, resolve_model

QUESTION = "adapters._torch.weights_info"
LISTED = 8
"""This many classes and model configs are listed."""


def describe_weights(path: Path, interpreters: Interpreters, only: str | None = None) -> str:
    """Return the answer of `bench weights info` as text; by the model configs of one adapter where `only` names it.

    Raises:
        BenchError: If it is no weight file that is known, is damaged, or cannot be read.
    """
    kind = kind_of(path)
    lines = [f"{path}: {kind.name}", *(f"  {fact}" for fact in kind.facts)]
    if kind.code:
        lines.append(f"  it holds objects beside tensors, which are never restored: {few(kind.code, LISTED)}")
    published = _published(path)
    if published:
        return "\n".join([*lines, *published])
    names = classes_of_weights(path)
    beside = classes_beside(path) if names is None else None
    if beside is not None:
        names, called = beside
        lines.append(f"  classes by {called} beside it")
    of_folder = _of_transformers(path) if path.is_dir() and kind.has_tensors else []
    if of_folder:
        return "\n".join([*lines, *_classes(names), *of_folder])
    if not kind.has_tensors:
        shown = _FileDescription([])
        if kind.runs is not None and path.suffix in (".onnx", ".tflite"):
            python, finds_objects = interpreters.python(kind.runs.partition("/")[0]), kind.runs.endswith("yolo_seg")
            shown = _ports(path, python, finds_objects=finds_objects)
        own = _lines(kind.weights or path, kind.runs, names, None, kind.options or shown.options)
        return "\n".join([*lines, *shown.lines, *_classes(names), *own])
    if kind.name == "a checkpoint of Ultralytics":
        return "\n".join([*lines, *_classes(names), *_ultralytics(path, kind, names)])
    groups = _groups(interpreters, only)
    print(f"trying {sum(map(len, groups.values()))} model configs", file=sys.stderr)
    answers = [_asked(python, path, models) for python, models in groups.items()]
    first = next((answer for answer in answers if "error" not in answer), None)
    if first is None:
        raise BenchError(answers[0]["error"] if answers else f"no adapter of torch networks is here to read {path}")
    names = names or (tuple(first["class_names"]) if first["class_names"] else None)
    rows = [row for answer in answers for row in answer.get("models", ())]
    return "\n".join([*lines, *_tensors(first), *_classes(names), *_fitting(path, rows, names)])


def _published(path: Path) -> list[str]:
    """Return what to say of a file that a model config names as its own weights, by its hash; nothing of any other."""
    sources = {name: read_model_config(name).source for name in model_config_files()} if path.is_file() else {}
    known = {source.sha256: (name, source) for name, source in sources.items() if source is not None}
    name, source = known.get(content_sha256(path), ("", None)) if known else ("", None)
    if source is None:
        return []
    return [
        f"  the published weights of {name}, which knows its classes and its preprocessing; {source.licence}",
        "in a suite:",
        "  models:",
        f"    - {name}   # once fetched: bench weights prepare {name}",
    ]


def _groups(interpreters: Interpreters, only: str | None) -> dict[Path, list[ModelSpec]]:
    """Model configs of torch networks that bring no weights, by the interpreter that runs them."""
    folders = adapter_folders()
    if only is not None and only not in folders:
        raise PluginError(f"no adapter named {only!r}. List them with: bench list adapters")
    groups: dict[Path, list[ModelSpec]] = {}
    for name in model_config_files():
        adapter = name.partition("/")[0]
        text = (folders[adapter] / "adapter.py").read_text(encoding="utf-8")
        if only not in (None, adapter) or "adapters._torch" not in text:
            continue
        try:
            model = resolve_model(name)
        except PluginError:
            continue
        if model.trained_on is None and "pretrained" not in model.options:
            groups.setdefault(interpreters.python(adapter), []).append(model)
    return groups


def _asked(python: Path, path: Path, models: Sequence[ModelSpec]) -> dict[str, Any]:
    """Ask one interpreter; an answer with `error` where the file or the framework cannot be read."""
    question = json.dumps({"file": str(path.absolute()), "models": [as_json_dict(model) for model in models]})
    answer = asked(python, QUESTION, question=question)
    return {"error": f"{python} could not read {path}; see: bench doctor"} if answer is None else answer


def _tensors(answer: dict[str, Any]) -> list[str]:
    lines = [f"  {answer['tensors']} tensors, {answer['numbers']:,} numbers; the first: {', '.join(answer['first'])}"]
    places = {key: count for key, count in answer["sets"].items() if key}
    if places:
        lines.append("  under the keys " + ", ".join(f"{key} ({count} tensors)" for key, count in places.items()))
    if answer["averages"]:
        lines.append(
            f"  moving averages, which are taken unless weights_key says else: {', '.join(answer['averages'])}"
        )
    if answer["architecture"]:
        lines.append(f"  trained as {json.dumps(answer['architecture'])}")
    if answer["input"]:
        lines.append(f"  preprocessing in the file: {_contract(answer['input'])}")
    return lines


def _contract(said: dict[str, Any]) -> str:
    """Return what a network is fed, in words."""
    size = "images of their own size" if said.get("size") is None else f"{said['size']} by {said.get('fit')}"
    return f"mean {said['mean']}, std {said['std']}, {said['channels']}, {size}"


def _classes(names: Sequence[str] | None) -> list[str]:
    return ["  it names no classes"] if names is None else [f"  {len(names)} classes: {few(names, LISTED)}"]


def _fitting(path: Path, rows: list[dict[str, Any]], names: Sequence[str] | None) -> list[str]:
    fits = [row for row in rows if row["fits"]]
    if not fits:
        near = sorted(rows, key=lambda row: row["alike"] / row["own"], reverse=True)[:3]
        lines = ["fits none of the model configs here; the nearest:"]
        lines += [
            f"  {r['name']}: {r['alike']} of its {r['own']} tensors; {r['differs']} differs" for r in near if r["alike"]
        ]
        return [
            *lines,
            "  other options may fit (bench list models), or write an adapter: bench new adapter NAME --out DIR",
        ]
    lines = [
        f"fits {len(fits)} model config{'s' if len(fits) > 1 else ''}: {few([row['name'] for row in fits], LISTED)}"
    ]
    if len(fits) > 1:
        lines.append("  these have the same tensors; choose the one whose description says how they were trained")
    row = fits[0]
    if row["beside"]:
        lines.append(f"  taken from {row['taken'] or 'the file'}; as many tensors lie in {', '.join(row['beside'])}")
    lines.append(
        f"  {row['name']} feeds it {_contract(row['input'])}, as {row['input']['said_by']} says; check that it was "
        "trained so, else say input: {mean: […], std: […]}"
    )
    return [*lines, *_lines(path, row["name"], names, row["classes"])]


def _lines(
    path: Path, name: str | None, names: Sequence[str] | None, count: int | None, options: str = ""
) -> list[str]:
    """Return the lines of a suite."""
    if name is None:
        return []
    lines = ["in a suite:", "  models:", f"    - name: {name}", f"      weights: {path.absolute()}"]
    if options:
        lines.append(f"      options: {options}")
    if count == 1:
        lines.append("      options: {head: sigmoid}    # one output: the foreground of two classes")
    if names is not None:
        lines.append(f"      trained_on: [{', '.join(json.dumps(str(one), ensure_ascii=False) for one in names)}]")
    elif count:
        lines.append(
            f"      # it tells {max(count, 2)} classes apart; say which unless they are the data set's, in its order:"
        )
        lines.append("      # trained_on: [background, …]")
    return lines


def _ultralytics(path: Path, kind: Kind, names: Sequence[str] | None) -> list[str]:
    cards = [name for name in model_config_files() if name.startswith("ultralytics/")]
    named = None if kind.network is None else f"ultralytics/{kind.network.replace('-', '_')}"
    if named in cards:
        return [f"trained as {kind.network} by Ultralytics' trainer", *_lines(path, named, names, None)]
    what = "a network that it does not name" if kind.network is None else kind.network
    return [f"trained as {what} by Ultralytics' trainer; there are model configs for {few(cards, LISTED)}"]


OF_FILE = "adapters._torch.runtimes.file_info"
ARCHITECTURES = {"data2vec-vision": "data2vec"}
"""`model_type` of a config.json -> architecture of the model configs, where they differ."""


@dataclass(frozen=True)
class _FileDescription:
    """Hold the lines on what a runtime says of a file, and the options of a model config that follow, as YAML."""

    lines: list[str]
    options: str = ""


def _ports(path: Path, python: Path, *, finds_objects: bool) -> _FileDescription:
    """Return what the runtime of a file says of its inputs, outputs and metadata, and what options follow from that."""
    answer = asked(python, OF_FILE, str(path.absolute()))
    if answer is None:
        return _FileDescription([f"  {python} could not read it; see: bench doctor"])
    if "error" in answer:
        return _FileDescription([f"  it cannot be read: {answer['error']}"])
    lines = [f"  {way[:-1]} {_port(one)}" for way in ("inputs", "outputs") for one in answer[way]]
    lines += [f"  its metadata say {name}: {str(text)[:120]}" for name, text in sorted(answer["metadata"].items())]
    hints, options = _of_input(answer["inputs"][0]), ""
    if not finds_objects:
        of_output, options = _of_outputs(answer["outputs"])
        hints += of_output
    return _FileDescription([*lines, *hints], options)


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
    count = _channels(first["shape"])
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


def _channels(shape: Sequence[Any]) -> int | None:
    """Return channels of an output (B, K, H, W) or (B, H, W, K); None where that is not known."""
    if len(shape) != 4 or not all(isinstance(side, int) and side > 0 for side in (shape[1], shape[3])):
        sides = [shape[i] for i in (1, 3) if len(shape) == 4 and isinstance(shape[i], int) and shape[i] > 0]
        return sides[0] if len(sides) == 1 else None
    return int(min(shape[1], shape[3]))


def _of_transformers(path: Path) -> list[str]:
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
