"""Predictions of a model that was trained on another label space -> the suite's classes, by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import yaml

from bench.data.corruptions.dataset import CorruptedDataset
from bench.data.labels.dataset import MappedDataset
from bench.data.labels.mapping import ClassTable
from bench.data.labels.spaces import BACKGROUND, LabelSpace, label_space
from bench.dataset import Dataset
from bench.errors import BenchError, did_you_mean, few
from bench.records import ClassSpec, ModelSpec, TaskKind, background_class, digest, void_id
from bench.records.stated_classes import key_of

SYNONYMS = Path(__file__).resolve().parent / "synonyms.yaml"


class _Matched(NamedTuple):
    """Where a model's classes go, those that have no place, and the suite's classes that it cannot predict."""

    table: ClassTable
    lost: tuple[str, ...]
    never: tuple[str, ...]


def table_for(model: ModelSpec, dataset: Dataset) -> ClassTable | None:
    """Return where a model's classes go; None for a model that predicts the data set's own.

    Raises:
        BenchError: If `trained_on` or a synonym names what does not exist.
    """
    return None if model.trained_on is None else _matched(model, dataset).table


def table_digest(table: ClassTable | None) -> str:
    """Return the digest of a table for records of scores; empty where nothing is mapped."""
    return "" if table is None else digest([list(table.ids), [spec.name for spec in table.classes]])


def check_mapping(model: ModelSpec, dataset: Dataset, kind: TaskKind) -> None:
    """Refuse a model with classes that are not mapped, unless it says what becomes of them.

    The model's own background needs no partner: where there is none it names no class. Nor does the
    suite's for a model of instances, whose background is where no instance is; scored as
    instances, the suite's stuff needs none either.

    Args:
        model: Model with `trained_on`.
        dataset: Data set of the case, with the suite's classes.
        kind: Form that is scored.

    Raises:
        BenchError: With both sides and the nearest names.
    """
    if model.trained_on is None:
        return
    found = _matched(model, dataset)
    free = set()
    if model.task == "instance":
        free = {spec.name for spec in dataset.classes if key_of(spec.name) == BACKGROUND or spec.is_background}
        free |= {spec.name for spec in dataset.classes if kind == "instance" and not spec.is_thing}
    never = [name for name in found.never if name not in free]
    if model.unmapped != "error" or not (found.lost or never):
        return
    suite_names = [spec.name for spec in dataset.classes]
    space = label_space(model.trained_on)
    model_names = [spec.name for spec in space.classes if spec.name not in space.unused]
    sides = []
    if never:
        sides.append(f"the suite's {_with_nearest(never, model_names)} cannot be predicted by the model")
    if found.lost:
        sides.append(f"the model's {_with_nearest(found.lost, suite_names)} have no place in the suite")
    raise BenchError(
        f"{model.label} was trained on {space.name}, {len(model_names)} classes, and is to be scored on "
        f"{len(suite_names)}: {'; '.join(sides)}. Add synonyms, as {{model's class: suite's class}}, or say unmapped: "
        "ignore (they name no class, and a suite's class that is never predicted scores 0) or unmapped: background."
    )


def _matched(model: ModelSpec, dataset: Dataset) -> _Matched:
    assert model.trained_on is not None  # the callers have asked
    space = label_space(model.trained_on)
    classes = dataset.classes
    known = places_of(dataset)
    _check_synonyms(model, space, known)
    ids, lost = [], []
    for spec in space.classes:
        name = model.synonyms.get(spec.name) or _partner(spec.name, known)
        if name is None and not (spec.name in space.unused or key_of(spec.name) == BACKGROUND):
            lost.append(spec.name)
        ids.append(void_id(len(classes)) if name is None else known[name])
    if model.unmapped == "background":
        nothing = background_class(classes)
        if nothing is None:
            raise BenchError(f"{model.label}: unmapped: background needs a class 'background' among the suite's.")
        ids = [nothing if spec.name in lost else i for spec, i in zip(space.classes, ids, strict=True)]
    never = tuple(spec.name for index, spec in enumerate(classes) if index not in ids)
    return _Matched(ClassTable(tuple(ids), classes), tuple(lost), never)


def places_of(dataset: Dataset) -> dict[str, int]:
    """Return names for a model's class -> new id or void: the suite's, and the data set's before `labels`."""
    places = {spec.name: index for index, spec in enumerate(dataset.classes)}
    dataset = dataset.inner if isinstance(dataset, CorruptedDataset) else dataset
    if isinstance(dataset, MappedDataset):
        old = zip(dataset.inner.classes, dataset.table.ids, strict=True)
        places = {**{spec.name: new_id for spec, new_id in old}, **places}
    return places


def place_of(name: str, known: Mapping[str, int]) -> int | None:
    """Return where a class of this name goes among known names: the same, a synonym, or what it is a kind of.

    Raises:
        BenchError: If two would do equally well.
    """
    partner = _partner(name, known)
    return None if partner is None else known[partner]


def _check_synonyms(model: ModelSpec, space: LabelSpace, known: Mapping[str, int]) -> None:
    names = [spec.name for spec in space.classes]
    for theirs, ours in model.synonyms.items():
        for side, name, all_names in (("model", theirs, names), ("suite", ours, list(known))):
            if name not in all_names:
                raise BenchError(
                    f"{model.label}: synonyms: {{{theirs}: {ours}}}: the {side} has no class {name!r}."
                    f"{did_you_mean(name, all_names)} Write them as {{model's class: suite's class}}."
                )


def _partner(name: str, known: Mapping[str, int]) -> str | None:
    """Return the suite's name for a model's: the same, else a synonym, else what it is a kind of; or None.

    Raises:
        BenchError: If two classes of the suite would do equally well.
    """
    same, broader = _synonyms()
    key = key_of(name)
    for wanted in ({key}, same.get(key, {key}), {k for b in broader.get(key, set()) for k in same.get(b, {b})}):
        partners = [other for other in known if key_of(other) in wanted]
        if len({known[other] for other in partners}) > 1:
            raise BenchError(
                f"the model's class {name!r} could be any of the suite's {', '.join(map(repr, sorted(partners)))}. "
                f"Choose: synonyms: {{{name}: {partners[0]}}}."
            )
        if partners:
            return partners[0]
    return None


@lru_cache(maxsize=1)
def _synonyms() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return key -> keys that mean the same; key -> keys of what it is a kind of, for synonyms of it too."""
    document = yaml.safe_load(SYNONYMS.read_text(encoding="utf-8"))
    groups = [{key_of(name) for name in group} for group in document["same"]]
    same = {key: group for group in groups for key in group}
    broader: dict[str, set[str]] = {}
    for broad, kinds in document["kinds"].items():
        for kind in kinds:
            for key in same.get(key_of(kind), {key_of(kind)}):
                broader.setdefault(key, set()).add(key_of(broad))
    return same, broader


def _with_nearest(names: Sequence[str], others: Sequence[str], most: int = 6) -> str:
    shown = []
    for name in names[:most]:
        near = difflib.get_close_matches(name, others, n=1, cutoff=0.6)
        shown.append(repr(name) + (f" (nearest: {near[0]!r})" if near else ""))
    return few([*shown, *names[most:]], most)


def classes_predicted(model: ModelSpec, dataset: Dataset) -> tuple[ClassSpec, ...]:
    """Return the label space that a model is built with: the data set's, or that of its weights."""
    return dataset.classes if model.trained_on is None else label_space(model.trained_on).classes
