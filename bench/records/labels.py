"""Describes what a suite says of label spaces; `bench/data/labels/` does it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from bench.records.base import Record

Unmapped = Literal["error", "ignore", "background"]
"""This is what becomes of classes that only the model or only the suite has: refused, no class, or background."""


class Labels(Record):
    """Hold what a suite makes of a data set's classes; all names are the data set's, but those that `merge` makes.

    Attributes:
        classes: Classes to keep, in this order.
        merge: New class -> the classes that become it.
        drop: Classes whose pixels are not scored.
        rest: Treatment of classes that are named nowhere: refused, not scored, background, or kept.
        things, stuff: New classes that are countable, or not, where their members disagree.
    """

    classes: tuple[str, ...] | None = Field(default=None, description="Keep these classes, in this order.")
    merge: dict[str, tuple[str, ...]] = Field(default={}, description="New class: the classes that become it.")
    drop: tuple[str, ...] = Field(default=(), description="Classes whose pixels are not scored.")
    rest: Literal["error", "ignore", "background", "keep"] = Field(
        default="error", description="Classes named nowhere: not scored, background, kept, or an error."
    )
    things: tuple[str, ...] = Field(default=(), description="Merged classes that are countable.")
    stuff: tuple[str, ...] = Field(default=(), description="Merged classes that are not countable.")

    @field_validator("drop", "classes", "things", "stuff", mode="before")
    @classmethod
    def _names_in_a_list(cls, value: Any) -> Any:
        if isinstance(value, str):
            hint = f"; did you mean rest: {value}" if value in ("ignore", "background", "keep", "error") else ""
            raise ValueError(f"expected a list of class names, such as [road, car], not {value!r}{hint}")
        return tuple(value) if isinstance(value, list) else value

    @field_validator("merge", mode="before")
    @classmethod
    def _members_in_lists(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        for name, members in value.items():
            if not isinstance(members, list | tuple):
                raise ValueError(f"{name}: expected a list of class names, such as [car, truck], not {members!r}")
        return {name: tuple(members) for name, members in value.items()}
