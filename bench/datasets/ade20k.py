"""ADE20K SceneParse150: indoor and outdoor scenes with 150 classes of pixels.

    root/images/{training,validation}/ADE_{train,val}_<number>.jpg
    root/annotations/{training,validation}/ADE_{train,val}_<number>.png     grey: 0 = void, 1-150 = class

Class ids are the stored values minus one; what is none of the 150 is void. Names are the first of
those in the data set's objectInfo150.txt. Not to be confused with the full ADE20K, whose PNGs are
RGB; its masks are refused.

Expected: 20,210 train, 2,000 val.
"""

from __future__ import annotations

from bench.data.formats.file_names import files_under
from bench.data.formats.label_tables import named_classes, read_table, value_reader
from bench.data.formats.on_disk import Description, Entry, OnDisk, missing, require_files, require_folder, root_of
from bench.data.formats.sources import Archive, Part, Preparation, require_published_names
from bench.records import IGNORE_LABEL, ClassSpec, Record, TaskKind

SOURCE = "ADE20K SceneParse150 (Zhou et al., CVPR 2017), http://sceneparsing.csail.mit.edu"
LICENCE = "annotations BSD 3-clause; images for non-commercial research and education"
TASKS: tuple[TaskKind, ...] = ("semantic",)
EXPECTED = {"train": 20210, "val": 2000}
FOLDERS = {"train": "training", "val": "validation"}
ADDRESS = "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip"
ARCHIVE = Archive(ADDRESS, "md5:7328b3957e407ddae1d3cbf487f149ef")
PREPARE = Preparation((Part("ade20k", "images and masks of SceneParse150", (ARCHIVE,)),), root="ADEChallengeData2016")
OBTAIN = (
    "Fetch it with: bench data prepare ade20k --out data/ade20k, which tells the option root. By hand: unpack "
    f"{ADDRESS} into data/; root is the folder ADEChallengeData2016 in it."
)


class Options(Record):
    """Options that a suite may set.

    Attributes:
        root: The folder ADEChallengeData2016.
        renamed: True if images have other names than the published ones; without it such images are refused, because
            masks of other classes hold the same values.
    """

    root: str = "data/ADEChallengeData2016"
    renamed: bool = False


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; raises `DatasetError` if images or annotations are not there."""
    root = root_of(options.root)
    for folder in ("images", "annotations"):
        require_folder("ade20k", root / folder, "images and annotations", OBTAIN)
    splits = tuple(split for split, folder in FOLDERS.items() if (root / "images" / folder).is_dir())
    if not splits:
        raise missing("ade20k", root / "images" / "training", "images/training and images/validation", OBTAIN)
    classes = classes_without_files(options)
    description = Description("ade20k", classes, TASKS, SOURCE, LICENCE, splits)

    def entries(split: str) -> list[Entry]:
        masks = root / "annotations" / FOLDERS[split]
        files = files_under(root / "images" / FOLDERS[split], (".jpg",))
        found = [Entry(path.stem, path, (masks / f"{path.stem}.png",)) for path in files]
        if not found:
            raise missing("ade20k", root / "images" / FOLDERS[split], "JPEG images", OBTAIN)
        if not options.renamed:
            require_published_names(
                "ade20k",
                [entry.image_id for entry in found],
                r"ADE_\w+",
                example="ADE_train_00000001",
                classes=[spec.name for spec in classes],
                instead='Read them by the data set folder, with images: "images/{split}/{id}.*" and masks: '
                '"annotations/{split}/{id}.png"',
            )
        return require_files("ade20k", found, f"a mask in {masks}", OBTAIN)

    instead = (
        "; SceneParse150 has grey masks. It was converted, or is of the full ADE20K, which has other classes. Restore "
        "it from ADEChallengeData2016.zip."
    )
    class_of = {0: IGNORE_LABEL, **{class_id + 1: class_id for class_id in range(len(classes))}}
    known = f"SceneParse150 has 0 (void) and 1 to {len(classes)}. Restore the file from its source."
    return OnDisk(description, entries, value_reader(class_of, known=known, instead=instead))


def classes_without_files(options: Options) -> tuple[ClassSpec, ...]:  # noqa: ARG001 - the contract
    """Return the label space; no file decides it."""
    return named_classes([row["name"] for row in read_table("ade20k")])
