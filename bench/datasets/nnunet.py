"""nnU-Net's raw layout, and that of the Medical Segmentation Decathlon, as slices.

    root/dataset.json                     channel_names (or modality), labels, file_ending
    root/imagesTr/<case>_0000.nii.gz      one volume for each channel; Decathlon: <case>.nii.gz, channels inside
    root/labelsTr/<case>.nii.gz
    root/imagesTs, root/labelsTs          optional: the split `test`; without labels it is left out
    root/splits_final.json                optional: the folds of nnUNet_preprocessed, those of the option `folds`

The classes are the `labels` of dataset.json, in the order of their values; `ignore` is void. Labels that are regions,
lists of values, are left out: a pixel has one class, and the map of single values must be named by `classes`. Cases
of imagesTr are dealt out by `fractions`, those of one patient (option `group`) together. Windows, axis and everything
else as in `volumes`. 2-D sets of PNG files are read by `folder`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from bench.data.formats.bands import Depth, Percentiles
from bench.data.formats.dicom_series import files_of
from bench.data.formats.documents import read_json, read_json_object
from bench.data.formats.file_names import is_hidden
from bench.data.formats.on_disk import OnDisk, missing, require_file, require_folder, root_of
from bench.data.formats.typed import NNUNET, as_typed
from bench.data.formats.volume_places import Case
from bench.data.formats.volume_slices import Axis, Window
from bench.datasets import volumes
from bench.errors import DatasetError
from bench.records import Record, TaskKind

SOURCE = "a raw data set of nnU-Net, https://github.com/MIC-DKFZ/nnUNet"
LICENCE = "its own; the Decathlon's data sets are CC BY-SA 4.0"
TASKS: tuple[TaskKind, ...] = ("semantic",)
OBTAIN = "Unpack a DatasetXXX_Name folder of nnUNet_raw, or a task of the Decathlon, there."
FIX = "Each label has a number from 0 to 65535, or a list of them. Correct the file."
FOLDS = "splits_final.json"
PICTURES = (".png", ".bmp", ".jpg", ".jpeg")


class Options(Record):
    """Options that a suite may set.

    Attributes:
        root: Folder with dataset.json.
        classes: Name -> value, in place of those of dataset.json.
        fractions: Split -> share of the cases of imagesTr; None = train and val, and test where labelsTs is missing.
        splits_final: nnU-Net's file of folds, from root; None takes splits_final.json there. Its folds are those of
            `folds`.
        group, seed, axis, window, rgb, depth, every, mask_grid: The options of the same names of `volumes`.
    """

    root: str = "data/nnunet"
    classes: dict[str, int] | None = None
    axis: Axis | None = None
    window: Window | tuple[Window, ...] | Percentiles | None = None
    rgb: tuple[int, int, int] | None = None
    depth: Depth | None = None
    every: int = Field(default=1, ge=1)
    mask_grid: Literal["header", "stored"] = "header"
    fractions: dict[str, float] | None = None
    splits_final: str | None = None
    group: str | None = None
    seed: int = Field(default=0, ge=0)


def open_dataset(options: Options) -> OnDisk:
    """Return the data set; reads dataset.json and headers; raises `DatasetError` for files missing, or regions."""
    root = require_folder("nnunet", root_of(options.root), "dataset.json, imagesTr and labelsTr", OBTAIN)
    file = require_file("nnunet", root / "dataset.json", "dataset.json", OBTAIN)
    document = read_json_object(file)
    channels = document.get("channel_names") or document.get("modality") or {"0": "image"}
    ending = str(document.get("file_ending") or ".nii.gz")
    if ending.lower() in PICTURES:
        raise DatasetError(
            f"{file}: its images are {ending} files, no volumes. Read them as a folder: name: folder, images: "
            f'"imagesTr/{{id}}_0000{ending}", masks: "labelsTr/{{id}}{ending}".'
        )
    classes, void = _labels(document, file) if options.classes is None else (options.classes, None)
    count = len(channels) if isinstance(channels, Mapping | list) else 1
    cases = _cases(root, "Tr", ending, count)
    has_test = (root / "labelsTs").is_dir() and any((root / "labelsTs").iterdir())
    if has_test:
        taken = {case.name for case in cases}
        of_test = _cases(root, "Ts", ending, count)
        cases += [replace(case, name=f"Ts__{case.name}") if case.name in taken else case for case in of_test]
    fractions = options.fractions or ({"train": 0.85, "val": 0.15} if has_test else volumes.Options().fractions)
    shared = ("axis", "window", "rgb", "depth", "every", "mask_grid", "group", "seed")
    given = {name: getattr(options, name) for name in shared}
    reading = volumes.Options(root=options.root, classes=classes, void=void, fractions=fractions, **given)
    dataset = volumes.of_cases("nnunet", tuple(cases), reading, root, licence=LICENCE)
    dataset.own_folds = _own_folds(options, root, cases)
    return dataset


def _own_folds(options: Options, root: Path, cases: Sequence[Case]) -> dict[Path, int]:
    """First file of each case -> its fold, from 1; none without the file; raises `DatasetError` for a wrong one."""
    file = root / (options.splits_final or FOLDS)
    if not file.is_file():
        if options.splits_final is not None:
            raise missing("nnunet", file, f"nnU-Net's {FOLDS}", f"It lies in nnUNet_preprocessed/{root.name}.")
        return {}
    document = read_json(file)
    rows = document if isinstance(document, list) else []
    if not rows or not all(isinstance(row, dict) and isinstance(row.get("val"), list) for row in rows):
        raise DatasetError(f"{file} is no list of folds with train and val each. Fetch nnU-Net's {FOLDS} again.")
    fold_of: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        for name in map(str, row["val"]):
            if name in fold_of:
                raise DatasetError(f"{file}: {name!r} is in val of two folds. Correct the file, or move it away.")
            fold_of[name] = number
    known = {case.name: files_of(case.images[0])[0] for case in cases}
    lost = [name for name in fold_of if name not in known]
    if lost:
        raise DatasetError(
            f"{file} names {len(lost)} cases that are not in imagesTr, for example {lost[0]!r}. Add them, or move the "
            "file away."
        )
    return {known[name]: number for name, number in fold_of.items()}


def _labels(document: Mapping[str, Any], file: Path) -> tuple[dict[str, int], int | None]:
    """Name -> value, and the value of `ignore`; both ways that dataset.json has had are understood."""
    rows = document.get("labels")
    if not isinstance(rows, Mapping) or not rows:
        raise DatasetError(f"{file} has no labels. Add them, for example {{'background': 0, 'liver': 1}}.")
    by_value = all(map(str.isdigit, rows)) and not all(isinstance(value, int) for value in rows.values())
    stated = {str(name): value for value, name in rows.items()} if by_value else dict(rows)
    named = as_typed(NNUNET, stated, f"{file}: labels", FIX)
    regions = [name for name, value in named.items() if isinstance(value, list) and len(value) != 1]
    if regions:
        values = sorted({v for value in named.values() for v in _listed(value)})
        rows_of = ", ".join(f"{'background' if v == 0 else f'class {v}'}: {v}" for v in values)
        raise DatasetError(
            f"{file}: the labels {', '.join(regions)} are regions of several values, and a pixel has one class. Name "
            f"the values of the label maps themselves, for example classes: {{{rows_of}}}."
        )
    flat = {name: _listed(value)[0] for name, value in named.items()}
    return dict(sorted(flat.items(), key=lambda row: row[1])), flat.get("ignore")


def _listed(value: int | list[int]) -> list[int]:
    return value if isinstance(value, list) else [value]


def _with_ending(folder: Path, ending: str) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.endswith(ending) and not is_hidden(path.name)]


def _cases(root: Path, part: str, ending: str, channels: int) -> list[Case]:
    """Cases of imagesTr or imagesTs, by name; raises `DatasetError` for those without all of their files."""
    labels = require_folder("nnunet", root / f"labels{part}", f"labels{part}/<case>{ending}", OBTAIN)
    names = sorted(path.name[: -len(ending)] for path in _with_ending(labels, ending))
    images = require_folder("nnunet", root / f"images{part}", f"images{part}/<case>_0000{ending}", OBTAIN)
    cases, lacking = [], []
    for name in names:
        files = [images / f"{name}_{number:04d}{ending}" for number in range(channels)]
        if not files[0].is_file() and (images / f"{name}{ending}").is_file():
            files = [images / f"{name}{ending}"]
        lacking += [path for path in files if not path.is_file()]
        split = "test" if part == "Ts" else ""
        cases.append(Case(name, tuple(files), labels / f"{name}{ending}", split))
    alone = sorted({*_with_ending(images, ending)} - {path for case in cases for path in case.images})
    told = [] if names else [f"labels{part} holds no {ending} file"]
    told += [f"{len(lacking)} images are missing, for example {lacking[0].name}"] if lacking else []
    told += [f"{len(alone)} images have no labels, for example {alone[0].name}"] if alone else []
    if told:
        raise DatasetError(f"nnunet: {images}: {'; '.join(told)}. Add what is missing, or move the rest away. {OBTAIN}")
    return cases
