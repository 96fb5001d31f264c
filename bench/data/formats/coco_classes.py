"""The classes of a COCO file, and annotations that would be read otherwise than they are meant, by its index alone.

The checks are complete, not sampled, and cost no second look at the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.coco_documents import CocoCategory
from bench.data.formats.coco_index import CocoIndex
from bench.data.formats.coco_rows import (
    CROWD,
    CROWD_AS_TEXT,
    DEGENERATE,
    ID_AGAIN,
    REFORMED,
    WITHOUT_MASK,
    colour,
    id_text,
)
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
    """Return the classes of a file; raises `DatasetError` for none, two of one name, or not those that are wanted.

    Args:
        roots: Ids of categories that are no classes, see `coco_checks.exporter_roots`.
        wanted: Names of the classes that are used, in order; None takes all.
        all_things: True if classes are things; None where each category says it of itself.
        background: Name of the class of pixels in no object, the last one; None for none.
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
        others = ", ".join(spec.name for spec in classes if spec.name != background)
        raise DatasetError(
            f"coco: background: {background} is also a category of {file}; two classes of one name "
            f"cannot be told apart. Leave the category out with classes: [{others}], or call the class of "
            "pixels in no object otherwise, for example background: outside."
        )
    return classes if background is None else (*classes, background_spec(background))


def ids_of_classes(
    named: Mapping[str, str], first: Mapping[str, str], roots: Collection[str], classes: Sequence[ClassSpec]
) -> dict[str, int | None]:
    """Return category id -> class id by the names, None for one that was not asked for; without the roots.

    Args:
        named: Category id -> name, of a file.
        first: The same of the file that the classes are of.
        roots: Ids in that file of categories that are no classes.
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


WithoutMask = Literal["leave_out", "box"]
Crowds = Literal["keep", "objects"]
MOST_CROWDS = 0.5
"""Share of annotations from which crowds are no exception but a habit of the tool that wrote the file."""


def exporter_roots(categories: Sequence[CocoCategory], used: NDArray[np.bool_]) -> set[str]:
    """Return ids of categories that an exporter made for its own tree: the super-category of others, and never
    annotated.

    Roboflow writes one in front of the classes. COCO's `person`, which is its own super-category, is none.

    Args:
        used: True for each category that has an annotation, bool, (categories,).
    """
    # Two rows of one id would hide each other; the label space refuses them by their names.
    above = Counter(str(row.get("supercategory")) for row in categories)
    return {
        row["id"]
        for row, annotated in zip(categories, used.tolist(), strict=True)
        if not annotated
        and row.get("supercategory") in (None, "", "none", "None")
        and above[row["name"]] - (str(row.get("supercategory")) == row["name"])
    }


def used_categories(index: CocoIndex) -> NDArray[np.bool_]:
    """Return whether there is an annotation of each category, bool, (categories,)."""
    known = index.category[index.category >= 0]
    return np.bincount(known, minlength=len(index.categories)) > 0


def checked_objects(
    index: CocoIndex, chosen: NDArray[np.bool_], *, without_mask: WithoutMask | None, crowds: Crowds | None
) -> list[str]:
    """Refuse what an option has to settle, and tell what is read otherwise than it is written.

    Args:
        chosen: The annotations that are used, bool, (A,).
        without_mask, crowds: The options of these names; None where the suite says nothing.

    Returns:
        A note for each thing that is left out or converted.

    Raises:
        DatasetError: If annotations have no mask, or most are crowds, and no option says what becomes of them.
    """
    file, total = index.state.file, int(chosen.sum())
    unnamed = chosen & (index.category < 0)
    if unnamed.any():
        raise DatasetError(
            f"{file}: {int(unnamed.sum())} of {total} annotations have a category_id that is not among its categories, "
            f"for example {index.first_with(unnamed)}. {_counted_otherwise(index, unnamed)}Add the category, or remove "
            "the annotations.",
            kind="labels",
        )
    empty = chosen & ((index.flags & WITHOUT_MASK) > 0)
    if empty.any() and without_mask is None:
        raise DatasetError(
            f"{file}: {int(empty.sum())} of {total} annotations have no mask (no segmentation, an empty one, or "
            f"polygons of fewer than three points), for example {index.first_with(empty)}. No model can find an "
            "object that has no pixel. Draw them, or say what becomes of them by the data set's option: "
            "without_mask: leave_out (they are no objects; what is found there counts as wrong) or without_mask: box "
            "(their box is a crowd: what is found there counts neither as right nor as wrong)."
        )
    crowded = chosen & ((index.flags & CROWD) > 0)
    share = int(crowded.sum()) / max(total, 1)
    if share > MOST_CROWDS and crowds is None:
        raise DatasetError(
            f"{file}: {int(crowded.sum())} of {total} annotations are marked iscrowd: 1, for example "
            f"{index.first_with(crowded)}. A crowd is a region that no detection is scored in; CVAT and other tools "
            "mark every mask so that is stored as run lengths. Say what they are by the data set's option: "
            "crowds: objects (each is one object) or crowds: keep (they are crowds indeed)."
        )
    return [*_notes(index, chosen, crowded, empty, without_mask, crowds)]


def _counted_otherwise(index: CocoIndex, unnamed: NDArray[np.bool_]) -> str:
    """Return what to say where annotations count categories from 0 and the list from 1, or the other way round."""
    at = np.flatnonzero(unnamed)[:1]
    with suppress(ValueError):  # ids that are no numbers
        listed = [int(key) for key in index.names_of_categories]
        found = int(id_text(index.state.rows(index.offset[at], index.length[at])[0].get("category_id")))
        counted = {min(listed) - 1: ("add 1 to", "below"), max(listed) + 1: ("take 1 from", "above")}
        if found in counted:
            change, side = counted[found]
            return (
                f"The category_id {found} is just {side} the ids of the categories, {min(listed)} to {max(listed)}: "
                f"they may be counted from another number, and then all of them are wrong; if so, {change} each. "
            )
    return ""


def _notes(
    index: CocoIndex,
    chosen: NDArray[np.bool_],
    crowded: NDArray[np.bool_],
    empty: NDArray[np.bool_],
    without_mask: WithoutMask | None,
    crowds: Crowds | None,
) -> list[str]:
    name = index.state.file.name
    become = {"leave_out": "are left out", "box": "are crowds of the size of their box", None: ""}[without_mask]
    rows = [
        (empty, f"annotations without a mask {become}"),
        (crowded & (crowds == "objects"), "annotations marked iscrowd are read as objects"),
        (chosen & ((index.flags & DEGENERATE) > 0), "annotations have parts of fewer than three points, left out"),
        (
            chosen & ((index.flags & REFORMED) > 0),
            "annotations have a segmentation that is a flat list of numbers or a list of pairs, where COCO nests a "
            "list for each polygon, [[x1, y1, x2, y2, …]]; they are read as that",
        ),
        (chosen & ((index.flags & CROWD_AS_TEXT) > 0), "annotations have iscrowd as text, read as the number in it"),
        (
            chosen & ((index.flags & ID_AGAIN) > 0),
            "annotations have the id of an earlier one; each is read as an object of its own, where pycocotools takes "
            "the last of an id for all of them",
        ),
    ]
    return [
        f"{name}: {int(which.sum())} {what}, for example {index.first_with(which)}"
        for which, what in rows
        if which.any()
    ]
