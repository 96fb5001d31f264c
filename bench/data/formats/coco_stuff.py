"""Pixel maps of COCO-Stuff: 80 things and 91 kinds of stuff, one of them for each pixel.

Two encodings are about. The published maps, `<name>.png`, hold the id of the table minus one, so
that values have gaps; `<name>_labelTrainIds.png`, which mmsegmentation makes of them, has none.
Both hold 255 where nothing is labelled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path, PurePath

from bench.data.formats.file_names import files_under, id_of
from bench.data.formats.label_tables import ground_truth_of_values, palette_colour, read_table
from bench.data.formats.on_disk import Description, Entry, OnDisk, missing, require_files
from bench.dataset import GroundTruth
from bench.errors import DatasetError, did_you_mean
from bench.records import IGNORE_LABEL, ClassSpec

SOURCE = "COCO-Stuff, https://github.com/nightrome/cocostuff"
LICENCE = "annotations CC BY 4.0; images under Flickr's terms of use"
OBTAIN = (
    "Fetch train2017.zip and val2017.zip from http://images.cocodataset.org and stuffthingmaps_trainval2017.zip from "
    "http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset, and unpack the latter into stuffthingmaps/."
)
WITHOUT_GAPS = "_labelTrainIds"


@dataclass(frozen=True)
class Folders:
    """State where the images of a split and their maps lie."""

    images: Path
    maps: Path


def stuff_classes() -> tuple[ClassSpec, ...]:
    """Return the 171 classes in the order of their ids, coloured by the VOC palette."""
    return tuple(
        ClassSpec(name=row["name"], is_thing=row["kind"] == "thing", colour=palette_colour(int(row["id"])))
        for row in _labelled()
    )


def stored_values() -> dict[str, int]:
    """Return class -> its value in the published maps."""
    return {row["name"]: int(row["id"]) - 1 for row in _labelled()}


def open_stuff_maps(
    folders: Mapping[str, Folders], *, classes: Sequence[str] | None, images_per_split: int | None
) -> OnDisk:
    """Return the data set of pixel maps; raises `DatasetError` if there are none, or not a class asked for.

    Args:
        folders: Folders by split; those without a folder of maps do not exist.
        classes: Use only these, in this order; the others are void. None takes all.
        images_per_split: Use only the first n images of each split.
    """
    found = {split: place for split, place in folders.items() if place.maps.is_dir()}
    if not found:
        first = next(iter(folders.values()))
        raise missing("coco", first.maps, "pixel maps of COCO-Stuff, one PNG for each image", OBTAIN)
    used = used_classes(classes)
    description = Description("coco", used, ("semantic",), SOURCE, LICENCE, tuple(found), decisive="stuff_maps")
    return OnDisk(description, lambda split: _entries(found[split])[:images_per_split], partial(_ground_truth, used))


def used_classes(classes: Sequence[str] | None) -> tuple[ClassSpec, ...]:
    """Return the classes asked for, None being all; raises `DatasetError` for one that there is not."""
    table = {spec.name: spec for spec in stuff_classes()}
    for name in classes or ():
        if name not in table:
            raise DatasetError(
                f"coco: no class named {name!r}.{did_you_mean(name, table)} COCO-Stuff has: {', '.join(table)}"
            )
    return tuple(table[name] for name in (table if classes is None else classes))


@cache
def _labelled() -> tuple[dict[str, str], ...]:
    """Return rows of the classes that some pixel was labelled with, read once; eleven ids of COCO never were."""
    return tuple(row for row in read_table("coco_stuff") if row["kind"] != "unused")


def _entries(folders: Folders) -> list[Entry]:
    images = files_under(folders.images)
    if not images:
        raise missing("coco", folders.images, "the images of the pixel maps", OBTAIN)
    maps = {path.stem: path for path in files_under(folders.maps, (".png",))}
    entries = []
    for image in images:
        published = folders.maps / f"{image.stem}.png"
        map_file = maps.get(image.stem) or maps.get(image.stem + WITHOUT_GAPS, published)
        entries.append(Entry(id_of(PurePath(image.name)), image, (map_file,)))
    return require_files("coco", entries, f"a pixel map in {folders.maps}", OBTAIN)


def _ground_truth(classes: Sequence[ClassSpec], entry: Entry) -> GroundTruth:
    file = entry.ground_truths[0]
    values = stored_values()
    if file.stem.endswith(WITHOUT_GAPS):
        values = {name: position for position, name in enumerate(values)}
    position = {spec.name: index for index, spec in enumerate(classes)}
    class_of = {value: position.get(name, IGNORE_LABEL) for name, value in values.items()}
    known = f"COCO-Stuff has 171 values from 0 to {max(values.values())}, and 255 where nothing is labelled. {OBTAIN}"
    instead = f"; the pixel maps of COCO-Stuff are grey. {OBTAIN}"
    return ground_truth_of_values(file, {**class_of, IGNORE_LABEL: IGNORE_LABEL}, known=known, instead=instead)
