"""Lists what a suite may say of files with predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, JsonValue, ValidationError, field_validator

from bench.data.formats.documents import whole_number
from bench.errors import did_you_mean
from bench.records import Record, TaskKind

Format = Literal["labels", "probabilities", "coco", "panoptic", "yolo"]

KIND_OF: dict[Format, TaskKind] = {
    "labels": "semantic",
    "probabilities": "semantic",
    "coco": "instance",
    "panoptic": "panoptic",
    "yolo": "instance",
}
"""Format -> form of the predictions that it holds."""


class Options(Record):
    """Options of the model config `predictions/files`.

    Attributes:
        root: Folder of the predictions, or their JSON file.
        pattern: Path of a file below root with `{id}` for the image and `*` for anything within one name; None
            takes every file of the format, whose id is its path without suffix.
        format: Name of the format; None tells it from the files.
        classes: Meaning of numbers: names in the order of values, channels or YOLO's classes, from `offset` on; or name
            -> value, or category id of COCO. None takes what lies beside the predictions (nnU-Net's dataset.json, the
            categories of a JSON, YOLO's data.yaml), else the classes of the data set in its order.
        colours: Class name -> [red, green, blue] of label maps that are coloured; None takes the data set's.
        annotations: COCO JSON whose `images` and `categories` say what the ids in results mean; None takes that
            of the data set, if it is in COCO's format.
        offset: The value of the first class, where `classes` does not say it.
        threshold: Value above which a pixel is foreground, of probability maps with one channel.
        channels: Axis on which probability maps hold their classes, the first or the last; None tells it.
        missing: Treatment of images without a file, in formats that have a file for every image: refused, or
            predictions of nothing, counted and named.
    """

    root: str
    pattern: str | None = None
    format: Format | None = None
    classes: tuple[str, ...] | dict[str, int] | None = None
    colours: dict[str, tuple[int, int, int]] | None = None
    annotations: str | None = None
    offset: int = Field(default=0, ge=0)
    threshold: float | None = None
    channels: Literal["first", "last"] | None = None
    missing: Literal["refuse", "empty"] = "refuse"

    @field_validator("pattern")
    @classmethod
    def _pattern_has_an_id(cls, value: str | None) -> str | None:
        if value is not None and value.count("{id}") != 1:
            raise ValueError("a pattern holds {id} once, for example masks/{id}_pred.png")
        return value

    @field_validator("classes", "colours", mode="before")
    @classmethod
    def _lists_are_tuples(cls, value: Any) -> Any:
        if isinstance(value, list):
            return tuple(str(name) for name in value)
        if isinstance(value, dict):
            if value and all(isinstance(name, str) for name in value.values()):  # value: name, the other way round
                numbers = {key: whole_number(str(key)) for key in value}
                if None in numbers.values() or len(set(value.values())) < len(value):
                    raise ValueError(
                        "expected names in order, or a table of name: number or of number: name, each once"
                    )
                return {name: numbers[key] for key, name in value.items()}
            return {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}
        return value


def option_errors(options: Mapping[str, JsonValue], label: str) -> list[str]:
    """Return what is wrong with the options, a sentence each; empty if nothing is."""
    try:
        Options.model_validate(dict(options))
    except ValidationError as error:
        sentences = []
        for one in error.errors():
            name = str(one["loc"][0]) if one["loc"] else ""
            if one["type"] == "extra_forbidden":
                known = sorted(Options.model_fields)
                sentences.append(
                    f"{label}: no option named {name!r}.{did_you_mean(name, known)} Options: {', '.join(known)}"
                )
            elif one["type"] == "missing":
                sentences.append(
                    f"{label}: option {name!r} is missing. Name the predictions: options: {{root: FOLDER or FILE.json}}"
                )
            else:
                message = one["msg"].removeprefix("Value error, ")
                sentences.append(f"{label}: option {name!r}: {message}, not {one['input']!r}")
        return list(dict.fromkeys(sentences))
    return []
