"""Eyes of mice, seen by an infrared camera: 32 frames of 10 sessions with the pupil drawn by hand.

    root/training_data_split.json                         fold of each frame, by session; the authors' own
    root/labeled_frames/<session>/images/<name>.png       grey, 150 to 283 pixels
    root/labeled_frames/<session>/masks/<name>.png        0 and 255 (or one bit): pupil

They ship with mouse-pupil-analysis 0.3.0, whose network was trained on 615 frames of the same cameras,
most probably on these too: a score of it is one of reading and computing rightly, not of generalising.

Split: test, every frame; with the option `fold` train and test, of which test is one of the authors' four folds.
Frames of one session stay together, and are a `group`.

Expected: 32 test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from bench.data.formats.documents import read_json_object
from bench.data.formats.label_tables import named_classes, value_reader
from bench.data.formats.on_disk import Description, Entry, OnDisk, require_file, require_files, require_folder, root_of
from bench.data.formats.sources import Archive, Part, Preparation
from bench.errors import DatasetError
from bench.records import ClassSpec, Record, TaskKind

SOURCE = "sample data of mouse-pupil-analysis 0.3.0 (Zhao), a package of the Python Package Index"
LICENCE = "MIT, published with permission"
TASKS: tuple[TaskKind, ...] = ("semantic",)
EXPECTED = {"test": 32}
FILE = "mouse_pupil_analysis-0.3.0.tar.gz"
ARCHIVE = Archive(
    f"package:mouse-pupil-analysis==0.3.0/{FILE}",
    "sha256:32b94ad36cfcd421faeb395a45227fccdbfd6480722dc982ad361f2efcfff0ce",
    only=("*/sample_data/labeled_frames/*", "*/sample_data/*.json", "*/sample_data/*.csv", "*/LICENSE"),
    size=4_043_956,
)
PREPARE = Preparation(
    (Part("frames", "frames, masks and the fold of each", (ARCHIVE,)),), root="mouse_pupil_analysis-0.3.0/sample_data"
)
OBTAIN = f"Fetch it with: bench data prepare pupils --out data/pupils. By hand: unpack sample_data of {FILE}."
VALUES = {0: 0, 1: 1, 255: 1}
"""Some masks have a single bit."""


class Options(Record):
    """Options that a suite may set.

    Attributes:
        root: Folder sample_data of the package.
        fold: Number of the one of the authors' four folds that is the split test; None = no training, all frames.
    """

    root: str = f"data/pupils/{PREPARE.root}"
    fold: int | None = Field(default=None, ge=0, le=3)


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; raises `DatasetError` if the frames or the list of folds are not there."""
    root = require_folder("pupils", root_of(options.root), "labeled_frames and training_data_split.json", OBTAIN)
    listed = require_file("pupils", root / "training_data_split.json", "the fold of each frame", OBTAIN)
    rows = read_json_object(listed).get("images")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DatasetError(f"{listed}: expected the frames under 'images'. {OBTAIN}")
    entries = [(_entry(root, row, listed), options.fold in (None, row.get("fold"))) for row in rows]

    def of_split(split: str) -> list[Entry]:
        """Return frames of a split, in the order of the list."""
        found = [entry for entry, is_test in entries if is_test == (split == "test")]
        return require_files("pupils", found, "a frame and its mask", OBTAIN)

    splits = ("test",) if options.fold is None else ("train", "test")
    description = Description("pupils", classes_without_files(options), TASKS, SOURCE, LICENCE, splits)
    has = f" mask has 0, and 255 or 1. Restore the file from {FILE}."
    return OnDisk(description, of_split, value_reader(VALUES, known=f"A{has}", instead=f"; a{has}"))


def classes_without_files(options: Options) -> tuple[ClassSpec, ...]:  # noqa: ARG001 - no option decides them
    """Return the label space; no file decides it."""
    return named_classes(["background", "pupil"], things=["pupil"])


def _entry(root: Path, row: dict[str, Any], listed: Path) -> Entry:
    try:
        image, mask, session = (str(row[key]) for key in ("image", "mask", "session"))
    except KeyError as error:
        raise DatasetError(f"{listed}: a frame has no {error}. {OBTAIN}") from None
    return Entry(f"{session}_{Path(image).stem}", root / image, (root / mask,), group=session)
