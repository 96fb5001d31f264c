"""Splitting of images by seeded fractions, near-duplicates kept together, each class shared out where that is asked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.errors import DatasetError
from bench.records import Record

USUAL_ORDER = ("train", "val", "valid", "validation", "test")


class FractionOptions(Record):
    """Options of data sets whose images are dealt out by fractions.

    Attributes:
        fractions: Split -> share of the images.
        group: Regular expression, searched in the path of an image, whose first group names what must stay in one
            split, for example the patient or the car.
        seed: Seed of the splits: another seed gives other splits.
    """

    fractions: dict[str, float] = {"train": 0.7, "val": 0.15, "test": 0.15}
    group: str | None = None
    seed: int = Field(default=0, ge=0)


def in_usual_order(splits: Iterable[str]) -> tuple[str, ...]:
    """Return names of splits as one trains, validates and tests; others behind them, by name."""
    return tuple(sorted(splits, key=lambda split: ((*USUAL_ORDER, split).index(split), split)))


def group_keys(names: Sequence[str], pattern: str | None, *, where: str) -> list[str]:
    """Return what names share with near-duplicates; raises `DatasetError` for a bad pattern, or a name without it.

    Args:
        names: Paths of images below their folder.
        pattern: Regular expression searched in each name; its first group, or else the whole match,
            is the key. None makes every image a group of its own.

    >>> group_keys(["cat_1.png", "cat_2.png"], r"^([a-z]+)_", where="folder")
    ['cat', 'cat']
    """
    if pattern is None:
        return list(names)
    expression = compiled(pattern, where=where)
    found = [expression.search(name) for name in names]
    unmatched = [name for name, match in zip(names, found, strict=True) if match is None]
    if unmatched:
        raise DatasetError(
            f"{where}: {len(unmatched)} of {len(names)} names do not match the option group {pattern!r}, for example "
            f"{unmatched[0]!r}. Every image must belong to a group; widen the expression."
        )
    return [(match.group(1) if expression.groups else match.group()) or "" for match in found if match is not None]


def compiled(pattern: str, *, where: str) -> re.Pattern[str]:
    """Return the regular expression; raises `DatasetError` if it is none."""
    try:
        return re.compile(pattern)
    except re.error as error:
        raise DatasetError(f"{where}: {pattern!r} is not a regular expression: {error}.") from None


def shuffled(keys: Iterable[str], *, seed: int) -> list[str]:
    """Return keys in the order of the SHA-256 of seed and key, which no library's random numbers can change."""
    return sorted(
        keys, key=lambda key: (hashlib.sha256(f"{seed}:{key}".encode("utf-8", "surrogatepass")).digest(), key)
    )


def by_fraction(keys: Sequence[str], fractions: Mapping[str, float], *, seed: int, where: str) -> list[str]:
    """Split of each image; raises `DatasetError` if shares do not sum to 1, or there are fewer groups than splits.

    Groups are put in the order of `shuffled`, which no other image can change, and dealt out until each split has its
    share of the images.

    Args:
        keys: Group of each image.
        fractions: Split -> share of the images; sums to 1.
    """
    if not fractions or min(fractions.values()) <= 0 or abs(sum(fractions.values()) - 1) > 1e-6:
        raise DatasetError(f"{where}: the fractions {dict(fractions)} must be above 0 and sum to 1.")
    sizes: dict[str, int] = {}
    for key in keys:
        sizes[key] = sizes.get(key, 0) + 1
    order = shuffled(sizes, seed=seed)
    names = list(fractions)
    if len(order) < len(names):
        raise DatasetError(
            f"{where}: {len(keys)} images in {len(order)} groups are too few for the splits {', '.join(names)}. "
            "Add images, or give fewer splits in the option fractions."
        )
    ends = [sum(list(fractions.values())[: i + 1]) * len(keys) for i in range(len(names))]
    split_of: dict[str, str] = {}
    current = dealt = 0
    for left, key in zip(range(len(order), 0, -1), order, strict=True):
        # A group goes where most of it belongs, but no split stays without any.
        full = dealt + sizes[key] / 2 >= ends[current] or left < len(names) - current
        if full and current < len(names) - 1 and names[current] in split_of.values():
            current += 1
        split_of[key] = names[current]
        dealt += sizes[key]
    return [split_of[key] for key in keys]


def stratified(
    keys: Sequence[str], presence: NDArray[np.bool_], fractions: Mapping[str, float], *, seed: int, where: str
) -> list[str]:
    """Split of each image, so that the images with a class are dealt out by the fractions, the rarest class first.

    Source: Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data", ECML PKDD 2011; here what is
    dealt are groups, and ties are broken by the SHA-256 of seed and group.

    Args:
        keys: Group of each image, (N,).
        presence: True for each class that an image has, bool, (N, K).
        fractions: Split -> share; sums to 1.

    Raises:
        DatasetError: If the shares do not sum to 1 or there are fewer groups than splits.
    """
    by_fraction(keys, fractions, seed=seed, where=where)  # refuses what cannot be dealt out
    order = shuffled(set(keys), seed=seed)
    position = {key: index for index, key in enumerate(order)}
    group = np.array([position[key] for key in keys])
    images = np.bincount(group, minlength=len(order)).astype(np.float64)  # (G,)
    having = np.zeros((len(order), presence.shape[1]))  # images of a group with a class, (G, K)
    np.add.at(having, group, presence)
    shares = np.array(list(fractions.values()))
    wanted, room = np.outer(shares, having.sum(axis=0)), shares * images.sum()  # (S, K), (S,)
    of_group = np.full(len(order), -1)
    while (left := np.flatnonzero(of_group < 0)).size:
        groups_with = (having[left] > 0).sum(axis=0)
        if groups_with.any():
            rarest = int(np.where(groups_with > 0, groups_with, np.inf).argmin())
            chosen = left[having[left, rarest] > 0]
            need = wanted[:, rarest]
        else:
            chosen, need = left, np.zeros(len(shares))
        for one in chosen:
            split = int(np.lexsort((-room, -need))[0])
            of_group[one] = split
            wanted[split] -= having[one]
            room[split] -= images[one]
    _fill_empty(of_group, images, len(shares))
    names = list(fractions)
    return [names[of_group[index]] for index in group]


def _fill_empty(of_group: NDArray[np.int64], images: NDArray[np.float64], splits: int) -> None:
    """Give every split without a group the smallest group of the split that has most groups."""
    for split in range(splits):
        if not (of_group == split).any():
            richest = int(np.bincount(of_group, minlength=splits).argmax())
            members = np.flatnonzero(of_group == richest)
            of_group[members[images[members].argmin()]] = split
