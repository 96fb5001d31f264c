"""Carvana Image Masking Challenge: cars on a turntable, each photographed from 16 sides.

    root/train/<car>_<01..16>.jpg               car: twelve hexadecimal digits
    root/train_masks/<car>_<01..16>_mask.gif    index 0 = background, 1 = car; also PNG with 0 and 1 or 255

Views of one car look alike, so splits are by car, never by image: seeded fractions of the cars. The
official test images have no masks and are not used. The masks of train_masks.csv are the same, as
run lengths counted from 1 along rows; they are not read.

Expected: 5,088 images of 318 cars, 1,918 × 1,280 pixels.
"""

from __future__ import annotations

from collections import defaultdict

from pydantic import Field

from bench.data.formats.file_names import by_stem, files_below, files_under
from bench.data.formats.label_tables import named_classes, value_reader
from bench.data.formats.on_disk import Description, Entry, OnDisk, missing, require_files, require_folder, root_of
from bench.data.formats.splits import by_fraction, group_keys
from bench.records import ClassSpec, Record, TaskKind

SOURCE = "Carvana Image Masking Challenge, https://www.kaggle.com/c/carvana-image-masking-challenge"
LICENCE = "rules of the competition: for it, and for non-commercial research and education"
TASKS: tuple[TaskKind, ...] = ("semantic",)
EXPECTED = {"all": 5088}
CAR = r"^([0-9a-f]{12})_\d\d\.jpg$"
ENDING = "_mask"
OBTAIN = (
    "Accept the rules at https://www.kaggle.com/c/carvana-image-masking-challenge, fetch train.zip and train_masks.zip "
    "(kaggle competitions download -c carvana-image-masking-challenge) and unpack both into one folder."
)


class Options(Record):
    """Options that a suite may set.

    Attributes:
        root: Folder with train and train_masks.
        fractions: Split -> share of the images; all views of a car are in one split.
        seed: Another seed deals the cars out differently.
    """

    root: str = "data/carvana"
    fractions: dict[str, float] = {"train": 0.8, "val": 0.1, "test": 0.1}
    seed: int = Field(default=0, ge=0)


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; raises `DatasetError` if images or masks are missing or have other names."""
    root = root_of(options.root)
    for folder in ("train", "train_masks"):
        require_folder("carvana", root / folder, "the folders train and train_masks", OBTAIN)
    files = files_under(root / "train", (".jpg",))
    if not files:
        raise missing("carvana", root / "train", "<car>_<view>.jpg", OBTAIN)
    masks = by_stem(files_below(root / "train_masks", (".gif", ".png")))
    cars = group_keys([path.name for path in files], CAR, where="carvana")
    splits = by_fraction(cars, options.fractions, seed=options.seed, where="carvana")
    entries: dict[str, list[Entry]] = defaultdict(list)
    for path, split, car in zip(files, splits, cars, strict=True):
        mask = root / "train_masks" / masks.get(f"{path.stem}{ENDING}", f"{path.stem}{ENDING}.gif")
        entries[split].append(Entry(path.stem, path, (mask,), group=car))
    classes = classes_without_files(options)
    description = Description("carvana", classes, TASKS, SOURCE, LICENCE, tuple(options.fractions))
    instead = "; a mask of Carvana holds 0 and 1. Restore it from train_masks.zip."
    known = "Carvana has 0 (background) and 1 or 255 (car). Restore the file from train_masks.zip."
    ground_truth = value_reader({0: 0, 1: 1, 255: 1}, known=known, instead=instead)
    return OnDisk(description, lambda split: require_files("carvana", entries[split], "a mask", OBTAIN), ground_truth)


def classes_without_files(options: Options) -> tuple[ClassSpec, ...]:  # noqa: ARG001 - the contract
    """Return the label space; no file decides it."""
    return named_classes(["background", "car"], things=["car"])
