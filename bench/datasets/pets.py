"""Oxford-IIIT Pet: photographs of cats and dogs of 37 breeds, each with a trimap.

    root/images/<Name>_<number>.jpg
    root/annotations/trimaps/<Name>_<number>.png     1 = pet, 2 = background, 3 = border or unclear
    root/annotations/trainval.txt, test.txt          name, breed 1-37, species (1 cat, 2 dog), number

The border is void, or part of the pet with `border: pet`; publications do either, so compare only
equals. Every tenth image of trainval, from the first on, is val. Some images are PNG or GIF under the
name of a JPEG; they are read as what they are.

Expected: 3,312 train, 368 val (3,680 together), 3,669 test.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from bench.data.formats.documents import read_lines
from bench.data.formats.label_tables import ground_truth_of_values, named_classes
from bench.data.formats.on_disk import Description, Entry, OnDisk, require_file, require_files, require_folder, root_of
from bench.data.formats.sources import Archive, Part, Preparation
from bench.dataset import GroundTruth
from bench.errors import DatasetError
from bench.records import IGNORE_LABEL, ClassSpec, Record, TaskKind

SOURCE = "Oxford-IIIT Pet (Parkhi et al., CVPR 2012), https://www.robots.ox.ac.uk/~vgg/data/pets"
LICENCE = "CC BY-SA 4.0; the photographs belong to their owners"
TASKS: tuple[TaskKind, ...] = ("semantic",)
EXPECTED = {"train": 3312, "val": 368, "test": 3669}
PET, BACKGROUND, BORDER = 1, 2, 3
VAL_EVERY = 10
SPECIES = {"1": "cat", "2": "dog"}
ADDRESS = "https://www.robots.ox.ac.uk/~vgg/data/pets/data"
ARCHIVES = (
    Archive(f"{ADDRESS}/images.tar.gz", "md5:5c4f3ee8e5d25df40f4fd59a7f44e54c"),
    Archive(f"{ADDRESS}/annotations.tar.gz", "md5:95a8c909bbe2e81eed6a22bccdf3f68f"),
)
PREPARE = Preparation((Part("pets", "images and trimaps", ARCHIVES),))
OBTAIN = (
    "Fetch it with: bench data prepare pets --out data/pets. By hand: unpack images.tar.gz and annotations.tar.gz from "
    f"{ADDRESS} into one folder."
)


class Options(Record):
    """Options that a suite may set.

    Attributes:
        root: Folder with images and annotations.
        labels: One class for all pets, or cat and dog.
        border: Meaning of the trimap's border.
    """

    root: str = "data/pets"
    labels: Literal["pet", "species"] = "pet"
    border: Literal["void", "pet"] = "void"


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; raises `DatasetError` if folders or lists are not there."""
    root = root_of(options.root)
    for folder in ("images", "annotations/trimaps"):
        require_folder("pets", root / folder, "images and annotations/trimaps", OBTAIN)
    lists = {name: root / "annotations" / f"{name}.txt" for name in ("trainval", "test")}
    for file in lists.values():
        require_file("pets", file, "lines of name, breed, species and number", OBTAIN)
    classes = classes_without_files(options)
    names = [spec.name for spec in classes]
    description = Description(
        "pets", classes, TASKS, SOURCE, LICENCE, tuple(EXPECTED), [options.labels, options.border]
    )

    def entries(split: str) -> list[Entry]:
        """Return images of a split with their trimaps, as its list names them."""
        file = lists["test" if split == "test" else "trainval"]
        found = []
        for index, line in enumerate(read_lines(file)):
            name, *rest = line.split()
            if len(rest) != 3 or rest[1] not in SPECIES:
                raise DatasetError(
                    f"{file}: {line!r} is not name, breed, species (1 or 2) and number. Restore the file."
                )
            if split == "test" or (index % VAL_EVERY == 0) == (split == "val"):
                trimap = root / "annotations" / "trimaps" / f"{name}.png"
                found.append(Entry(name, root / "images" / f"{name}.jpg", (trimap,), SPECIES[rest[1]]))
        return require_files("pets", found, "an image and a trimap", OBTAIN)

    return OnDisk(description, entries, partial(_ground_truth, names, options.border))


def classes_without_files(options: Options) -> tuple[ClassSpec, ...]:
    """Return the label space; no file decides it."""
    names = ["background", "pet"] if options.labels == "pet" else ["background", "cat", "dog"]
    return named_classes(names, things=names[1:])


def _ground_truth(names: list[str], border: str, entry: Entry) -> GroundTruth:
    instead = "; a trimap holds 1, 2 and 3. Restore it from annotations.tar.gz."
    pet = 1 if names[1] == "pet" else names.index(entry.key)
    class_of = {PET: pet, BACKGROUND: 0, BORDER: pet if border == "pet" else IGNORE_LABEL}
    known = "A trimap has 1 (pet), 2 (background) and 3 (border). Restore the file from annotations.tar.gz."
    return ground_truth_of_values(entry.ground_truths[0], class_of, known=known, instead=instead)
