"""One photograph of a quokka and its outline: the plainest data set there can be.

    root/quokka.jpg                  960 × 643
    root/quokka_annotations.json     a polygon of 39 corners among points and boxes

It ships with imgaug 0.4.0.

Split: test.

Expected: 1 test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from bench.data.formats.documents import read_json_object
from bench.data.formats.image_headers import image_size
from bench.data.formats.label_tables import named_classes
from bench.data.formats.on_disk import Description, Entry, OnDisk, require_files, require_folder, root_of
from bench.data.formats.sources import Archive, Part, Preparation
from bench.dataset import GroundTruth
from bench.errors import DatasetError
from bench.records import ClassSpec, Record, TaskKind
from bench.records.predictions import SemanticMap

SOURCE = "picture and annotation of imgaug 0.4.0 (Jung), a package of the Python Package Index"
LICENCE = "MIT"
TASKS: tuple[TaskKind, ...] = ("semantic",)
EXPECTED = {"test": 1}
FILE = "imgaug-0.4.0-py2.py3-none-any.whl"
ARCHIVE = Archive(
    f"package:imgaug==0.4.0/{FILE}",
    "sha256:ce61e65b4eb7405fc62c1b0a79d2fa92fd47f763aaecb65152d29243592111f9",
    only=("imgaug/quokka.jpg", "imgaug/quokka_annotations.json"),
    size=948_018,
)
PREPARE = Preparation((Part("quokka", "a picture and its annotation", (ARCHIVE,)),), root="imgaug")
OBTAIN = f"Fetch it with: bench data prepare quokka --out data/quokka. By hand: unpack quokka* of {FILE}."


class Options(Record):
    """Options that a suite may set.

    Attributes:
        root: Folder with the two files.
    """

    root: str = f"data/quokka/{PREPARE.root}"


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; raises `DatasetError` if its files are not there."""
    root = require_folder("quokka", root_of(options.root), "quokka.jpg and quokka_annotations.json", OBTAIN)
    entry = Entry("quokka", root / "quokka.jpg", (root / "quokka_annotations.json",))
    description = Description("quokka", classes_without_files(options), TASKS, SOURCE, LICENCE, ("test",))
    return OnDisk(
        description, lambda _: require_files("quokka", [entry], "a picture and its annotation", OBTAIN), _ground_truth
    )


def classes_without_files(options: Options) -> tuple[ClassSpec, ...]:  # noqa: ARG001 - no option decides them
    """Return the label space; no file decides it."""
    return named_classes(["background", "quokka"], things=["quokka"])


def _ground_truth(entry: Entry) -> GroundTruth:
    """Return the polygon drawn by Pillow: corners are pixel centres, and the outline belongs to the animal."""
    size = image_size(entry.image)
    raster = Image.new("L", (size.width, size.height))
    ImageDraw.Draw(raster).polygon(_corners(entry.ground_truths[0]), fill=1, outline=1)
    return GroundTruth(SemanticMap(np.array(raster, dtype=np.uint8)))


def _corners(file: Path) -> list[tuple[float, float]]:
    """(x, y) of the polygon in pixels."""
    document: dict[str, Any] = read_json_object(file)
    try:
        return [(float(point["x"]), float(point["y"])) for point in document["polygons"][0]["keypoints"]]
    except (LookupError, TypeError, ValueError):
        raise DatasetError(f"{file}: expected a polygon with keypoints. {OBTAIN}") from None
