"""Classes of a folder of masks told from the masks alone, where they are certain; otherwise a refusal.

Certain are 0 and 255 alone (background and foreground), 0 to K − 1 without a gap (indices), and few
colours that each fill areas. Everything else is refused with what was seen and the lines that would
settle it, because a guess that is wrong shows in no number: a foreground taken for void scores 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from bench.data.formats.folder_classes import ClassFile, FolderClass, FolderTable, table_of
from bench.data.formats.label_tables import MAX_CLASSES, Rgb
from bench.data.formats.mask_values import (
    LOOKED_AT,
    MOST_MARKS,
    Evidence,
    MaskValues,
    evenly,
    number_objects,
    one_patch_each,
    only_along_edges,
    swapped_colour,
    values_of,
)
from bench.errors import DatasetError

Void = int | Literal["none"] | None
"""This is what the option `void` says: a value, that there is none, or nothing."""

SHOWN_CLASSES = 12
NEAR = 40
"""Grey levels by which a rare colour may differ from a common one to be a smear of it."""


def inferred_table(masks: Sequence[Path], folder: Path, void: Void) -> FolderTable:
    """Make a table from all masks; raises `DatasetError` if classes are not certain, with what would settle it.

    Args:
        void: Void as the user set it; 255 is void only where this says so.
    """
    seen = _counted(masks, folder)
    return _by_colour(seen, folder) if any(mask.colours for mask in seen) else _by_value(seen, folder, void)


def check_sample(table: FolderTable, masks: Sequence[Path], folder: Path, *, void_is_said: bool) -> None:
    """Refuse a class file that a few of the masks contradict; masks that cannot be read are told elsewhere.

    Args:
        table: Table that was made of the file.
        masks, folder: Files of the masks, and their folder.
        void_is_said: True if the user named the void values.
    """
    if not table.by_value or table.binary is not None:
        return
    seen = []
    for path in evenly(masks, LOOKED_AT):
        with suppress(DatasetError):
            seen.append(values_of(path))
    swapped = swapped_colour(seen)
    if swapped is not None:
        raise _of_swapped(swapped, seen, folder)
    if not void_is_said:
        _check_void(table, seen, folder)


def _check_void(table: FolderTable, seen: Sequence[MaskValues], folder: Path) -> None:
    """Refuse 255 as void by default where it seems to be a class: in masks that have no other class but 0."""
    with_void = [mask for mask in seen if 255 in mask.values]
    classes = {value for value in table.by_value if value not in (0, 255)}
    if not with_void or any(classes & mask.values.keys() for mask in with_void):
        return
    evidence = _evidence(seen)
    raise DatasetError(
        f"folder: {folder}: {table.origin} names {len(table.classes)} classes by position, under which 255 would be "
        f"void, but 255 seems to be a class: {len(with_void)} of {len(seen)} masks looked at hold 255, and none of "
        f"these holds another value than 0. Seen: {evidence.describe(sorted(evidence.pixels))}. Write one of these:\n"
        + _lines(
            ("options: {binary: {threshold: 1}}", "0 is the first class, everything else the second"),
            ("options: {void: 255}", "pixels of 255 are not scored"),
        ),
        kind="labels",
    )


def _counted(masks: Sequence[Path], folder: Path) -> list[MaskValues]:
    seen, marks = [], set[Any]()
    for path in masks:
        mask = values_of(path)
        marks |= mask.values.keys() | mask.colours.keys()
        if len(marks) > MOST_MARKS or len(mask.colours) > MOST_MARKS:
            kind = "colours" if mask.colours else "values"
            raise DatasetError(
                f"folder: {folder}: the masks hold more than {MAX_CLASSES} {kind} (up to {path.name}); these are no "
                "labels. Masks that were resized with smoothing, or stored as JPEG, look like this. Make them again "
                f"with nearest-neighbour, or, if they have two classes, write:\n{_lines(_THRESHOLD)}"
            )
        seen.append(mask)
    return seen


def _evidence(seen: Sequence[MaskValues]) -> Evidence:
    evidence = Evidence()
    for mask in seen:
        evidence.add(mask.values or mask.colours)
    return evidence


def _by_value(seen: Sequence[MaskValues], folder: Path, void: Void) -> FolderTable:
    evidence, paths = _evidence(seen), [mask.path for mask in seen]
    swapped = swapped_colour(seen)
    if swapped is not None:
        raise _of_swapped(swapped, seen, folder)
    values = sorted(evidence.pixels.keys() - ({void} if isinstance(void, int) else set()))
    if void is None and values == [0, 255]:
        rows = [FolderClass(name="background", value=0), _WHITE]
    elif void is not None or (len(values) > 1 and values == list(range(len(values))) and 255 not in values):
        reason = _doubt(values, paths)
        if reason or len(values) > MAX_CLASSES or not values:
            raise _uncertain(reason or f"there are {len(values)} values", evidence, folder, void, bool(reason))
        rows = [FolderClass(name=f"class {value}", value=value) for value in values]
    else:
        numbered = len(values) > 2 and one_patch_each(paths)
        raise _uncertain(NUMBERED_ON if numbered else _reason(values, seen), evidence, folder, void, numbered)
    classes = ClassFile(classes=tuple(rows), void=(void,) if isinstance(void, int) else ())
    return table_of(classes, f"the table inferred from {folder}", _describe(evidence))


NUMBERED_ON = (
    "every value is one patch and hardly any is in two masks, so that the values seem to number objects and not classes"
)
_INSTANCES = (
    'options: {images: "images/{id}.*", masks: "masks/{id}.*", masks_hold: instances}',
    "each value, or colour, is the number of an object",
)


def _doubt(values: Sequence[int], paths: Sequence[Path]) -> str:
    """Return why values that look like indices may be none; '' if nothing speaks against it."""
    if len(values) > 8 and len(only_along_edges(paths) & set(values)) > len(values) / 2:
        return "most values lie along edges only, as smoothing makes them"
    if one_patch_each(paths):
        return NUMBERED_ON
    if number_objects(paths):
        return (
            "every mask numbers its patches from 1 on and each value is one patch, so that the values seem to number "
            "objects and not classes"
        )
    return ""


def _reason(values: Sequence[int], seen: Sequence[MaskValues]) -> str:
    """Return why the values of the masks do not tell the classes."""
    if len(values) == 1:
        return f"every pixel of every mask is {values[0]}"
    between = [value for value in values if 0 < value < 255]
    pixels = _evidence(seen)
    if values[0] == 0 and values[-1] == 255 and len(between) > 3:
        edges = only_along_edges([mask.path for mask in seen]) & set(between)
        clustered = pixels.share([value for value in values if value < 32 or value > 223])
        if clustered > 0.75:
            return (
                f"{100 * clustered:.1f} % of the pixels lie near 0 and 255, the {len(between)} values between have "
                f"{100 * pixels.share(between):.1f} % of the pixels, {len(edges)} of them along edges only: masks of "
                "two classes that were smoothed or stored as JPEG look like this"
            )
        return f"{len(values)} values occur, {len(edges)} of them along edges only"
    if 255 in values:
        apart = sum(255 in mask.values and not mask.values.keys() & set(between) for mask in seen)
        holding = sum(255 in mask.values for mask in seen)
        if between and apart == holding and any(mask.values.keys() & set(between) for mask in seen):
            return (
                f"the masks disagree: {holding} hold 255 and none of {_list(between)}, others hold these and no 255, "
                "as if some were written as 0 and 255 and others as 0 and 1"
            )
        return "255 may be void or a class, which nothing here says"
    return "the values are not 0 to K − 1 without a gap, so that it is not certain that each is a class"


_WHITE = FolderClass(name="foreground", value=255, colour=(255, 255, 255))
_THRESHOLD = ("options: {binary: {threshold: 128}}", "below 128 background, from 128 on foreground; takes JPEG too")
_NONZERO = ("options: {binary: {threshold: 1}}", "0 is background, everything else foreground")


def _uncertain(reason: str, evidence: Evidence, folder: Path, void: Void, numbered: bool) -> DatasetError:
    values = sorted(evidence.pixels)
    offered = [_INSTANCES] if numbered else []
    if values[-1] > 200 and len(values) > 4:
        offered.append(_THRESHOLD)
    elif len(values) > 1:
        offered.append(_NONZERO)
    few = len(values) <= SHOWN_CLASSES and reason != NUMBERED_ON
    if void is None and 255 in values and few:
        offered.append(("options: {void: 255}", "255 is not scored, each other value is a class"))
        offered.append(("options: {void: none}", f"each of the {len(values)} values is a class"))
    file = _class_file([f"{{name: class {value}, value: {value}}}" for value in values]) if few else ""
    return DatasetError(
        f"folder: the classes cannot be told from the {evidence.masks} masks in {folder}, and are not guessed: "
        f"{reason}. Seen: {evidence.describe(values)}. Write one of these:\n{_lines(*offered)}{file}".rstrip(),
        kind="labels",
    )


def _of_swapped(swapped: tuple[Rgb, Path, int, Path, int], seen: Sequence[MaskValues], folder: Path) -> DatasetError:
    colour, one, index, other, other_index = swapped
    colours = sorted({shown for mask in seen for shown in mask.shown().values()})
    return DatasetError(
        f"folder: {folder}: the palettes of the masks differ in order: the colour {','.join(map(str, colour))} is "
        f"index {index} in {one} and index {other_index} in {other}, so that the index does not tell the class. Let "
        f"the colours tell it:\n{_class_file(_colour_rows(colours))}",
        kind="colours",
    )


def _by_colour(seen: Sequence[MaskValues], folder: Path) -> FolderTable:
    """Return colours as classes, in the order of their values; grey masks beside them hold black, grey or white."""
    evidence = Evidence()
    for mask in seen:
        shown, grey = mask.shown(), Counter[Rgb]()
        for value, count in mask.values.items():
            grey[shown.get(value, (value, value, value))] += count
        evidence.add(mask.colours or grey)
    colours = sorted(evidence.pixels)
    smears = _smears(evidence)
    if not smears and one_patch_each([mask.path for mask in seen]):
        raise DatasetError(
            f"folder: {folder}: the masks hold {len(colours)} colours, of which each but black is one patch and hardly "
            "any is in two masks, so that the colours seem to tell objects apart and not classes. Write:\n"
            + _lines(_INSTANCES),
            kind="colours",
        )
    if len(colours) > MAX_CLASSES or smears:
        few = f"{len(colours)} colours"
        if smears:
            example = ",".join(map(str, smears[0]))
            few = f"{len(smears)} of {few} are rare and close to a common one, for example RGB {example}"
        listed = evidence.describe([colour for colour, _ in evidence.pixels.most_common()])
        rows = _colour_rows([colour for colour in colours if colour not in smears])
        raise DatasetError(
            f"folder: {folder}: the masks hold more colours than labels have: {few}; smoothing and JPEG make such. "
            f"Seen: {listed}. Make the masks again with nearest-neighbour; if a colour is rightly there, name all of "
            f"them:\n{_class_file(rows)}",
            kind="colours",
        )
    classes = tuple(FolderClass(name=f"rgb {r},{g},{b}", colour=(r, g, b)) for r, g, b in colours)
    return table_of(ClassFile(classes=classes), f"the table inferred from {folder}", _describe(evidence))


def _smears(evidence: Evidence) -> list[Rgb]:
    """Return colours that are rare, below 0.5 % of the pixels, and near one that is ten times as common."""
    found = []
    for colour in (one for one in evidence.pixels if evidence.share([one]) < 0.005):
        common = [other for other, count in evidence.pixels.items() if count > 10 * evidence.pixels[colour]]
        if any(max(abs(a - b) for a, b in zip(colour, other, strict=True)) <= NEAR for other in common):
            found.append(colour)
    return found


def _describe(evidence: Evidence) -> str:
    marks = sorted(evidence.pixels)
    return f"classes inferred from {evidence.masks} masks, no class file: {evidence.describe(marks, most=12)}"


def _lines(*offered: tuple[str, str]) -> str:
    return "".join(f"  {line}   # {meaning}\n" for line, meaning in offered)


def _colour_rows(colours: Sequence[Rgb]) -> list[str]:
    return [f"{{name: rgb {r} {g} {b}, colour: [{r}, {g}, {b}]}}" for r, g, b in colours[:SHOWN_CLASSES]]


def _class_file(rows: Sequence[str]) -> str:
    return "  classes.yaml, with your own names:\n    classes:\n" + "\n".join(f"    - {row}" for row in rows)


def _list(values: Sequence[int]) -> str:
    return ", ".join(map(str, values[:5])) + (", …" if len(values) > 5 else "")
