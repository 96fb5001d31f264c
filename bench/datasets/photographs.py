"""Three photographs with one and the same annotation in three forms: LabelMe's own example.

    root/data_annotated/<name>.jpg, .json                       LabelMe
    root/data_dataset_voc/JPEGImages, SegmentationClass/        masks, as VOC stores them
    root/data_dataset_coco/annotations.json, JPEGImages/        COCO

People on a sofa, at a table, a bus: 12 objects of 6 classes, one of them a sofa in four parts, and regions that
are to be ignored. They come with the source distribution of labelme 6.3.1, which made the other two forms
from the first. COCO's form knows no ignored regions: their pixels are background there.

Split: test.

Expected: 3 test.
"""

from __future__ import annotations

from typing import Literal

from bench.data.formats.on_disk import OnDisk
from bench.data.formats.sources import Archive, Part, Preparation
from bench.datasets import coco, folder, labelme
from bench.records import Record, TaskKind

SOURCE = "examples of labelme 6.3.1, photographs of PASCAL VOC 2011 from Flickr"
LICENCE = "annotations GPL-3.0; the photographs belong to their owners"
TASKS: tuple[TaskKind, ...] = ("semantic", "instance")
EXPECTED = {"test": 3}
FILE = "labelme-6.3.1.tar.gz"
ARCHIVE = Archive(
    f"package:labelme==6.3.1/{FILE}",
    "sha256:2947e0d8341a92faa7b3ee50cf4b672f838051c6bf24892526e95b64fd3a707e",
    only=("*/examples/instance_segmentation/*", "*/LICENSE"),
    size=13_980_775,
)
PREPARE = Preparation(
    (Part("photographs", "three photographs and their annotations in three forms", (ARCHIVE,)),),
    root="labelme-6.3.1/examples/instance_segmentation",
)
OBTAIN = (
    f"Fetch it with: bench data prepare photographs --out data/photographs. By hand: unpack the examples of {FILE}."
)
CLASSES = ("bottle", "bus", "car", "chair", "person", "sofa")
SPLITS = {"test": 1.0}


class Options(Record):
    """Options that a suite may set.

    Attributes:
        root: Folder instance_segmentation of the examples.
        form: Kind of annotations that is read; masks alone have no objects.
    """

    root: str = f"data/photographs/{PREPARE.root}"
    form: Literal["labelme", "voc", "coco"] = "labelme"


def open_dataset(options: Options) -> OnDisk:
    """Return the data set, read as any other of that form; raises `DatasetError` if its files are not there."""
    if options.form == "labelme":
        root, void = f"{options.root}/data_annotated", ("__ignore__",)
        return labelme.open_dataset(labelme.Options(root=root, classes=CLASSES, void=void, fractions=SPLITS))
    if options.form == "coco":
        of_coco = coco.Options(
            root=f"{options.root}/data_dataset_coco",
            images=".",
            annotations="annotations.json",
            splits=("test",),
            classes=CLASSES,
            background="background",
        )
        return coco.open_dataset(of_coco)
    of_folder = folder.Options(
        root=f"{options.root}/data_dataset_voc",
        images="JPEGImages",
        masks="SegmentationClass",
        classes="class_names.txt",
        void=255,
        fractions=SPLITS,
    )
    return folder.open_dataset(of_folder)
