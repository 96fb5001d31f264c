"""The classes of a COCO file: its categories in its order, or those that are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.coco_documents import CocoCategory
from bench.data.formats.coco_index import CocoIndex
from bench.data.formats.coco_rows import colour
from bench.data.formats.label_tables import palette_colour
from bench.errors import DatasetError, did_you_mean, few
from bench.records import ClassSpec

FREQUENCIES: dict[str, Literal["rare", "common", "frequent"]] = {"r": "rare", "c": "common", "f": "frequent"}
"""LVIS says by these letters in how many training images a category is."""


def background_spec(name: str) -> ClassSpec:
    """Return the class of pixels in no object."""
    return ClassSpec(name=name, is_thing=False, colour=(0, 0, 0), is_background=True)


def classes_of(
    index: CocoIndex,
    *,
    roots: Collection[str],
    wanted: Sequence[str] | None,
    all_things: bool | None,
    background: str | None = None,
) -> tuple[ClassSpec, ...]:
    """Return the classes of a file.

    Args:
        roots: Ids of categories that are no classes, see `coco_checks.exporter_roots`.
        wanted: Names of the classes that are used, in order; None takes all.
        all_things: True if classes are things; None where each category says it of itself.
        background: Name of the class of pixels in no object, the last one; None for none.

    Raises:
        DatasetError: If there are no categories, two of one name, or not those that are wanted.
    """
    file = index.state.file
    rows = _by_name([row for row in index.categories if row["id"] not in roots], file)
    for name in wanted or ():
        if name not in rows:
            raise DatasetError(
                f"coco: no class named {name!r}.{did_you_mean(name, rows)} {file.name} has: {', '.join(rows)}"
            )
    colours = {name: palette_colour(position) for position, name in enumerate(rows, start=1)}
    classes = tuple(
        ClassSpec(
            name=name,
            is_thing=rows[name].get("isthing", True) if all_things is None else all_things,
            colour=colour(rows[name].get("color"), colours[name]),
            frequency=FREQUENCIES.get(str(rows[name].get("frequency"))),
        )
        for name in wanted or tuple(rows)
    )
    if background in [spec.name for spec in classes]:
        raise _background_is_a_category(str(background), classes, file)
    return classes if background is None else (*classes, background_spec(background))


def ids_of_classes(
    named: Mapping[str, str], first: Mapping[str, str], roots: Collection[str], classes: Sequence[ClassSpec]
) -> dict[str, int | None]:
    """Return category id -> class id by the names, None for one that was not asked for; without the roots.

    Args:
        named: Category id -> name, of a file.
        first: The same of the file that the classes are of.
        roots: Ids in that file of categories that are no classes.
        classes: The label space.
    """
    place = {spec.name: class_id for class_id, spec in enumerate(classes)}
    if named != first:
        names = {first[category] for category in roots} - place.keys()
        roots = {category for category, name in named.items() if name in names}
    return {category: place.get(name) for category, name in named.items() if category not in roots}


NOT_ASKED_FOR, OF_NO_CATEGORY = -1, -2
"""They stand in the place of the class id of an annotation that has none."""


def class_table(index: CocoIndex, class_of: Mapping[str, int | None]) -> NDArray[np.int64]:
    """Return the class id of each category of a file, in its order, and at the end of what is none of them.

    Args:
        index: Index of the file.
        class_of: Category id -> class id, see `ids_of_classes`.
    """
    found = [class_of.get(row["id"], OF_NO_CATEGORY) for row in index.categories]
    known = [NOT_ASKED_FOR if class_id is None else class_id for class_id in found]
    return np.array([*known, OF_NO_CATEGORY], dtype=np.int64)


def _by_name(categories: Sequence[CocoCategory], file: Path) -> dict[str, CocoCategory]:
    """Return name -> category; raises `DatasetError` where there are none, or two of one name."""
    if not categories:
        raise DatasetError(f"{file} has no categories. Add them to the file.")
    names = Counter(row["name"] for row in categories)
    twice = sorted(name for name, times in names.items() if times > 1)
    if twice:
        raise DatasetError(f"{file} has two categories of one name, {twice[0]!r}. Rename or merge them.")
    return {row["name"]: row for row in categories}


def note_of_other_ids(index: CocoIndex, first: CocoIndex) -> str:
    """Return what to note of a split whose categories have other ids; raises `DatasetError` for other names."""
    own, others = (Counter(one.names_of_categories.values()) for one in (index, first))
    if own != others:
        more, fewer = ((one - other).elements() for one, other in ((own, others), (others, own)))
        raise DatasetError(
            f"{index.state.file} has other categories than the other splits: {few(more) or 'none'} where "
            f"{first.state.file.name} has {few(fewer) or 'none'}. All splits need the same names."
        )
    return (
        f"{index.state.file.name}: its category ids are not those of {first.state.file.name}; classes go by their "
        "names, which agree"
    )


def _background_is_a_category(background: str, classes: Iterable[ClassSpec], file: Path) -> DatasetError:
    """Return the error for an option `background` that names a category."""
    others = ", ".join(spec.name for spec in classes if spec.name != background)
    return DatasetError(
        f"coco: background: {background} is also a category of {file}; two classes of one name "
        f"cannot be told apart. Leave the category out with classes: [{others}], or call the class of "
        "pixels in no object otherwise, for example background: outside."
    )
