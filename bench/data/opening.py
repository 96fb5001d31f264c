"""Opens the data set that a command is about: a name with options, or an entry of a suite."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from pydantic import JsonValue, ValidationError

from bench.data.formats.bands import BandOptions
from bench.data.formats.by_name import Resplit, open_dataset
from bench.data.formats.documents import read_limited
from bench.data.formats.orientation import Orientation
from bench.data.labels.dataset import MappedDataset
from bench.dataset import Dataset
from bench.errors import BenchError, DatasetError, did_you_mean
from bench.records import Labels
from bench.records.names import named_module
from bench.suite.expand import dataset_spec
from bench.suite.load import load_suite

PLACEHOLDER = re.compile(r"\{\w+\}")
PLAIN = re.compile(r"[\w./~][\w./~ +=()-]*")
"""Text that YAML may take without quotes, unless it then is a number, a date or a word such as null."""


@dataclass(frozen=True)
class Choice:
    """A data set and how it is opened.

    Attributes:
        name: Module under `bench/datasets/`.
        label: Name in messages and of files.
        asked_in: Place where the options were set, for messages.
        labels: Selection and merging of its classes by the suite; None leaves them.
    """

    name: str
    label: str
    options: dict[str, JsonValue] = field(default_factory=dict)
    asked_in: str = "--set"
    labels: Labels | None = None


def chosen(name: str | None, settings: Sequence[str], suite: str | None, label: str | None) -> Choice:
    """Return what a command line asks for.

    Args:
        name: Data set, or None where a suite says it.
        settings: `key=value`, the value in YAML; over the options of the suite.
        suite: Suite file with the data set, or None.
        label: Label of one of the suite's data sets; None where it has one only.

    Raises:
        BenchError: If it is said twice or not at all, or names nothing.
    """
    given = parsed_settings(settings)
    if suite is not None:
        if name is not None:
            raise BenchError(f"the data set is named twice, as {name!r} and by --suite {suite}; give one of them.")
        found = _of_suite(Path(suite), label)
        return replace(found, options={**found.options, **given})
    if label is not None:
        raise BenchError(f"--dataset {label!r} names a data set of a suite; give the suite with --suite FILE.")
    if name is None:
        raise BenchError("no data set given. Name one of bench list datasets, or give --suite FILE --dataset LABEL.")
    return Choice(name, name, given)


def parsed_settings(settings: Sequence[str]) -> dict[str, JsonValue]:
    """Return options from `key=value`, the value in YAML.

    Raises:
        BenchError: If there is no `=`, a key comes twice, or a value is not YAML.

    >>> parsed_settings(["root=data/my images", "fractions={train: 0.8, test: 0.2}", "group=null"])
    {'root': 'data/my images', 'fractions': {'train': 0.8, 'test': 0.2}, 'group': None}
    >>> parsed_settings(["images={split}/images/{id}.*"])  # a pattern, and no mapping
    {'images': '{split}/images/{id}.*'}
    """
    options: dict[str, JsonValue] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise BenchError(f"--set {setting!r} is not of the form key=value, for example --set root=data/mine")
        if key in options:
            raise BenchError(f"--set {key} is given twice; an option has one value.")
        try:
            value = text if PLACEHOLDER.match(text) else read_limited(text)
            json.dumps(value, allow_nan=False)
        except (yaml.YAMLError, TypeError, ValueError):
            raise BenchError(
                f"--set {setting!r}: {text!r} is no value in YAML; put text with signs such as : or {{ in quotes."
            ) from None
        options[key] = value
    return options


def as_yaml(value: JsonValue) -> str:
    """Return a value as `--set` takes it: in YAML, on one line, text without quotes where it can be.

    >>> as_yaml(["train", "a, b", None, True]), as_yaml({"test": 0.5}), as_yaml("")
    ('[train, "a, b", null, true]', '{test: 0.5}', '""')
    """
    if isinstance(value, list):
        return f"[{', '.join(map(as_yaml, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{as_yaml(key)}: {as_yaml(entry)}" for key, entry in value.items()) + "}"
    plain = isinstance(value, str) and PLAIN.fullmatch(value) and yaml.safe_load(value) == value
    return str(value) if plain else json.dumps(value, ensure_ascii=False)


def _of_suite(file: Path, label: str | None) -> Choice:
    suite = load_suite(file)
    entries = {entry.label or entry.name: entry for entry in suite.datasets}
    if label is None and len(entries) > 1:
        raise BenchError(f"{file} has {len(entries)} data sets; choose one with --dataset: {', '.join(entries)}")
    wanted = next(iter(entries)) if label is None else label
    if wanted not in entries:
        raise BenchError(
            f"{file} has no data set labelled {wanted!r}.{did_you_mean(wanted, entries)} It has: {', '.join(entries)}"
        )
    entry = entries[wanted]
    return Choice(entry.name, wanted, dict(dataset_spec(entry, file).options), str(file), entry.labels)


def module_of(name: str) -> ModuleType:
    """Return the module of a data set; raises `PluginError` with the nearest name."""
    return named_module("bench.datasets", name, "data set", "datasets")


def opened(choice: Choice) -> Dataset:
    """Open it, with the classes that it is scored with.

    Raises:
        PluginError: If there is no such data set.
        BenchError: If `labels` does not fit its classes.
        DatasetError: If an option is wrong, or the files are missing.
    """
    module = module_of(choice.name)
    try:
        dataset = open_dataset(choice.name, choice.options)
    except ValidationError as error:
        raise DatasetError(_explained(error, choice, list(module.Options.model_fields))) from None
    if choice.labels is None:
        return dataset
    try:
        return MappedDataset(dataset, choice.labels)
    except BenchError as error:
        raise BenchError(f"{choice.asked_in}: data set {choice.label!r}: {error}") from None


def _explained(error: ValidationError, choice: Choice, known: Sequence[str]) -> str:
    """Return one paragraph for the first complaint about the options."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    shared = [
        key for key in (*Resplit.model_fields, *Orientation.model_fields, *BandOptions.model_fields) if key not in known
    ]
    if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
        return (
            f"{choice.asked_in}: {choice.name} has no option {where!r}.{did_you_mean(where, [*known, *shared])} "
            f"Its options: {', '.join(known)}; and as every data set of files: {', '.join(shared)}"
        )
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    given: Any = first.get("input")
    return (
        f"{choice.asked_in}: option {where} of {choice.name}: {message[:1].lower()}{message[1:]}; given: {given!r}. "
        f"What it means: bench data info {choice.name}"
    )


def wanted_splits(dataset: Dataset, choice: Choice, asked: Sequence[str]) -> tuple[str, ...]:
    """Return the splits asked for, or all; raises `DatasetError` for one that is not there."""
    for split in asked:
        if split not in dataset.splits():
            raise DatasetError(
                f"{choice.label} has no split {split!r}.{did_you_mean(split, dataset.splits())} "
                f"It has: {', '.join(dataset.splits())}"
            )
    return tuple(dict.fromkeys(asked)) or dataset.splits()
