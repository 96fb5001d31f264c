"""What a model's output means, and how it becomes a map of the task's class ids."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from adapters._torch.fitting import Placement, restored
from adapters._torch.runtimes.file_options import FileOptions
from bench.errors import BenchError, Unsupported, did_you_mean
from bench.records import IGNORE_LABEL, Size, TaskSpec
from bench.records.predictions import LabelMap


class OutputReader:
    """Reads the output of one image, as the model config explains it.

    Args:
        options: Of the model config.
        task: With the classes that ids stand for.
        label: Name of the model, for messages.

    Raises:
        BenchError: If the model config names a class that nobody has.
        Unsupported: If the output cannot tell the task's classes apart.
    """

    def __init__(self, options: FileOptions, task: TaskSpec, label: str) -> None:
        self._options, self._label = options, label
        self.layout = options.layout or "NCHW"  # of the input, which the file says if nobody else does
        known = [spec.name for spec in task.classes]
        if len(known) > IGNORE_LABEL:
            raise Unsupported(f"label maps hold up to 255 classes; the task has {len(known)}")
        names = list(options.classes) if options.classes is not None else known
        if options.is_sigmoid and len(names) != 2:
            raise Unsupported(f"{label}: a sigmoid tells 2 classes apart; there are {len(names)}: {', '.join(names)}")
        if not set(names) & set(known):
            hint = did_you_mean(names[0], known) if names else ""
            raise BenchError(
                f"{label}: option 'classes': none of {', '.join(names)} is a class of the task.{hint} It has: "
                f"{', '.join(known)}"
            )
        if options.others is not None and options.others not in known:
            raise BenchError(
                f"{label}: option 'others': the task has no class {options.others!r}."
                f"{did_you_mean(options.others, known)} It has: {', '.join(known)}"
            )
        others = IGNORE_LABEL if options.others is None else known.index(options.others)
        self._classes = len(names)
        self._ids = np.full(256, IGNORE_LABEL, dtype=np.uint8)
        self._ids[: len(names)] = [known.index(name) if name in known else others for name in names]

    def labels(self, output: NDArray[Any], *, placement: Placement, size: Size) -> LabelMap:
        """Return the task's class ids, uint8, at the original size; void where a crop showed nothing.

        Args:
            output: Of one image, in the file's layout, without the batch axis.
            placement: Of the image in the input that it was computed from.
            size: Of the original image.
        """
        found, unanswered = self._labels(output, placement, size), placement.without_answer(size)
        return found if unanswered is None else np.where(unanswered, np.uint8(IGNORE_LABEL), found)

    def _labels(self, output: NDArray[Any], placement: Placement, size: Size) -> LabelMap:
        if self._options.output_is == "labels":
            return self._of_labels(output, placement, size)
        expected = 1 if self._options.is_sigmoid else self._classes
        planes = self._planes(output, expected)
        if planes.shape[0] != expected:
            raise BenchError(
                f"{self._label}: the file's output has {planes.shape[0]} channels, and {self._classes} classes as "
                f"{self._options.output_is} need {expected}. List the model's classes in option 'classes', and check "
                "'output', 'output_is' and 'output_layout'"
            )
        at_size = [restored(plane, placement, size, cv2.INTER_LINEAR) for plane in planes]
        if self._options.is_sigmoid:
            return self._ids[(at_size[0] > self._bar()).astype(np.uint8)]
        best = np.zeros(tuple(size), dtype=np.uint8)
        highest = at_size[0].copy()
        for channel, plane in enumerate(at_size[1:], start=1):
            above = plane > highest
            best[above] = channel
            np.maximum(highest, plane, out=highest)
        return self._ids[best]

    def _planes(self, output: NDArray[Any], expected: int) -> NDArray[np.float32]:
        """The output as float32 (C, h, w), of which the expected number of channels says where they are."""
        layout = self._options.output_layout or self.layout
        ends = [output.shape[axis] == expected for axis in (0, -1)]
        if self._options.output_layout is None and output.ndim == 3 and ends[0] != ends[1]:
            layout = "NCHW" if ends[0] else "NHWC"
        if output.ndim == 2:
            output = output[None]
        elif output.ndim == 3 and layout == "NHWC":
            output = output.transpose(2, 0, 1)
        if output.ndim != 3:
            raise BenchError(
                f"{self._label}: the file's output has {output.ndim} axes for one image; expected a number per class "
                "and pixel. Choose another with option 'output'"
            )
        return np.ascontiguousarray(output, dtype=np.float32)

    def _bar(self) -> float:
        """What class 1 must be above."""
        threshold = self._options.threshold
        return threshold if self._options.output_is == "sigmoid_probability" else math.log(threshold / (1 - threshold))

    def _of_labels(self, output: NDArray[Any], placement: Placement, size: Size) -> LabelMap:
        """Ids as they are; they can only be resized by nearest pixel centre."""
        alone = output.ndim == 3 and 1 in (output.shape[0], output.shape[-1])
        found = (output[0] if output.shape[0] == 1 else output[..., 0]) if alone else output
        if found.ndim != 2:
            raise BenchError(
                f"{self._label}: the file's output has the shape {tuple(output.shape)} for one image; labels are an id "
                "per pixel. Choose another output with option 'output', or set option 'output_is'"
            )
        known = (found >= 0) & (found < self._classes)
        ids = np.where(known, found, IGNORE_LABEL).astype(np.uint8)
        at_size = restored(ids, placement, size, cv2.INTER_NEAREST_EXACT)
        return np.ascontiguousarray(self._ids[at_size])
