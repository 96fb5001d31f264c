"""Turns a model's output into a map of the task's class ids, by what the output means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from adapters._torch.class_names import listed
from adapters._torch.fitting import Placement, restored
from adapters._torch.output_values import Doubt, contradiction
from adapters._torch.runtimes.file_options import FileOptions
from bench.errors import BenchError, Unsupported, did_you_mean
from bench.records import IGNORE_LABEL, Size, TaskSpec, background_class
from bench.records.predictions import LabelMap, SemanticMap
from bench.records.stated_classes import key_of


class OutputReader:
    """Reads the output of one image, as the model config explains it.

    Args:
        task: Task with the classes that ids stand for.
        label: Name of the model, for messages.
        names: Names of the model's classes, where the file says them; option `classes` comes first.

    Raises:
        BenchError: If the model config names a class that nobody has.
        Unsupported: If the output cannot tell the task's classes apart.
    """

    def __init__(self, options: FileOptions, task: TaskSpec, label: str, names: Sequence[str] | None = None) -> None:
        self._options, self._label = options, label
        self.layout = options.layout or "NCHW"  # of the input, which the file says if nobody else does
        known = [spec.name for spec in task.classes]
        if len(known) > IGNORE_LABEL:
            raise Unsupported(f"label maps hold up to 255 classes; the task has {len(known)}")
        background = background_class(task.classes)
        own = [name for i, name in enumerate(known) if not (options.is_multilabel and i == background)]
        said = options.classes if options.classes is not None else names
        names = _with_the_rest(list(said), task, options) if said is not None else own
        turned = said is None and options.is_sigmoid and background == 1 and len(own) == 2
        names = names[::-1] if turned else names
        if options.is_multilabel and len(options.threshold) not in (1, len(names)):
            raise BenchError(
                f"{label}: option 'threshold' has {len(options.threshold)} numbers for {len(names)} classes "
                f"({', '.join(names)}); give one for each, or one for all"
            )
        if options.is_sigmoid and len(names) != 2:
            raise Unsupported(f"{label}: a sigmoid tells 2 classes apart; there are {len(names)}: {', '.join(names)}")
        if not set(map(key_of, names)) & set(map(key_of, known)):
            hint = did_you_mean(names[0], known) if names else ""
            raise BenchError(
                f"{label}: option 'classes': none of {', '.join(names)} is a class of the task.{hint} It has: "
                f"{', '.join(known)}"
            )
        self.remarks = _half_matched(names, own, options, label)
        self.remarks += (f"its one output was taken for that of {names[1]}, not of the background",) if turned else ()
        if options.others is not None and options.others not in known:
            raise BenchError(
                f"{label}: option 'others': the task has no class {options.others!r}."
                f"{did_you_mean(options.others, known)} It has: {', '.join(known)}"
            )
        others = IGNORE_LABEL if options.others is None else known.index(options.others)
        self._none = others if background is None else background
        self._classes, self._known = len(names), len(known)
        self._ids = np.full(256, IGNORE_LABEL, dtype=np.uint8)
        by_key = {key_of(name): i for i, name in enumerate(known)}
        self._ids[: len(names)] = [by_key.get(key_of(name), others) for name in names]

    def prediction(self, outputs: Sequence[NDArray[Any]], placement: Placement, size: Size) -> SemanticMap:
        """Return the label map of an image at its original size; `outputs` is the one that is read, of it alone."""
        return SemanticMap(self.labels(outputs[0], placement=placement, size=size))

    def doubt(self, output: NDArray[Any]) -> Doubt | None:
        """Return what the values of an image's output say against the way it is read; None if nothing."""
        options = self._options
        if options.output_is == "labels":
            return self._doubt_of_labels(np.asarray(output))
        planes = self._planes(output, 1 if options.is_sigmoid else self._classes)
        return contradiction(planes[None], claimed=options.gives, sigmoid=options.is_sigmoid or options.is_multilabel)

    def _doubt_of_labels(self, output: NDArray[Any]) -> Doubt | None:
        """Return what speaks against ids: fractions, which are none, and those of no class, which become void."""
        if output.dtype.kind == "f" and not bool((output == np.rint(output)).all()):
            return Doubt("its output holds fractions, which are no ids of classes", is_certain=True)
        beyond = np.unique(output[(output < 0) | (output >= self._classes)])
        if not beyond.size:
            return None
        shown = ", ".join(f"{value:g}" for value in beyond[:5])
        seen = f"its output holds {shown}, which are ids of none of its {self._classes} classes and become void"
        return Doubt(seen, is_certain=False)

    def labels(self, output: NDArray[Any], *, placement: Placement, size: Size) -> LabelMap:
        """Return the task's class ids of an image, uint8, at its original size; void where a crop showed nothing."""
        found, unanswered = self._labels(output, placement, size), placement.without_answer(size)
        return found if unanswered is None else np.where(unanswered, np.uint8(IGNORE_LABEL), found)

    def probabilities(self, output: NDArray[Any], placement: Placement, size: Size) -> NDArray[np.float32]:
        """Return the probability of each of the task's classes at the original size, float32, (K, H, W).

        Classes of the file that are one of the task are added; a class that the file does not have is 0, the background
        of a multilabel file what its most probable class leaves. 0 where a crop showed nothing.

        Raises:
            Unsupported: If the output is labels.
        """
        if self._options.output_is == "labels":
            raise Unsupported(f"{self._label}: its file gives labels, and no probabilities")
        logits = np.stack(self._at_size(output, placement, size))
        as_they_are = self._options.gives == "probabilities"
        if self._options.is_sigmoid or self._options.is_multilabel:
            each = logits if as_they_are else 1 / (1 + np.exp(-logits))
            planes = np.concatenate([1 - each, each]) if self._options.is_sigmoid else each
        else:
            planes = logits if as_they_are else np.exp(logits - logits.max(axis=0))
            planes = planes if as_they_are else planes / planes.sum(axis=0)
        found = np.zeros((self._known, *size), dtype=np.float32)
        for plane, class_id in zip(planes, self._ids, strict=False):
            if class_id < self._known:
                found[class_id] += plane
        if self._options.is_multilabel and self._none < self._known and self._none not in self._ids[: self._classes]:
            found[self._none] = 1 - planes.max(axis=0)
        unanswered = placement.without_answer(size)
        return found if unanswered is None else np.where(unanswered, np.float32(0), found)

    def _at_size(self, output: NDArray[Any], placement: Placement, size: Size) -> list[NDArray[np.float32]]:
        """Return the plane of each channel at the original size; refuses another number than the classes need."""
        planes = self._planes(output, 1 if self._options.is_sigmoid else self._classes)
        self.check_channels(planes.shape[0])
        return [restored(plane, placement, size, cv2.INTER_LINEAR) for plane in planes]

    def _labels(self, output: NDArray[Any], placement: Placement, size: Size) -> LabelMap:
        if self._options.output_is == "labels":
            return self._of_labels(output, placement, size)
        at_size = self._at_size(output, placement, size)
        if self._options.is_sigmoid:
            return self._ids[(at_size[0] > self._bar(self._options.threshold[0])).astype(np.uint8)]
        if self._options.is_multilabel:
            return self._surest(at_size)
        best = np.zeros(tuple(size), dtype=np.uint8)
        highest = at_size[0].copy()
        for channel, plane in enumerate(at_size[1:], start=1):
            above = plane > highest
            best[above] = channel
            np.maximum(highest, plane, out=highest)
        return self._ids[best]

    def check_channels(self, count: int) -> None:
        """Refuse an output of another number of channels than its classes need; raises `BenchError`."""
        expected = 1 if self._options.is_sigmoid else self._classes
        if count == expected:
            return
        has = f"{self._label}: the file's output has {count} channel{'s' if count != 1 else ''}"
        if count == 1 and self._options.output_is in ("logits", "probabilities"):
            raise BenchError(
                f"{has}, a sigmoid's of one class against the rest. Set options: {{output_is: sigmoid_logit}}, or "
                "sigmoid_probability where the network ends with its activation; or labels where they are ids"
            )
        raise BenchError(
            f"{has}, and {self._classes} classes as {self._options.output_is} need {expected}. List the model's "
            "classes in option 'classes', and check 'output', 'output_is' and 'output_layout'"
        )

    def _planes(self, output: NDArray[Any], expected: int) -> NDArray[np.float32]:
        """Return the output as float32 (C, h, w), of which the expected number of channels says where they are."""
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

    def _bar(self, threshold: float) -> float:
        """Return what a number must be above."""
        return threshold if self._options.gives == "probabilities" else math.log(threshold / (1 - threshold))

    def _surest(self, planes: Sequence[NDArray[np.float32]]) -> LabelMap:
        """Return the highest of those above their own threshold; where none is, the background or `others`."""
        best = np.full(planes[0].shape, self._none, dtype=np.uint8)
        highest = np.full(planes[0].shape, -np.inf, dtype=np.float32)
        thresholds = self._options.threshold * (len(planes) if len(self._options.threshold) == 1 else 1)
        for channel, (plane, threshold) in enumerate(zip(planes, thresholds, strict=True)):
            above = (plane > self._bar(threshold)) & (plane > highest)
            best[above] = self._ids[channel]
            highest[above] = plane[above]
        return best

    def _of_labels(self, output: NDArray[Any], placement: Placement, size: Size) -> LabelMap:
        """Return ids as they are; they can only be resized by nearest pixel centre."""
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


def _with_the_rest(names: list[str], task: TaskSpec, options: FileOptions) -> list[str]:
    """Return the names of a file; the only one of a sigmoid behind that of what it does not name."""
    if not options.is_sigmoid or len(names) != 1:
        return names
    others = [spec.name for spec in task.classes if key_of(spec.name) != key_of(names[0])]
    background = background_class(task.classes)
    rest = others[0] if len(others) == 1 else "background" if background is None else task.classes[background].name
    return [rest, names[0]]


def _half_matched(names: Sequence[str], own: Sequence[str], options: FileOptions, label: str) -> tuple[str, ...]:
    """Return a remark on classes that only one side has, where the model config listed them.

    Raises:
        BenchError: If the file itself says classes that lack some of the task's: these could never be answered.
    """
    keys, own_keys = set(map(key_of, names)), set(map(key_of, own))
    alone = [name for name in own if key_of(name) not in keys]
    theirs = [name for name in names if key_of(name) not in own_keys]
    if not alone and not theirs:
        return ()
    sides = f"only the file has {listed(theirs)}; only the task has {listed(alone)}"
    if alone and options.classes is None:
        shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        raise BenchError(
            f"{label}: the file knows {len(names)} classes and not all of this task: {sides}. Say trained_on: "
            f"[{shown}], so that they are mapped by synonyms too and the rest by 'unmapped'; or list them as the task "
            "spells them in option 'classes'"
        )
    return (f"classes matched in part: {sides}",)
