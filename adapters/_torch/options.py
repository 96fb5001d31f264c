"""Options of a model config, checked by a pydantic model, with messages that name the model config."""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from bench.errors import BenchError, did_you_mean
from bench.records import ModelSpec

OptionsT = TypeVar("OptionsT", bound="Options")


class Options(BaseModel):
    """Base of an adapter's options: frozen, strict, no unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class HeadOptions(Options):
    """Options of a network whose logits name classes in either of two ways.

    Attributes:
        head: `softmax` over one channel per class, or `sigmoid` over a single channel, for tasks
            with two classes.
        threshold: The probability above which a sigmoid head names class 1; 0.5 if left out.
    """

    head: Literal["softmax", "sigmoid"] = "softmax"
    threshold: float | None = Field(default=None, gt=0, lt=1)

    @model_validator(mode="after")
    def _threshold_needs_a_sigmoid(self) -> HeadOptions:
        if self.threshold is not None and self.head != "sigmoid":
            raise ValueError("option 'threshold' belongs to 'head: sigmoid'; a softmax head takes the likeliest class")
        return self


def read_options(cls: type[OptionsT], model: ModelSpec) -> OptionsT:
    """Return a model config's options as an adapter's own type.

    Raises:
        BenchError: With a line for each mistake: the model, the option, what is allowed and the nearest known name.
    """
    try:
        return cls.model_validate(model.options)
    except ValidationError as error:
        raise BenchError("\n".join(_sentence(cls, model, one) for one in error.errors())) from None


def option_mistakes(cls: type[Options], model: ModelSpec) -> list[str]:
    """Return what is wrong with a model config's options, one sentence each, all of them; empty if nothing is."""
    try:
        cls.model_validate(model.options)
    except ValidationError as error:
        return [_sentence(cls, model, one) for one in error.errors()]
    return []


def _sentence(cls: type[Options], model: ModelSpec, error: ErrorDetails) -> str:
    """One of pydantic's complaints in words of ours."""
    name = str(error["loc"][0]) if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        known = sorted(cls.model_fields)
        return (
            f"{model.label}: no option named {name!r}.{did_you_mean(name, known)} "
            f"Options of {model.adapter}: {', '.join(known)}"
        )
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{model.label}: option {name!r} is missing"
    return f"{model.label}: option {name!r}: {message}, not {error['input']!r}" if name else f"{model.label}: {message}"
