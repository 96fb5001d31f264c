"""Draws parts of COCO's ground truth: boxes for masks, segments, classes that were not looked for."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from bench.data.formats.coco_documents import CocoAnnotation, CocoImage, CocoSegment, CocoSegmented
from bench.data.formats.coco_rows import shown
from bench.data.formats.file_names import names_in, stem_of
from bench.data.formats.on_disk import missing
from bench.data.formats.rasters import SegmentationError, segmentation_runs
from bench.data.formats.typed import Number
from bench.errors import DatasetError
from bench.records import Size
from bench.records.mask_runs import MaskRuns

BOX = TypeAdapter(tuple[Number, Number, Number, Number])


def no_annotations(root: Path, first: Path, splits: Sequence[str], obtain: str) -> DatasetError:
    """Return the error for a root without the annotation files that the options name, with those that are there."""
    found = sorted(path.relative_to(root).as_posix() for path in (*root.glob("*.json"), *root.glob("*/*.json")))
    if not found:
        return missing("coco", first, f"annotations for a split of {', '.join(splits)}", obtain)
    one, more = found[0], " …" if len(found) > 5 else ""
    named = next((split for split in ("train", "val", "valid", "test") if split in one), None)
    settle = (
        f"Its name holds no split: one file of all images has to be split first. Write a JSON for each split, or take "
        f"it as a single one: annotations: {one}, images: FOLDER, splits: [test]."
    )
    if named is not None:
        pattern = one.replace(named, "{split}")
        settle = f"Set, for example: annotations: '{pattern}', images: '{{split}}', splits: [{named}, …]."
    return DatasetError(f"coco: there is no {first}, but {', '.join(found[:5])}{more} in {root}. {settle}")


def images_missing(names: Sequence[str], total: int, file: Path, folder: Path, obtain: str | None) -> DatasetError:
    """Return the error for images that an annotation file names and that are not there.

    Args:
        folder: Folder that was searched first.
        obtain: Way to get COCO's own images; None where these are another project's.
    """
    what = f"the {total} images that {file.name} names, of which {len(names)} are missing: {', '.join(names[:5])}"
    other = sorted(name for name in names_in(folder) if stem_of(name) == PurePath(names[0]).stem)
    what += (" …" if len(names) > 5 else "") + (f". There is {other[0]}, of another suffix" if other else "")
    advice = "Put them there, set the option images to their folder, or leave them out with missing_images: leave_out."
    return missing("coco", folder / names[0], what, obtain or advice)


def box_mask(annotation: CocoAnnotation, size: Size, file: Path) -> NDArray[np.bool_]:
    """Return the pixels that a `bbox`, x, y, width, height, touches, bool, (H, W); raises `DatasetError` for none."""
    try:
        left, top, width, height = BOX.validate_python(annotation.get("bbox"))
    except ValidationError:
        raise DatasetError(
            f"{file}: annotation {shown(annotation.get('id'))} has no mask, and its bbox is "
            f"{shown(annotation.get('bbox'))}, where x, y, width and height are expected. Fix or remove it.",
            kind="labels",
        ) from None
    mask = np.zeros(size, dtype=np.bool_)
    rows = slice(max(0, math.floor(top)), max(0, math.ceil(top + height)))
    mask[rows, max(0, math.floor(left)) : max(0, math.ceil(left + width))] = True
    return mask


def with_boxes(runs: MaskRuns, annotations: Sequence[CocoAnnotation], boxes: Sequence[int], file: Path) -> MaskRuns:
    """Return masks with the boxes of some annotations, by their positions, in their places."""
    masks = runs.drawn()
    for position in boxes:
        masks[position] = box_mask(annotations[position], runs.size, file)
    return MaskRuns.of_masks(masks)


def listed_segments(annotation: CocoAnnotation | CocoSegmented, file: Path) -> dict[int, CocoSegment]:
    """Return id -> row of the segments of a panoptic annotation; raises `DatasetError` for none, or for one twice."""
    rows = annotation.get("segments_info")
    what = f"{file}: segments_info of the annotation of image {annotation['image_id']}"
    if rows is None:
        raise DatasetError(f"{what} is None, where a list of segments is expected. Fix the file.", kind="labels")
    found: dict[int, CocoSegment] = {}
    for row in rows:
        if row["id"] in found:
            raise DatasetError(f"{what} has the id {row['id']} twice. Fix the file.", kind="labels")
        found[row["id"]] = row
    return found


def unchecked_classes(
    row: CocoImage | None, present: Collection[int], class_of: Mapping[str, int | None]
) -> tuple[int, ...]:
    """Return classes that were not looked for in an image, or not all of whose objects are annotated.

    LVIS's federated rule: an image was looked through for the categories of its annotations and for those
    in `neg_category_ids`; of the categories in `not_exhaustive_category_ids` further objects may be there.

    Args:
        present: Class ids of its objects.
        class_of: Category id -> class id.
    """
    if row is None:
        return ()
    known = {category: class_id for category, class_id in class_of.items() if class_id is not None}
    named = (row.get("neg_category_ids"), row.get("pos_category_ids"), row.get("not_exhaustive_category_ids"))
    absent, there, not_all = ({known[key] for key in keys or () if key in known} for keys in named)
    looked_for = {*present, *absent, *there}
    return tuple(sorted(({*known.values()} - looked_for) | not_all))


def runs_of(annotations: Sequence[CocoAnnotation], size: Size, file: Path, image: str, *, by_rows: bool) -> MaskRuns:
    """Return masks of annotations of one image; raises `DatasetError` naming the one that is none.

    Args:
        by_rows: True if run lengths go along the rows.
    """
    try:
        return segmentation_runs([one.get("segmentation") for one in annotations], size, by_rows=by_rows)
    except SegmentationError as error:
        raise DatasetError(
            f"{file}: annotation {annotations[error.position].get('id')} of image {image} cannot be drawn: {error}. "
            "Fix or remove it."
        ) from None
