"""Finds which tensors of a file belong to which of a network, whatever a trainer put before their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pydantic import JsonValue
from torch import Tensor

from adapters._torch.input import InputContract
from adapters._torch.weight_files import WRAPPED_UNDER, WeightFile, shared_prefix, without_wrappers
from bench.errors import BenchError, did_you_mean

AVERAGES = ("ema", "swa", "shadow", "average", "averaged", "avg", "polyak")
"""Words, in lower case, in the names of moving averages of the weights, as keys or as parts of tensors' names."""


JOINED = r"(?:ema|swa)(?:model|net|network|weights|params|state)|(?:model|net|network|weights|params|state)(?:ema|swa)"
"""Such words as they are written without a break."""

OF_A_TRAINING = re.compile(
    r"(?:aux|auxiliary|criterion|criteria|loss|losses|metric|metrics|train|val|valid|test)(?:_\w+)?\."
    r"|\w+_(?:loss|criterion)\.|(?:.*\.)?(?:total_ops|total_params|n_averaged)$"
)
"""Names of what trainings leave beside a network: losses, metrics, heads that they alone read, counts of operations."""


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
        renamed: Number of those of `loaded` that have another name in the file.
        drawn: Tensors of the network that stayed as they were drawn; only before a training.
        taken: Key under which they lay in the file; "" for the whole file.
        beside: Other places with the same network.
        input: The preprocessing that the file states; None where it states none.
        remarks: Other decisions, in sentences.
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
    >>> is_average("modelEMA"), is_average("emaModel.net"), is_average("EMA_STATE")
    (True, True, True)
    """
    words = re.split(r"[\W_]+", place.lower())
    return any(word in AVERAGES or re.fullmatch(JOINED, word) for word in words)


def choose(file: WeightFile, own: Iterable[str], *, weights_key: str | None, where: str) -> Chosen:
    """Find a network in a file: where the most of its tensors lie, of several such places the moving average.

    A `weights_key` is the place that was asked for.

    Raises:
        BenchError: If there is nothing at `weights_key`.
    """
    short_own = without_wrappers(own)
    places: list[Chosen] = []
    for key, tensors in file.sets.items():
        for prefix in _prefixes(tensors):
            inside = {name.removeprefix(prefix): name for name in tensors if name.startswith(prefix)}
            names, unknown = _met(short_own, inside)
            places.append(Chosen(key, prefix, names, unknown, len(tensors) - len(inside), ()))
    if weights_key is not None:
        places = _asked_for(places, weights_key, where)
    most = max(len(place.names) for place in places)
    full = [place for place in places if len(place.names) == most]

    def preference(one: Chosen) -> tuple[bool, int, int, int]:
        """Order places: averages first, then as trainers call them, then those with the fewest other tensors."""
        return is_average(one.place) == file.swapped, _rank(one.key), len(one.unknown), one.prefix.count(".")

    best = min(full, key=preference)
    beside = {p.place or "the file" for p in full if most and (p.key, p.prefix) != (best.key, best.prefix)}
    return Chosen(best.key, best.prefix, best.names, best.unknown, best.elsewhere, tuple(sorted(beside)))


def _met(own: Mapping[str, str], inside: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return name in the network -> name in the file by their short names, and names in the file that are left.

    Where these do not meet, what `DataParallel` puts around a part of a network is taken away.
    """
    if own.keys() - inside.keys() and any("module" in short.split(".") for short in (*inside, *own)):
        bare_own, bare = ({_bare(short): whole for short, whole in side.items()} for side in (own, inside))
        unique = len(bare_own) == len(own) and len(bare) == len(inside)
        if unique and len(bare_own.keys() & bare.keys()) > len(own.keys() & inside.keys()):
            own, inside = bare_own, bare
    names = {own[short]: inside[short] for short in own.keys() & inside.keys()}
    return names, tuple(sorted(inside[short] for short in inside.keys() - own.keys()))


def _bare(name: str) -> str:
    """Return a name without its parts called module, but for the first, which is a prefix.

    >>> _bare("encoder.module.conv.weight"), _bare("module.conv.weight")
    ('encoder.conv.weight', 'module.conv.weight')
    """
    first, *others = name.split(".")
    return ".".join([first, *(part for part in others if part != "module")])


def stands_beside(name: str, tolerated: tuple[str, ...]) -> bool:
    """Return whether a tensor that a network has no place for is known to be no part of it.

    Its name is without what stands before all names of the network; `tolerated` are beginnings that the adapter knows.

    >>> stands_beside("criterion.weight", ()), stands_beside("enc.conv.total_ops", ()), stands_beside("encoder.w", ())
    (True, True, False)
    """
    return name.startswith(tolerated) or OF_A_TRAINING.match(name) is not None


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


Shapes = Mapping[str, tuple[int, ...]]


def averages_with_buffers(file: WeightFile, own: Shapes, parameters: Shapes) -> WeightFile:
    """Return the file with every moving average of the parameters completed by the buffers of the raw weights.

    Running statistics of batch normalisation are buffers, and averages already: many moving averages leave them out.
    `own` are the shapes of all tensors of the network, `parameters` of those that are trained.
    """
    short_own, shared = without_wrappers(own), shared_prefix([*own])
    trained = {name.removeprefix(shared) for name in parameters}
    raw = {key: by_short_name(tensors) for key, tensors in file.sets.items() if not is_average(key)}
    whole = next((tensors for tensors in raw.values() if short_own.keys() <= tensors.keys()), None)
    if whole is None:
        return file
    sets = dict(file.sets)
    for key, tensors in file.sets.items():
        inside = by_short_name(tensors)
        lacking = short_own.keys() - inside.keys()
        if is_average(key) and lacking and trained <= inside.keys():
            sets[key] = {**inside, **{name: whole[name] for name in sorted(lacking)}}
    return replace(file, sets=sets)


def by_short_name(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors by their names without the parts that all begin with."""
    return {short: tensors[name] for short, name in without_wrappers(tensors).items()}


def nameless_average(
    file: WeightFile, parameters: Shapes, weights_key: str | None
) -> tuple[str | None, tuple[str, ...]]:
    """Find the list of tensors that is a moving average of a network's parameters, in their order.

    A `weights_key` is the place that was asked for.

    Returns:
        Its key, None where there is none or another place was asked for; and remarks on lists that were left.

    Raises:
        BenchError: If it was asked for and does not fit.
    """
    wanted = [*parameters.values()]
    fits = [key for key, tensors in file.nameless.items() if [tuple(t.shape) for t in tensors] == wanted]
    if weights_key is not None:
        asked = [key for key in file.nameless if f"{key}.".startswith(f"{weights_key.rstrip('.')}.")]
        if asked and asked[0] not in fits:
            raise BenchError(
                f"weights_key {weights_key!r} is a list of {len(file.nameless[asked[0]])} tensors without names, which "
                f"are not, in this order, the {len(wanted)} parameters of the network"
            )
        return (asked[0] if asked else None), ()
    averages = [key for key in file.nameless if is_average(key)]
    taken = next((key for key in fits if is_average(key)), None)
    left = () if taken is not None else tuple(averages)
    remarks = tuple(
        f"{key}, a moving average without names ({len(file.nameless[key])} tensors), is not in the order of the "
        f"network's {len(wanted)} parameters and was left"
        for key in left
    )
    if taken is not None:
        remarks = (
            f"the moving average {taken} has no names; its tensors were taken for the parameters in their order",
        )
    return taken, remarks
