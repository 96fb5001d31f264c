"""Parts of COCO's truths: boxes for masks, segments, classes that were not looked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.coco_rows import OddValue, id_text, is_crowd, shown
from bench.data.formats.on_disk import missing
from bench.errors import DatasetError
from bench.records import Size


def no_annotations(root: Path, first: Path, splits: Sequence[str], obtain: str) -> DatasetError:
    """The error for a root without the annotation files that the options name, with those that are there."""
    found = sorted(path.relative_to(root).as_posix() for path in (*root.glob("*.json"), *root.glob("*/*.json")))
    if not found:
        return missing("coco", first, f"annotations for a split of {', '.join(splits)}", obtain)
    one = found[0]
    named = next((f"{split}" for split in ("train", "val", "valid", "test") if split in one), None)
    pattern = one if named is None else one.replace(named, "{split}")
    settle = (
        f"Its name holds no split: one file of all images has to be split first. Write a JSON for each split, or take "
        f"it as a single one: annotations: {one}, images: FOLDER, splits: [test]."
        if named is None
        else f"Set, for example: annotations: '{pattern}', images: '{{split}}', splits: [{named}, …]."
    )
    return DatasetError(
        f"coco: there is no {first}, but {', '.join(found[:5])}{' …' if len(found) > 5 else ''} in {root}. {settle}"
    )


def box_mask(box: object, size: Size) -> NDArray[np.bool_]:
    """Mask of a `bbox`, x, y, width, height, bool, (H, W): pixels that it touches; none where there is no such box."""
    mask = np.zeros(size, dtype=np.bool_)
    if isinstance(box, list) and len(box) == 4 and all(isinstance(n, int | float) and abs(n) < 1e7 for n in box):
        left, top = max(0, int(np.floor(box[0]))), max(0, int(np.floor(box[1])))
        right, bottom = max(0, int(np.ceil(box[0] + box[2]))), max(0, int(np.ceil(box[1] + box[3])))
        mask[top:bottom, left:right] = True
    return mask


def listed_segments(annotation: Mapping[str, Any], file: Path) -> dict[int, Mapping[str, Any]]:
    """Id -> row of the segments of a panoptic annotation; raises `DatasetError` where they are something else."""
    rows = annotation.get("segments_info")
    what = f"{file}: segments_info of the annotation of image {shown(annotation.get('image_id'))}"
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DatasetError(f"{what} is {shown(rows)}, where a list of segments is expected. Fix the file.")
    found: dict[int, Mapping[str, Any]] = {}
    for row in rows:
        try:
            is_crowd(row)
        except OddValue as error:
            raise DatasetError(f"{what}: iscrowd {error}. Fix the file.") from None
        try:
            number = int(id_text(row.get("id")))
        except (OddValue, ValueError):
            raise DatasetError(f"{what} has the id {shown(row.get('id'))}, no number. Fix the file.") from None
        if not 0 < number < 1 << 24 or number in found:
            raise DatasetError(f"{what} has the id {number} twice, or it does not fit 24 bits. Fix the file.")
        found[number] = row
    return found


def unchecked_classes(
    row: Mapping[str, Any], present: Collection[int], class_of: Mapping[str, int], file: Path
) -> tuple[int, ...]:
    """Classes that were not looked for in an image, or not all of whose objects are annotated.

    LVIS's federated rule: an image was looked through for the categories of its annotations and for those
    in `neg_category_ids`; of the categories in `not_exhaustive_category_ids` further objects may be there.

    Args:
        row: Of the image.
        present: Class ids of its objects.
        class_of: Category id -> class id.
        file: For messages.
    """
    listed: dict[str, set[int]] = {}
    for name in ("neg_category_ids", "not_exhaustive_category_ids", "pos_category_ids"):
        values = row.get(name) or []
        try:
            if not isinstance(values, list):
                raise OddValue(f"is {shown(values)}, where a list is expected")
            listed[name] = {class_of[key] for key in map(id_text, values) if key in class_of}
        except OddValue as error:
            raise DatasetError(f"{file}: {name} of image {shown(row.get('id'))} {error}. Fix the file.") from None
    looked_for = {*present, *listed["neg_category_ids"], *listed["pos_category_ids"]}
    return tuple(sorted(({*class_of.values()} - looked_for) | listed["not_exhaustive_category_ids"]))
