"""Classes that weights state, met with a task's by name and never by position."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bench.errors import BenchError, few
from bench.records import IGNORE_LABEL, ModelSpec, TaskSpec
from bench.records.stated_classes import are_generic, key_of

MOST_SHOWN = 8


@dataclass(frozen=True)
class Matched:
    """State how the classes of weights and those of a task meet.

    Attributes:
        order: Id in the weights of each class of the task; None where ids are taken as they are.
        remark: Sentence about what was decided without a name for every class; None where each class had one.
        pairs: Name in the weights and name in the task of each class, where they were matched by name.
    """

    order: tuple[int, ...] | None
    remark: str | None = None
    pairs: tuple[tuple[str, str], ...] = ()


def match_classes(
    given: Sequence[str] | None, own: Sequence[str], model: ModelSpec, where: str, *, training_follows: bool
) -> Matched:
    """Match the classes that weights state with those of a network's task.

    Args:
        given: Class names of the weights, by id; None where they state none.
        own: Class names of the task, by id.
        model: Model with `trained_on`; a published label space may spell its classes in another way than the weights.
        where: Description of the weights, for messages.
        training_follows: True if the classifier is trained before it is used.

    Raises:
        BenchError: If some have no partner; lists both sides and what to write.
    """
    if given is None or are_generic(given):
        return Matched(None, "the weights name no classes; their ids were taken for the task's")
    places = {key_of(name): index for index, name in enumerate(given)}
    found = [places.get(key_of(name)) for name in own]
    if None not in found and len(set(found)) == len(given) == len(own):
        order = tuple(index for index in found if index is not None)
        pairs = tuple((str(given[index]), name) for index, name in zip(order, own, strict=True))
        return Matched(None if order == tuple(range(len(own))) else order, pairs=pairs)
    alone = [name for name, index in zip(own, found, strict=True) if index is None]
    keys = {key_of(name) for name in own}
    theirs = [name for name in given if key_of(name) not in keys]
    sides = f"only the weights have {listed(theirs)}; only the task has {listed(alone)}"
    if training_follows:
        return Matched(None, f"trained on other classes ({sides}); a training follows")
    in_place = all(index in (None, place) for place, index in enumerate(found))
    if isinstance(model.trained_on, str) and in_place and len(given) == len(own):
        return Matched(None, f"ids were taken for those of {model.trained_on}; spelt differently: {sides}")
    quoted = ", ".join(repr(str(name)) if re.search(r"[^\w -]", str(name)) else str(name) for name in given)
    raise BenchError(
        f"{where} tells {len(given)} classes apart and the task has {len(own)}: {sides}. Say what its classes are, so "
        f"that they are mapped by name and by synonyms: trained_on: [{quoted}]. Or train on this data set."
    )


def listed(names: Sequence[str], most: int = MOST_SHOWN) -> str:
    """Return the names, or the first and how many there are besides.

    >>> listed(["a", "b"]), listed([]), listed(list("abcdefghij"), 2)
    ('a, b', 'none', 'a, b and 8 more')
    """
    return few(names, most) or "none"


def matched_things(
    names: Sequence[str], wanted: Sequence[int], task: TaskSpec, label: str
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the id in the task of each of a network's classes, by name without case and punctuation, and remarks.

    Of the task's classes those of the ids `wanted` are looked for.

    Returns:
        Ids, `IGNORE_LABEL` where the task has no such class; and what was decided beside.

    Raises:
        BenchError: If a class of the task is none of the network's: its objects could never be found.
    """
    if are_generic(names) and len(names) == len(wanted):
        return tuple(wanted), ("the weights name no classes; their ids were taken for those of the task's things",)
    ids = {key_of(task.classes[i].name): i for i in wanted}
    matched = tuple(ids.get(key_of(name), IGNORE_LABEL) for name in names)
    alone = [task.classes[i].name for i in wanted if i not in matched]
    theirs = [name for name, class_id in zip(names, matched, strict=True) if class_id == IGNORE_LABEL]
    if alone:
        shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        raise BenchError(
            f"{label}: its weights know {len(names)} classes and not all of this task: only the weights have "
            f"{listed(theirs)}; only the task has {listed(alone)}. Say trained_on: [{shown}], so that they are mapped "
            "by synonyms too and the rest by 'unmapped', or train on this data set."
        )
    twice = sorted({task.classes[i].name for i in matched if i != IGNORE_LABEL and matched.count(i) > 1})
    if twice:
        raise BenchError(f"{label}: several classes of its weights are called {', '.join(twice)}; rename them")
    remarks = (f"classes that the task lacks, whose objects are left out: {listed(theirs)}",) if theirs else ()
    return matched, remarks
