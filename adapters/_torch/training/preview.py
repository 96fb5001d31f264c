"""Worker of `bench preview`: `python -m adapters._torch.training.preview REQUEST.json…`.

It changes images as a training would, in an interpreter that has torchvision; drawing them is the
parent's task. Ends with 2 and a message on standard error where a recipe cannot be followed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from adapters._torch.images import resize_image, resize_labels
from adapters._torch.training.augment import augment_of, epoch_flips, mirror
from bench.errors import BenchError
from bench.records import Recipe, read_record
from bench.records.predictions import LabelMap, RgbImage
from bench.records.recipe import PreviewRequest

FILL = (0.5, 0.5, 0.5)
"""This colour fills what comes from outside; a training takes its network's own mean colour, which is near."""


def main() -> int:
    """Answer the requests named on the command line; returns the exit code."""
    try:
        for file in sys.argv[1:]:
            answer(Path(file))
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def answer(request_file: Path) -> None:
    """Write the changed copies that a request asks for.

    Raises:
        Unsupported: If the recipe's augmentation cannot be had here.
    """
    request = read_record(PreviewRequest, request_file)
    drawn: dict[str, Any] = {}  # arrays
    with np.load(request_file.parent / request.images) as given:
        for index in range(request.count):
            copies = changed_copies(
                given[f"image_{index}"], given[f"labels_{index}"], request.recipe, index, request.draws, request.count
            )
            for draw, (image, labels) in enumerate(copies):
                drawn |= {f"image_{index}_{draw}": image, f"labels_{index}_{draw}": labels}
    np.savez(request_file.parent / request.out, **drawn)


def changed_copies(
    image: RgbImage, labels: LabelMap, recipe: Recipe, index: int, draws: int, count: int
) -> Iterator[tuple[RgbImage, LabelMap]]:
    """Yield an image with its labels at the training size, first as it is, then changed `draws` times.

    Args:
        image: uint8, (H, W, 3).
        labels: Class ids, uint8, (H, W).
        recipe: Recipe that says what may change.
        index: Position of the image among those shown; part of the seed.
        draws: Changed copies.
        count: Images shown.
    """
    image, labels = resize_image(image, recipe.image_size), resize_labels(labels, recipe.image_size)
    yield image, labels
    augment = augment_of(recipe, fill=FILL)
    for draw in range(draws):
        flipped = recipe.flip and epoch_flips(seed=recipe.seed, epoch=draw, count=count)[index]
        pair = mirror(image, labels) if flipped else (image, labels)
        yield pair if augment is None else augment(*pair, seed=(recipe.seed, draw, 0, index))


if __name__ == "__main__":
    sys.exit(main())
