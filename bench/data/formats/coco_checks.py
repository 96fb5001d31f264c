"""Finds, by the index of a COCO file alone, annotations that would be read otherwise than they are meant.

Everything here is complete, not sampled, and costs no second look at the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.coco_documents import CocoCategory
from bench.data.formats.coco_index import CocoIndex
from bench.data.formats.coco_rows import CROWD, CROWD_AS_TEXT, DEGENERATE, ID_AGAIN, REFORMED, WITHOUT_MASK, id_text
from bench.errors import DatasetError

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
