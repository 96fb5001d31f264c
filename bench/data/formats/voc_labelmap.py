"""VOC's layout with classes of one's own: labelmap.txt, as CVAT's "Segmentation mask" export writes it.

    # label:color_rgb:parts:actions
    background:0,0,0::
    cell:250,50,83::

Masks hold these colours, as RGB or as a palette; objects are told apart by their colours in SegmentationObject.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.documents import read_lines
from bench.data.formats.file_names import files_under
from bench.data.formats.folder_classes import labelmap_rows
from bench.data.formats.image_files import IMAGE_SUFFIXES, read_mask
from bench.data.formats.label_tables import MAX_CLASSES, Rgb, map_colours, pack_rgb
from bench.data.formats.on_disk import Entry, missing
from bench.data.formats.voc_own_classes import objects_of
from bench.dataset import GroundTruth
from bench.errors import DatasetError
from bench.records import IGNORE_LABEL, ClassSpec
from bench.records.predictions import SemanticMap

NAME = "labelmap.txt"
BORDER: Rgb = (224, 224, 192)
"""VOC's colour of borders and difficult objects."""
BLACK: Rgb = (0, 0, 0)
OBTAIN = "Export the project again as 'Segmentation mask 1.1', with its images."


@dataclass(frozen=True)
class LabelMapFile:
    """Hold the classes of labelmap.txt, in its order; the class of black pixels is the background."""

    file: Path
    classes: tuple[ClassSpec, ...]

    @property
    def class_of(self) -> dict[Rgb, int]:
        """Colour -> class id, with VOC's colour of borders as void unless a class has it."""
        return {BORDER: IGNORE_LABEL, **{spec.colour: index for index, spec in enumerate(self.classes)}}

    def ground_truth(self, entry: Entry) -> GroundTruth:
        """Return classes by their colours, and objects where there is a second mask."""
        known = f"{self.file.name} names {', '.join(f'{c.name} {c.colour}' for c in self.classes[:8])}. {OBTAIN}"
        pixels = _colours(entry.ground_truths[0])
        labels = map_colours(pixels, self.class_of, file=entry.ground_truths[0], known=known)
        if len(entry.ground_truths) == 1:
            return GroundTruth(SemanticMap(labels))
        things = {index for index, spec in enumerate(self.classes) if spec.is_thing}
        numbers, border = pack_rgb(_colours(entry.ground_truths[1])), BORDER[0] << 16 | BORDER[1] << 8 | BORDER[2]
        objects = objects_of(labels, numbers, entry.ground_truths[1], border=border, things=things)
        return GroundTruth(SemanticMap(labels), instances=objects)


def read_labelmap(file: Path) -> LabelMapFile:
    """Read labelmap.txt; raises `DatasetError` with the line for a colour or name that is none, or given twice."""
    classes: list[ClassSpec] = []
    for row in labelmap_rows(file):
        name, colour = row.name, row.colour or BLACK
        twice = next((spec for spec in classes if colour == spec.colour or name == spec.name), None)
        if twice is not None:
            raise DatasetError(f"{file}: {name!r} has the name or the colour {colour} of {twice.name!r}. Change one.")
        black = colour == BLACK
        classes.append(ClassSpec(name=name, is_thing=not black, colour=colour, is_background=black))
    if all(spec.colour != BLACK for spec in classes):
        classes.insert(0, ClassSpec(name="background", colour=BLACK, is_background=True))
    if not 1 < len(classes) <= MAX_CLASSES:
        raise DatasetError(f"{file} names {len(classes)} classes; 2 to {MAX_CLASSES} are expected.")
    return LabelMapFile(file, tuple(classes))


def lists_of(folder: Path) -> dict[str, Path]:
    """Return split -> its list; of lists that repeat others, trainval and the like, none."""
    found = {path.stem: path for path in sorted(folder.glob("*.txt"))}
    if not found:
        raise missing("voc", folder, "a list of image names for each split, for example train.txt", OBTAIN)
    lines = {name: set(read_lines(file)) for name, file in found.items()}
    names: list[str] = [name for name in ("train", "val", "test") if name in found]
    listed = set().union(*(lines[name] for name in names))
    for name in sorted(found.keys() - {*names}, key=lambda name: len(lines[name])):
        if not lines[name] <= listed:
            names.append(name)
            listed |= lines[name]
    return {name: found[name] for name in names}


def without_suffix(line: str) -> str:
    """Return a line of a list as the name of an image."""
    name = line.replace("\\", "/").strip("/")
    return str(Path(name).with_suffix("").as_posix()) if Path(name).suffix.lower() in IMAGE_SUFFIXES else name


def entries_of(
    root: Path, file: Path, folders: list[str], obtain: str, name_of: Callable[[str], str] = without_suffix
) -> list[Entry]:
    """Return images of a list, with a suffix of any kind; raises `DatasetError` if there are none or files are missing.

    Args:
        root: The folder with JPEGImages.
        obtain: How to get what is missing, a sentence.
        name_of: Line of the list -> name of an image below JPEGImages.
    """
    pictures = files_under(root / "JPEGImages")
    images = {path.relative_to(root / "JPEGImages").with_suffix("").as_posix(): path for path in pictures}
    entries = []
    for name in map(name_of, read_lines(file)):
        masks = tuple(root / folder / f"{name}.png" for folder in folders)
        image = images.get(name, root / "JPEGImages" / f"{name}.jpg")
        entries.append(Entry(name.replace("/", "__"), image, masks))
    absent = [path for entry in entries for path in (entry.image, *entry.ground_truths) if not path.is_file()]
    if absent or not entries:
        what = f"{len(absent)} files of the {len(entries)} images in {file.name} are missing, this being the first"
        raise missing("voc", absent[0] if absent else file, what if absent else "a list of image names", obtain)
    return entries


def _colours(path: Path) -> NDArray[np.uint8]:
    """Return colours of a mask, uint8, (H, W, 3), RGB, whether it stores them or indices into a palette."""
    mask = read_mask(path)
    if mask.colours == "rgb":
        return np.asarray(mask.pixels, dtype=np.uint8)
    if mask.palette is None:
        raise DatasetError(f"{path} holds grey values, no colours of {NAME}. {OBTAIN}", kind="colours")
    table = np.zeros((256, 3), dtype=np.uint8)
    table[: len(mask.palette)] = mask.palette
    return np.ascontiguousarray(table[mask.pixels])
