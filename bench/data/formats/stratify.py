"""Splits in which every class has its share: iterative stratification of groups.

Source: Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data", ECML PKDD 2011;
here what is dealt are groups, and ties are broken by the SHA-256 of seed and group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.splits import by_fraction, shuffled


def stratified(
    keys: Sequence[str], presence: NDArray[np.bool_], fractions: Mapping[str, float], *, seed: int, where: str
) -> list[str]:
    """Split of each image, so that the images with a class are dealt out by the fractions, the rarest class first.

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
