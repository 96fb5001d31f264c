"""Class names that a checkpoint states, whatever its trainer calls them; found by form, without any framework."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.records.damage import json_of, text_of

LISTS = (
    *("class_names", "classes", "CLASSES", "CLASS_NAMES", "class_labels", "label_names", "category_names"),
    *("class_list", "categories", "labels", "names", "thing_classes", "stuff_classes"),
)
"""Keys of lists of names, or of entries with `name` and `id`, in the order of the outputs."""

BY_ID = ("id2label", "idx_to_class", "idx2class", "id_to_class", "id2name", "label_map", *LISTS)
"""Keys of mappings from ids, as numbers or text, to names."""

TO_ID = ("label2id", "class_to_idx", "class_to_id", "class2idx", "name2id", "label_map", "labels", "classes")
"""Keys of mappings from names to ids."""

INSIDE = (
    *("meta", "dataset_meta", "metadata", "hyper_parameters", "hparams", "config", "cfg", "args", "model_args"),
    *("dataset", "data"),
)
"""Keys of dictionaries that trainers keep what they know of the data in."""

DEEPEST = 3

BESIDE = (
    *("id2label.json", "label2id.json", "class_to_idx.json", "idx_to_class.json", "label_map.json"),
    *("classes.json", "class_names.json", "labels.json", "names.json"),
    *("classes.txt", "class_names.txt", "labels.txt", "names.txt", "label_map.txt", "labelmap.txt", "obj.names"),
    *("classes.yaml", "classes.yml", "labels.yaml", "class_names.yaml", "data.yaml", "dataset.yaml"),
    *("dataset.json", "config.json"),
)
"""Files of names that lie beside checkpoints, those that hold nothing else first."""

OF_THE_FILE = (".names", ".json", ".yaml", "_classes.txt", "_classes.json", "_labels.txt", "_labels.json")
"""Ends of files of names that are called as the checkpoint is."""

LONGEST_LIST = 1024**2
"""Bytes of the longest file of names that is read."""


def classes_in(content: Mapping[Any, Any], depth: int = 0) -> tuple[str, ...] | None:
    """Return the names that a checkpoint's dictionary states, by id; None where it states none.

    Objects that were not restored, such as a Namespace, are looked into by their `state`. Ids that begin with 1, as
    COCO's do, leave 0 to the background.

    >>> classes_in({"meta": {"CLASSES": ("road", "car")}, "state_dict": {}})
    ('road', 'car')
    >>> classes_in({"config": {"id2label": {"1": "car", "0": "road"}}})
    ('road', 'car')
    >>> classes_in({"class_to_idx": {"car": 1, "road": 0}}), classes_in({"classes": 21})
    (('road', 'car'), None)
    >>> classes_in({"categories": [{"id": 1, "name": "car"}, {"id": 0, "name": "road"}]})
    ('road', 'car')
    >>> classes_in({"classes": {1: "cat", 2: "dog"}})
    ('background', 'cat', 'dog')
    """
    for key in LISTS:
        if (found := _listed(content.get(key))) is not None:
            return found
    for key in BY_ID:
        if (found := names_by_id(_from_zero(content.get(key)))) is not None:
            return found
    for key in TO_ID:
        if (found := _names_to_ids(content.get(key))) is not None:
            return found
    inner = [_attributes(content.get(key)) for key in INSIDE] if depth < DEEPEST else []
    found_inside = (classes_in(one, depth + 1) for one in inner if isinstance(one, Mapping))
    return next((found for found in found_inside if found is not None), None)


def classes_of_config(said: Mapping[Any, Any]) -> tuple[str, ...] | None:
    """Return the classes of a config.json of transformers, from its `id2label`, else its `label2id`; None where it only
    numbers them.

    >>> classes_of_config({"id2label": {"1": "cat", "0": "dog"}}), classes_of_config({"label2id": {"cat": 1, "dog": 0}})
    (('dog', 'cat'), ('dog', 'cat'))
    >>> classes_of_config({"id2label": {"0": "LABEL_0"}}) is None
    True
    """
    for found in (names_by_id(said.get("id2label")), _names_to_ids(said.get("label2id"))):
        if found is not None and not are_generic(found):
            return found
    return None


def _from_zero(names: Any) -> Any:
    """Return a mapping from 1, 2, … to names with the background as 0; anything else as it is."""
    if not isinstance(names, Mapping) or not names:
        return names
    ids = {str(number) for number in names}
    return {0: "background", **names} if ids == {str(i) for i in range(1, len(names) + 1)} else names


def _attributes(value: Any) -> Any:
    """Return a mapping as it is, and of an object that was not restored what a file says of its attributes."""
    return value if isinstance(value, Mapping) else getattr(value, "state", None)


def read_texts(texts: Mapping[str, str]) -> dict[str, Any]:
    """Return what texts mean that a file keeps under names: JSON, a Python literal, or the text itself.

    >>> read_texts({"names": "{0: 'cat'}", "imgsz": "[64, 64]", "author": "me"})
    {'names': {0: 'cat'}, 'imgsz': [64, 64], 'author': 'me'}
    """
    return {name: _meaning(text) for name, text in texts.items()}


def _meaning(text: str) -> Any:
    for read in (json_of, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
    return text


def classes_beside(path: Path) -> tuple[tuple[str, ...], str] | None:
    """Return the names in a file of names beside a checkpoint, and its name; None where none lies there.

    Args:
        path: The checkpoint, or the folder that is one.
    """
    folder = path if path.is_dir() else path.parent
    own = [] if path.is_dir() else [f"{path.stem}{end}" for end in OF_THE_FILE]
    for name in (*own, *BESIDE):
        beside = folder / name
        if beside == path or not beside.is_file() or beside.stat().st_size > LONGEST_LIST:
            continue
        found = _names_in(beside)
        if found is not None and not are_generic(found):
            return found, name
    return None


def key_of(name: str) -> str:
    """Return a name without case and punctuation.

    >>> key_of("Dining-Table")
    'diningtable'
    """
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def are_generic(names: Sequence[str]) -> bool:
    """Return whether names only number the classes, as a library writes them where it was told none.

    >>> are_generic(["LABEL_0", "LABEL_1"]), are_generic(["0", "1"]), are_generic(["label_0", "cat"])
    (True, True, False)
    """
    return all(re.fullmatch(r"(?:label|class)?[_ ]?\d+", str(name).strip().casefold()) for name in names)


def _names_in(file: Path) -> tuple[str, ...] | None:
    """Return the names in a file of names: JSON, YAML, or one in each line."""
    try:
        text = text_of(file, "utf-8-sig")
        said = _read(text, file.suffix)
    except (OSError, ValueError, RecursionError):
        return None
    if isinstance(said, Mapping):
        own = names_by_id(said) or _names_to_ids(said)
        return own if own is not None else classes_in(said)
    return _listed(said)


def _read(text: str, ending: str) -> Any:
    if ending == ".json":
        return json_of(text)
    if ending not in (".yaml", ".yml"):
        return _of_lines(text)
    import yaml

    try:
        # Names need no aliases, which can stand for more than memory holds.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            return None
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


def _of_lines(text: str) -> list[str]:
    """Return a name for each line, without its number or colour, as label files of TensorFlow and CVAT have them.

    >>> _of_lines("0 sky\\n1 red car\\n"), _of_lines("# label:color_rgb:parts:actions\\nsky:0,0,0::\\ncar:1,0,0::\\n")
    (['sky', 'red car'], ['sky', 'car'])
    """
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if lines and all(re.fullmatch(r"[^:]+:\d+,\d+,\d+:.*", line) for line in lines):
        return [line.partition(":")[0] for line in lines]
    numbered = [re.fullmatch(r"(\d+)\s*[\s:=,]\s*(\S.*)", line) for line in lines]
    found = [(int(one[1]), one[2].strip()) for one in numbered if one is not None]
    return [name for _, name in found] if [i for i, _ in found] == list(range(len(lines))) else lines


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


def _names_to_ids(ids: Any) -> tuple[str, ...] | None:
    """Return the names of a mapping from names to 0, 1, …, in the order of these; None of anything else."""
    if not isinstance(ids, Mapping) or len({str(number) for number in ids.values()}) < len(ids):
        return None
    return names_by_id(_from_zero({number: name for name, number in ids.items() if isinstance(number, int | str)}))


def _listed(names: Any) -> tuple[str, ...] | None:
    if not isinstance(names, list | tuple) or not names:
        return None
    if all(isinstance(one, Mapping) and {"id", "name"} <= one.keys() for one in names):
        return names_by_id(_from_zero({one["id"]: one["name"] for one in names}))
    if all(isinstance(name, str) and name for name in names):
        return tuple(names)
    return None
