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

from bench.data.exports import Exported
from bench.data.exports._writing import finish, items, new_folder, objects_of, write_png_file
from bench.data.formats.polygons import one_line, outlines
from bench.dataset import Dataset
from bench.records import Size
from bench.records.predictions import Instances

LOSS = (
    "crowds are left out",
    "stuff and void: only objects are kept",
    "readers that paint outlines, as Ultralytics does, make objects half a pixel wider and join the parts of one",
)


def export(source: Dataset, folder: Path, *, names: Mapping[str, str] | None = None) -> Exported:
    """Write all splits; `names` renames classes."""
    new_folder(folder)
    number_of = {index: k for k, index in enumerate(i for i, c in enumerate(source.classes) if c.is_thing)}
    ids = {}
    for item in items(source):
        objects = objects_of(source.target(item.image_id), source.classes, form="yolo")
        write_png_file(folder / "images" / item.split / f"{item.image_id}.png", source.image(item.image_id))
        label = folder / "labels" / item.split / f"{item.image_id}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(_lines(objects, number_of, source.size(item.image_id)), encoding="utf-8")
        ids[item.image_id] = f"{item.split}__{item.image_id}"
    things = [(names or {}).get(c.name, c.name) for c in source.classes if c.is_thing]
    document = {**{split: f"images/{split}" for split in source.splits()}, "names": dict(enumerate(things))}
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    (folder / "data.yaml").write_text(text, encoding="utf-8")
    return finish(Exported("yolo", {"root": str(folder)}, folder, ids, LOSS), source)


def _lines(objects: Instances, number_of: Mapping[int, int], size: Size) -> str:
    lines = []
    for mask, class_id, crowd in zip(objects.masks, objects.class_ids.tolist(), objects.crowd.tolist(), strict=True):
        corners = [] if crowd else one_line(outlines(mask))
        if corners:
            shares = " ".join(f"{x / size.width:.6f} {y / size.height:.6f}" for x, y in corners)
            lines.append(f"{number_of[class_id]} {shares}\n")
    return "".join(lines)
