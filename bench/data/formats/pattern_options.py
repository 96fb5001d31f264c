"""Lists what a suite may say of a folder whose files are found by patterns; `folder.Options` adds these."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bench.data.formats.bands import BandOptions
from bench.data.formats.folder_classes import Binary

SplitRule = Literal["auto", "folders", "lists", "pattern", "fraction"]
MasksHold = Literal["classes", "instances", "object"]


class FolderOptions(BandOptions):
    """Options of `folder` that patterns read as well; their meaning stands there."""

    root: str = "data/folder"
    images: str = "images"
    masks: str = "masks"
    mask_suffix: str = ""
    classes: str = "classes.yaml"
    binary: Binary | None = None
    void: Annotated[int, Field(ge=0, le=65535)] | Literal["none"] | None = None
    group: str | None = None
    split_by: SplitRule = "auto"


class PatternOptions(FolderOptions):
    """Options that matter where `images` or `masks` of a folder is a pattern with `{id}`.

    Attributes:
        masks_hold: Meaning of a pixel of a mask. `classes`: its class. `instances`: the number (or the colour) of its
            object, 0 (or black) being none. `object`: whether it is in the one object of this file; an image may have
            several such files.
        object_class: Name of the class of objects, with `instances` and `object`, unless the masks' pattern has
            `{class}`.
        threshold: Lowest value that is a yes, where masks say yes or no. None expects masks of 0 and one other value.
        class_order: Order of all classes but `background`, with one mask for each class; later ones are on top of
            earlier ones. None takes the order of the names and refuses pixels that are in two.
    """

    masks_hold: MasksHold = "classes"
    object_class: str = Field(default="object", min_length=1)
    threshold: int | None = Field(default=None, ge=1, le=65535)
    class_order: tuple[str, ...] | None = None
