"""Write a data set as YOLO segmentation labels: PNG images, a text file of polygons for each, data.yaml.

Polygons run along pixel edges, so that filling pixel centres gives the same mask. An object of
several parts, or with holes, is one polygon that runs from part to part and back over the same
line, as Ultralytics' own converter joins parts: exact by the even-odd rule, a line one pixel wide
where outlines are painted too. data.yaml has no `path`, so the folder can be moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from bench.data.exports._classes import objects_of, renamed, rows_of
from bench.data.exports._writing import Names, Written, exporter, items, write_png, write_text
from bench.data.formats.polygons import one_line, outlines
from bench.dataset import Dataset
from bench.records import Size
from bench.records.predictions import Instances

LOSS = (
    "crowds are left out",
    "stuff and void: only objects are kept",
    "readers that paint outlines, as Ultralytics does, make objects half a pixel wider and join the parts of one",
)


@exporter(LOSS)
def export(source: Dataset, folder: Path, names: Names) -> Written:
    """Write all splits; `names` renames classes."""
    number_of = {index: k for k, index in enumerate(i for i, c in enumerate(source.classes) if c.is_thing)}
    ids = {}
    for item in items(source):
        objects = objects_of(source.target(item.image_id), source.classes, form="yolo")
        write_png(folder / "images" / item.split / f"{item.image_id}.png", source.image(item.image_id))
        lines = _lines(objects, number_of, source.size(item.image_id))
        write_text(folder / "labels" / item.split / f"{item.image_id}.txt", lines)
        ids[item.image_id] = f"{item.split}__{item.image_id}"
    things = [name for name, c in zip(renamed(source, names), source.classes, strict=True) if c.is_thing]
    document = {**{split: f"images/{split}" for split in source.splits()}, "names": dict(enumerate(things))}
    write_text(folder / "data.yaml", yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    return ids, {}


def _lines(objects: Instances, number_of: Mapping[int, int], size: Size) -> str:
    lines = []
    for mask, class_id, crowd in rows_of(objects):
        corners = [] if crowd else one_line(outlines(mask))
        if corners:
            shares = " ".join(f"{x / size.width:.6f} {y / size.height:.6f}" for x, y in corners)
            lines.append(f"{number_of[class_id]} {shares}\n")
    return "".join(lines)
