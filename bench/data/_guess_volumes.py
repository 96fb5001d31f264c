"""Proposing how a folder of volumes is read: patterns, channels, classes and window, by looking at a few of them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from pydantic import JsonValue

from bench.data._guess_folder import MASK_NAME, PatternGuess, best_patterns
from bench.data.formats.dicom_labels import label_kind, region_names
from bench.data.formats.patterns import match_paths
from bench.data.formats.volume_arrays import READERS, suffix_of
from bench.data.formats.volume_places import volume_paths
from bench.data.formats.volume_slices import Axis, outline, percentiles_of, read_volume, spacing_of, whole_numbers
from bench.errors import DatasetError

VOLUME_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
CHANNEL = re.compile(r"^(.+)[_-]([A-Za-z0-9]{1,12})$")
LOOKED_AT = 3
MOST_CHANNELS, MOST_CLASSES = 8, 40


def volume_options(root: Path) -> Iterator[tuple[dict[str, JsonValue], tuple[str, ...]]]:
    """Yield the options of `volumes` and what speaks for them; nothing where there are no volumes with masks.

    Stacks of TIFF pages and arrays of three dimensions count where the folder holds nothing else.
    """
    found = [
        path
        for path in volume_paths(root)
        if suffix_of(path) in (*VOLUME_SUFFIXES, ".dcm", "") or _is_stack(root, path)
    ]
    if not found:
        return
    beside = _labels_beside_series(root, found)
    if beside is not None:
        yield beside
        return
    # Names are compared as if all were of one suffix.
    volumes = {_bare(path) + ".png": path for path in found}
    channels = _channels(list(volumes))
    if channels:
        volumes = {name: path for name, path in volumes.items() if _channel_of(name) in ("", channels[0])}
    guess = best_patterns(sorted(volumes), root)
    if guess is None:
        return
    images, masks = (_with_ending(pattern, volumes, guess) for pattern in (guess.images, guess.masks))
    options: dict[str, JsonValue] = {}
    if channels and channels[0] in images:
        images = "{channel}".join(images.rsplit(channels[0], 1))
        options["channels"] = list(channels)
    options = {"images": images, "masks": masks, **options}

    def stored(file: Path) -> Path:
        return root / volumes[file.relative_to(root).as_posix()]

    matched = match_paths(sorted(volumes), root, guess.images, guess.masks).found
    pairs = [(stored(one.image), stored(one.masks[0])) for one in matched]
    try:
        read, reasons = reading_options(pairs)
    except DatasetError:
        read, reasons = {}, ()
    counted = f"{len(pairs)} volumes have a mask by these patterns, of {len(found)} volumes and masks that lie there"
    yield {**options, **read}, (counted, *reasons)


def _labels_beside_series(root: Path, paths: Sequence[str]) -> tuple[dict[str, JsonValue], tuple[str, ...]] | None:
    """Return options for folders of patients that hold a series and labels under the same names; None for others."""
    labels = {path for path in paths if label_kind(root / path)}
    below_of: dict[bool, set[str]] = {True: set(), False: set()}
    pairs: dict[str, dict[bool, Path]] = {}
    for path in paths:
        patient, _, below = path.partition("/")
        below_of[path in labels].add(below)
        pairs.setdefault(patient, {})[path in labels] = root / path
    complete = [(pair[False], pair[True]) for pair in pairs.values() if len(pair) == 2]
    if not labels or {len(names) for names in below_of.values()} != {1} or not complete:
        return None
    images, masks = (f"{{id}}/{next(iter(below_of[kind]))}".rstrip("/") for kind in (False, True))
    read, reasons = reading_options(complete)
    counted = f"{len(complete)} of {len(pairs)} folders hold a DICOM series and labels of its regions"
    return {"images": images, "masks": masks, **read}, (counted, *reasons)


def reading_options(
    pairs: Sequence[tuple[Path, Path]], *, classes: bool = True
) -> tuple[dict[str, JsonValue], tuple[str, ...]]:
    """Return options that say what the values of images and masks mean, and why; reads a few volumes.

    Args:
        pairs: Volumes with their masks.
        classes: True if classes are to be proposed.

    Raises:
        DatasetError: If a volume cannot be read.
    """
    looked_at = pairs[:: max(1, len(pairs) // LOOKED_AT)][:LOOKED_AT]
    options: dict[str, JsonValue] = {}
    reasons: list[str] = []
    named = [mask for _, mask in looked_at if label_kind(mask)]
    if classes and named:
        names = list(dict.fromkeys(name for mask in named for name in region_names(mask)))
        options["classes"] = {"background": 0, **{name: value for value, name in enumerate(names, start=1)}}
        reasons.append("the masks name these regions; leave out those that are no class, the one on top last")
    elif classes:
        seen: set[int] = set()
        for _, mask in looked_at:
            seen.update(np.unique(whole_numbers(read_volume(mask).values, mask)).tolist())
        if len(seen) > MOST_CLASSES:
            options["masks_hold"] = "instances"
            reasons.append(f"the masks hold {len(seen)} values, taken as numbers of objects")
        else:
            options["classes"] = {"background" if v == 0 else f"class {v}": v for v in sorted(seen)}
            reasons.append(
                f"the masks looked at hold {', '.join(map(str, sorted(seen)))}; give the classes their names"
            )
    volume = read_volume(looked_at[0][0])
    if volume.window is not None:
        options["window"] = [round(volume.window[0], 3), round(volume.window[1], 3)]
        reasons.append("the window is that of the DICOM header")
    elif volume.values.dtype != np.uint8:
        low, high = percentiles_of(volume.values, (0.5, 99.5))
        options["window"] = [-160, 240] if low < -300 else {"percentiles": [0.5, 99.5]}
        reasons.append(
            f"values are {low:g} to {high:g}: "
            + ("CT, of which the window of soft tissue is proposed" if low < -300 else "no unit is known, as in MR")
        )
    axis = _finest(looked_at[0][0])
    if axis is not None:
        options["axis"] = axis
        reasons.append(f"{axis} slices have the finest pixels")
    return options, tuple(reasons)


def _finest(path: Path) -> Axis | None:
    """Return the axis whose slices have clearly finer pixels than axial ones; None without one, or if unknown."""
    volume = outline(path)
    if volume.affine is None:
        return None
    sizes: dict[Axis, float] = {}
    axes: tuple[Axis, ...] = ("axial", "coronal", "sagittal")
    for axis in axes:
        spacing = spacing_of(volume, axis)
        assert spacing is not None
        sizes[axis] = spacing.row * spacing.column
    best = min(sizes, key=lambda axis: sizes[axis])
    return best if sizes[best] < 0.8 * sizes["axial"] else None


def _is_stack(root: Path, path: str) -> bool:
    """Return whether a TIFF has several pages, or an array three dimensions."""
    if suffix_of(path) not in READERS:
        return False
    try:
        shape = outline(root / path).values.shape
    except DatasetError:
        return False
    return len(shape) >= 3 and shape[2] > 1


def _bare(path: str) -> str:
    return path[: len(path) - len(suffix_of(path))] if suffix_of(path) in (*READERS, ".dcm") else path


def _channel_of(name: str) -> str:
    """Return what of a name may be a channel; empty for a mask, or a name without."""
    stem = PurePosixPath(name).stem
    found = CHANNEL.match(stem)
    return "" if found is None or MASK_NAME.search(stem) else found.group(2)


def _channels(names: Sequence[str]) -> tuple[str, ...]:
    """Return endings that most volumes have side by side, such as t1 and flair; empty without."""
    of_core: dict[str, set[str]] = defaultdict(set)
    for name in names:
        channel = _channel_of(name)
        if channel:
            core = str(PurePosixPath(name).with_suffix(""))[: -len(channel)]
            of_core[core].add(channel)
    if not of_core:
        return ()
    usual, count = Counter(tuple(sorted(found)) for found in of_core.values()).most_common(1)[0]
    if 2 <= len(usual) <= MOST_CHANNELS and count >= 0.8 * len(of_core) and len(of_core) > 1:
        return usual
    return ()


def _with_ending(pattern: str, volumes: dict[str, str], guess: PatternGuess) -> str:
    """Return a pattern with the suffix that all its files have, if they have one."""
    found = match_paths(sorted(volumes), Path("/"), guess.images, guess.masks).found
    files = [one.image for one in found] if pattern == guess.images else [file for one in found for file in one.masks]
    paths = [volumes[file.relative_to("/").as_posix()] for file in files]
    suffixes = {path[len(_bare(path)) :] for path in paths}
    bare = pattern.removesuffix(".*").removesuffix(".png")
    return bare + (suffixes.pop() if len(suffixes) == 1 else ".*")
