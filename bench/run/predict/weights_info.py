"""Tells what a weight file is, which model configs it fits, and the lines of a suite that use it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.adapter import adapter_folders
from bench.errors import BenchError, PluginError, few
from bench.records import ModelSpec, as_json_dict
from bench.records.stated_classes import classes_beside
from bench.records.store.files import content_sha256
from bench.run.environments.interpreters import Interpreters, asked
from bench.run.predict import file_ports
from bench.run.predict.weight_classes import classes_of_weights
from bench.run.predict.weight_files import Kind, kind_of
from bench.suite.model_configs import model_config_files, read_model_config, resolve_model

QUESTION = "adapters._torch.weights_info"
LISTED = 8
"""This many classes and model configs are listed."""


def describe_weights(path: Path, interpreters: Interpreters, only: str | None = None) -> str:
    """Return the answer of `bench weights info` as text.

    Args:
        path: File or folder.
        interpreters: Pythons that run the adapters.
        only: Name of an adapter whose model configs alone are tried; None for all.

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
    of_folder = file_ports.of_folder(path) if path.is_dir() and kind.has_tensors else []
    if of_folder:
        return "\n".join([*lines, *_classes(names), *of_folder])
    if not kind.has_tensors:
        shown = file_ports.FileDescription([])
        if kind.runs is not None and path.suffix in (".onnx", ".tflite"):
            python, finds_objects = interpreters.python(kind.runs.partition("/")[0]), kind.runs.endswith("yolo_seg")
            shown = file_ports.ports(path, python, finds_objects=finds_objects)
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
        if only not in (None, adapter) or not _on_torch(folders[adapter]):
            continue
        try:
            model = resolve_model(name)
        except PluginError:
            continue
        if model.trained_on is None and "pretrained" not in model.options:
            groups.setdefault(interpreters.python(adapter), []).append(model)
    return groups


def _on_torch(folder: Path) -> bool:
    """Return whether an adapter is built on `adapters/_torch`, by its text."""
    return "adapters._torch" in (folder / "adapter.py").read_text(encoding="utf-8")


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
