"""COCO results: one JSON list with a row for each object, `image_id`, `category_id`, `segmentation` and `score`.

The ids are those of an annotation file, see the option `annotations`. Without one, `image_id` is the image's id in the
data set, and the option `classes` says name -> category id. Images without a row are predictions of no object.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np

from bench.data.formats.coco_documents import RESULT, CocoResult, as_row
from bench.data.formats.documents import read_json
from bench.data.formats.rasters import SegmentationError, segmentation_masks
from bench.data.predictions.asked import Asked, numbered
from bench.data.predictions.matching import flags_of, named
from bench.data.predictions.options import Options
from bench.errors import BenchError, ShapeError
from bench.records import Flag, Size
from bench.records.predictions import Instances


class CocoResults:
    """Reads COCO results; see `reading.Reader`."""

    def __init__(self, file: Path, options: Options, asked: Asked) -> None:
        """Read the file and match its rows with images and classes; draws no mask."""
        self._file, self._asked = file, asked
        rows = _rows(file)
        self._rows: dict[str, list[CocoResult]] = {}
        elsewhere: dict[str, None] = {}
        strange: dict[str, None] = {}
        for row in rows:
            name = row["image_id"]
            image_id = asked.id_of(name)
            if image_id is None or image_id in asked.others:
                (strange if image_id is None else elsewhere)[f"image {name}"] = None
            else:
                self._rows.setdefault(image_id, []).append(row)
        if rows and not self._rows:
            first = next(iter([*strange, *elsewhere]))
            raise BenchError(
                f"{file}: none of its {len(rows)} rows is of an image that is scored; the first is of {first}, "
                "the images are "
                f"{named(asked.ids)}. Say what its image_id mean by the option annotations: the JSON with 'images' and "
                "'categories' that it was made for; or choose another data set or split"
            )
        self._class_of = _categories(file, rows, options, asked)
        missing = [image_id for image_id in asked.ids if image_id not in self._rows]
        self._flags = flags_of(
            missing, list(elsewhere), list(strange), len(asked.ids), missing_are="taken to hold no object"
        )
        _check_masks(rows, file)

    def flags(self) -> list[Flag]:
        """Return what is to be known of the file."""
        return self._flags

    def read(self, image_id: str, size: Size) -> Instances:
        """Return the objects of an image, in the order of the file; raises `BenchError` for masks of another size."""
        rows = self._rows.get(image_id, [])
        try:
            masks = segmentation_masks([row["segmentation"] for row in rows], size)
        except SegmentationError as error:
            row = rows[error.position]
            found = row["segmentation"].get("size") if isinstance(row["segmentation"], dict) else None
            if found is not None and list(found) != list(size):
                raise ShapeError(
                    f"{self._file}: a mask of image {image_id!r} has run lengths of {list(found)}, its image is "
                    f"{list(size)} "
                    "([height, width]). Resize masks to the image's own size before they are encoded"
                ) from None
            raise ShapeError(f"{self._file}: a mask of image {image_id!r}: {error}") from None
        return Instances(
            masks=masks,
            class_ids=np.array([self._class_of[row["category_id"]] for row in rows], dtype=np.int64),
            scores=np.array([float(row["score"]) for row in rows], dtype=np.float64),
            crowd=np.zeros(len(rows), dtype=np.bool_),
        )


def _rows(file: Path) -> list[CocoResult]:
    rows = read_json(file)
    if isinstance(rows, dict) and "annotations" in rows:
        raise BenchError(
            f"{file} holds annotations, a ground truth; COCO results are a list of rows with image_id, category_id, "
            "segmentation and score, as pycocotools' loadRes takes them"
        )
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BenchError(f"{file} is no list of rows with image_id, category_id, segmentation and score")
    return [as_row(RESULT, row, f"row {number}", file) for number, row in enumerate(rows)]


def _categories(file: Path, rows: list[CocoResult], options: Options, asked: Asked) -> dict[str, int]:
    """Return category id in its one form -> class id, for all that occur; raises for those of no class or of stuff."""
    counts = Counter(row["category_id"] for row in rows)
    class_of = categories_known(options, asked, where=f"{file}: classes")
    if class_of is None:
        if not rows:
            return {}
        numbers = sorted(int(key) for key in counts if key.lstrip("-").isdigit())
        example = ", ".join(f"{spec.name}: {n}" for spec, n in zip(asked.classes, range(1, 3), strict=False))
        raise BenchError(
            f"{file}: nothing says which classes its category_id {', '.join(map(str, numbers[:12]))} are. Give "
            "the JSON with "
            f"'images' and 'categories' by the option annotations, or say classes: {{{example}, …}}"
        )
    unknown = {key: n for key, n in counts.items() if key not in class_of}
    if unknown:
        told = ", ".join(f"{key} ({n} rows)" for key, n in list(unknown.items())[:5])
        known = ", ".join(
            f"{key} = {asked.classes[c].name}" for key, c in list(class_of.items())[:12] if c < len(asked.classes)
        )
        raise BenchError(
            f"{file}: {len(unknown)} values of category_id are no class: {told}. Known: {known}. If they are "
            "positions in "
            "a list of classes, say so by the option classes: {NAME: NUMBER}"
        )
    return class_of


def categories_known(options: Options, asked: Asked, *, where: str) -> dict[str, int] | None:
    """Return category id in its one form -> class id or void, as the options or the annotation file say; else None."""
    if options.classes is not None:
        said = numbered(options.classes, asked, offset=options.offset, where=where)
        return {str(number): class_id for number, class_id in said.items()}
    if asked.annotations is None:
        return None
    places = {key: asked.class_of(name) for key, name in asked.annotations.names_of_categories.items()}
    return {key: place for key, place in places.items() if place is not None}


def _check_masks(rows: list[CocoResult], file: Path) -> None:
    """Refuse rows without a mask or a score, all at once."""
    boxes = sum(not row.get("segmentation") for row in rows)
    if boxes:
        raise BenchError(
            f"{file}: {boxes} of {len(rows)} rows have no segmentation, as results of a detector of boxes have "
            "none. Masks are "
            "scored here; write them as run lengths or polygons"
        )
    bad = [row.get("score") for row in rows if not _is_score(row.get("score"))]
    if bad:
        raise BenchError(
            f"{file}: {len(bad)} of {len(rows)} rows have no score within 0 and 1, for example {bad[0]!r}. A "
            "score is the "
            "confidence by which detections are ranked; save probabilities, not logits or percents"
        )


def _is_score(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1
