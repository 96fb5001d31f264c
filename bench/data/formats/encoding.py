"""The content of an image as a file: what a timed path that begins at files is given."""

from __future__ import annotations

from collections.abc import Callable

import cv2

from bench.data.formats.bands import as_bytes
from bench.dataset import Dataset
from bench.errors import DatasetError, Unsupported


def encoded_image(dataset: Dataset, image_id: str) -> bytes:
    """Return an image as the content of a file that decodes to it.

    That of its own file, where the data set has one (its method `encoded`); else a PNG made of it. PNG,
    because JPEG would change what the model sees.

    Raises:
        DatasetError: If its file cannot be read.
        Unsupported: If the data set declares bands, which no decoder of files knows.
    """
    if getattr(dataset, "bands", None) is not None:
        raise Unsupported("this data set declares bands or a range; time it with measurement: {input: array}")
    of_file: Callable[[str], bytes] | None = getattr(dataset, "encoded", None)
    if of_file is not None:
        return of_file(image_id)
    made, content = cv2.imencode(".png", cv2.cvtColor(as_bytes(dataset.image(image_id)), cv2.COLOR_RGB2BGR))
    if not made:
        raise DatasetError(f"image {image_id!r} cannot be written as PNG; time it with measurement: {{input: array}}")
    return bytes(content)
