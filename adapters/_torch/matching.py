"""Finds which tensors of a file belong to which of a network, whatever a trainer put before their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue
from torch import Tensor

from adapters._torch.input import InputContract
from adapters._torch.weight_files import WRAPPED_UNDER, WeightFile, without_wrappers
from bench.errors import BenchError, did_you_mean

AVERAGES = ("ema", "swa", "shadow")
"""Words, in lower case, in the names of moving averages of the weights, as keys or as parts of tensors' names."""


@dataclass(frozen=True)
class Chosen:
    """The part of a file that is a network's.

    Attributes:
        key: Under which the tensors lie; "" for the whole file.
        prefix: Prefix of their names.
        names: Name in the network -> name in the file, for those that both have.
        unknown: Names under the prefix that the network has not.
        elsewhere: Number of tensors of the file outside.
        beside: Other places in the file where as many tensors of the network lie.
    """

    key: str
    prefix: str
    names: dict[str, str]
    unknown: tuple[str, ...]
    elsewhere: int
    beside: tuple[str, ...]

    @property
    def place(self) -> str:
        """Key and prefix, as `weights_key` takes them."""
        return place_of(self.key, self.prefix)


@dataclass(frozen=True)
class LoadedWeights:
    """Hold what was made of a weight file; stands in the record.

    Attributes:
        loaded: Tensors of the network that the file gave.
        left: Tensors of the file that the network has no place for, and that were known to be beside it.
        renamed: Those of `loaded` that have another name in the file.
        drawn: Tensors of the network that stayed as they were drawn; only before a training.
        taken: Where in the file they lay; "" for the whole file.
        beside: Other places with the same network.
        input: The preprocessing that the file states; None where it states none.
        remarks: What else was decided, in sentences.
        classes: Name in the weights and name in the task of each class, where they were matched by name.
    """

    loaded: int
    left: int = 0
    renamed: int = 0
    drawn: int = 0
    taken: str = ""
    beside: tuple[str, ...] = ()
    input: InputContract | None = None
    remarks: tuple[str, ...] = ()
    classes: tuple[tuple[str, str], ...] = ()

    def as_json(self) -> dict[str, JsonValue]:
        """Return the facts for `bench.adapter.Adapter.describe`."""
        return {
            "loaded": self.loaded,
            "left": self.left,
            "renamed": self.renamed,
            "drawn": self.drawn,
            "taken": self.taken,
            "beside": list(self.beside),
            "remarks": list(self.remarks),
            "classes": [list(pair) for pair in self.classes],
        }


def place_of(key: str, prefix: str) -> str:
    """Return how a place in a file is named.

    >>> place_of("ema", "module."), place_of("", "net."), place_of("ema", "")
    ('ema.module', 'net', 'ema')
    """
    return ".".join(part for part in (key, prefix.rstrip(".")) if part)


def is_average(place: str) -> bool:
    """Return whether a place is that of a moving average.

    >>> is_average("model_ema.module"), is_average("state_dict"), is_average("params_ema"), is_average("schema")
    (True, False, True, False)
    """
    return any(word in AVERAGES for word in re.split(r"[\W_]+", place.lower()))


def choose(file: WeightFile, own: Iterable[str], *, weights_key: str | None, where: str) -> Chosen:
    """Find a network in a file: where the most of its tensors lie, of several such places the moving average.

    Args:
        file: What was read.
        own: Names of the network's tensors.
        weights_key: The place that was asked for; None leaves the choice.
        where: Of the file, for messages.

    Raises:
        BenchError: If there is nothing at `weights_key`.
    """
    short_own = without_wrappers(own)
    places: list[Chosen] = []
    for key, tensors in file.sets.items():
        for prefix in _prefixes(tensors):
            inside = {name.removeprefix(prefix): name for name in tensors if name.startswith(prefix)}
            names = {short_own[short]: inside[short] for short in short_own.keys() & inside.keys()}
            unknown = tuple(sorted(inside[short] for short in inside.keys() - short_own.keys()))
            places.append(Chosen(key, prefix, names, unknown, len(tensors) - len(inside), ()))
    if weights_key is not None:
        places = _asked_for(places, weights_key, where)
    most = max(len(place.names) for place in places)
    full = [place for place in places if len(place.names) == most]
    best = min(full, key=lambda p: (not is_average(p.place), _rank(p.key), len(p.unknown), p.prefix.count(".")))
    beside = {p.place or "the file" for p in full if most and (p.key, p.prefix) != (best.key, best.prefix)}
    return Chosen(best.key, best.prefix, best.names, best.unknown, best.elsewhere, tuple(sorted(beside)))


def _asked_for(places: list[Chosen], weights_key: str, where: str) -> list[Chosen]:
    asked = weights_key.rstrip(".")
    found = [place for place in places if place.place == asked or place.place.startswith(f"{asked}.")]
    if not found:
        known = sorted({place.key for place in places if place.key} | {p.place for p in places if p.names and p.place})
        raise BenchError(
            f"{where} has no tensors under weights_key {weights_key!r}.{did_you_mean(weights_key, known)} It has them "
            f"under: {', '.join(known) or 'no key; leave weights_key out'}"
        )
    return found


def _prefixes(names: Mapping[str, Tensor]) -> list[str]:
    """Return every beginning of a name that ends with a dot, and the empty one."""
    found = {""}
    for name in names:
        parts = name.split(".")[:-1]
        found |= {"".join(f"{part}." for part in parts[:count]) for count in range(1, len(parts) + 1)}
    return sorted(found)


def _rank(key: str) -> int:
    return WRAPPED_UNDER.index(key) if key in WRAPPED_UNDER else len(WRAPPED_UNDER)
