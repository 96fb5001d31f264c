"""Write a data set as CVAT for images 1.1: annotations.xml with masks in run lengths, and PNG images by subset.

Stuff has the lowest `z_order` and void, as a label of that name, the highest, because a higher one lies on top.
Run lengths go along the rows of a mask's box and begin with what is not in the mask, as CVAT's own exporter has them.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.exports._classes import LAYERS_LOSS, box_of, layers_of
from bench.data.exports._writing import Names, Written, exporter, items, write_png
from bench.dataset import Dataset

LOSS = (*LAYERS_LOSS, "crowds are objects like others")


@exporter(LOSS)
def export(source: Dataset, folder: Path, names: Names) -> Written:
    """Write all splits; `names` renames classes."""
    layers = layers_of(source, names, form="cvat")
    tree = ElementTree.Element("annotations")
    ElementTree.SubElement(tree, "version").text = "1.1"
    _describe(tree, source, layers.labels)
    ids = {}
    for item in items(source):
        name = f"{item.image_id}.png"
        write_png(folder / "images" / item.split / name, source.image(item.image_id))
        size = source.size(item.image_id)
        row = ElementTree.SubElement(
            tree, "image", id=str(item.number - 1), name=name, subset=item.split,
            width=str(size.width), height=str(size.height),
        )  # fmt: skip
        for order, layer in enumerate(layers.of(source.target(item.image_id))):
            row.append(mask_element(layer.label, layer.mask, order))
        ids[item.image_id] = f"{item.split}__{item.image_id}"
    ElementTree.indent(tree)
    ElementTree.ElementTree(tree).write(folder / "annotations.xml", encoding="utf-8", xml_declaration=True)
    return ids, layers.options()


def _describe(tree: ElementTree.Element, source: Dataset, labels: Sequence[str]) -> None:
    task = ElementTree.SubElement(ElementTree.SubElement(tree, "meta"), "task")
    ElementTree.SubElement(task, "name").text = source.source[:100]
    ElementTree.SubElement(task, "mode").text = "annotation"
    listed = ElementTree.SubElement(task, "labels")
    colours = [*(spec.colour for spec in source.classes), (255, 255, 255)]
    for name, colour in zip(labels, colours, strict=True):
        label = ElementTree.SubElement(listed, "label")
        ElementTree.SubElement(label, "name").text = name
        ElementTree.SubElement(label, "color").text = "#{:02x}{:02x}{:02x}".format(*colour)
        ElementTree.SubElement(label, "type").text = "mask"
        ElementTree.SubElement(label, "attributes")


def mask_element(label: str, mask: NDArray[np.bool_], order: int) -> ElementTree.Element:
    """Return a mask, bool, (H, W), as a shape of CVAT."""
    left, top, width, height = box_of(mask)
    flat = mask[top : top + height, left : left + width].ravel()
    changes = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    counts = [0, *lengths] if flat.size and flat[0] else lengths
    runs = ", ".join(map(str, counts))
    return ElementTree.Element(
        "mask", label=label, source="manual", occluded="0", rle=runs, z_order=str(order),
        left=str(left), top=str(top), width=str(width), height=str(height),
    )  # fmt: skip
