"""Volumes as slices: NIfTI, NRRD, TIFF stacks, arrays and DICOM series, with one label volume each.

    root/images/case_1.nii.gz     .nii .nii.gz .nrrd .nhdr .mha .mhd .tif .npy .dcm, or a folder of DICOM files
    root/masks/case_1.nii.gz      a label a voxel, in any of these forms, on the grid of its image; or, beside a
                                  DICOM series, a segmentation object (SEG) or a structure set (RTSTRUCT)

Patterns say where they lie, as those of `folder` do: `{id}` names a volume, `{split}` its split, `{group}` the patient,
`{channel}` (images only) one of several volumes of a patient that become channels, in the order of the option
`channels`.

Each volume is cut along `axis`, and every slice is an image: axial, coronal or sagittal where the files say how they
lie, which turns all volumes by whole axes into one orientation (see `volume_slices`), or `stored`: the third axis as
it lies in the file, the pages of a TIFF. Without the option axial slices are taken where files say how they lie, and
stored ones where none does.

    window: [-160, 240]                     values that become 0 and 255 (Hounsfield units of CT)
    window: [[-160, 240], [-1000, 400], [-500, 1300]]     three windows of one volume as three channels
    window: {percentiles: [0.5, 99.5]}      measured for each volume (MR)

Regions of SEG and RTSTRUCT are told by their names: `classes` names those that are one, the one on top last.

Slices of one patient stay in one split: the group is `{group}`, the PatientID of DICOM, or else the volume. Distances
of pixels in millimetres are kept for each image. Volumes are read whole; a process keeps 1 GiB of them
(`BENCH_VOLUME_CACHE_MIB`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from bench.data.formats.bands import Depth, Percentiles
from bench.data.formats.dicom_labels import label_kind, left_out, region_names
from bench.data.formats.dicom_series import files_of
from bench.data.formats.label_tables import MAX_CLASSES, named_classes
from bench.data.formats.on_disk import Description, Entry, OnDisk, require_folder, root_of
from bench.data.formats.splits import FractionOptions, by_fraction, group_keys, in_usual_order
from bench.data.formats.volume_places import Case, cases_in
from bench.data.formats.volume_slices import (
    Axis,
    Grey,
    LabelRule,
    Slices,
    Window,
    band_reading,
    outline,
    read_volume,
    slices_of,
    spacing_of,
    undeclared_values,
    whole_numbers,
)
from bench.dataset import Spacing
from bench.errors import DatasetError
from bench.records import IGNORE_LABEL, ClassSpec, TaskKind

SOURCE = "volumes of your own, as slices"
LICENCE = "your own"
TASKS: tuple[TaskKind, ...] = ("semantic", "instance")
OBTAIN = "Put the volumes and their masks there."
LOOKED_AT = 4
"""Masks that are read for their values where no classes are declared."""


class Options(FractionOptions):
    """Options that a suite may set.

    Attributes:
        root: Folder that the patterns start from.
        images, masks: Patterns of their paths below it; a folder of DICOM files counts as one file.
        channels: Text of `{channel}` of each channel, in order; None without `{channel}`.
        classes: Name -> value in the masks.
        void: Value that is not scored.
        masks_hold: `instances` where values are numbers of objects.
        object_class: Name of the objects' class, with `instances`.
        axis: Axis along which volumes are cut; None = axial, or as stored where no file says how it lies.
        window: Lower and upper value, several of them, or percentiles; None for volumes of 8 bits.
        rgb: Channels, from 1, that pictures are given of more than three.
        depth: Type of the values in a window that models are given: bytes or floats; None gives floats to those that
            take them.
        every: Step between the slices that are taken: n takes each n-th.
        mask_grid: `stored` where the headers of masks are wrong.
    """

    root: str = "data/volumes"
    images: str = "images/{id}.*"
    masks: str = "masks/{id}.*"
    channels: tuple[str, ...] | None = None
    classes: dict[str, int] | None = None
    void: int | None = Field(default=None, ge=0, le=65535)
    masks_hold: Literal["classes", "instances"] = "classes"
    object_class: str = Field(default="object", min_length=1)
    axis: Axis | None = None
    window: Window | tuple[Window, ...] | Percentiles | None = None
    rgb: tuple[int, int, int] | None = None
    depth: Depth | None = None
    every: int = Field(default=1, ge=1)
    mask_grid: Literal["header", "stored"] = "header"

    @model_validator(mode="after")
    def _windows_rise(self) -> Options:
        if any(low >= high for low, high in self.grey().windows):
            raise ValueError("the lower value of a window comes first")
        if self.classes is not None and len(set(self.classes.values())) < len(self.classes):
            raise ValueError("two classes have one value")
        return self

    def grey(self) -> Grey:
        """Return the values that become black and white."""
        exact = self.depth == "floats"
        if self.window is None:
            return Grey(exact=exact)
        if isinstance(self.window, Percentiles):
            return Grey(percentiles=self.window.percentiles, exact=exact)
        windows = [one for one in self.window if isinstance(one, tuple)]
        pairs = tuple(windows) if windows else (tuple(self.window),)
        return Grey(pairs, exact=exact)  # type: ignore[arg-type]  # pairs all of them


@dataclass(frozen=True)
class _Opened:
    """Cases with what their volumes say of themselves."""

    cases: tuple[Case, ...]
    axis: Axis
    slices: dict[Path, int]
    notes: tuple[str, ...]
    channels: int


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; reads headers; raises `DatasetError` for missing or broken files, undeclared classes."""
    root = require_folder("volumes", root_of(options.root), "volumes and their masks", OBTAIN)
    return of_cases("volumes", cases_in(root, options.images, options.masks, options.channels), options, root)


def of_cases(name: str, cases: tuple[Case, ...], options: Options, root: Path, *, licence: str = LICENCE) -> OnDisk:
    """Return the data set of some volumes; `images`, `masks` and `channels` of the options are not used.

    Args:
        cases: Cases of the data set; those without a split are dealt out.
        root: Folder below which `group` is searched.
    """
    opened = _looked_at(cases, options)
    classes, class_of = _label_space(cases, options)
    entries = _entries(opened, root, options)
    case_of = {files_of(case.images[0])[0]: case for case in cases}
    value_of = {name: value for name, value in (options.classes or {}).items() if value != 0}  # not the background
    rule = LabelRule(
        opened.axis,
        case_of,
        class_of,
        f"The option classes has {', '.join(map(str, class_of))}. Add the value there, or as void.",
        options.mask_grid == "stored",
        options.masks_hold == "instances",
        value_of,
    )
    grey, regions = options.grey(), [case.mask for case in cases if label_kind(case.mask)]
    pictures = Slices(opened.axis, grey, case_of)
    description = Description(
        name,
        classes,
        TASKS[:1] if options.masks_hold == "classes" else TASKS,
        f"{len(cases)} volumes in the folder {root.name}, as {opened.axis} slices",
        licence,
        in_usual_order(entries),
        decisive=[
            opened.axis,
            [[v, c] for v, c in class_of.items()],
            grey.describe(),
            options.mask_grid,
            options.masks_hold,
        ],
        inferred=(*opened.notes, grey.describe(), *filter(None, [left_out(regions, value_of)])),
        bands=band_reading(opened.channels, options.rgb),
    )
    return OnDisk(description, lambda split: entries[split], rule.ground_truth, pictures=pictures)


def _looked_at(cases: tuple[Case, ...], options: Options) -> _Opened:
    """Read each header for size, spacing and orientation."""
    outlines = {case.images[0]: outline(case.images[0]) for case in cases}
    lies = Counter(volume.stored for volume in outlines.values())
    odd = Counter(volume.note for volume in outlines.values() if volume.note)
    values_of = {path: (*volume.values.shape[3:], 1)[0] for path, volume in outlines.items()}  # values a voxel
    channels = Counter(_channels(case, values_of[case.images[0]], options) for case in cases)
    axis = options.axis or ("stored" if set(lies) == {""} else "axial")
    if axis != "stored" and "" in lies:
        raise DatasetError(
            f"volumes: {lies['']} of {len(cases)} volumes do not say how they lie, so that their {axis} slices are "
            "unknown. Take slices as they are stored with axis: stored, or move these volumes away."
        )
    if len(channels) > 1:
        told = ", ".join(f"{n} of {c}" for c, n in channels.items())
        raise DatasetError(f"volumes: the volumes differ in channels: {told} channels. All need the same.")
    slices = {path: slices_of(volume, axis) for path, volume in outlines.items()}
    shown = ", ".join(f"{name or 'not said'} in {count}" for name, count in lies.most_common())
    turned = "; all are turned to LPS" if axis != "stored" and set(lies) != {"LPS"} else ""
    notes = [f"{axis} slices of {len(cases)} volumes; axes as stored: {shown} volumes{turned}"]
    notes += [_describe_spacing([spacing_of(volume, axis) for volume in outlines.values()])]
    fourth = max(values_of.values(), default=1)
    notes += [f"each volume has {fourth} values a voxel, which are channels of its slices"] if fourth > 1 else []
    notes += [f"{count} of {len(cases)} volumes: {note}" for note, count in odd.items()]
    deep = [path for case in cases for path in case.images if outline(path).values.dtype != np.uint8]
    if options.window is None and deep and read_volume(deep[0]).values.dtype != np.uint8:
        raise undeclared_values(deep[0], read_volume(deep[0]))
    return _Opened(cases, axis, slices, tuple(notes), next(iter(channels)))


def _channels(case: Case, own: int, options: Options) -> int:
    """Return the channels of a slice of a case whose volumes have so many values a voxel."""
    return max(own, len(options.grey().windows)) if len(case.images) == 1 else own * len(case.images)


def _describe_spacing(spacings: Sequence[Spacing | None]) -> str:
    known = [one for one in spacings if one is not None]
    if not known:
        return "no volume says how far its voxels are apart, so that distances are in pixels"
    ranges = []
    for values in zip(*[(s.row, s.column, s.slice or float("nan")) for s in known], strict=True):
        low, high = min(values), max(values)
        ranges.append(f"{low:.3g}" if high - low < 1e-3 * high else f"{low:.3g} to {high:.3g}")
    unknown = f"; {len(spacings) - len(known)} volumes do not say" if len(known) < len(spacings) else ""
    return f"pixels are {ranges[0]} × {ranges[1]} mm (row × column), slices {ranges[2]} mm apart{unknown}"


def _label_space(cases: tuple[Case, ...], options: Options) -> tuple[tuple[ClassSpec, ...], dict[int, int]]:
    """Classes, and class id or void of each value."""
    if options.masks_hold == "instances":
        named = {"background": 0, options.object_class: 1}
    elif options.classes is None:
        raise _undeclared_classes(cases)
    else:
        named = options.classes
    names = [name for name, value in named.items() if value != options.void]
    if not names or len(names) > MAX_CLASSES:
        raise DatasetError(f"volumes: {len(names)} classes; expected 1 to {MAX_CLASSES}.")
    classes = named_classes(names, things=[options.object_class] if options.masks_hold == "instances" else ())
    class_of = {named[name]: index for index, name in enumerate(names)}
    return classes, class_of if options.void is None else {**class_of, options.void: IGNORE_LABEL}


def _undeclared_classes(cases: tuple[Case, ...]) -> DatasetError:
    masks = [case.mask for case in cases if label_kind(case.mask)]
    if masks:
        names = list(dict.fromkeys(name for path in masks for name in region_names(path)))
        rows = ", ".join(f"{name}: {value}" for value, name in enumerate(names[:20], start=1))
        return DatasetError(
            f"volumes: which regions of the masks are classes is not declared; {len(masks)} files have "
            f"{', '.join(names[:20])}{' …' if len(names) > 20 else ''}. Name those that are, each with a number, those "
            f"that lie on top last, for example classes: {{background: 0, {rows}}}."
        )
    seen: set[int] = set()
    looked_at = cases[:: max(1, len(cases) // LOOKED_AT)][:LOOKED_AT]
    for case in looked_at:
        seen.update(np.unique(whole_numbers(read_volume(case.mask).values, case.mask)).tolist())
    rows = ", ".join(f"{'background' if value == 0 else f'class {value}'}: {value}" for value in sorted(seen)[:20])
    return DatasetError(
        f"volumes: what the values of the masks mean is not declared; {len(looked_at)} of {len(cases)} hold "
        f"{', '.join(map(str, sorted(seen)[:20]))}{' …' if len(seen) > 20 else ''}. Name them, for example classes: "
        f"{{{rows}}}; or, if they are numbers of objects, write masks_hold: instances."
    )


def _entries(opened: _Opened, root: Path, options: Options) -> dict[str, list[Entry]]:
    cases = opened.cases
    names = [case.images[0].relative_to(root).as_posix() for case in cases]
    found = [case.group or case.name for case in cases]
    groups = found if options.group is None else group_keys(names, options.group, where="volumes")
    free = [group for group, case in zip(groups, cases, strict=True) if not case.split]
    dealt = iter(by_fraction(free, options.fractions, seed=options.seed, where="volumes") if free else ())
    splits = [case.split or next(dealt) for case in cases]
    letter = {"axial": "z", "coronal": "y", "sagittal": "x", "stored": "s"}[opened.axis]
    entries: dict[str, list[Entry]] = defaultdict(list)
    for case, group, split in zip(cases, groups, splits, strict=True):
        image, *parts = (file for volume in case.images for file in files_of(volume))
        mask, *of_mask = files_of(case.mask)
        shared = (*parts, *of_mask)
        for number in range(0, opened.slices[case.images[0]], options.every):
            image_id = f"{case.name}__{letter}{number:04d}"
            entries[split].append(Entry(image_id, image, (mask,), str(number), group, parts=shared))
    return dict(entries)
