"""Describes a search of hyperparameters: which fields of a recipe are searched, how, and within which budget."""

from __future__ import annotations

import json
import math
from typing import Any, Literal

from pydantic import Field, JsonValue, model_validator

from bench.records.base import Record

SamplerName = Literal["tpe", "random", "cmaes"]
PrunerName = Literal["none", "median", "successive_halving", "hyperband"]
EngineName = Literal["optuna", "ray"]


class Searched(Record):
    """The values that a field of the recipe may take: a range, or a list of choices.

    Attributes:
        low, high: Ends of a range, both of which may be taken.
        log: True makes equal ratios of the range equally likely at first.
        step: Distance of neighbouring values of a range; None = every number, or every whole number.
        choices: Values to choose from, instead of a range.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = Field(default=None, gt=0)
    choices: tuple[JsonValue, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _list_is_choices(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return {"choices": tuple(value)}
        if isinstance(value, dict) and isinstance(value.get("choices"), list):
            return {**value, "choices": tuple(value["choices"])}
        return value

    @model_validator(mode="after")
    def _range_or_choices(self) -> Searched:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log or self.step is not None:
                raise ValueError("has choices and a range; expected one of them")
            if len({json.dumps(choice) for choice in self.choices}) < max(2, len(self.choices)):
                raise ValueError("expected at least two choices, each of them once")
            return self
        if self.low is None or self.high is None:
            raise ValueError("expected {low: 0.0001, high: 0.1, log: true}, or a list of choices")
        if not (math.isfinite(self.low) and math.isfinite(self.high)) or self.low >= self.high:
            raise ValueError(f"low must be below high, not {self.low:g} and {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range begins above 0, not at {self.low:g}")
        if self.log and self.step is not None:
            raise ValueError("a logarithmic range has no step")
        return self


class Tune(Record):
    """Search of each model's recipe, by scores on the validation split alone.

    Attributes:
        space: Field of the recipe (`augmentation.rotate_deg` for one within it) -> values it may take.
        trials: Largest number of trainings; None = as many as the hours allow.
        hours: No trial begins once the trials took so many hours together, training and predicting; None = no limit.
        metric: Metric that is compared, on the validation split; None = the first metric of the suite.
        sampler: Optuna's sampler that proposes recipes: `tpe` (tree-structured Parzen estimator), `random`, or `cmaes`
            (covariance matrix adaptation, for numbers only).
        pruner: Pruner that ends trainings early by their validations; `none` trains all to the end.
        engine: `optuna`, or `ray`: Ray Tune, whose OptunaSearch proposes and whose schedulers end trainings early.
        at_once: Trials that are carried out at the same time at most; None = as many as there are places for.
        startup_trials: Trials that are drawn at random and not ended early, until sampler and pruner know enough.
        seed: Seed of the sampler.
    """

    space: dict[str, Searched] = Field(min_length=1)
    trials: int | None = Field(default=None, ge=1)
    hours: float | None = Field(default=None, gt=0)
    metric: str | None = None
    sampler: SamplerName = "tpe"
    pruner: PrunerName = "median"
    engine: EngineName = "optuna"
    at_once: int | None = Field(default=None, ge=1)
    startup_trials: int = Field(default=5, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _has_an_end(self) -> Tune:
        if self.trials is None and self.hours is None:
            raise ValueError("a search needs a budget: trials, hours or both")
        return self
