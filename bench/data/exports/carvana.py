"""Write a data set as Carvana: JPEG images, GIF masks with indices 0 and 1, and train_masks.csv.

Up to 16 images of a split become the views of one car, whose twelve digits are a hash. The run
lengths in the CSV count from 1 along rows, as those of the challenge do.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.exports._classes import class_map, mapped
from bench.data.exports._writing import JPEG_LOSS, Names, Written, exporter, items, write_jpeg, write_text
from bench.data.formats.image_files import write_indexed
from bench.dataset import Dataset

LOSS = (
    JPEG_LOSS,
    "two classes, car and background; void becomes background",
    "splits are dealt out anew, by car",
)
VIEWS = 16
PALETTE = ((0, 0, 0), (255, 255, 255))


@exporter(LOSS)
def export(source: Dataset, folder: Path, names: Names) -> Written:
    """Write all splits into one folder."""
    positions = class_map(source.classes, ("background", "car"), names, form="carvana")
    ids, rows = {}, "img,rle_mask\n"
    count: Counter[str] = Counter()
    for item in items(source):
        car, view = divmod(count[item.split], VIEWS)
        count[item.split] += 1
        digits = hashlib.sha256(f"{item.split}:{car}".encode()).hexdigest()[:12]
        name = ids[item.image_id] = f"{digits}_{view + 1:02d}"
        mask = mapped(source.target(item.image_id).semantic.labels, positions, void=0)
        write_jpeg(folder / "train" / f"{name}.jpg", source.image(item.image_id))
        write_indexed(folder / "train_masks" / f"{name}_mask.gif", mask, PALETTE)
        rows += f"{name}.jpg,{row_run_lengths(mask == 1)}\n"
    write_text(folder / "train_masks.csv", rows)
    return ids, {}


def row_run_lengths(mask: NDArray[np.bool_]) -> str:
    """Start and length of every run along rows, starts counted from 1, as the challenge wants them.

    >>> row_run_lengths(np.array([[False, True, True], [True, False, False]]))
    '2 3'
    >>> row_run_lengths(np.array([[True, False], [False, True]]))
    '1 1 4 1'
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.ravel().astype(np.int8), [0]])))
    starts, lengths = edges[0::2] + 1, edges[1::2] - edges[0::2]
    return " ".join(f"{start} {length}" for start, length in zip(starts.tolist(), lengths.tolist(), strict=True))
