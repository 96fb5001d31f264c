"""Polygons and run lengths to masks, as pycocotools reads them, and overlapping masks to one map.

Polygons are drawn in `polygons.py`, run lengths are read in `bench/records/mask_runs.py`.

Panoptic PNGs hold segment ids, R + 256 G + 65536 B with 0 = void, as COCO and Detectron2 have them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.data.formats.coco_rows import LEAST_NUMBERS, nested
from bench.data.formats.image_files import read_mask
from bench.data.formats.label_tables import Runs, pack_rgb, runs_of
from bench.data.formats.polygons import FARTHEST, Corners, compiled_runs, corners_of, polygon_runs
from bench.dataset import GroundTruth
from bench.errors import DatasetError
from bench.records import ClassSpec, Size, label_dtype, void_id
from bench.records.instances import EncodedInstances
from bench.records.mask_runs import MaskRuns, lengths_of_texts, texts_of_lengths
from bench.records.predictions import Instances, LabelMap, Panoptic, Segment, SemanticMap
from bench.records.run_kernels import KERNELS


class SegmentationError(ValueError):
    """A `segmentation` that cannot be drawn; `position` is its place among those that were to be drawn."""

    def __init__(self, position: int, reason: str) -> None:
        """Keep both."""
        super().__init__(reason)
        self.position = position


def text_of_run_lengths(runs: Sequence[int]) -> str:
    """Write run lengths as COCO's compressed text.

    >>> lengths_of_texts([text_of_run_lengths([5, 3, 2000, 3, 1])])[0].tolist()
    [5, 3, 2000, 3, 1]
    """
    return texts_of_lengths(np.array(runs, dtype=np.int64), np.array([len(runs)]))[0]


def segmentation_masks(segmentations: Sequence[object], size: Size, *, by_rows: bool = False) -> NDArray[np.bool_]:
    """Masks of annotations of one image, drawn: bool, (N, H, W), in the order given; see `segmentation_runs`."""
    return segmentation_runs(segmentations, size, by_rows=by_rows).drawn()


def segmentation_runs(segmentations: Sequence[object], size: Size, *, by_rows: bool = False) -> MaskRuns:
    """Masks of an image's COCO `segmentation`s: polygons, run lengths or their text; else raises `SegmentationError`.

    Args:
        by_rows: True if run lengths go along the rows, as some writers have it, and not down the columns.

    Returns:
        Masks in the order given.
    """
    if not by_rows:
        found = _runs_of_texts(segmentations, size)
        found = _runs_of_polygons(segmentations, size) if found is None else found
        if found is not None:
            return found
    polygons: list[list[Corners]] = []
    runs: dict[int, MaskRuns] = {}
    for position, segmentation in enumerate(segmentations):
        try:
            listed = isinstance(segmentation, list)
            parts = nested(segmentation).parts if isinstance(segmentation, list) else []
            if segmentation and listed and not parts:
                raise ValueError("a polygon needs three or more pairs of numbers")
            polygons.append([corners_of(points) for points in parts])
            if not isinstance(segmentation, list):
                runs[position] = _runs_of(segmentation, size, by_rows)
        except (ValueError, TypeError, OverflowError) as error:
            raise SegmentationError(position, str(error)) from None
    drawn = polygon_runs(polygons, size)
    if not runs:
        return drawn
    return MaskRuns.joined([runs[n] if n in runs else drawn.chosen(np.array([n])) for n in range(len(polygons))], size)


def _runs_of_texts(segmentations: Sequence[object], size: Size) -> MaskRuns | None:
    """Masks that are all sound run lengths as text, at once; None where another one is among them."""
    texts = [
        counts
        for one in segmentations
        if isinstance(one, dict) and isinstance(counts := one.get("counts"), str) and one.get("size") == [*size]
    ]
    if len(texts) < len(segmentations):
        return None
    try:
        return MaskRuns.of_texts(texts, size)
    except ValueError:
        return None  # the slower way tells which one


def _runs_of_polygons(segmentations: Sequence[object], size: Size) -> MaskRuns | None:
    """Masks that are all sound polygons, at once; None where another one is among them, or loops are not compiled."""
    if "turns" not in KERNELS or not segmentations:
        return None
    parts: list[list[float]] = []
    counts = []
    for one in segmentations:
        if type(one) is not list or not one:
            return None
        parts += one
        counts.append(len(one))
    if {*map(type, parts)} != {list}:
        return None
    numbers = [*map(len, parts)]
    if min(numbers) < LEAST_NUMBERS or any(number % 2 for number in numbers):
        return None
    try:
        corners = np.fromiter(chain.from_iterable(parts), dtype=np.float64, count=sum(numbers))
    except (ValueError, TypeError, OverflowError):
        return None
    if not (np.abs(corners) <= FARTHEST).all():
        return None  # the slower way tells which one
    lengths = np.array(numbers, dtype=np.int64) // 2
    return compiled_runs(corners.reshape(-1, 2), lengths, counts, size)


def _runs_of(segmentation: object, size: Size, by_rows: bool) -> MaskRuns:
    if isinstance(segmentation, dict):
        counts = segmentation.get("counts")
        if isinstance(counts, str | list) and tuple(segmentation.get("size", ())) == tuple(size):
            lengths = lengths_of_texts([counts])[0] if isinstance(counts, str) else np.array(_whole(counts), np.int64)
            ends = np.array([len(lengths)])
            if by_rows:
                turned = MaskRuns.of_lengths(lengths, ends, Size(size.width, size.height))
                return MaskRuns.of_masks(turned.drawn().transpose(0, 2, 1))
            return MaskRuns.of_lengths(lengths, ends, size)
        if tuple(segmentation.get("size", ())) == (size.width, size.height):
            raise ValueError(f"its size is written as width and height; run lengths have height and width, {[*size]}")
    raise ValueError(f"its segmentation is neither polygons nor run lengths of an image of {tuple(size)}")


def _whole(counts: list[object]) -> list[int]:
    """Run lengths as whole numbers, which some writers store as 12.0."""
    if not all(isinstance(n, int) or (isinstance(n, float) and n.is_integer()) for n in counts):
        raise ValueError("its run lengths are no whole numbers")
    return [int(n) for n in counts]  # type: ignore[call-overload]


def painted(
    instances: Instances, *, background: int | None, num_classes: int = 0, unknown: NDArray[np.bool_] | None = None
) -> LabelMap:
    """Class ids of overlapping masks in one map: smaller objects lie on top of larger ones, crowds at the bottom.

    Args:
        background: Class id of pixels in no mask; None for void.
        num_classes: K, which decides how wide the ids are; must be given where there can be more than 255.
        unknown: True for boxes around what is not drawn, bool, (N,): void where nothing else is.

    Raises:
        OverflowError: If a class id does not fit.
    """
    void, dtype = void_id(num_classes), label_dtype(num_classes)
    if max(instances.class_ids.tolist(), default=0) >= max(num_classes, void):
        raise OverflowError(f"class id {int(instances.class_ids.max())} does not fit {void} classes")
    labels = np.full(instances.size, void if background is None else background, dtype=dtype)
    pixels = instances.masks.view(np.uint8)
    areas = [cv2.countNonZero(mask) for mask in pixels]
    drawn = range(len(areas)) if unknown is None else np.flatnonzero(~unknown).tolist()
    if unknown is not None:
        labels[instances.masks[unknown].any(axis=0)] = void
    for index in sorted(drawn, key=lambda i: (not instances.crowd[i], -areas[i], i)):
        left, top, width, height = cv2.boundingRect(pixels[index])
        box = slice(top, top + height), slice(left, left + width)
        labels[box][instances.masks[index][box]] = instances.class_ids[index]
    return labels


def stacked(
    masks: Sequence[NDArray[np.bool_]] | NDArray[np.bool_],
    class_ids: Sequence[int],
    crowd: Sequence[bool],
    size: Size,
) -> Instances:
    """True instances of one image, in the order given, all with score 1; masks that are one array are not copied."""
    one = masks if isinstance(masks, np.ndarray) else np.stack(masks) if masks else np.zeros((0, *size), dtype=np.bool_)
    return Instances(
        masks=one,
        class_ids=np.array(class_ids, dtype=np.int64),
        scores=np.ones(len(class_ids), dtype=np.float64),
        crowd=np.array(crowd, dtype=np.bool_),
    )


def stacked_runs(runs: MaskRuns, class_ids: Sequence[int], crowd: Sequence[bool]) -> Instances:
    """True instances of one image whose masks are runs, in the order given, all with score 1."""
    return EncodedInstances(
        runs,
        class_ids=np.array(class_ids, dtype=np.int64),
        scores=np.ones(len(class_ids), dtype=np.float64),
        crowd=np.array(crowd, dtype=np.bool_),
    )


def instances_from_panoptic(panoptic: Panoptic, classes: Sequence[ClassSpec]) -> Instances:
    """Make every thing segment an instance; stuff and void are left out.

    A panoptic map gives each pixel away once and usually leaves out unsure segments, so an AP of
    it lies below that of the instances it was made from.
    """
    things = [segment for segment in panoptic.segments if classes[segment.class_id].is_thing]
    ids = np.array([segment.id for segment in things], dtype=np.int32)
    return Instances(
        masks=panoptic.segment_ids[None] == ids[:, None, None],
        class_ids=np.array([segment.class_id for segment in things], dtype=np.int64),
        scores=np.array([1.0 if s.score is None else s.score for s in things], dtype=np.float64),
        crowd=np.array([segment.crowd for segment in things], dtype=np.bool_),
    )


@dataclass(frozen=True)
class SegmentMap:
    """A panoptic PNG.

    Attributes:
        numbers: Ids that occur, int32, (S,).
        runs: Runs of equal ids, R of them.
        which: Position of each run's number, (R,).
    """

    file: Path
    numbers: NDArray[np.int32]
    runs: Runs
    which: NDArray[np.intp]

    def require(self, listed: Collection[int], annotation: Path) -> None:
        """Raise `DatasetError` if the ids are not those that an annotation file lists."""
        odd = sorted((set(self.numbers.tolist()) ^ set(listed)) - {0})
        if odd:
            raise DatasetError(
                f"{self.file}: segments {', '.join(map(str, odd[:5]))} are in the PNG or in {annotation.name} but not "
                "in both. Restore both from one source.",
                kind="labels",
            )

    def ground_truth(self, segments: Sequence[Segment], classes: Sequence[ClassSpec]) -> GroundTruth:
        """Return all three forms; pixels of ids that are not among the segments become void."""
        class_of = {s.id: s.class_id for s in segments}
        kept = np.array([i if i in class_of else 0 for i in self.numbers.tolist()], dtype=np.int32)
        labels = np.array(
            [class_of.get(i, void_id(len(classes))) for i in self.numbers.tolist()], dtype=label_dtype(len(classes))
        )
        ids = self.runs.filled(kept[self.which])
        panoptic = Panoptic(ids, tuple(segments))
        return GroundTruth(
            semantic=SemanticMap(self.runs.filled(labels[self.which])),
            instances=instances_from_panoptic(panoptic, classes),
            panoptic=panoptic,
        )


def read_segment_map(png: Path) -> SegmentMap:
    """Read a panoptic PNG; raises `DatasetError` if it is not RGB."""
    mask = read_mask(png)
    if mask.pixels.ndim != 3:
        raise DatasetError(
            f"{png} is not RGB; a panoptic PNG holds ids as R + 256 G + 65536 B. Restore it.", kind="colours"
        )
    runs = runs_of(pack_rgb(np.ascontiguousarray(mask.pixels[..., ::-1])))  # B << 16 | G << 8 | R
    numbers, which = np.unique(runs.values, return_inverse=True)
    return SegmentMap(png, numbers, runs, which)
