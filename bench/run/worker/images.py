"""Gives a job what it may see of a data set: images alone, or, to train, images with ground truth."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import TypeVar

from bench.data.formats.encoding import encoded_image
from bench.dataset import Dataset
from bench.errors import BenchError, Unsupported
from bench.measure.phases import during
from bench.records import Job, PromptKind
from bench.records.predictions import LabelMap, Prediction, PromptedMasks, RgbImage
from bench.records.prompts import PromptedImage, prompts_of


class Images:
    """The images of a split without their ground truth: all that a predicting or timing adapter can reach.

    For a prompted model each image comes with its prompts, which are made from the ground truth; see
    `bench.records.prompts`.
    """

    def __init__(self, dataset: Dataset, ids: Sequence[str], prompt: PromptKind | None = None) -> None:
        self._image = dataset.image if prompt is None else partial(_prompted_image, dataset, prompt)
        self._dataset, self._prompt = dataset, prompt
        self.ids = tuple(ids)

    def image(self, image_id: str) -> RgbImage:
        """Return the image, uint8, (H, W, 3)."""
        return self._image(image_id)

    def encoded(self, image_id: str) -> bytes:
        """Return the image as the content of a file."""
        if self._prompt is not None:
            raise Unsupported("prompts are places in a decoded image; time this model with measurement: {input: array}")
        return encoded_image(self._dataset, image_id)


def _prompted_image(dataset: Dataset, prompt: PromptKind, image_id: str) -> PromptedImage:
    objects = dataset.target(image_id).of("prompted")
    if not isinstance(objects, PromptedMasks):
        raise BenchError(
            f"image {image_id!r} has no instance ground truth to make {prompt} prompts from; use a data set "
            "with instances"
        )
    return PromptedImage(dataset.image(image_id), prompts_of(objects, prompt))


Read = TypeVar("Read")


def _counted(read: Callable[[LabelledSplit, int], Read]) -> Callable[[LabelledSplit, int], Read]:
    """Count the seconds that a training reads ahead of its first step; later, other threads read beside the steps."""

    @wraps(read)
    def counted(split: LabelledSplit, index: int) -> Read:
        if threading.current_thread() is not threading.main_thread():
            return read(split, index)
        with during("read"):
            return read(split, index)

    return counted


class LabelledSplit:
    """A split with its ground truth, for training."""

    def __init__(self, dataset: Dataset, split: str, job: Job) -> None:
        self._dataset, self._ids, self._kind = dataset, tuple(dataset.ids(split)), job.task.kind

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._ids)

    @_counted
    def image(self, index: int) -> RgbImage:
        """Return the image, uint8, (H, W, 3)."""
        return self._dataset.image(self._ids[index])

    @_counted
    def semantic(self, index: int) -> LabelMap:
        """Return its class ids, uint8, (H, W)."""
        return self._dataset.target(self._ids[index]).semantic.labels

    @_counted
    def ground_truth(self, index: int) -> Prediction:
        """Return its ground truth in the form of the task."""
        ground_truth = self._dataset.target(self._ids[index]).of(self._kind)
        if ground_truth is None:
            raise BenchError(f"the data set has no {self._kind} ground truth for image {self._ids[index]!r}")
        return ground_truth


def test_ids(job: Job, dataset: Dataset) -> tuple[str, ...]:
    """Return ids of the images that are scored, in order; raises `BenchError` where there are none."""
    ids = tuple(dataset.ids(job.dataset.test))
    if not ids:
        raise BenchError(f"split {job.dataset.test!r} of data set {job.dataset.name!r} has no images")
    return ids[: job.dataset.max_images] if job.dataset.max_images is not None else ids
