"""Pascal VOC 2012 segmentation: 20 kinds of objects and background, with instances.

    root/JPEGImages/<id>.jpg
    root/SegmentationClass/<id>.png     palette PNG: index = class, 255 = border or difficult (void)
    root/SegmentationObject/<id>.png    palette PNG: index = number of the object, 255 as above
    root/ImageSets/Segmentation/train.txt, val.txt

With `augmented: true` train is the 10,582 images of `trainaug.txt`, their classes are in
SegmentationClassAug (VOC and the Semantic Boundaries Dataset of Hariharan et al., 2011, minus the
images of val), and there are no instances.

Projects of one's own in this layout: with a labelmap.txt in root, as CVAT's "Segmentation mask" export writes it, the
classes are those of that file and masks hold its colours; with a class_names.txt, or the option `classes`, they are
named in the order of their indices. Splits are the lists that are there. Without either, masks are taken for VOC's only
where the names of the images, or those of the objects in Annotations, say so.

An object has the class of most of its pixels. Objects do not overlap, there are no crowds.

Expected: 1,464 train, 1,449 val; augmented 10,582 train. The ground truth of test is not public.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from bench.data.formats.documents import read_lines
from bench.data.formats.folder_classes import read_classes
from bench.data.formats.image_files import read_mask
from bench.data.formats.label_tables import map_values, named_classes, palette_colour, read_table
from bench.data.formats.on_disk import Description, Entry, OnDisk, require_file, require_folder, root_of
from bench.data.formats.sources import Archive, Part, Preparation
from bench.data.formats.voc_labelmap import NAME, entries_of, lists_of, read_labelmap, without_suffix
from bench.data.formats.voc_labelmap import OBTAIN as OBTAIN_OWN
from bench.data.formats.voc_own_classes import (
    BORDER,
    Signs,
    indices_of,
    not_vocs,
    own_indices,
    signs_of,
    with_objects_of,
)
from bench.dataset import GroundTruth
from bench.errors import DatasetError
from bench.records import IGNORE_LABEL, ClassSpec, Record, TaskKind

SOURCE = "Pascal VOC 2012 segmentation (Everingham et al., IJCV 2015), http://host.robots.ox.ac.uk/pascal/VOC/voc2012"
LICENCE = "images from Flickr, under Flickr's terms of use; annotations free for research"
TASKS: tuple[TaskKind, ...] = ("semantic", "instance")
EXPECTED = {"train": 1464, "val": 1449}
EXPECTED_AUGMENTED = {"train": 10582, "val": 1449}
SBD = "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours"
VOC_ARCHIVE = Archive(
    "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
    "md5:6cd6e144f989b92b3379bac3b3de84fd",
)
SBD_ARCHIVE = Archive(
    f"{SBD}/benchmark.tgz",
    "md5:82b4d87ceb2ed10f6038a1cba92111cb",
    only=("benchmark_RELEASE/dataset/cls/*.mat", "benchmark_RELEASE/dataset/*.txt"),
)
PREPARE = Preparation(
    (
        Part("voc", "images and masks of VOC 2012", (VOC_ARCHIVE,)),
        Part(
            "augmented",
            "masks of the Semantic Boundaries Dataset, for augmented: true",
            (SBD_ARCHIVE,),
            {"augmented": True},
            by_default=False,
            needs=("voc",),
            conversion="sbd",
        ),
    ),
    root="VOCdevkit/VOC2012",
)
OBTAIN = (
    "Fetch it with: bench data prepare voc --out data/voc, which tells the option root. By hand: unpack "
    "VOCtrainval_11-May-2012.tar from http://host.robots.ox.ac.uk/pascal/VOC/voc2012 into data/; root is the folder "
    "VOC2012 in it."
)
OBTAIN_AUGMENTED = (
    "Add SegmentationClassAug, made from the Semantic Boundaries Dataset, and ImageSets/Segmentation/trainaug.txt "
    "with: bench data prepare voc --part augmented --out data/voc."
)

LOOKED_AT = 50
"""Images of a list that are looked at for a mask."""
NAMES = "class_names.txt"
"""List of names that labelme2voc writes beside masks of classes of one's own."""


class Options(Record):
    """Options that a suite may set.

    Attributes:
        root: The folder VOC2012.
        augmented: Train on the 10,582 images of trainaug.
        classes: Names of classes of your own in the order of their indices, the background first; `voc` says that the
            20 classes are VOC's, whatever the images are called.
    """

    root: str = "data/VOCdevkit/VOC2012"
    augmented: bool = False
    classes: Literal["voc"] | tuple[str, ...] | None = None


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; raises `DatasetError` if a folder or list is not there."""
    root = root_of(options.root)
    masks = "SegmentationClassAug" if options.augmented else "SegmentationClass"
    for folder in ("JPEGImages", "ImageSets/Segmentation", "SegmentationClass"):
        require_folder("voc", root / folder, "JPEGImages, SegmentationClass and ImageSets/Segmentation", OBTAIN)
    if (root / NAME).is_file() and options.classes is None and not options.augmented:
        labelmap = read_labelmap(root / NAME)
        return _open_own(root, labelmap.classes, labelmap.ground_truth, NAME)
    if isinstance(options.classes, tuple):
        return _open_named(root, options.classes, "the option classes")
    if (root / NAMES).is_file() and not options.augmented:
        return _open_named(root, [spec.name for spec in read_classes(root / NAMES).classes], NAMES)
    require_folder("voc", root / masks, "the masks of the images in trainaug.txt", OBTAIN_AUGMENTED)
    lists = {split: root / "ImageSets" / "Segmentation" / f"{split}.txt" for split in ("train", "val", "test")}
    if options.augmented:
        lists["train"] = lists["train"].with_name("trainaug.txt")
    if options.classes is None:
        signs = signs_in(root, list(lists.values()), masks)
        if signs.reason:
            raise not_vocs(root, signs)
    for split in ("train", "val"):
        require_file("voc", lists[split], "a list of image names", OBTAIN)
    with_objects = not options.augmented and (root / "SegmentationObject").is_dir()
    classes = classes_without_files(options)
    tasks = TASKS if with_objects else TASKS[:1]
    splits = tuple(split for split in lists if split != "test" or _has_masks(lists["test"], root / masks))
    description = Description("voc", classes, tasks, SOURCE, LICENCE, splits, [options.augmented, with_objects])
    folders = [masks, "SegmentationObject"] if with_objects else [masks]

    def entries(split: str) -> list[Entry]:
        # trainaug.txt of some sources has two columns, image and mask; the image's name is the stem of the first.
        return entries_of(root, lists[split], folders, OBTAIN, lambda line: Path(line.split()[0]).stem)

    return OnDisk(description, entries, partial(_ground_truth, len(classes)))


def _open_named(root: Path, names: Sequence[str], origin: str) -> OnDisk:
    """Return a data set in this layout whose masks hold indices of classes of its own."""
    first = read_lines(next(iter(lists_of(root / "ImageSets" / "Segmentation").values())))[:1]
    own = own_indices(names, origin, root / "SegmentationClass" / f"{(first or [''])[0]}.png")
    return _open_own(root, own.classes, own.ground_truth, origin)


def _open_own(
    root: Path, classes: tuple[ClassSpec, ...], ground_truth: Callable[[Entry], GroundTruth], origin: str
) -> OnDisk:
    found = lists_of(root / "ImageSets" / "Segmentation")
    lists = {split: file for split, file in found.items() if _has_masks(file, root / "SegmentationClass")} or found
    with_objects = (root / "SegmentationObject").is_dir()
    folders = ["SegmentationClass", "SegmentationObject"] if with_objects else ["SegmentationClass"]
    source, tasks = f"masks in Pascal VOC's layout, {root.name}", TASKS if with_objects else TASKS[:1]
    bare = [split for split in found if split not in lists]
    notes = tuple(f"{split}: none of its images looked at has a mask; the split is left out" for split in bare)
    description = Description(
        "voc", classes, tasks, source, "your own", tuple(lists), decisive=[origin, with_objects], notes=notes
    )
    return OnDisk(description, lambda split: entries_of(root, lists[split], folders, OBTAIN_OWN), ground_truth)


def signs_in(root: Path, lists: Sequence[Path] = (), masks: str = "SegmentationClass") -> Signs:
    """Return what a few images say of whose classes the masks hold.

    Args:
        root: The folder with JPEGImages.
        lists: Lists of images; where none of them is there, any.
    """
    there = [file for file in lists if file.is_file()] or sorted((root / "ImageSets" / "Segmentation").glob("*.txt"))
    # trainaug.txt of some sources has two columns, image and mask.
    lines = [line.split()[0] if line.startswith("/") else line for file in there for line in read_lines(file)]
    names = [without_suffix(line) for line in lines]
    return signs_of(root, names, [row["name"] for row in read_table("voc")], masks)


def classes_without_files(options: Options) -> tuple[ClassSpec, ...]:  # noqa: ARG001 - the contract
    """Return the label space; no file decides it."""
    names = [row["name"] for row in read_table("voc")]
    return named_classes(names, things=names[1:])


def _has_masks(file: Path, masks: Path) -> bool:
    """Return whether a list of test images comes with ground truth; the official one does not."""
    return file.is_file() and any(
        (masks / f"{without_suffix(name)}.png").is_file() for name in read_lines(file)[:LOOKED_AT]
    )


def _ground_truth(num_classes: int, entry: Entry) -> GroundTruth:
    class_of = {**{index: index for index in range(num_classes)}, BORDER: IGNORE_LABEL}
    known = f"VOC has the indices 0 to {num_classes - 1} and {BORDER} for borders. Restore the file from its source."
    _refuse_other_palette(entry.ground_truths[0], num_classes)
    labels = map_values(indices_of(entry.ground_truths[0]), class_of, file=entry.ground_truths[0], known=known)
    return with_objects_of(labels, entry)


def _refuse_other_palette(path: Path, num_classes: int) -> None:
    """Raise `DatasetError` where an index that occurs has VOC's colour of another class: a tool has sorted the palette.

    Other colours are left alone: the index is the class.
    """
    mask = read_mask(path)
    if mask.palette is None or mask.pixels.ndim == 3:
        return
    class_of = {palette_colour(index): index for index in range(num_classes)}
    for index in np.unique(mask.pixels).tolist():
        meant = class_of.get(mask.palette[index], index) if index < len(mask.palette) else index
        if index < num_classes and meant != index:
            name = classes_without_files(Options())[meant].name
            raise DatasetError(
                f"{path}: its index {index} has the colour of {meant}, {name}; a tool has put the palette in another "
                "order, so that the indices no longer are the classes. Restore the file, or turn its colours to "
                "VOC's indices.",
                kind="colours",
            )
