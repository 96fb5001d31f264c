"""YAML -> Suite, with messages that name the file, the path, the line and the nearest known key."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bench.adapter import load_loss_grammar
from bench.data.formats.documents import read_limited
from bench.dataset import dataset_names
from bench.errors import SuiteError, did_you_mean, in_one_line
from bench.metric import metric_error
from bench.records.base import merged
from bench.records.damage import text_of
from bench.suite.model_configs import model_config_files
from bench.suite.schema import Suite

Lines = dict[tuple[str | int, ...], int]


def load_suite(path: Path) -> Suite:
    """Read a suite file and everything it extends.

    Raises:
        SuiteError: If a file is missing, is not YAML, or says something a suite cannot say.
    """
    document, lines = _read_with_parents(path, seen=())
    document.setdefault("name", path.stem)
    try:
        # Strict validation of JSON accepts lists for tuples, which strict validation of Python
        # objects does not, and still refuses "2" for 2.
        return Suite.model_validate_json(json.dumps(document))
    except ValidationError as error:
        names = _names_unknown(document, SuiteLines(path, lines))
        raise SuiteError("\n".join([explain(error, path, lines, Suite), *names])) from None


class SuiteLines:
    """Places in a suite file as messages name them; what a suite inherits by `extends` has no line.

    Args:
        source: The file.
        lines: Path in the document -> line, from 1.
        labels: Labels of the models, in the order of the suite.
    """

    def __init__(self, source: Path, lines: Lines | None = None, labels: tuple[str, ...] = ()) -> None:
        self.source, self._lines, self._labels = source, lines or {}, labels

    @classmethod
    def of(cls, suite: Suite, source: Path) -> SuiteLines:
        """Read the file of a loaded suite once more; there may be none any more."""
        labels = tuple(entry.label or entry.name for entry in suite.models)
        try:
            return cls(source, _read(source)[1], labels)
        except SuiteError:
            return cls(source, labels=labels)

    def at(self, *where: str | int) -> str:
        """Return ` (line 7)` for a path in the document, such as `"metrics", 0`; empty where it has no line."""
        line = self._lines.get(where)
        return f" (line {line})" if line else ""

    def place(self, *where: str | int) -> str:
        """Return how a message on a path in the document begins: `x.yaml: metrics[0] (line 7): `."""
        return f"{self.source}: {_dotted(where)}{self.at(*where)}: "

    def of_model(self, label: str) -> str:
        """Return the line of the model of a case, whose label may end in its seed or its prompt."""
        found = [i for i, own in enumerate(self._labels) if label == own or label.startswith(f"{own} ")]
        return self.at("models", max(found, key=lambda i: len(self._labels[i]))) if found else ""


def name_errors(key: str, entries: Iterable[object], lines: SuiteLines) -> list[str]:
    """Return a sentence for each name of a list (`models`, `datasets`, `metrics`) that nothing here bears.

    Entries are as written or as loaded; what has no name is passed over.
    """
    error_of = metric_error if key == "metrics" else _unknown_in(key)
    names = [one.get("name") if isinstance(one, dict) else getattr(one, "name", one) for one in entries]
    errors = [error_of(name) if isinstance(name, str) else None for name in names]
    return [f"{lines.place(key, index)}{error}" for index, error in enumerate(errors) if error is not None]


def _unknown_in(key: str) -> Callable[[str], str | None]:
    noun, known = ("model", [*model_config_files()]) if key == "models" else ("data set", [*dataset_names()])

    def error_of(name: str) -> str | None:
        if name in known:
            return None
        return f"no {noun} named {name!r}.{did_you_mean(name, known)} List them with: bench list {key}"

    return error_of


def _names_unknown(document: dict[str, Any], lines: SuiteLines) -> list[str]:
    """Names of a suite that cannot be validated and that nothing here bears, so that one reading tells all."""
    recipe = document.get("recipe")
    loss = recipe.get("loss") if isinstance(recipe, dict) else None
    losses = [one for one in (loss if isinstance(loss, list) else [loss]) if isinstance(one, str)]
    found = [f"{lines.place('recipe', 'loss')}{s}" for one in losses for s in load_loss_grammar().loss_errors(one)]
    for key in ("models", "datasets", "metrics"):
        entries = document.get(key)
        found += name_errors(key, entries if isinstance(entries, list) else (), lines)
    return found


def _read_with_parents(path: Path, seen: tuple[Path, ...]) -> tuple[dict[str, Any], Lines]:
    resolved = path.resolve()
    if resolved in seen:
        chain = " -> ".join(p.name for p in (*seen, resolved))
        raise SuiteError(f"{path}: extends itself ({chain}). Remove one of these 'extends' lines.")
    document, lines = _read(path)
    parent_name = document.get("extends")
    if parent_name is None:
        return document, lines
    if not isinstance(parent_name, str):
        raise SuiteError(f"{path}: extends (line {lines.get(('extends',), 1)}): expected the name of a suite file.")
    parent, _ = _read_with_parents(path.parent / parent_name, (*seen, resolved))
    parent.pop("name", None)
    return merged(parent, document), lines


def _read(path: Path) -> tuple[dict[str, Any], Lines]:
    try:
        text = text_of(path)
    except FileNotFoundError:
        near = did_you_mean(path.name, [p.name for p in path.parent.glob("*.yaml")]) if path.parent.is_dir() else ""
        raise SuiteError(f"{path}: there is no such suite file.{near} Shipped suites are in suites/.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    try:
        document = read_limited(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise SuiteError(f"{path}: is not YAML: {in_one_line(error)}") from None
    if not isinstance(document, dict):
        raise SuiteError(
            f"{path}: a suite is a mapping with at least 'models' and 'datasets'; see suites/semantic.yaml."
        )
    lines: Lines = {}
    _collect_lines(node, (), lines)
    try:
        json.dumps(document, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SuiteError(f"{path}: holds a value that is not text, number, list, mapping or null: {error}") from None
    return document, lines


def _collect_lines(node: yaml.Node | None, at: tuple[str | int, ...], lines: Lines) -> None:
    if node is None:
        return
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            key = str(key_node.value)
            lines[(*at, key)] = key_node.start_mark.line + 1
            _collect_lines(value_node, (*at, key), lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            _collect_lines(child, (*at, index), lines)


def explain(error: ValidationError, path: Path, lines: Lines, model: type[BaseModel]) -> str:
    """Return a line for each of pydantic's complaints, sorted by position, with path, line and nearest key."""
    told = [
        (_line_of(_clean(one["loc"], lines), lines) or 0, _sentence(one, path, lines, model)) for one in error.errors()
    ]
    return "\n".join(dict.fromkeys(text for _, text in sorted(told, key=lambda pair: pair[0])))


def _line_of(where: tuple[str | int, ...], lines: Lines) -> int | None:
    return next((lines[where[:n]] for n in range(len(where), 0, -1) if where[:n] in lines), None)


def _sentence(one: ErrorDetails, path: Path, lines: Lines, model: type[BaseModel]) -> str:
    where = _clean(one["loc"], lines)
    if one["type"] == "extra_forbidden":
        where = (*_clean(one["loc"][:-1], lines), one["loc"][-1])  # an unknown key may look like anything
    line = _line_of(where, lines)
    at = f"{path}: {_dotted(where)}" + (f" (line {line})" if line else "")
    if one["type"] == "extra_forbidden":
        known = _keys_at(model, where[:-1])
        here = _dotted(where[:-1]) or "a suite"
        return (
            f"{at}: unknown key.{did_you_mean(str(where[-1]), known)} Known keys of {here}: {', '.join(sorted(known))}."
        )
    if one["type"] == "missing":
        return f"{path}: {_dotted(where)}: is missing. {_description(model, where)}".rstrip()
    message = one["msg"].removeprefix("Value error, ")
    given = "" if isinstance(one.get("input"), dict | list) else f" Given: {one.get('input')!r}."
    return f"{at}: {message[0].lower()}{message[1:]}.{given}"


def _clean(loc: Sequence[str | int], lines: Lines) -> tuple[str | int, ...]:
    """Drop what pydantic adds to a location: union members, and the index of a wrapped single value."""
    where: tuple[str | int, ...] = ()
    for part in loc:
        is_tag = isinstance(part, str) and (part[:1].isupper() or "[" in part or "-" in part)
        wrapped = isinstance(part, int) and where in lines and (*where, part) not in lines
        if not is_tag and not wrapped:
            where = (*where, part)
    return where


def _dotted(where: Sequence[str | int]) -> str:
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _model_at(model: type[BaseModel], where: Sequence[str | int]) -> type[BaseModel] | None:
    """Follow a path through nested models; None where it leaves them."""
    at: type[BaseModel] | None = model
    for part in where:
        if isinstance(part, str):
            at = _model_in(at.model_fields[part].annotation) if at and part in at.model_fields else None
    return at


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model inside an annotation such as `tuple[Annotated[ModelEntry, ...], ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for m in map(_model_in, get_args(annotation)) if m is not None), None)


def _keys_at(model: type[BaseModel], where: Sequence[str | int]) -> list[str]:
    at = _model_at(model, where)
    return list(at.model_fields) if at else []


def _description(model: type[BaseModel], where: Sequence[str | int]) -> str:
    at = _model_at(model, where[:-1])
    field = at.model_fields.get(str(where[-1])) if at else None
    return (field.description or "") if field else ""
