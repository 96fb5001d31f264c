"""Finds which volumes belong together: the images of a case, one for each channel, and its mask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bench.data.formats.dicom_labels import label_kind
from bench.data.formats.dicom_series import frames_of, is_dicom, patient_of
from bench.data.formats.file_names import same_text
from bench.data.formats.patterns import SHARED, check_pattern, values_of, visible_files
from bench.data.formats.volume_arrays import READERS, suffix_of
from bench.errors import DatasetError


@dataclass(frozen=True)
class Case:
    """A volume with its mask.

    Attributes:
        name: Name of the case, unlike any other's.
        images: Files of the images, one for each channel.
        mask: File of the labels.
        split: Split of the pattern; empty without `{split}`.
        group: Group of the pattern, or the patient of a DICOM series; empty where neither is known.
    """

    name: str
    images: tuple[Path, ...]
    mask: Path
    split: str = ""
    group: str = ""


def cases_in(root: Path, images: str, masks: str, channels: Sequence[str] | None) -> tuple[Case, ...]:
    """Find the cases of a folder by two patterns, by name; raises `DatasetError` for what lacks a part."""
    plain = images.replace("{channel}", "*")
    check_pattern(plain, "images", allowed=SHARED)
    check_pattern(masks, "masks", allowed=SHARED)
    if ("{channel}" in images) != (channels is not None):
        raise DatasetError(
            "volumes: {channel} in images and the option channels belong together, for example images: "
            '"{id}_{channel}.nii.gz" and channels: [t1, t2, flair].'
        )
    paths = volume_paths(root)
    found, orphans = _grouped(paths, root, images, masks, channels or ("",))
    alone = [name for name, case in found.items() if case.mask is None]
    lacking = [name for name, case in found.items() if len(case.images) < len(channels or ("",))]
    told = [] if found else [f"no volume fits images: {images!r}"]
    told += [f"{len(alone)} of {len(found)} volumes have no mask, for example {alone[0]}"] if alone else []
    told += [f"{len(lacking)} lack a channel, for example {lacking[0]}"] if lacking else []
    told += [f"{len(orphans)} masks have no image, for example {orphans[0]}"] if orphans else []
    if told:
        endings = ", ".join(sorted({suffix_of(path) or "folders of DICOM" for path in paths})) or "none"
        raise DatasetError(
            f"volumes: {root}: {'; '.join(told)}. The patterns are images: {images!r} and masks: {masks!r}; "
            f"{len(paths)} volumes lie there ({endings}). Correct them, add what is missing, or move the rest away."
        )
    names = list(channels or ("",))
    return tuple(_case(name, found[name], names) for name in sorted(found))


@dataclass
class _Gathered:
    values: Mapping[str, str]
    images: dict[str, Path]
    mask: Path | None = None


def _grouped(
    paths: Sequence[str], root: Path, images: str, masks: str, channels: Sequence[str]
) -> tuple[dict[str, _Gathered], list[str]]:
    """Return cases by name, and masks without an image."""
    found: dict[str, _Gathered] = {}
    by_key: dict[tuple[str, ...], str] = {}
    shared = [name for name in SHARED if f"{{{name}}}" in images and f"{{{name}}}" in masks]
    as_mask = {path: values for path in paths if (values := fitting(masks, path)) is not None}
    for path in paths:
        for channel in channels:
            values = fitting(images.replace("{channel}", channel), path)
            if values is None or (path in as_mask and _fixed(masks) > _fixed(images)):
                continue
            name = same_text("__".join(part.replace("/", "__") for part in dict.fromkeys(values.values())))
            case = found.setdefault(name, _Gathered(values, {}))
            case.images[channel] = root / path
            by_key[tuple(same_text(values[one]) for one in shared)] = name
            break
    taken = {path.relative_to(root).as_posix() for case in found.values() for path in case.images.values()}
    orphans = []
    for path, values in as_mask.items():
        owner = by_key.get(tuple(same_text(values[one]) for one in shared))
        if owner is not None and path not in taken:
            found[owner].mask = root / path
        elif path not in taken:
            orphans.append(path)
    return found, orphans


def _fixed(pattern: str) -> int:
    """Return how much of a pattern is fixed text: of two that fit, the one with more of it is meant."""
    return len(pattern.replace("{id}", "").replace("{group}", "").replace("{split}", "").replace("*", ""))


def _case(name: str, case: _Gathered, channels: Sequence[str]) -> Case:
    assert case.mask is not None
    files = tuple(case.images[channel] for channel in channels)
    group = case.values.get("group", "")
    if not group and (files[0].is_dir() or suffix_of(files[0].name) not in READERS):
        group = patient_of(files[0])
    return Case(name, files, case.mask, case.values.get("split", ""), group)


def fitting(pattern: str, path: str) -> dict[str, str] | None:
    """Return the text of each placeholder; `.*` at the end of a pattern stands for `.nii.gz` too, and for no suffix of
    a folder.

    >>> fitting("images/{id}.*", "images/a.nii.gz"), fitting("images/{id}.*", "images/series 1")
    ({'id': 'a'}, {'id': 'series 1'})
    """
    if not pattern.endswith(".*"):
        return values_of(pattern, path)
    suffix = suffix_of(path) if suffix_of(path) in (*READERS, ".dcm", ".nii.gz") else ""
    return values_of(pattern[:-2], path[: len(path) - len(suffix)] if suffix else path)


def volume_paths(root: Path) -> list[str]:
    """Return paths, below a folder, of what may be a volume: files of the known forms, and folders of DICOM files."""
    files = visible_files(root)
    of_folder: dict[str, list[str]] = defaultdict(list)
    for path in files:
        if suffix_of(path) in (".dcm", ".ima", "") or suffix_of(path)[1:].isdigit():
            of_folder[path.rpartition("/")[0]].append(path)
    labels = {path for members in of_folder.values() for path in members if label_kind(root / path)}
    slices = {folder: [path for path in members if path not in labels] for folder, members in of_folder.items()}
    folders = [folder for folder, members in slices.items() if folder and members and is_dicom(root / members[0])]
    # A file of many frames is a volume by itself, whatever lies beside it.
    folders = [folder for folder in folders if len(slices[folder]) < 2 or frames_of(root / slices[folder][0]) < 2]
    inside = {member for folder in folders for member in slices[folder]}
    # Several series by name in one folder are files of frames each, not the slices of one.
    loose = [path for path in files if suffix_of(path) == ".dcm" and path not in inside]
    known = [path for path in files if suffix_of(path) in READERS]
    return sorted({*folders, *loose, *known, *labels}, key=PurePosixPath)
