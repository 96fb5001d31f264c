"""Write a data set as a raw folder of nnU-Net: NIfTI volumes of images and labels, and dataset.json.

Slices of one volume are stacked in their order, with the millimetres that are known; an image that is no slice becomes
a volume of one slice. Colours are three channels; grey ones, one. The background is 0, void is the label `ignore`. The
split test goes to imagesTs, all others to imagesTr.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.exports._classes import mapped, renamed
from bench.data.exports._writing import Item, Names, Written, exporter, items, write_text
from bench.data.formats.volume_arrays import package
from bench.dataset import Dataset, Place, Spacing
from bench.errors import DatasetError
from bench.records import background_class

LOSS = (
    "instances and segments: only the class of each pixel is kept",
    "which cases are validation: nnU-Net deals those of imagesTr into folds of its own",
    "orientation: slices are written as they are shown, as axial ones",
    "where a volume's slices are 1 mm apart or thick because nothing is known: NIfTI has no other way to say so",
    "a label background of no pixel is added where the source has no class of that kind",
)
ENDING = ".nii.gz"
GREY = "image"


@exporter(LOSS)
def export(source: Dataset, folder: Path, names: Names) -> Written:
    """Write all splits; `names` renames classes."""
    values, labels = _labels(source, names)
    ids: dict[str, str] = {}
    trained, channels = 0, ""
    for case, slices in _cases(source).items():
        part = "Ts" if slices[0].split == "test" else "Tr"
        pixels = [source.image(item.image_id) for item in slices]
        grey = all((image == image[..., :1]).all() for image in pixels) and channels in ("", GREY)
        channels = channels or (GREY if grey else "RGB")
        if channels == GREY and not grey:
            raise DatasetError(f"nnunet: {case} has colours, earlier images are grey. Export them apart.")
        spacing = getattr(source, "spacing", lambda _: None)(slices[0].image_id)
        for channel in range(1 if channels == GREY else pixels[0].shape[2]):
            stack = [image[..., channel] for image in pixels]
            _write(folder / f"images{part}" / f"{case}_{channel:04d}{ENDING}", stack, spacing, case)
        ground_truths = [source.target(item.image_id).semantic.labels for item in slices]
        maps = [mapped(ground_truth, values, void=labels.get("ignore", 0)) for ground_truth in ground_truths]
        _write(folder / f"labels{part}" / f"{case}{ENDING}", maps, spacing, case)
        trained += part == "Tr"
        ids |= {item.image_id: f"{case}__z{number:04d}" for number, item in enumerate(slices)}
    called = [GREY] if channels == GREY else ["R", "G", "B"]
    document = {
        "channel_names": {str(number): name for number, name in enumerate(called)},
        "labels": labels,
        "numTraining": trained,
        "file_ending": ENDING,
    }
    write_text(folder / "dataset.json", json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    return ids, {}


def _labels(source: Dataset, names: Names) -> tuple[list[int], dict[str, int]]:
    """Value of each class, and dataset.json's labels: the background first, `ignore` last."""
    background = background_class(source.classes)
    others = [index for index in range(len(source.classes)) if index != background]
    values = [0] * len(source.classes)
    for value, index in enumerate(others, start=1):
        values[index] = value
    called = {name: values[i] for i, name in enumerate(renamed(source, names)) if i != background}
    return values, {"background": 0, **called, "ignore": len(others) + 1}


def _cases(source: Dataset) -> dict[str, list[Item]]:
    """Name of each volume -> its slices in their order."""
    found: dict[tuple[str, str], list[tuple[int, Item]]] = {}
    for item in items(source):
        place: Place | None = getattr(source, "place", lambda _: None)(item.image_id)
        volume, number = (item.image_id, 0) if place is None else place
        part = "test" if item.split == "test" else "train"
        found.setdefault((part, volume), []).append((number, item))
    plain = {key: re.sub(r"[^A-Za-z0-9._-]+", "_", key[1]) for key in found}
    if len(set(plain.values())) < len(plain):
        plain = {key: f"{name}_{number:04d}" for number, (key, name) in enumerate(plain.items())}
    return {plain[key]: [item for _, item in sorted(rows, key=lambda row: row[0])] for key, rows in found.items()}


def _write(path: Path, slices: Sequence[NDArray[Any]], spacing: Spacing | None, case: str) -> None:
    """Write slices, (H, W) each, as a volume whose axes point to the left, the back and the head."""
    nibabel = package("nibabel", path)
    if len({one.shape for one in slices}) > 1:
        raise DatasetError(f"nnunet: the slices of {case} differ in size, and are no volume. Export them as folder.")
    row, column, depth = (1.0, 1.0, 1.0) if spacing is None else (spacing.row, spacing.column, spacing.slice or 1.0)
    volume = np.stack([one.T for one in slices], axis=-1)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(volume.astype(np.uint8), np.diag([-column, -row, depth, 1.0])), path)
