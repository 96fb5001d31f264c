"""Draws parts of COCO's ground truth (boxes for masks, segments, classes that were not looked for), and doubts it.

An annotation says where its object is up to three times: by segmentation, box and area. The segmentation is what is
trained on and scored. Of one that disagrees with its box it is tried whether another reading of it agrees: run lengths
row by row, x and y in each other's place, another resolution.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePath

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from bench.data.formats.coco_documents import CocoAnnotation, CocoImage, CocoSegment, CocoSegmented
from bench.data.formats.coco_rows import OddValue, nested, shown
from bench.data.formats.doubts import NEAR, SHARES, SWAPPED, Box, Doubt, are_shares, beyond_edge, box_around
from bench.data.formats.file_names import names_in, stem_of
from bench.data.formats.on_disk import missing
from bench.data.formats.rasters import SegmentationError, segmentation_masks, segmentation_runs
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
    """Return masks of an image's annotations, by columns or `by_rows`; raises `DatasetError` for one that is none."""
    try:
        return segmentation_runs([one.get("segmentation") for one in annotations], size, by_rows=by_rows)
    except SegmentationError as error:
        raise DatasetError(
            f"{file}: annotation {annotations[error.position].get('id')} of image {image} cannot be drawn: {error}. "
            "Fix or remove it."
        ) from None


AREAS = 4 / 3
LEAST_AREA = 16
"""Areas are not the same that differ by more than this factor and by more than so many pixels."""
SMOOTHER = 2.0
"""This many times longer is the outline of a mask whose run lengths are read in the wrong order."""

ROWS = "are what they seem only if their run lengths are read row by row; COCO and pycocotools read column by column"
ORDER_OPTION = ". Say which by the data set's option run_lengths: rows or run_lengths: columns"
SCALED = "are drawn in another resolution than their box"
ELSEWHERE = "have a box that is elsewhere than their mask; the masks are used"
CORNERS = "have a box of two corners, x1 y1 x2 y2, where COCO has x y width height"
AREA = "have an area that is not their mask's, by which evaluators sort small, medium and large objects"
BOX_AREA = "have the area of their box, not of their mask, by which evaluators sort small, medium and large objects"


def doubts_of(
    annotations: Sequence[Mapping[str, object]],
    masks: NDArray[np.bool_],
    size: Size,
    image: str,
    *,
    order_advice: str | None,
) -> list[Doubt]:
    """Return what is to be doubted of the annotations of an image.

    Args:
        masks: Masks of the annotations, bool, (N, H, W).
        order_advice: Advice on run lengths of rows; None where an option says in which order they are.
    """
    found: dict[tuple[str, str], list[object]] = defaultdict(list)
    for annotation, mask in zip(annotations, masks, strict=True):
        for key in _of_one(annotation, mask, size):
            if key[0] != "order" or order_advice is not None:
                found[key].append(annotation.get("id"))
    return [
        Doubt(
            kind,
            len(ids),
            len(annotations),
            what + (order_advice or "") * (kind == "order"),
            f"annotation {ids[0]} of image {image}",
        )
        for (kind, what), ids in found.items()
    ]


def _of_one(annotation: Mapping[str, object], mask: NDArray[np.bool_], size: Size) -> Iterator[tuple[str, str]]:
    segmentation, stated = annotation.get("segmentation"), _box_of(annotation.get("bbox"))
    pixels = mask.view(np.uint8)
    left, top, width, height = cv2.boundingRect(pixels)
    drawn = Box(left, top, left + width, top + height)
    drawn_area = cv2.countNonZero(pixels)
    outline = _corner_box(segmentation) if isinstance(segmentation, list) else None
    if outline is not None and are_shares(outline, size):
        yield "scale", SHARES
        return
    if outline is not None:
        cut = beyond_edge(outline, size)
        if cut is not None:
            yield cut
            if cut[0] == "scale":
                return
    if isinstance(segmentation, Mapping) and drawn_area and _is_of_rows(segmentation, mask, drawn, stated, size):
        yield "order", ROWS
        return
    if stated is not None and drawn_area and not drawn.is_near(stated.within(size)):
        yield _explained(drawn, stated, outline, size)
    area = annotation.get("area")
    if isinstance(area, int | float) and math.isfinite(area) and drawn_area and not _same_area(float(area), drawn_area):
        yield "area", BOX_AREA if stated is not None and _same_area(float(area), stated.area) else AREA


def _explained(drawn: Box, stated: Box, outline: Box | None, size: Size) -> tuple[str, str]:
    """Return why a box is elsewhere than the mask."""
    as_corners = Box(stated.left, stated.top, stated.right - stated.left, stated.bottom - stated.top)
    if as_corners.within(size).is_near(drawn):
        return "corners", CORNERS
    if outline is not None and Box(outline.top, outline.left, outline.bottom, outline.right).is_near(stated):
        return "scale", SWAPPED
    across, down = (
        (stated.right - stated.left) / (drawn.right - drawn.left),
        (stated.bottom - stated.top) / (drawn.bottom - drawn.top),
    )
    enlarged = Box(drawn.left * across, drawn.top * down, drawn.right * across, drawn.bottom * down)
    sides = zip(enlarged, stated, strict=True)
    if all(abs(a - b) <= NEAR * max(across, down, 1.0) for a, b in sides) and min(abs(across - 1), abs(down - 1)) > 0.1:
        return "scale", SCALED
    return "box", ELSEWHERE


def _is_of_rows(
    segmentation: Mapping[str, object], mask: NDArray[np.bool_], drawn: Box, stated: Box | None, size: Size
) -> bool:
    """Return whether run lengths are those of a mask stored row by row."""
    agrees = stated is not None and drawn.is_near(stated.within(size))
    # Nothing in one box has fewer steps than its rectangle.
    if agrees and _steps(mask) < SMOOTHER * (2 * (drawn.right - drawn.left + drawn.bottom - drawn.top)):
        return False
    try:
        other = segmentation_masks([segmentation], size, by_rows=True)[0]
    except SegmentationError:
        return False
    left, top, width, height = cv2.boundingRect(other.view(np.uint8))
    fits = stated is not None and Box(left, top, left + width, top + height).is_near(stated.within(size))
    # A box may have been made of the wrongly read mask; a shear shows in its outline.
    return (fits and not agrees) or _steps(mask) > SMOOTHER * _steps(other)


def _steps(mask: NDArray[np.bool_]) -> int:
    """Return sides of pixels along the outline of a mask, within the image."""
    return int((mask[:, 1:] != mask[:, :-1]).sum() + (mask[1:] != mask[:-1]).sum())


def _same_area(one: float, other: float) -> bool:
    return abs(one - other) <= LEAST_AREA or max(one, other) <= AREAS * min(one, other)


def _box_of(value: object) -> Box | None:
    """Return a `bbox`, x, y, width, height; None where it is none, or has no extent."""
    if not isinstance(value, list) or len(value) != 4:
        return None
    if not all(isinstance(n, int | float) and math.isfinite(n) for n in value) or min(value[2:]) <= 0:
        return None
    x, y, width, height = map(float, value)
    return Box(x, y, x + width, y + height)


def _corner_box(segmentation: list[object]) -> Box | None:
    """Return the box around the corners of all polygons; None where there are none."""
    try:
        points = [float(number) for part in nested(segmentation).parts for number in part]
    except (OddValue, TypeError, ValueError):
        return None
    return box_around(zip(points[::2], points[1::2], strict=True)) if not len(points) % 2 else None
