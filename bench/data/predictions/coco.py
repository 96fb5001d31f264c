"""COCO results: one JSON list with a row for each object, `image_id`, `category_id`, `segmentation` and `score`.

The ids are those of an annotation file, see the option `annotations`. Without one, `image_id` is the image's id in the
data set, and the option `classes` says name -> category id. Images without a row are predictions of no object.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby
from math import isnan
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from bench.data.formats.coco_documents import RESULT, as_row
from bench.data.formats.documents import read_json, whole_number
from bench.data.formats.json_stream import JsonStream
from bench.data.formats.rasters import SegmentationError, segmentation_runs
from bench.data.predictions.matching import Reader, flags_of, named
from bench.data.predictions.options import Options
from bench.data.predictions.requested import Requested, numbered
from bench.errors import BenchError, ShapeError
from bench.records import Size
from bench.records.instances import EncodedInstances, Instances
from bench.records.mask_runs import MaskRuns


class CocoResults(Reader):
    """Reads COCO results."""

    def __init__(self, file: Path, options: Options, asked: Requested) -> None:
        """Read the file and match its rows with images and classes; draws no mask."""
        self._file, self._asked = file, asked
        rows = _Rows(file, asked)
        self._of_image = rows.of_image
        if rows.count and not self._of_image:
            first = next(iter([*rows.strange, *rows.elsewhere]))
            raise BenchError(
                f"{file}: none of its {rows.count} rows is of an image that is scored; the first is of {first}, the "
                f"images are {named(asked.ids)}. Say what its image_id mean by the option annotations: the JSON with "
                "'images' and 'categories' that it was made for; or choose another data set or split"
            )
        self._class_of = _categories(file, rows.categories, options, asked)
        missing = [image_id for image_id in asked.ids if image_id not in self._of_image]
        self._flags = flags_of(
            missing, list(rows.elsewhere), list(rows.strange), len(asked.ids), missing_are="taken to hold no object"
        )
        rows.require_masks()

    def read(self, image_id: str, size: Size) -> Instances:
        """Return the objects of an image, in the order of the file; raises `BenchError` for masks of another size."""
        found = self._of_image.get(image_id, _OfImage())
        try:
            runs = found.runs(size)
        except SegmentationError as error:
            segmentation = found.segmentations()[error.position]
            other = segmentation.get("size") if isinstance(segmentation, dict) else None
            if other is not None and list(other) != list(size):
                raise ShapeError(
                    f"{self._file}: a mask of image {image_id!r} has run lengths of {list(other)}, its image is "
                    f"{list(size)} ([height, width]). Resize masks to the image's own size before they are encoded"
                ) from None
            raise ShapeError(f"{self._file}: a mask of image {image_id!r}: {error}") from None
        return EncodedInstances(
            runs,
            class_ids=np.array([self._class_of[category] for category in found.categories], dtype=np.int64),
            scores=np.array(found.scores, dtype=np.float64),
            crowd=np.zeros(len(found.scores), dtype=np.bool_),
        )


@dataclass
class _OfImage:
    """The rows of one image: category ids in their one form, scores, and masks as they are written."""

    categories: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    masks: list[Any] = field(default_factory=list)
    size: list[Any] | None = None

    def add(self, segmentation: Any) -> None:
        """Keep a mask; of run lengths as text the text alone, with the size once for all of the image."""
        if type(segmentation) is dict and len(segmentation) == 2:
            size, counts = segmentation.get("size"), segmentation.get("counts")
            if type(counts) is str and type(size) is list:
                self.size = size if self.size is None else self.size
                if size == self.size:
                    self.masks.append(counts)
                    return
        self.masks.append({"text": segmentation} if isinstance(segmentation, str) else segmentation)

    def add_texts(self, sizes: list[list[Any]], texts: list[str]) -> None:
        """Keep masks that are run lengths as text, of the sizes that stand beside them."""
        self.size = sizes[0] if self.size is None else self.size
        if all(size == self.size for size in sizes):
            self.masks += texts
            return
        for size, text in zip(sizes, texts, strict=True):
            self.add({"size": size, "counts": text})

    def segmentations(self) -> list[Any]:
        return [{"size": self.size, "counts": one} if isinstance(one, str) else one for one in self.masks]

    def runs(self, size: Size) -> MaskRuns:
        """Return the masks; raises `SegmentationError` for one that cannot be drawn."""
        if self.size == [*size] and all(isinstance(one, str) for one in self.masks):
            with contextlib.suppress(ValueError):  # the other way tells which one
                return MaskRuns.of_texts(self.masks, size)
        return segmentation_runs(self.segmentations(), size)


class _Usual(NamedTuple):
    """Columns of rows that are written as pycocotools writes them, run lengths as text with their size, (R,) each."""

    images: list[int]
    categories: list[int]
    scores: list[float]
    sizes: list[list[Any]]
    texts: list[str]


def _usual(rows: list[Any]) -> _Usual | None:
    """Return the columns of rows; None where any of them needs a closer look."""
    try:
        images, categories, scores = ([row[name] for row in rows] for name in ("image_id", "category_id", "score"))
        masks = [row["segmentation"] for row in rows]
        sizes, texts = ([mask[name] for mask in masks] for name in ("size", "counts"))
    except (KeyError, TypeError):
        return None
    found = _Usual(images, categories, scores, sizes, texts)
    types = [{*map(type, column)} for column in (rows, masks, *found)]
    if types != [{dict}, {dict}, {int}, {int}, {float}, {list}, {str}] or {*map(len, masks)} != {2}:
        return None
    return found if min(scores) >= 0 and max(scores) <= 1 and not any(map(isnan, scores)) else None


class _Rows:
    """The rows of a file, read one by one and sorted by image; what says the same in many of them is held once."""

    def __init__(self, file: Path, asked: Requested) -> None:
        self._file, self._asked = file, asked
        self.count = 0
        self.of_image: dict[str, _OfImage] = {}
        self.elsewhere: dict[str, None] = {}
        self.strange: dict[str, None] = {}
        self.categories: Counter[str] = Counter()
        self._boxes = 0
        self._bad_scores: list[object] = []
        self._place: dict[object, _OfImage] = {}
        self._texts: dict[object, str] = {}
        with JsonStream(file) as stream:
            if stream.peek() != "[":
                raise _no_list(file, read_json(file))
            for rows in stream.stretches():
                self._add_together(rows)
            if stream.peek():
                read_json(file)  # tells what follows the list

    def require_masks(self) -> None:
        """Refuse rows without a mask or a score, all at once."""
        if self._boxes:
            raise BenchError(
                f"{self._file}: {self._boxes} of {self.count} rows have no segmentation, as results of a detector of "
                "boxes have none. Masks are scored here; write them as run lengths or polygons"
            )
        if self._bad_scores:
            raise BenchError(
                f"{self._file}: {len(self._bad_scores)} of {self.count} rows have no score within 0 and 1, for example "
                f"{self._bad_scores[0]!r}. A score is the "
                "confidence by which detections are ranked; save probabilities, not logits or percents"
            )

    def _add_together(self, rows: list[Any]) -> None:
        """Add neighbouring rows: those of an image at once where all are the usual ones, else one by one."""
        usual = _usual(rows)
        if usual is None:
            for row in rows:
                self._add(row)
            return
        names = [self._texts.get(category) or self._text(category) for category in usual.categories]
        self.count += len(rows)
        self.categories.update(names)
        first = 0
        for image, together in groupby(usual.images):
            stop = first + sum(1 for _ in together)
            of_image = self._place.get(image) or self._of(image)
            if of_image is not None:
                of_image.categories += names[first:stop]
                of_image.scores += usual.scores[first:stop]
                of_image.add_texts(usual.sizes[first:stop], usual.texts[first:stop])
            first = stop

    def _text(self, category: int | str) -> str:
        """Return a category in its one form, the same object for all rows."""
        return self._texts.setdefault(category, str(category))

    def _add(self, row: Any) -> None:
        if not isinstance(row, dict):
            raise _no_list(self._file, [row])
        image, category = row.get("image_id"), row.get("category_id")
        if type(image) is not int or type(category) is not int:  # the usual ones need no look at their form
            known = as_row(RESULT, row, f"row {self.count}", self._file)
            image, category = known["image_id"], known["category_id"]
        self.count += 1
        name = self._text(category)
        self.categories[name] += 1
        segmentation, score = row.get("segmentation"), row.get("score")
        self._boxes += not segmentation
        number = score if type(score) is float and 0.0 <= score <= 1.0 else None
        if number is None:
            if _is_score(score):
                number = float(score)
            else:
                self._bad_scores.append(score)
        of_image = self._place.get(image) or self._of(image)
        if of_image is not None:
            of_image.categories.append(name)
            of_image.scores.append(0.0 if number is None else number)
            of_image.add(segmentation)

    def _of(self, image: int | str) -> _OfImage | None:
        """The rows of an image that is scored; None for another, which is noted."""
        image_id = self._asked.numbers.get(str(image)) or self._asked.id_of(str(image))
        if image_id is None or image_id in self._asked.others:
            (self.strange if image_id is None else self.elsewhere)[f"image {image}"] = None
            return None
        return self._place.setdefault(image, self.of_image.setdefault(image_id, _OfImage()))


def _no_list(file: Path, document: object) -> BenchError:
    if isinstance(document, dict) and "annotations" in document:
        return BenchError(
            f"{file} holds annotations, a ground truth; COCO results are a list of rows with image_id, category_id, "
            "segmentation and score, as pycocotools' loadRes takes them"
        )
    return BenchError(f"{file} is no list of rows with image_id, category_id, segmentation and score")


def _categories(file: Path, counts: Counter[str], options: Options, asked: Requested) -> dict[str, int]:
    """Return category id in its one form -> class id, for all that occur; raises for those of no class or of stuff."""
    class_of = categories_known(options, asked, where=f"{file}: classes")
    if class_of is None:
        if not counts:
            return {}
        numbers = sorted(number for key in counts if (number := whole_number(key)) is not None)
        example = ", ".join(f"{spec.name}: {n}" for spec, n in zip(asked.classes, range(1, 3), strict=False))
        raise BenchError(
            f"{file}: nothing says which classes its category_id {', '.join(map(str, numbers[:12]))} are. Give the "
            f"JSON with 'images' and 'categories' by the option annotations, or say classes: {{{example}, …}}"
        )
    unknown = {key: n for key, n in counts.items() if key not in class_of}
    if unknown:
        told = ", ".join(f"{key} ({n} rows)" for key, n in list(unknown.items())[:5])
        known = ", ".join(
            f"{key} = {asked.classes[c].name}" for key, c in list(class_of.items())[:12] if c < len(asked.classes)
        )
        raise BenchError(
            f"{file}: {len(unknown)} values of category_id are no class: {told}. Known: {known}. If they are positions "
            "in a list of classes, say so by the option classes: {NAME: NUMBER}"
        )
    return class_of


def categories_known(options: Options, asked: Requested, *, where: str) -> dict[str, int] | None:
    """Return category id in its one form -> class id or void, as the options or the annotation file say; else None."""
    if options.classes is not None:
        said = numbered(options.classes, asked, offset=options.offset, where=where)
        return {str(number): class_id for number, class_id in said.items()}
    if asked.annotations is None:
        return None
    places = {key: asked.class_of(name) for key, name in asked.annotations.names_of_categories.items()}
    return {key: place for key, place in places.items() if place is not None}


def _is_score(value: object) -> TypeGuard[float]:
    """Return whether it is a number within 0 and 1; NaN compares as false, and a large integer exactly."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
