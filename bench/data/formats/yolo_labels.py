"""Label files of YOLO against the images beside them: files that fit no image, and images that have no file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.data.formats.on_disk import Entry
from bench.errors import DatasetError

NO_LABELS = ("classes.txt", "labels.txt", "notes.txt", "readme.txt", "readme.roboflow.txt", "readme.dataset.txt")
"""Text files that exporters put beside labels."""


def label_notes(entries: Sequence[Entry], *, leave_out: bool) -> list[str]:
    """Count label files that fit no image, and images without one.

    Args:
        entries: Entries of a split; the first ground truth of each is its label file.
        leave_out: Whether files that fit no image are known to be of none.

    Raises:
        DatasetError: If there are both: then the files are most likely those of the images, misnamed.
    """
    wanted = {entry.ground_truths[0] for entry in entries}
    without = [entry for entry in entries if not entry.ground_truths[0].is_file()]
    stray = _stray(entries, wanted)
    notes = []
    if stray and without and not leave_out:
        example = next((path for path in stray if _image_of(path, without)), stray[0])
        entry = _image_of(example, without)
        rename = f" {example.name} is most likely {entry.ground_truths[0].name}; rename it." if entry else ""
        raise DatasetError(
            f"yolo: {len(stray)} label files fit no image, and {len(without)} of {len(entries)} images have no label "
            f"file, which would make them images without an object: for example {example} and {without[0].image}. "
            f"A label file has the name of its image with .txt in the place of the suffix.{rename} Files that belong "
            "to no image are left out by the data set's option unmatched_labels: leave_out."
        )
    if stray:
        notes.append(f"{len(stray)} label files fit no image and are left out, for example {stray[0]}")
    if without:
        notes.append(
            f"{len(without)} of {len(entries)} images have no label file and are read as images without an object, for "
            f"example {without[0].image}"
        )
    return notes


def _stray(entries: Sequence[Entry], wanted: set[Path]) -> list[Path]:
    """Label files in the folders of the wanted ones that are none of them; where images lie there too, those of names
    that an image has in part."""
    folders = {path.parent for path in wanted}
    mixed = {entry.image.parent for entry in entries}
    found = []
    for folder in sorted(folders):
        stems = {entry.image.name for entry in entries if entry.image.parent == folder} if folder in mixed else None
        for path in sorted(folder.glob("*.txt")) if folder.is_dir() else ():
            if path in wanted or path.name.startswith(".") or path.name.lower() in NO_LABELS:
                continue
            # Beside images there are lists of images, too; a label file begins with a number.
            if stems is None or path.stem in stems or _looks_like_labels(path):
                found.append(path)
    return found


def _image_of(path: Path, without: Sequence[Entry]) -> Entry | None:
    """Return the image without a label file that a stray one is most likely of: x.jpg.txt is that of x.jpg."""
    return next((entry for entry in without if path.stem in (entry.image.name, entry.image.stem)), None)


def _looks_like_labels(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        words = file.read(200).split()
    return len(words) > 6 and words[0].isdigit()
