"""Describes what is asked of a preview worker: `python -m adapters._torch.training.preview REQUEST.json…`."""

from __future__ import annotations

from pydantic import Field

from bench.records.base import Record
from bench.records.recipe import Recipe


class PreviewRequest(Record):
    """Draw changed copies of training images. Paths are relative to the request's own folder.

    Attributes:
        recipe: Its `image_size`, `flip`, `augmentation` and `seed` are followed.
        count: Images to change.
        draws: Changed copies of each.
        images: NPZ file with `image_0`, `labels_0`, …: uint8, (H, W, 3) and (H, W).
        out: NPZ file to write: `image_0_0`, `labels_0_0`, … at the training size, by image and
            draw; draw 0 is the unchanged one.
    """

    recipe: Recipe
    count: int = Field(ge=1)
    draws: int = Field(ge=1)
    images: str
    out: str
