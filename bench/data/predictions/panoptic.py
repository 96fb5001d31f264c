"""Panoptic predictions as panopticapi takes them: a JSON with `annotations`, and a PNG of segment ids for each image.

Ids of categories are those of the `categories` in the JSON, else of the option `annotations` or of the data set's own
COCO file, else name -> id by the option `classes`. Pixels of id 0 are void.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.data.formats.coco_documents import CATEGORY, SEGMENTED, CocoCategory, CocoSegment, CocoSegmented, as_row
from bench.data.formats.coco_ground_truth import listed_segments
from bench.data.formats.coco_rows import shown
from bench.data.formats.documents import read_json
from bench.data.formats.rasters import read_segment_map
from bench.data.predictions.coco import categories_known
from bench.data.predictions.label_maps import check_size
from bench.data.predictions.matching import Reader, flags_of, named, refuse_missing
from bench.data.predictions.options import Options
from bench.data.predictions.requested import Requested
from bench.errors import BenchError
from bench.records import Size, void_id
from bench.records.predictions import Panoptic, Segment


class PanopticDocument(NamedTuple):
    """A panoptic JSON: a row for each image, and the categories that it names, if it does."""

    rows: list[CocoSegmented]
    categories: list[CocoCategory]


class PanopticMaps(Reader):
    """Reads panoptic PNGs with their JSON."""

    def __init__(self, file: Path, options: Options, asked: Requested) -> None:
        """Read the JSON and match its rows with images and classes; opens no PNG."""
        self._file, self._asked = file, asked
        document = read_panoptic_json(file)
        self._rows: dict[str, CocoSegmented] = {}
        elsewhere: list[str] = []
        strange: list[str] = []
        for row in document.rows:
            image_id = asked.id_of(row["image_id"])
            image_id = asked.id_of(Path(row["file_name"]).stem) if image_id is None else image_id
            if image_id is None or image_id in asked.others:
                (strange if image_id is None else elsewhere).append(f"image {row['image_id']}")
            elif image_id in self._rows:
                raise BenchError(f"{file}: two rows are of image {image_id!r}; one is expected. Remove the other one")
            else:
                self._rows[image_id] = row
        missing = [image_id for image_id in asked.ids if image_id not in self._rows]
        if not self._rows:
            raise BenchError(
                f"{file}: none of its {len(document.rows)} rows is of an image that is scored: {named(strange)}; the "
                f"images are {named(asked.ids)}. Say what its image_id mean by the option annotations, or choose "
                "another data set or split"
            )
        if missing and options.missing == "refuse":
            raise refuse_missing(file, missing, len(asked.ids))
        self._flags = flags_of(
            missing, elsewhere, strange, len(asked.ids), missing_are="counted as predictions of nothing"
        )
        self._class_of = self._categories(document, options)
        self._folder = _folder_of(file, next(iter(self._rows.values())))

    def read(self, image_id: str, size: Size) -> Panoptic:
        """Return the segments of an image; raises `BenchError` if PNG and JSON differ, or for another size."""
        row = self._rows.get(image_id)
        if row is None:
            return Panoptic(np.zeros(size, dtype=np.int32))
        found = read_segment_map(self._folder / Path(row["file_name"]).name)
        check_size(found.runs.shape, size, found.file)
        listed = listed_segments(row, self._file)
        found.require(listed, self._file)
        class_of = {number: self._class_of[info["category_id"]] for number, info in listed.items()}
        void = void_id(len(self._asked.classes))
        segments = tuple(
            Segment(id=number, class_id=class_id, score=_score(listed[number]))
            for number, class_id in class_of.items()
            if class_id != void
        )
        kept = {segment.id for segment in segments}
        ids = np.array([i if i in kept else 0 for i in found.numbers.tolist()], dtype=np.int32)
        return Panoptic(found.runs.filled(ids[found.which]), segments)

    def _categories(self, document: PanopticDocument, options: Options) -> dict[str, int]:
        if options.classes is None and document.categories:
            places = {row["id"]: self._asked.class_of(row["name"]) for row in document.categories}
            known: dict[str, int] | None = {key: place for key, place in places.items() if place is not None}
        else:
            known = categories_known(options, self._asked, where=f"{self._file}: classes")
        used = Counter(info["category_id"] for row in self._rows.values() for info in row["segments_info"])
        unknown = [key for key in used if known is None or key not in known]
        if known is None or unknown:
            raise BenchError(
                f"{self._file}: {len(unknown)} values of category_id are no class: {named(unknown)}. Its 'categories', "
                "the option annotations or the option classes ({NAME: ID}) say what they are; the data set's "
                f"classes are {named([spec.name for spec in self._asked.classes])}"
            )
        return known


def read_panoptic_json(file: Path) -> PanopticDocument:
    """Read and check the form of a panoptic JSON; raises `BenchError` if it is none."""
    document = read_json(file)
    rows = document.get("annotations") if isinstance(document, dict) else None
    needed = ("image_id", "file_name", "segments_info")
    if not isinstance(rows, list) or not all(isinstance(row, dict) and all(k in row for k in needed) for row in rows):
        raise BenchError(f"{file} is no panoptic JSON: it needs 'annotations' with {', '.join(needed)} each")
    typed = [as_row(SEGMENTED, row, f"the annotation of image {shown(row['image_id'])}", file) for row in rows]
    categories = document.get("categories") or []
    if not isinstance(categories, list):
        raise BenchError(f"{file}: categories is {shown(categories)}, where a list is expected")
    named_categories = [as_row(CATEGORY, row, f"category {number}", file) for number, row in enumerate(categories)]
    return PanopticDocument(typed, named_categories)


def _folder_of(file: Path, row: CocoSegmented) -> Path:
    """Return where the PNGs lie: in a folder with the name of the JSON, beside it, or in a folder beside it."""
    name = Path(row["file_name"]).name
    places = [file.with_suffix(""), file.parent, *sorted(path for path in file.parent.iterdir() if path.is_dir())]
    for place in places:
        if (place / name).is_file():
            return place
    raise BenchError(f"{file}: its PNGs, {name} for one, lie neither in {places[0]}, nor beside it; put them there")


def _score(info: CocoSegment) -> float | None:
    value = info.get("score")
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else None
