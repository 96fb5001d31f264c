"""Panoptic PNGs whose pixels are segment ids, R + 256 G + 65536 B with 0 = void, as COCO and Detectron2 have them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.image_files import read_mask
from bench.data.formats.label_tables import Runs, pack_rgb, runs_of
from bench.data.formats.rasters import instances_from_panoptic
from bench.dataset import GroundTruth
from bench.errors import DatasetError
from bench.records import ClassSpec, label_dtype, void_id
from bench.records.predictions import Panoptic, Segment, SemanticMap


@dataclass(frozen=True)
class SegmentMap:
    """A panoptic PNG.

    Attributes:
        numbers: Ids that occur, int32, (S,).
        runs: Runs of equal ids, R of them.
        which: Position of each run's number, (R,).
    """

    file: Path
    numbers: NDArray[np.int32]
    runs: Runs
    which: NDArray[np.intp]

    def require(self, listed: Collection[int], annotation: Path) -> None:
        """Raise `DatasetError` if the ids are not those that an annotation file lists."""
        odd = sorted((set(self.numbers.tolist()) ^ set(listed)) - {0})
        if odd:
            raise DatasetError(
                f"{self.file}: segments {', '.join(map(str, odd[:5]))} are in the PNG or in {annotation.name} but not "
                "in both. Restore both from one source.",
                kind="labels",
            )

    def ground_truth(self, segments: Sequence[Segment], classes: Sequence[ClassSpec]) -> GroundTruth:
        """Return all three forms; pixels of ids that are not among the segments become void."""
        class_of = {s.id: s.class_id for s in segments}
        kept = np.array([i if i in class_of else 0 for i in self.numbers.tolist()], dtype=np.int32)
        labels = np.array(
            [class_of.get(i, void_id(len(classes))) for i in self.numbers.tolist()], dtype=label_dtype(len(classes))
        )
        ids = self.runs.filled(kept[self.which])
        panoptic = Panoptic(ids, tuple(segments))
        return GroundTruth(
            semantic=SemanticMap(self.runs.filled(labels[self.which])),
            instances=instances_from_panoptic(panoptic, classes),
            panoptic=panoptic,
        )


def read_segment_map(png: Path) -> SegmentMap:
    """Read a panoptic PNG; raises `DatasetError` if it is not RGB."""
    mask = read_mask(png)
    if mask.pixels.ndim != 3:
        raise DatasetError(
            f"{png} is not RGB; a panoptic PNG holds ids as R + 256 G + 65536 B. Restore it.", kind="colours"
        )
    runs = runs_of(pack_rgb(np.ascontiguousarray(mask.pixels[..., ::-1])))  # B << 16 | G << 8 | R
    numbers, which = np.unique(runs.values, return_inverse=True)
    return SegmentMap(png, numbers, runs, which)
