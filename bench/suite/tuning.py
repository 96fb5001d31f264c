"""Searches of a suite: which cases are searched, the recipe of each trial, and everything that is wrong with `tune`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, JsonValue, ValidationError

from bench.errors import SuiteError, did_you_mean
from bench.metric import metric_error
from bench.records import EXPORTED_RUNTIMES, Case, Recipe, Searched, Tune, as_json_dict
from bench.suite.jobs import unmeasured
from bench.suite.load import SuiteLines
from bench.suite.schema import Suite

TUNED = " tuned"
"""End of the label of a model whose recipe is searched, before its seed."""

NOT_SEARCHED = {
    "budget": "trials of different length are no fair comparison",
    "seed": "it would choose the luckiest",
    "device": "it is where a training runs",
    "threads": "it is where a training runs",
    "devices": "it is where a training runs",
    "precision": "it is how a training is computed",
    "channels_last": "it is how a training is computed",
    "deterministic": "it is how a training is computed",
    "validate_every": "trials are compared at their validations",
    "checkpoint_every_s": "it changes no result",
}
"""Fields of a recipe that are the same in every trial -> why."""

FEWEST_SEEDS = 2


@dataclass(frozen=True)
class PlannedSearch:
    """The search of the recipe of one model on one data set.

    Attributes:
        name: Name of the search, unlike any other's in its suite.
        case: Template of a trial, without its recipe and id: the test split of its data set is the validation split, so
            that a trial cannot see another, and nothing of it is timed.
        finals: The cases that are trained with the best recipe, and scored on the test split; one for each seed and
            target, and after these one for each shift of their images.
        metric: Metric that is compared on the validation split.
    """

    name: str
    case: Case
    finals: tuple[Case, ...]
    metric: str


def searches_of(suite: Suite, cases: Sequence[Case]) -> tuple[PlannedSearch, ...]:
    """Return the searches of an expanded suite, in the order of its cases; none without `tune`."""
    if suite.tune is None:
        return ()
    groups: dict[str, list[Case]] = {}
    for case in cases:
        if is_tuned(case):
            groups.setdefault(f"{label_of_model(case)} on {case.made_for.label}", []).append(case)
    metric = suite.tune.metric or suite.metrics[0]
    return tuple(
        PlannedSearch(name, _trial(suite, name, finals[0]), tuple(finals), metric) for name, finals in groups.items()
    )


def is_tuned(case: Case) -> bool:
    """Return whether the recipe of a case is searched before it is trained."""
    return case.recipe is not None and label_without_seed(case).endswith(TUNED)


def label_of_model(case: Case) -> str:
    """Return the label of a searched model as it was before the search."""
    return label_without_seed(case).removesuffix(TUNED)


def label_without_seed(case: Case) -> str:
    """Return the label of a trained model without the ` seed N` that tells its trainings apart."""
    assert case.recipe is not None
    return case.model.label.removesuffix(f" seed {case.recipe.seed}")


def _trial(suite: Suite, name: str, final: Case) -> Case:
    """Return the case that trials are made of: scored on the whole validation split, of the recipe's own seed."""
    target = final.target
    if target.runtime in EXPORTED_RUNTIMES:  # what exports it is not searched
        exact = "fp32" if target.precision == "int8" else target.precision
        target = target.model_copy(update={"runtime": "eager", "precision": exact})
    assert final.recipe is not None
    assert suite.recipe is not None
    return unmeasured(
        final,
        id=f"{name} trial",
        model=final.model.model_copy(update={"label": label_of_model(final)}),
        dataset=final.dataset.model_copy(update={"test": final.dataset.val, "max_images": None}),
        target=target,
        recipe=final.recipe.model_copy(update={"seed": int(as_json_dict(suite.recipe)["seed"][0])}),
        keep=(),
    )


def trial_case(search: PlannedSearch, number: int, values: Mapping[str, JsonValue]) -> Case:
    """Return the case of a trial, numbered from 0, with the values of some fields of its recipe."""
    assert search.case.recipe is not None
    label = f"{search.case.model.label} trial {number + 1}"
    return search.case.model_copy(
        update={
            "id": f"{search.name} trial {number + 1}",
            "model": search.case.model.model_copy(update={"label": label}),
            "recipe": with_values(search.case.recipe, values),
        }
    )


def final_cases(search: PlannedSearch, values: Mapping[str, JsonValue]) -> tuple[Case, ...]:
    """Return the cases that are trained with the best recipe."""
    return tuple(
        case.model_copy(update={"recipe": with_values(case.recipe, values)})
        for case in search.finals
        if case.recipe is not None
    )


def with_values(recipe: Recipe, values: Mapping[str, JsonValue]) -> Recipe:
    """Return a recipe with some of its fields replaced; raises `ValidationError` where they make none together."""
    document = as_json_dict(recipe)
    for field, value in values.items():
        *above, last = field.split(".")
        at = document
        for part in above:
            at = at[part]
        at[last] = value
    return Recipe.model_validate_json(json.dumps(document))


def is_whole_number(field: str) -> bool:
    """Return whether a field of the recipe holds whole numbers."""
    found = _annotation(field)
    return found is not None and int in (found, *get_args(found)) and float not in (found, *get_args(found))


def _annotation(field: str) -> Any:
    """Return the type of a field of the recipe, None where there is none of this name."""
    at: type[BaseModel] = Recipe
    *above, last = field.split(".")
    for part in above:
        inner = at.model_fields[part].annotation if part in at.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return None
        at = inner
    return at.model_fields[last].annotation if last in at.model_fields else None


def extremes(search: PlannedSearch, tune: Tune) -> Iterator[Case]:
    """Yield cases with every choice and both ends of every range in their recipes: what adapters are asked about."""
    longest = max(len(_ends(searched)) for searched in tune.space.values())
    for number in range(longest):
        values = {}
        for field, searched in tune.space.items():
            ends = _ends(searched)
            values[field] = _as_field(field, ends[number % len(ends)])
        final = search.finals[0]
        assert final.recipe is not None
        with contextlib.suppress(ValidationError):  # right one by one, and no recipe together
            yield final.model_copy(update={"recipe": with_values(final.recipe, values)})


def _ends(searched: Searched) -> tuple[JsonValue, ...]:
    return searched.choices if searched.choices is not None else (searched.low, searched.high)


def _as_field(field: str, value: JsonValue) -> JsonValue:
    return int(value) if isinstance(value, float) and is_whole_number(field) else value


# ------------------------------------------------------------------ what is wrong with it


def tune_errors(suite: Suite, cases: Sequence[Case], lines: SuiteLines) -> Iterator[str]:
    """Yield everything that is wrong with the search of a suite, as far as the suite itself tells."""
    tune, at = suite.tune, lines.place("tune")
    if tune is None:
        return
    if suite.recipe is None:
        yield f"{at}a search changes the suite's recipe, and there is none. Add 'recipe', with its budget."
        return
    yield from (at + sentence for sentence in (*_wrong_seeds(suite), *_wrong_method(suite, tune)))
    if tune.metric is not None and (usage_error := metric_error(tune.metric)) is not None:
        yield f"{lines.place('tune', 'metric')}{usage_error}"
    if cases and not any(is_tuned(case) for case in cases):
        yield f"{at}no model of the suite is trained by its recipe, so there is nothing to search."
    for field, searched in tune.space.items():
        yield from (lines.place("tune", "space", field) + sentence for sentence in _wrong_field(suite, field, searched))
    for label, spec in {case.made_for.label: case.made_for for case in cases if is_tuned(case)}.items():
        if spec.val == spec.test:
            yield (
                f"{at}data set {label!r} is validated and tested on the split {spec.val!r}: a search must not see "
                "what it is judged on. Give it a split of its own by 'val'."
            )


def _wrong_seeds(suite: Suite) -> Iterator[str]:
    own = as_json_dict(suite.recipe)["seed"] if suite.recipe is not None else []
    if len(own) > 1:
        yield "recipe.seed is a list; all trials are trained with one seed. Give the seeds of the best by 'seeds'."
    elif len(suite.seeds) < FEWEST_SEEDS:
        yield (
            "the best recipe is trained once for each of 'seeds', since that of one training may be the luckiest; "
            f"expected at least {FEWEST_SEEDS}, for example seeds: [1, 2, 3]."
        )
    elif own[0] in suite.seeds:
        yield (
            f"seeds: {own[0]} is the seed of the trials (recipe.seed), by which the best was chosen; choose others, so "
            "that its luck does not count."
        )


def _wrong_method(suite: Suite, tune: Tune) -> Iterator[str]:
    recipe = as_json_dict(suite.recipe) if suite.recipe is not None else {}
    if tune.sampler == "cmaes" and any(searched.choices is not None for searched in tune.space.values()):
        yield "sampler cmaes searches ranges of numbers, and the space has choices; use tpe or random."
    if tune.sampler == "cmaes" and len(tune.space) < 2:
        yield "sampler cmaes needs at least two fields in the space; use tpe or random."
    if tune.pruner != "none" and None in recipe.get("validate_every", ()):
        yield "a pruner goes by validations, and recipe.validate_every is null; set it, or pruner: none."
    if tune.pruner != "none" and max(recipe.get("devices", [1])) > 1:
        yield "a pruner ends trainings of one process; set recipe.devices: 1, or pruner: none."


def _wrong_field(suite: Suite, field: str, searched: Searched) -> Iterator[str]:
    top = field.split(".")[0]
    if top in NOT_SEARCHED:
        yield f"{top} is not searched: {NOT_SEARCHED[top]}. Remove it."
        return
    if _annotation(field) is None:
        names = [*(set(Recipe.model_fields) - set(NOT_SEARCHED)), *_nested()]
        yield f"a recipe has no field {field!r}.{did_you_mean(field, names)} Fields: {', '.join(sorted(names))}."
        return
    if suite.recipe is not None and field in suite.recipe.model_fields_set:
        yield "the suite's recipe sets this field, too; remove it there, or here."
    for index, entry in enumerate(suite.models):
        if top in entry.recipe:
            yield f"models[{index}].recipe sets this field, too; remove it there, or here."
    if searched.choices is None and is_whole_number(field):
        broken = [n for n in (searched.low, searched.high, searched.step) if n is not None and n != int(n)]
        if broken:
            yield f"expected whole numbers, not {', '.join(f'{n:g}' for n in broken)}."
            return
    yield from _wrong_values(suite, field, searched)


def _nested() -> Iterator[str]:
    for name, spec in Recipe.model_fields.items():
        if name not in NOT_SEARCHED and isinstance(spec.annotation, type) and issubclass(spec.annotation, BaseModel):
            yield from (f"{name}.{inner}" for inner in spec.annotation.model_fields)


def _wrong_values(suite: Suite, field: str, searched: Searched) -> Iterator[str]:
    """Try every choice, or both ends, in the suite's recipe by themselves."""
    fields = as_json_dict(suite.recipe) if suite.recipe is not None else {}
    first = Recipe.model_validate_json(json.dumps({name: values[0] for name, values in fields.items()}))
    told: dict[str, None] = {}
    for value in _ends(searched):
        try:
            with_values(first, {field: _as_field(field, value)})
        except ValidationError as error:
            message = error.errors()[0]["msg"].removeprefix("Value error, ")
            told[f"{json.dumps(value)}: {message[0].lower()}{message[1:]}."] = None
    yield from told


def require_recipe(search: PlannedSearch, number: int, values: Mapping[str, JsonValue]) -> Case:
    """Return the case of a trial; raises `SuiteError` where its values make no recipe together."""
    try:
        return trial_case(search, number, values)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise SuiteError(f"{search.name}: trial {number + 1}: {json.dumps(dict(values))}: {message}") from None
