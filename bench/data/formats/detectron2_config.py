"""Data sets that a Detectron2 config names, as data sets of this project. Nothing of Detectron2 is run.

`DATASETS.TRAIN` and `DATASETS.TEST` hold names under which Detectron2 has registered data sets. Those
that it registers itself (`detectron2/data/datasets/builtin.py`) lie at fixed places below the folder
`$DETECTRON2_DATASETS`, or `datasets`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from bench.data.formats.documents import read_yaml
from bench.data.formats.home import expanded
from bench.errors import DatasetError

BASE = "_BASE_"
DEEPEST = 16
"""Configs that may build on each other."""
COCO = re.compile(
    r"coco_(?P<year>2014|2017)_(?P<part>train|val|val_100|minival|valminusminival)(?P<panoptic>_panoptic(_separated)?)?"
)
CITYSCAPES = re.compile(r"cityscapes_fine_(sem_seg|instance_seg|panoptic)_(?P<split>train|val|test)")
ADE20K = re.compile(r"ade20k_sem_seg_(?P<split>train|val)")
KNOWN = (
    "coco_2014_{train,val,minival,valminusminival}, coco_2017_{train,val,val_100}, the same of 2017 with _panoptic or "
    "_panoptic_separated, cityscapes_fine_{sem_seg,instance_seg,panoptic}_{train,val,test}, ade20k_sem_seg_{train,val}"
)


@dataclass(frozen=True)
class Builtin:
    """A data set that Detectron2 registers itself: our reader of it, its options, and the split that is meant."""

    reader: str
    options: dict[str, JsonValue]
    split: str


def config_names(file: Path) -> tuple[str, ...]:
    """Return names of data sets in a config or those it builds on, once each; raises `DatasetError` for none."""
    found: dict[str, Any] = {}
    current = file
    for _ in range(DEEPEST):
        document = read_yaml(current)
        if not isinstance(document, dict):
            raise DatasetError(f"{current} is no Detectron2 config: it must hold keys such as DATASETS.")
        stated = document.get("DATASETS") or {}
        found = {**(stated if isinstance(stated, dict) else {}), **found}  # a file goes before what it builds on
        if not document.get(BASE):
            break
        current = current.parent / expanded(str(document[BASE]))
    else:
        raise DatasetError(f"{file}: more than {DEEPEST} configs build on each other by {BASE}; probably in a circle.")
    names = [name for key in ("TRAIN", "TEST") for name in _listed(found.get(key), key, file)]
    if not names:
        raise DatasetError(f"{file} names no data set under DATASETS.TRAIN and DATASETS.TEST. Name one there.")
    return tuple(dict.fromkeys(names))


def _listed(value: Any, key: str, file: Path) -> list[str]:
    """Return names of a list, or of a tuple as Python writes it, which YAML takes for text."""
    if isinstance(value, str) and value.strip().startswith(("(", "[")):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            raise DatasetError(f"{file}: DATASETS.{key} is {value!r}, which is no tuple of names.") from None
    names = [value] if isinstance(value, str) else list(value or ())
    if not all(isinstance(name, str) for name in names):
        raise DatasetError(f"{file}: DATASETS.{key} is {value!r}, which is no tuple of names.")
    return names


def builtin(name: str, folder: str) -> Builtin | None:
    """Return the data set of a name that Detectron2 registers itself, or None if it is none that we read."""
    base = Path(folder)
    if match := COCO.fullmatch(name):
        return _coco(match["year"], match["part"], bool(match["panoptic"]), base / "coco")
    if match := CITYSCAPES.fullmatch(name):
        return Builtin("cityscapes", {"root": str(base / "cityscapes")}, match["split"])
    if match := ADE20K.fullmatch(name):
        return Builtin("ade20k", {"root": str(base / "ADEChallengeData2016")}, match["split"])
    return None


def _coco(year: str, part: str, panoptic: bool, root: Path) -> Builtin | None:
    if year == "2014" and (panoptic or part == "val_100"):
        return None
    if part in ("train", "val"):
        images = stem = "{split}" + year
    else:
        images, stem = f"val{year}", "val2017_100" if part == "val_100" else part + year
    options: dict[str, JsonValue] = {
        "root": str(root),
        "truth": "panoptic" if panoptic else "instances",
        "images": images,
        "annotations": f"annotations/{{truth}}_{stem}.json",
        "maps": f"panoptic_{stem}" if panoptic else None,
    }
    return Builtin("coco", options, part)


def one_dataset(found: Sequence[Builtin], names: Sequence[str], file: Path) -> tuple[str, dict[str, JsonValue]]:
    """Return reader and options that open all as splits of one data set; raises `DatasetError` for other kinds."""
    first = found[0]
    if any((other.reader, other.options) != (first.reader, first.options) for other in found):
        raise DatasetError(
            f"{file} names data sets of different kinds: {', '.join(names)}. A suite takes one at a time; give a "
            "config that names one kind, or the data set itself."
        )
    if first.reader != "coco":
        return first.reader, first.options
    return first.reader, {**first.options, "splits": [other.split for other in found]}
