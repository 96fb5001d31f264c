"""Chooses images: the most informative ones, for every model; those that lists name, for the named models."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import permutations, zip_longest

import numpy as np

from bench.metric import load_metric
from bench.report.facts import Facts
from bench.report.summary.per_image import CaseImages, disagreement, largest

LISTED = 5
"""Images in each list."""
BEATEN = 8
"""Images on which one model beats another the most that the page lists."""


def chosen_images(cases: Sequence[CaseImages], facts: Facts, most: int) -> dict[str, list[str]]:
    """Return image ids with the reasons to show them: by turns of each kind of reason, until there are `most`."""
    name = next(iter(cases[0].scores))
    cases = [case for case in cases if name in case.scores]
    sign = 1.0 if load_metric(name).higher_is_better else -1.0
    ids, names = cases[0].image_ids, facts.name_of
    kinds = []
    if len(cases) > 1:
        kinds.append([(ids[i], "models disagree") for i in largest(disagreement(cases, name), 8, above=0)])
    for case in cases:
        why = f"among the worst of {names[case.case_id]}"
        kinds.append([(case.image_ids[i], why) for i in largest(-sign * case.scores[name], 3)])
    kinds += [_confused(case, facts) for case in cases]
    if len(cases) > 1:
        ranked = sorted(cases, key=lambda case: -sign * float(np.nanmean(np.append(case.scores[name], -sign))))
        better, worse = ranked[:2]
        ahead = largest(sign * (worse.scores[name] - better.scores[name]), 3, above=0)
        kinds.append([(ids[i], f"{names[worse.case_id]} beats {names[better.case_id]}") for i in ahead])
    found: dict[str, list[str]] = {}
    for turn in zip_longest(*kinds):
        if len(found) >= most:
            break
        for image_id, why in filter(None, turn):
            if image_id in found or len(found) < most:
                found.setdefault(image_id, []).append(why)
    return found


def _confused(case: CaseImages, facts: Facts) -> list[tuple[str, str]]:
    table = next((one for one in facts.confusions if one.case_id == case.case_id), None)
    name = facts.name_of[case.case_id]
    pairs = [pair for pair in (table.pairs[:2] if table is not None else ()) if pair.images]
    return [(pair.images[0][0], f"{pair.true} taken for {pair.predicted} by {name}") for pair in pairs]


# --------------------------------------------------------------------------- images that lists name


@dataclass
class ListedImage:
    """An image that a list names, with the reasons and the models that these are about."""

    image_id: str
    why: list[str] = field(default_factory=list)
    case_ids: set[str] = field(default_factory=set)

    def of(self, cases: Sequence[CaseImages]) -> list[CaseImages]:
        """Return the cases that it is shown under, in their order."""
        return [case for case in cases if case.case_id in self.case_ids]


def further_images(
    cases: Sequence[CaseImages], facts: Facts, known: Collection[str], *, pictures: int
) -> list[ListedImage]:
    """Return the images that lists of the page name and that are not shown yet, the first of each list first.

    Args:
        cases: Cases of one data set.
        facts: Facts of the run, for the names of the rows.
        known: Images that are shown already.
        pictures: Largest number of pictures: two of each image, and two of each model that it is shown under.
    """
    found: dict[str, ListedImage] = {}
    for image_id, why, case_ids in _named(cases, facts):
        if image_id in known:
            continue
        one = found.get(image_id, ListedImage(image_id))
        cost = 2 * len(case_ids - one.case_ids) + (0 if image_id in found else 2)
        if cost > pictures:
            continue
        pictures -= cost
        found[image_id] = one
        one.case_ids |= case_ids
        one.why += [] if why in one.why else [why]
    return list(found.values())


def _named(cases: Sequence[CaseImages], facts: Facts) -> Iterator[tuple[str, str, set[str]]]:
    """Yield image, reason, and ids of the cases that it is about, by turns of all lists."""
    name = next(iter(cases[0].scores))
    cases = [case for case in cases if name in case.scores]
    sign = 1.0 if load_metric(name).higher_is_better else -1.0
    values = sign * np.stack([case.scores[name] for case in cases])  # (cases, images), larger is better
    best = np.nan_to_num(values, nan=-np.inf).argmax(axis=0)
    names, ids = [facts.name_of[case.case_id] for case in cases], cases[0].image_ids
    case_ids = [case.case_id for case in cases]
    lists = [
        [(ids[i], f"among the worst of {names[n]}", {case_ids[n], case_ids[best[i]]}) for i in largest(-of, LISTED)]
        for n, of in enumerate(values)
    ]
    if len(cases) > 1:
        known = np.nan_to_num(values, nan=0.0)
        apart = largest(disagreement(cases, name), LISTED, above=0)
        ends = {i: {case_ids[known[:, i].argmin()], case_ids[known[:, i].argmax()]} for i in apart}
        lists.append([(ids[i], "models disagree", ends[i]) for i in apart])
    for a, b in permutations(range(len(cases)), 2):
        ahead = largest(values[a] - values[b], BEATEN, above=0)
        lists.append([(ids[i], f"{names[a]} beats {names[b]}", {case_ids[a], case_ids[b]}) for i in ahead])
    for turn in zip_longest(*lists):
        yield from filter(None, turn)
