"""Class names that a checkpoint states, whatever its trainer calls them; found by form, without any framework."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LISTS = ("class_names", "classes", "CLASSES", "class_labels", "label_names", "thing_classes", "stuff_classes")
"""Keys of lists of names in the order of the outputs."""

BY_ID = ("names", "id2label", "idx_to_class", "id_to_class", "label_map", *LISTS)
"""Keys of mappings from ids, as numbers or text, to names."""

TO_ID = ("label2id", "class_to_idx", "class_to_id", "name2id")
"""Keys of mappings from names to ids."""

INSIDE = ("meta", "dataset_meta", "metadata", "hyper_parameters", "hparams", "config", "cfg", "args", "model_args")
"""Keys of dictionaries that trainers keep what they know of the data in."""

DEEPEST = 3

BESIDE = (
    "id2label.json",
    "classes.json",
    "class_names.json",
    "labels.json",
    "classes.txt",
    "class_names.txt",
    "labels.txt",
)
"""Files of names that lie beside checkpoints."""


def classes_in(content: Mapping[Any, Any], depth: int = 0) -> tuple[str, ...] | None:
    """Return the names that a checkpoint's dictionary states, by id; None where it states none.

    >>> classes_in({"meta": {"CLASSES": ("road", "car")}, "state_dict": {}})
    ('road', 'car')
    >>> classes_in({"config": {"id2label": {"1": "car", "0": "road"}}})
    ('road', 'car')
    >>> classes_in({"class_to_idx": {"car": 1, "road": 0}}), classes_in({"classes": 21})
    (('road', 'car'), None)
    """
    for key in LISTS:
        if (found := _listed(content.get(key))) is not None:
            return found
    for key in BY_ID:
        if (found := names_by_id(content.get(key))) is not None:
            return found
    for key in TO_ID:
        ids = content.get(key)
        if isinstance(ids, Mapping) and (found := names_by_id({number: name for name, number in ids.items()})):
            return found
    inner = [content.get(key) for key in INSIDE] if depth < DEEPEST else []
    found_inside = (classes_in(one, depth + 1) for one in inner if isinstance(one, Mapping))
    return next((found for found in found_inside if found is not None), None)


def read_texts(texts: Mapping[str, str]) -> dict[str, Any]:
    """Return what texts mean that a file keeps under names: JSON, a Python literal, or the text itself.

    >>> read_texts({"names": "{0: 'cat'}", "imgsz": "[64, 64]", "author": "me"})
    {'names': {0: 'cat'}, 'imgsz': [64, 64], 'author': 'me'}
    """
    return {name: _meaning(text) for name, text in texts.items()}


def _meaning(text: str) -> Any:
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
    return text


def classes_beside(path: Path) -> tuple[tuple[str, ...], str] | None:
    """Return the names in a file of names beside a checkpoint, and its name; None where none lies there."""
    for name in BESIDE:
        try:
            text = path.with_name(name).read_text(encoding="utf-8")
            said = json.loads(text) if name.endswith(".json") else [line.strip() for line in text.splitlines()]
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(said, list):
            said = [line for line in said if line]
        found = _listed(said) or names_by_id(said) or (classes_in(said) if isinstance(said, Mapping) else None)
        if found is not None:
            return found, name
    return None


def names_by_id(names: Any) -> tuple[str, ...] | None:
    """Return the names of a mapping from 0, 1, … to names, in that order; None of anything else.

    >>> names_by_id({"1": "b", 0: "a"}), names_by_id({1: "b", 2: "c"}), names_by_id(["a"])
    (('a', 'b'), None, None)
    """
    if not isinstance(names, Mapping) or not names:
        return None
    if not all(isinstance(name, str) and re.fullmatch(r"\d+", str(number)) for number, name in names.items()):
        return None
    by_id = {int(number): str(name) for number, name in names.items()}
    return tuple(by_id[i] for i in range(len(by_id))) if sorted(by_id) == list(range(len(names))) else None


def _listed(names: Any) -> tuple[str, ...] | None:
    if isinstance(names, list | tuple) and names and all(isinstance(name, str) and name for name in names):
        return tuple(names)
    return None
