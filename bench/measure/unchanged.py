"""Rule 7 of the adapters: the images that the harness hands over stay as they are. Checked outside the clock."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from bench.errors import ShapeError
from bench.records.predictions import RgbImage


class InputWatch:
    """Knows images by their content, and refuses a model that changed one.

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
        """Check the images of a batch that was just predicted, if it is of the sample: batch 1, 2, 4, 8, …

        Raises:
            ShapeError: Naming the first image that is not what it was.
        """
        self._batches += 1
        if self._batches & (self._batches - 1) == 0:
            self.check(indices)

    def check(self, indices: Sequence[int] | None = None) -> None:
        """Check images, or all of them; raises as `after_batch`."""
        for index in range(len(self._images)) if indices is None else indices:
            if _content(self._images[index]) != self._contents[index]:
                raise ShapeError(
                    f"{self._model} changed its input: image {self._ids[index]!r} is not what was handed to "
                    "preprocess(); copy an array before changing it. See adapters/README.md, rule 7."
                )


def _content(image: RgbImage) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
