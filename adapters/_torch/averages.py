"""Moving averages of weights as trainers leave them: with the parameters alone, or in a list without names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from adapters._torch.matching import is_average
from adapters._torch.weight_files import WeightFile, shared_prefix, without_wrappers
from bench.errors import BenchError

Shapes = Mapping[str, tuple[int, ...]]


def averages_with_buffers(file: WeightFile, own: Shapes, parameters: Shapes) -> WeightFile:
    """Return the file with every moving average of the parameters completed by the buffers of the raw weights.

    Running statistics of batch normalisation are buffers, and averages already: many moving averages leave them out.

    Args:
        file: The file as it was read.
        own: Shapes of all tensors of the network, by name.
        parameters: Parameters of those that are trained.
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

    Args:
        file: The file as it was read.
        parameters: Shapes by name, in the network's order.
        weights_key: The place that was asked for; None leaves the choice.

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
