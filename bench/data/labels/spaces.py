"""Published label spaces that weights were trained on, and a user's own list of names.

A space is a list of classes in the order of a model's outputs, which is the order of the ids that
its adapter predicts. Sources: COCO's `panopticapi` categories, the Pascal VOC 2012 development
kit, the SceneParsing challenge (ADE20K), cityscapesScripts.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data.formats.label_tables import named_classes, read_table, rgb_of
from bench.errors import BenchError, did_you_mean
from bench.records import ClassSpec

COCO = Path(__file__).resolve().parent / "coco.csv"
BACKGROUND = "background"


@dataclass(frozen=True)
class LabelSpace:
    """The classes a model predicts.

    Attributes:
        name: Name as in `trained_on`.
        classes: Classes in the order of their ids.
        unused: Names of ids that no image was ever labelled with.
    """

    name: str
    classes: tuple[ClassSpec, ...]
    unused: frozenset[str] = frozenset()


def label_space(trained_on: str | Sequence[str]) -> LabelSpace:
    """Return a label space by name, or that of a list of class names, of which all are things but `background`.

    Raises:
        BenchError: If there is no such space, with the nearest name; if a list names a class twice.
    """
    if not isinstance(trained_on, str):
        twice = sorted({name for name in trained_on if list(trained_on).count(name) > 1})
        if twice:
            raise BenchError(f"trained_on names the class {twice[0]!r} twice; each class has a name of its own")
        return LabelSpace("its own list", named_classes(trained_on, things={*trained_on} - {BACKGROUND}))
    makers = {
        "coco_things": lambda: _coco(things_only=True),
        "coco_91": _coco_91,
        "coco_panoptic": lambda: _coco(things_only=False),
        "voc": _voc,
        "ade20k": _ade20k,
        "cityscapes": _cityscapes,
    }
    if trained_on not in makers:
        raise BenchError(
            f"there is no label space {trained_on!r}.{did_you_mean(trained_on, makers)} Known: "
            f"{', '.join(sorted(makers))}; or list the model's classes in the order of its outputs, for example "
            "trained_on: [background, cat, dog]"
        )
    return LabelSpace(trained_on, *makers[trained_on]())


Parts = tuple[tuple[ClassSpec, ...], frozenset[str]]


def _coco_rows() -> list[dict[str, str]]:
    with COCO.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _coco(*, things_only: bool) -> Parts:
    """80 things, or these and 53 kinds of stuff, without the holes between COCO's own ids."""
    rows = [row for row in _coco_rows() if row["is_thing"] == "1" or not things_only]
    things = [row["name"] for row in rows if row["is_thing"] == "1"]
    return named_classes([row["name"] for row in rows], things=things), frozenset()


def _coco_91() -> Parts:
    """Return COCO's own ids 0-90: the background, 80 things and ten ids without a class."""
    name_of = {int(row["id"]): row["name"] for row in _coco_rows() if row["is_thing"] == "1"} | {0: BACKGROUND}
    names = [name_of.get(index, f"unused {index}") for index in range(91)]
    unused = frozenset(name for name in names if name not in name_of.values())
    return named_classes(names, things={*names} - unused - {BACKGROUND}), unused


def _voc() -> Parts:
    names = [row["name"] for row in read_table("voc")]
    return named_classes(names, things={*names} - {BACKGROUND}), frozenset()


def _ade20k() -> Parts:
    return named_classes([row["name"] for row in read_table("ade20k")]), frozenset()


def _cityscapes() -> Parts:
    rows = sorted(
        (row for row in read_table("cityscapes") if row["train_id"] != "255"), key=lambda r: int(r["train_id"])
    )
    return tuple(
        ClassSpec(name=row["name"], is_thing=row["has_instances"] == "1", colour=rgb_of(row)) for row in rows
    ), frozenset()
