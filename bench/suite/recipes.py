"""Makes the recipes of a model: lists in any field multiply them, as lists in `targets` multiply targets."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

from pydantic import JsonValue, ValidationError

from bench.errors import SuiteError, did_you_mean
from bench.records import ModelSpec, Recipe, as_json_dict
from bench.suite.limits import refuse_too_many
from bench.suite.schema import ModelEntry, Suite, is_size


def recipes_of(
    suite: Suite, entry: ModelEntry, model: ModelSpec, auto_device: str, *, where: str
) -> list[tuple[ModelSpec, Recipe | None]]:
    """Return a model once for each recipe it is trained by, told apart by labels that name what varies.

    The suite's recipe holds for every model that has no weights; fields of the model's own take its place. `where`
    begins messages.

    Returns:
        The model alone with None where it is not trained.

    Raises:
        SuiteError: If a field of the model's own recipe is unknown, empty, or not what it must be.
    """
    if suite.recipe is None or not model.trainable or model.weights is not None or model.trained_on is not None:
        return [(model, None)]
    fields: dict[str, list[JsonValue]] = as_json_dict(suite.recipe)
    fields |= {name: _several(name, value, where) for name, value in entry.recipe.items()}
    found: dict[Recipe, str] = {}
    try:
        refuse_too_many(map(len, fields.values()))
    except ValueError as error:
        raise SuiteError(f"{where}: {error}.") from None
    for positions in itertools.product(*(range(len(values)) for values in fields.values())):
        chosen = dict(zip(fields, positions, strict=True))
        recipe = _recipe({name: values[chosen[name]] for name, values in fields.items()}, auto_device, where)
        words = [f"{name}={short_names(values)[chosen[name]]}" for name, values in fields.items() if len(values) > 1]
        found.setdefault(recipe, " ".join([model.label, *words]))
    return [(model.model_copy(update={"label": label}), recipe) for recipe, label in found.items()]


def _several(name: str, value: JsonValue, where: str) -> list[JsonValue]:
    """Return the alternatives of a field; a size is a pair of numbers, and no list of two."""
    if not isinstance(value, list) or (is_size(Recipe, name) and all(type(side) is int for side in value)):
        return [value]
    if not value:
        raise SuiteError(f"{where}.{name}: must not be an empty list.")
    return value


def _recipe(fields: dict[str, JsonValue], auto_device: str, where: str) -> Recipe:
    if fields["device"] == "auto":
        fields["device"] = auto_device
    try:
        return Recipe.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        first = error.errors()[0]
        key = next(map(str, first["loc"]), "")  # fields that do not go together have no place of their own
        hint = did_you_mean(key, Recipe.model_fields) if first["type"] == "extra_forbidden" else ""
        message = first["msg"].removeprefix("Value error, ")
        raise SuiteError(f"{where}{'.' if key else ''}{key}: {message}.{hint}") from None


def short_names(values: Sequence[JsonValue]) -> list[str]:
    """Return the values of a field in few characters, no two alike; of mappings the keys in which they differ.

    >>> short_names([{"steps": 5, "epochs": None}, {"steps": 9, "epochs": None}])
    ['steps:5', 'steps:9']
    """
    mappings = [value for value in values if isinstance(value, dict)]
    keys = [
        k for k in dict.fromkeys(k for m in mappings for k in m) if len({json.dumps(m.get(k)) for m in mappings}) > 1
    ]
    return [
        ",".join(f"{k}:{_word(value[k])}" for k in keys if value.get(k) is not None) or "none"
        if isinstance(value, dict)
        else _word(value)
        for value in values
    ]


def _word(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, list):
        return "x".join(map(_word, value))
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)
