"""VOC's layout with classes of one's own: told from VOC's 20, and read by the indices of the masks.

Nothing in a mask of indices says which classes they are. VOC's own images have names of a year and six digits, and
each has an XML file that names its objects; a project in the same layout has neither, or names objects that VOC does
not have. Without a sign that the masks are VOC's they are refused until `classes` says it.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.image_files import StoredMask, read_mask
from bench.data.formats.label_tables import MAX_CLASSES, Rgb, map_values, pack_rgb, palette_colour
from bench.data.formats.mask_values import evenly
from bench.data.formats.on_disk import Entry
from bench.data.formats.rasters import stacked
from bench.dataset import GroundTruth
from bench.errors import DatasetError
from bench.records import IGNORE_LABEL, ClassSpec, Size
from bench.records.predictions import Instances, LabelMap, SemanticMap

BORDER = 255
VOCS_NAME = re.compile(r"20(07|08|09|10|11|12)_\d{6}")
"""This is how VOC 2012 names its images."""
LOOKED_AT = 12
SHOWN = 8
BACKGROUND_NAMES = ("background", "_background_", "bg")


@dataclass(frozen=True)
class Signs:
    """Hold what a few masks, and the XML files of their images, say of the classes.

    Attributes:
        reason: Why the classes are most likely not VOC's; empty where nothing speaks against it.
        classes: Names in the order of the indices seen, as far as the XML files tell them; none of masks of colours.
        indices: Indices seen, but for 255.
        colours: Colours seen in masks that hold these.
    """

    reason: str
    classes: tuple[str, ...]
    indices: tuple[int, ...]
    colours: tuple[Rgb, ...]


def signs_of(root: Path, names: Sequence[str], known: Sequence[str], folder: str = "SegmentationClass") -> Signs:
    """Look at a few images of a project in VOC's layout.

    Args:
        root: The folder with JPEGImages.
        names: Names of images, without suffix.
        known: Names of VOC's classes, in the order of their indices.
    """
    sample = [path.as_posix() for path in evenly([Path(name) for name in names], LOOKED_AT)]
    objects = {name: found for name in sample if (found := object_names(root / "Annotations" / f"{name}.xml"))}
    held: dict[str, set[int]] = {}
    colours: set[Rgb] = set()
    for name in sample:
        try:
            mask = read_mask(root / folder / f"{name}.png")
        except DatasetError:  # told when it is read
            continue
        if mask.pixels.ndim == 2:
            held[name] = set(np.unique(mask.pixels).tolist()) - {BORDER}
        else:
            packed = np.unique(pack_rgb(mask.pixels)).tolist()
            colours |= {(value >> 16, value >> 8 & 255, value & 255) for value in packed[:SHOWN]}
    indices = sorted(set().union(*held.values()))
    reason, names_of = _reason(sample, objects, held, known), _named(indices, objects, held)
    return Signs(reason, names_of, tuple(indices), tuple(sorted(colours)))


def _reason(
    sample: Sequence[str], objects: Mapping[str, set[str]], held: Mapping[str, set[int]], known: Sequence[str]
) -> str:
    strange = sorted(set().union(*objects.values()) - set(known))
    if strange:
        return f"Annotations/*.xml name objects that VOC does not have: {', '.join(strange[:SHOWN])}"
    if objects:
        both = objects.keys() & held.keys()
        odd = [name for name in sorted(both) if not _in_vocs_words(held[name], known) <= objects[name]]
        if 2 * len(odd) <= len(both):
            return ""
        shown = ", ".join(sorted(_in_vocs_words(held[odd[0]], known) - objects[odd[0]]))
        return (
            f"by VOC's indices the mask of {odd[0]} would show {shown}, and its XML file names "
            f"{', '.join(sorted(objects[odd[0]]))}; so it is with {len(odd)} of {len(both)} images looked at"
        )
    if all(VOCS_NAME.fullmatch(name.rpartition("/")[2]) for name in sample):
        return ""
    return "no image has a name as VOC's, 2007_000032, and no Annotations/*.xml says what its objects are"


def _in_vocs_words(indices: set[int], known: Sequence[str]) -> set[str]:
    return {known[index] if index < len(known) else f"index {index}" for index in indices if index}


def object_names(file: Path) -> set[str]:
    """Return what an XML file of VOC's form calls its objects; nothing of one that is not there or is no XML."""
    try:
        tree = ElementTree.parse(file).getroot()
    except (OSError, ElementTree.ParseError, ValueError, LookupError, RecursionError):
        return set()
    return {text for row in tree.iterfind("./object/name") if (text := (row.text or "").strip())}


def _named(indices: Sequence[int], objects: Mapping[str, set[str]], held: Mapping[str, set[int]]) -> tuple[str, ...]:
    """Return a name for each index up to the highest: the one that the same images have, or else `class 1`, …."""
    both = sorted(objects.keys() & held.keys())
    with_index = {index: {name for name in both if index in held[name]} for index in indices}
    with_word = {word: {name for name in both if word in objects[name]} for word in set().union(*objects.values())}
    found = ["background"]
    for index in range(1, max(indices, default=0) + 1):
        words = [word for word, images in with_word.items() if images and images == with_index.get(index)]
        single = len(words) == 1 and list(with_index.values()).count(with_word[words[0]]) == 1
        found.append(words[0] if single else f"class {index}")
    return tuple(found)


def not_vocs(root: Path, signs: Signs) -> DatasetError:
    """Return the error for classes that are most likely not VOC's, with the lines that settle it."""
    settle = (
        f"The masks looked at hold the indices {', '.join(map(str, signs.indices))}. Write the names in the order "
        f"of the indices, the background first, as the data set's option classes: [{', '.join(signs.classes)}]; or, "
        "if the indices are VOC's own (1 aeroplane, 2 bicycle, …, 20 tvmonitor), classes: voc."
    )
    if signs.colours:
        lines = [f"{'NAME' if any(c) else 'background'}:{','.join(map(str, c))}::" for c in signs.colours]
        line = f"a line for each class: {' and '.join(lines)}"
        settle = f"The masks hold colours. Write {root / 'labelmap.txt'} with {line}."
    told = f"voc: {root}: these are most likely not VOC's 20 classes: {signs.reason}. {settle}"
    return DatasetError(told, kind="labels")


@dataclass(frozen=True)
class OwnIndices:
    """State how masks of indices become classes of one's own.

    Attributes:
        classes: Classes in the order of the indices.
        origin: Source of the names, for messages.
        first: A mask, whose palette the others must agree with.
    """

    classes: tuple[ClassSpec, ...]
    origin: str
    first: Path

    @cached_property
    def _index_of(self) -> Mapping[Rgb, int]:
        """Colour -> the one index that has it in the first mask."""
        palette = (read_mask(self.first).palette or ())[: len(self.classes)]
        return {colour: index for index, colour in enumerate(palette) if palette.count(colour) == 1}

    def ground_truth(self, entry: Entry) -> GroundTruth:
        """Return classes by index, and objects where there is a second mask."""
        path = entry.ground_truths[0]
        mask = read_mask(path)
        other = ", no indices as others of its folder do."
        pixels = mask.values(path, f"{other} Write all of them in one form: indices, or colours with a labelmap.txt.")
        self._require_order(mask, path)
        count = len(self.classes)
        class_of = {**{index: index for index in range(count)}, BORDER: IGNORE_LABEL}
        known = (
            f"{self.origin} names {count} classes, for the indices 0 to {count - 1}; {BORDER} is void. Add the name, "
            "or fix the mask."
        )
        return with_objects_of(map_values(pixels, class_of, file=path, known=known), entry)

    def _require_order(self, mask: StoredMask, path: Path) -> None:
        """Raise `DatasetError` where a colour is another index here than in the first mask."""
        palette = mask.palette or ()
        for index in np.unique(mask.pixels).tolist() if palette else ():
            colour = palette[index] if index < len(palette) else None
            meant = index if colour is None else self._index_of.get(colour, index)
            if index != BORDER and meant != index:
                raise DatasetError(
                    f"{path}: its index {index} has the colour {colour}, which is index {meant} in {self.first}: the "
                    "palettes differ in order, so that the index does not tell the class. Let the colours tell it, by "
                    f"a {path.parent.parent / 'labelmap.txt'} with lines such as "
                    f"NAME:{','.join(map(str, colour or ()))}::",
                    kind="colours",
                )


def own_indices(names: Sequence[str], origin: str, first: Path) -> OwnIndices:
    """Return classes of one's own by index; raises `DatasetError` if names occur twice, or are too few or too many."""
    if len(set(names)) < len(names) or not 1 < len(names) <= MAX_CLASSES:
        raise DatasetError(f"voc: {origin} names {', '.join(names[:SHOWN])}; expected 2 to 255 different names.")
    has_background = names[0].lower() in BACKGROUND_NAMES
    classes = tuple(
        ClassSpec(name=name, is_thing=n > 0, colour=palette_colour(n), is_background=n == 0 and has_background)
        for n, name in enumerate(names)
    )
    return OwnIndices(classes, origin, first)


def indices_of(path: Path) -> NDArray[np.uint8]:
    """Return the indices of a mask, uint8, (H, W); raises `DatasetError` for one of colours."""
    converted = "it was probably converted to RGB (OpenCV and .convert('RGB') do that)"
    instead = f", not palette indices; {converted}. Restore the original, a PNG of mode P."
    return read_mask(path).values(path, instead)


def with_objects_of(labels: LabelMap, entry: Entry) -> GroundTruth:
    """Return a ground truth of classes, and of the objects of a second mask of indices where there is one."""
    masks = [objects_of(labels, indices_of(file), file) for file in entry.ground_truths[1:]]
    return GroundTruth(semantic=SemanticMap(labels), instances=masks[0] if masks else None)


def objects_of(
    labels: LabelMap, numbers: NDArray[Any], file: Path, *, border: int = BORDER, things: Collection[int] | None = None
) -> Instances:
    """Return the objects of SegmentationObject, each of the class of most of its pixels.

    Args:
        labels: Class ids, (H, W).
        numbers: Index or packed colour of the object of each pixel, (H, W); 0 for none.
        border: Number of borders, which are no object.
        things: Class ids of things; None takes all but 0.

    Raises:
        DatasetError: If it is of another size, or an object lies on no thing.
    """
    if numbers.shape != labels.shape:
        raise DatasetError(
            f"{file} has {numbers.shape[0]} × {numbers.shape[1]} pixels, the mask of classes {labels.shape[0]} × "
            f"{labels.shape[1]} (height × width). Restore both from their source.",
            kind="size",
        )
    masks, class_ids = [], []
    for number in np.unique(numbers[(numbers != 0) & (numbers != border)]).tolist():
        mask = numbers == number
        counts = np.bincount(labels[mask & (labels != IGNORE_LABEL)], minlength=1)
        class_id = int(counts.argmax())
        if not counts.any() or (class_id == 0 if things is None else class_id not in things):
            told = number if things is None else f"of colour {(number >> 16, number >> 8 & 255, number & 255)}"
            raise DatasetError(
                f"{file}: object {told} lies on background or border in SegmentationClass. Restore both from their "
                "source.",
                kind="labels",
            )
        masks.append(mask)
        class_ids.append(class_id)
    return stacked(masks, class_ids, [False] * len(masks), Size(*labels.shape))
