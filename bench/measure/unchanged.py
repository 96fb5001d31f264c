"""Rule 7 of the adapters: the images that the harness hands over stay as they are. Checked outside the clock."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from bench.errors import ShapeError
from bench.records.predictions import RgbImage
from bench.records.prompts import PromptedImage


def of_sample(batches: int) -> bool:
    """Return whether the images of a batch are checked, by its number counted from 1: batch 1, 2, 4, 8, …

    >>> [number for number in range(1, 20) if of_sample(number)]
    [1, 2, 4, 8, 16]
    """
    return batches & (batches - 1) == 0


class InputWatch:
    """Knows images by their content, form and prompts, and refuses a model that changed one.

    The same arrays are handed over again and again while a model is timed, so a changed one would be timed, and
    audited, in place of the image that was scored.
    """

    def __init__(self, images: Sequence[RgbImage], image_ids: Sequence[str], model: str) -> None:
        """Take note of images as they are now.

        Args:
            images: Each uint8 (H, W, C).
            image_ids: Their ids.
            model: Label, for the message.
        """
        self._images, self._ids, self._model = images, image_ids, model
        self._contents = [_content(image) for image in images]
        self._batches = 0

    def after_batch(self, indices: Sequence[int]) -> None:
        """Check the images of a batch that was just predicted, if it is of the sample; raises as `check`."""
        self._batches += 1
        if of_sample(self._batches):
            self.check(indices)

    def check(self, indices: Sequence[int] | None = None) -> None:
        """Check images by their positions, or all of them.

        Raises:
            ShapeError: Naming the first image that is not what it was.
        """
        for index in range(len(self._images)) if indices is None else indices:
            if _content(self._images[index]) != self._contents[index]:
                prompts = ", or its prompts," if isinstance(self._images[index], PromptedImage) else ""
                raise ShapeError(
                    f"{self._model} changed its input: image {self._ids[index]!r}{prompts} is not what was handed to "
                    "preprocess(); copy an array before changing it. See adapters/README.md, rule 7."
                )


def _content(image: RgbImage) -> bytes:
    """Return a hash of all that a model is told: shape and type, pixels, and the places of prompts."""
    digest = hashlib.blake2b(f"{image.shape} {image.dtype}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    if isinstance(image, PromptedImage):
        digest.update(f"{image.prompts.kind} {image.prompts.xy.shape}".encode())
        digest.update(np.ascontiguousarray(image.prompts.xy).data)
    return digest.digest()
