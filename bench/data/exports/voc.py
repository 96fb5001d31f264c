"""Write a data set as Pascal VOC 2012: JPEG images, palette PNGs of classes and of objects, lists, XML boxes.

Void becomes 255. Without instances in the source, SegmentationObject is not written. The XML holds
what VOC's own does for segmentation: size, and class and box of every object, counted from 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from bench.data.exports._classes import box_of, class_map, has_objects, mapped, objects_of
from bench.data.exports._writing import JPEG_LOSS, Names, Written, exporter, items, write_jpeg, write_text
from bench.data.formats.image_files import write_indexed
from bench.data.formats.label_tables import palette_colour, read_table
from bench.data.formats.voc_own_classes import BORDER
from bench.dataset import Dataset, GroundTruth
from bench.errors import DatasetError

LOSS = (
    JPEG_LOSS,
    "where objects overlap, the later one is on top and the earlier one loses the pixels",
    "crowds are pixels of their class and no object: 255 in SegmentationObject",
    "stuff merged into background is background; there are no panoptic segments",
)
MAX_OBJECTS = 254
PALETTE = [palette_colour(index) for index in range(256)]


@exporter(LOSS)
def export(source: Dataset, folder: Path, names: Names) -> Written:
    """Write all splits; splits must be called train, val or test."""
    known = [row["name"] for row in read_table("voc")]
    positions = class_map(source.classes, known, names, form="voc")
    ids: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    for item in items(source):
        name, ground_truth = item.image_id, source.target(item.image_id)
        ids[name] = name
        lists.setdefault(item.split, []).append(name)
        write_jpeg(folder / "JPEGImages" / f"{name}.jpg", source.image(name))
        labels = mapped(ground_truth.semantic.labels, positions, void=BORDER)
        write_indexed(folder / "SegmentationClass" / f"{name}.png", labels, PALETTE)
        rows: list[tuple[int, NDArray[np.bool_]]] = []
        if has_objects(source):
            numbers, rows = _objects(ground_truth, labels, positions, source, name)
            write_indexed(folder / "SegmentationObject" / f"{name}.png", numbers, PALETTE)
        _write_xml(folder / "Annotations" / f"{name}.xml", labels.shape, [(known[p], m) for p, m in rows])
    sets = folder / "ImageSets" / "Segmentation"
    lists["trainval"] = [image_id for split in ("train", "val") for image_id in lists.get(split, [])]
    for split, listed in lists.items():
        write_text(sets / f"{split}.txt", "".join(f"{image_id}\n" for image_id in listed))
    return ids, {}


def _objects(
    ground_truth: GroundTruth, labels: NDArray[np.uint8], positions: Sequence[int], source: Dataset, image_id: str
) -> tuple[NDArray[np.uint8], list[tuple[int, NDArray[np.bool_]]]]:
    """Return the number of the object of each pixel, uint8, (H, W), and class and mask of each object."""
    objects = objects_of(ground_truth, source.classes, form="voc")
    single = np.flatnonzero(~objects.crowd)
    if len(single) > MAX_OBJECTS:
        raise DatasetError(f"voc: image {image_id!r} has {len(single)} objects; a palette holds {MAX_OBJECTS}.")
    numbers = np.where(labels == BORDER, np.uint8(BORDER), np.uint8(0))
    for index in np.flatnonzero(objects.crowd).tolist():
        numbers[objects.masks[index]] = BORDER
    rows = []
    for number, index in enumerate(single.tolist(), start=1):
        position = positions[int(objects.class_ids[index])]
        mask = objects.masks[index] & (labels == position)
        numbers[mask] = number
        rows.append((position, mask))
    return numbers, rows


def _write_xml(path: Path, shape: tuple[int, ...], objects: Sequence[tuple[str, NDArray[np.bool_]]]) -> None:
    root = ElementTree.Element("annotation")
    for tag, text in (("folder", "VOC2012"), ("filename", f"{path.stem}.jpg"), ("segmented", "1")):
        ElementTree.SubElement(root, tag).text = text
    size = ElementTree.SubElement(root, "size")
    for tag, value in zip(("width", "height", "depth"), (shape[1], shape[0], 3), strict=True):
        ElementTree.SubElement(size, tag).text = str(value)
    for name, mask in objects:
        left, top, width, height = box_of(mask)
        row = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(row, "name").text = name
        box = ElementTree.SubElement(row, "bndbox")
        corners = {"xmin": left + 1, "ymin": top + 1, "xmax": left + width, "ymax": top + height}
        for tag, value in corners.items():
            ElementTree.SubElement(box, tag).text = str(value)
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="unicode")
