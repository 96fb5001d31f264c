"""Describes what the worker of `bench predict` is told beside its job, and names the files between the two."""

from __future__ import annotations

from typing import Literal

from bench.data.formats.bands import BandReading, Depth
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
        kind: Kind of the item; a video has frames.
    """

    source: str
    name: str
    kind: Literal["image", "video"] = "image"


class FileReading(Record):
    """Rule for reading images that are not 8-bit grey or RGB; see `bench.data.formats.bands`.

    Attributes:
        bands: Numbers of the bands, counted from 1; None takes one band or three.
        rgb: Numbers of the bands that are red, green and blue.
        ranges: Values that become 0 and 255, for each band, or one pair for all.
        depth: Type of the scaled values that a model is given; None gives floats to those that take them.
    """

    bands: tuple[int, ...] | None = None
    rgb: tuple[int, int, int] | None = None
    ranges: tuple[tuple[float, float], ...] = ()
    depth: Depth | None = None

    def reading(self, *, takes_bands: bool, takes_floats: bool) -> BandReading:
        """Return the reading for a model: its bands, or those that are red, green and blue, as floats or bytes."""
        exact = takes_bands and takes_floats and self.depth != "bytes"
        whole = BandReading(self.bands, self.rgb, self.ranges, exact=exact)
        return whole if takes_bands or self.rgb is None else whole.of_rgb()


class FilesRequest(Record):
    """Hold what to predict and where the outputs go.

    Attributes:
        out: Absolute path of the output folder.
        items: Items in order.
        overlay: Form of the overlays of images and frames.
        show_from: Score from which an instance is in the overlay.
        every: Interval of the frames that are taken from a video, counted from the first: 1 takes every frame.
        classes: Classes that the outputs name.
        class_ids: Class id in the outputs of each class of the model, 255 = none; None where they are its own.
        reading: Rule for reading images; None takes 8-bit grey and RGB, and 16 bits by their full range.
    """

    out: str
    items: tuple[Item, ...]
    overlay: OverlayForm = "jpg"
    show_from: float = SHOW_FROM
    every: int = 1
    classes: tuple[ClassSpec, ...]
    class_ids: tuple[int, ...] | None = None
    reading: FileReading | None = None
