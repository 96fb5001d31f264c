"""Scored masks of objects: drawn, as models give them, or as run lengths, as files have them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.records.base import Size, Spacing
from bench.records.mask_runs import MaskRuns


@dataclass(frozen=True)
class Instances:
    """Scored binary masks that may overlap.

    Attributes:
        masks: bool, shape (N, H, W).
        class_ids: int64, shape (N,).
        scores: float64, shape (N,), 0-1; ones in a ground truth.
        crowd: bool, shape (N,); only a ground truth has crowds.
        unchecked: Classes that a ground truth was not looked through for, or not to the end: detections of them
            that fit no object count neither as right nor as wrong.
        spacing: Spacing of its pixels, in a ground truth whose data set knows it.
        areas: Pixels of each as its annotation says, float64, (N,), nan where it says none; None where no annotation
            does. By these, not by its masks, COCO tells small from large.
        void: Pixels that are not judged, bool, (H, W), in a ground truth whose data set tells them from background.
    """

    masks: NDArray[np.bool_]
    class_ids: NDArray[np.int64]
    scores: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    unchecked: tuple[int, ...] = ()
    spacing: Spacing | None = None
    areas: NDArray[np.float64] | None = None
    void: NDArray[np.bool_] | None = None

    @classmethod
    def found(cls, masks: NDArray[np.bool_], class_ids: NDArray[np.int64], scores: NDArray[np.floating]) -> Instances:
        """Return what a network finds, of which none is a crowd; scores are cut to 0-1."""
        return cls(masks, class_ids, np.clip(scores.astype(np.float64), 0, 1), np.zeros(len(masks), dtype=np.bool_))

    @property
    def size(self) -> Size:
        """Size of the masks."""
        return Size(*self.masks.shape[1:])

    def as_runs(self) -> MaskRuns:
        """Return the masks as runs."""
        return MaskRuns.of_masks(self.masks)

    def encoded(self) -> EncodedInstances:
        """Return the same with runs in the place of masks that are drawn."""
        return EncodedInstances(self.as_runs(), **self._others())

    def content_hash(self) -> str:
        """SHA-256 over masks, classes and scores rounded to 1e-6, in hex; the same drawn and as runs."""
        runs = self.as_runs()
        return array_hash(runs.edges, runs.ends, self.class_ids, np.round(self.scores, 6), np.array(runs.size))

    def content_hash_of_pixels(self) -> str:
        """Return the same as it was stored until version 0.2, over the pixels of the masks."""
        return array_hash(np.packbits(self.masks), self.class_ids, np.round(self.scores, 6), np.array(self.masks.shape))

    def changed(self, **attributes: Any) -> Instances:
        """Return the same with other attributes, but for the masks."""
        return replace(self, **attributes)

    def with_masks(self, masks: NDArray[np.bool_]) -> Instances:
        """Return the same objects with other masks, bool, (N, H, W)."""
        return Instances(masks, **self._others())

    def chosen(self, which: NDArray[Any]) -> Instances:
        """Return some of the objects, by their numbers or by a mask of them, in the order given."""
        return replace(self, masks=self.masks[which], **self._chosen_values(which))

    def _others(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _NAMES}

    def _chosen_values(self, which: NDArray[Any]) -> dict[str, Any]:
        return {
            "class_ids": self.class_ids[which],
            "scores": self.scores[which],
            "crowd": self.crowd[which],
            "areas": None if self.areas is None else self.areas[which],
        }


_NAMES = tuple(field.name for field in fields(Instances)[1:])
_DEFAULTS = {field.name: field.default for field in fields(Instances)[4:]}
"""Attributes but for the masks, and what those have that need not be given."""


class EncodedInstances(Instances):
    """Instances whose masks are runs, which are drawn when `masks` is first asked for.

    Adapters return `Instances`: a worker takes no other type from them.
    """

    runs: MaskRuns

    def __init__(
        self,
        runs: MaskRuns,
        class_ids: NDArray[np.int64],
        scores: NDArray[np.float64],
        crowd: NDArray[np.bool_],
        **others: Any,
    ) -> None:
        """Keep the runs in the place of the masks; `others` are attributes of `Instances`."""
        values = _DEFAULTS | others
        values |= {"runs": runs, "class_ids": class_ids, "scores": scores, "crowd": crowd}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        """Draw the masks; every other attribute is there and does not come here."""
        if name != "masks":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        masks = self.runs.drawn()
        object.__setattr__(self, "masks", masks)
        return masks

    @property
    def size(self) -> Size:
        """Size of the masks."""
        return self.runs.size

    def as_runs(self) -> MaskRuns:
        """Return the masks as runs."""
        return self.runs

    def changed(self, **attributes: Any) -> Instances:
        """Return the same with other attributes, but for the masks."""
        return EncodedInstances(**{"runs": self.runs, **self._others(), **attributes})

    def chosen(self, which: NDArray[Any]) -> Instances:
        """Return some of the objects, by their numbers or by a mask of them, in the order given."""
        return self.changed(runs=self.runs.chosen(which), **self._chosen_values(which))


def array_hash(*arrays: NDArray[np.generic]) -> str:
    """Return the SHA-256 of arrays with their types and shapes, in hex."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.dtype.str}{array.shape}".encode())
        sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()
