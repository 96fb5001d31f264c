"""A suite's `labels:` -> where each class of a data set goes."""

from __future__ import annotations

from collections.abc import Sequence

from bench.data.labels.mapping import ClassTable
from bench.data.labels.spaces import BACKGROUND
from bench.errors import BenchError, did_you_mean, few
from bench.records import ClassSpec, Labels, void_id

REST = "rest: ignore (their pixels are not scored), rest: background (they count as background) or rest: keep"


def selected(labels: Labels, classes: Sequence[ClassSpec]) -> ClassTable:
    """Return the table of a selection.

    The new classes are, in this order: those of `classes`, those of `merge`, with `rest: keep` the
    others in the data set's order. With `rest: background` a class `background` comes first,
    unless one of these is called so.

    Raises:
        BenchError: If a name is not one of the data set's, is used twice or is not spoken for.
    """
    names = [spec.name for spec in classes]
    goes_to = _spoken_for(labels, names)
    others = [name for name in names if name not in goes_to]
    if labels.rest == "error" and others:
        raise BenchError(
            f"labels: the data set's classes {few(map(repr, others))} are in none of classes, merge and drop. Name "
            f"them, or say what becomes of them: {REST}."
        )
    if labels.rest == "keep":
        goes_to |= {name: name for name in others}
    order = [*(labels.classes or ()), *labels.merge, *(others if labels.rest == "keep" else ())]
    if labels.rest == "background":
        if BACKGROUND not in order:
            order.insert(0, BACKGROUND)
        goes_to |= dict.fromkeys(others, BACKGROUND)
    twice = sorted({name for name in order if order.count(name) > 1})
    if twice:
        raise BenchError(
            f"labels: two of the new classes are called {twice[0]!r}. Give the merged one another name, or list its "
            "members under it."
        )
    if not order:
        raise BenchError("labels: no class is left; name some in 'classes' or 'merge', or say rest: keep.")
    new = tuple(_new_class(name, labels, classes, goes_to) for name in order)
    _check_stated(labels, order)
    place = {name: index for index, name in enumerate(order)}
    return ClassTable(tuple(place.get(goes_to.get(name) or "", void_id(len(new))) for name in names), new)


def _spoken_for(labels: Labels, names: Sequence[str]) -> dict[str, str | None]:
    """Return name in the data set -> new name, None for dropped ones."""
    said: list[tuple[str, str, str | None]] = [("labels.classes", name, name) for name in labels.classes or ()]
    said += [(f"labels.merge.{new}", old, new) for new, olds in labels.merge.items() for old in olds]
    said += [("labels.drop", name, None) for name in labels.drop]
    goes_to: dict[str, str | None] = {}
    for where, old, new in said:
        if old not in names:
            raise BenchError(
                f"{where}: the data set has no class {old!r}.{did_you_mean(old, names)} It has: "
                f"{few(map(repr, names), 40)}."
            )
        if old in goes_to:
            raise BenchError(f"{where}: class {old!r} has been given a place before; name it once.")
        goes_to[old] = new
    return goes_to


def _new_class(name: str, labels: Labels, classes: Sequence[ClassSpec], goes_to: dict[str, str | None]) -> ClassSpec:
    members = [spec for spec in classes if goes_to.get(spec.name) == name]
    own = next((spec for spec in members if spec.name == name), None)
    if name == BACKGROUND and name not in labels.merge and name not in (labels.classes or ()):
        return own or ClassSpec(name=BACKGROUND, is_thing=False, colour=(0, 0, 0), is_background=True)
    if not members:
        raise BenchError(f"labels.merge.{name}: is empty; name the classes that become {name!r}.")
    stated = name in labels.things or name in labels.stuff
    kinds = {spec.is_thing for spec in members}
    if len(kinds) > 1 and not stated:
        things = [spec.name for spec in members if spec.is_thing]
        stuff = [spec.name for spec in members if not spec.is_thing]
        raise BenchError(
            f"labels.merge.{name}: merges things ({few(map(repr, things))}) with stuff ({few(map(repr, stuff))}). Say "
            f"what {name!r} is: things: [{name}] or stuff: [{name}]."
        )
    is_thing = name in labels.things if stated else members[0].is_thing
    is_background = not is_thing and any(spec.is_background for spec in members)
    return ClassSpec(name=name, is_thing=is_thing, colour=(own or members[0]).colour, is_background=is_background)


def _check_stated(labels: Labels, order: Sequence[str]) -> None:
    for where, given in (("things", labels.things), ("stuff", labels.stuff)):
        for name in given:
            if name not in order:
                raise BenchError(
                    f"labels.{where}: {name!r} is none of the new classes.{did_you_mean(name, order)} They are: "
                    f"{few(map(repr, order), 40)}."
                )
    both = sorted({*labels.things} & {*labels.stuff})
    if both:
        raise BenchError(f"labels: {both[0]!r} is in things and in stuff; a class is one of them.")
