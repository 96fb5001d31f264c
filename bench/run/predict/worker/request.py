"""Describes what the worker of `bench predict` is told beside its job, and names the files between the two."""

from __future__ import annotations

from typing import Literal

from bench.records import ClassSpec, Record
from bench.records.predictions import INSTANCE_SCORE

REQUEST = "files.json"
JOURNAL = "journal.jsonl"
"""A line per image or frame whose files are on disk, and per image that cannot be read."""

SHOW_FROM = INSTANCE_SCORE
"""Instances with a lower score are in the JSON, but not in the picture, unless another score is asked for."""

OverlayForm = Literal["jpg", "png"]


class Item(Record):
    """An image or a video to predict.

    Attributes:
        source: Absolute path.
        name: Path of its outputs below the output folder, without suffix, with `/`.
        kind: Whether it has frames.
    """

    source: str
    name: str
    kind: Literal["image", "video"] = "image"


class FilesRequest(Record):
    """Hold what to predict and where the outputs go.

    Attributes:
        out: Absolute path of the output folder.
        items: Items in order.
        overlay: Form of the overlays of images and frames.
        show_from: Score from which an instance is in the overlay.
        every: Every how many frames of a video, from the first.
        classes: Those that the outputs name.
        class_ids: Where each class of the model goes among them, 255 = nowhere; None where they are its own.
    """

    out: str
    items: tuple[Item, ...]
    overlay: OverlayForm = "jpg"
    show_from: float = SHOW_FROM
    every: int = 1
    classes: tuple[ClassSpec, ...]
    class_ids: tuple[int, ...] | None = None
