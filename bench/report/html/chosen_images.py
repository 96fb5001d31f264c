"""Chooses images: the most informative ones, for every model; those that lists name, for the named models."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import permutations

import numpy as np

from bench.metric import load_metric
from bench.report.facts import Facts
from bench.report.summary.per_image import CaseImages, disagreement

LISTED = 5
"""Images in each list."""
BEATEN = 8
"""Images on which one model beats another the most that the page lists."""


def chosen_images(cases: Sequence[CaseImages], facts: Facts, most: int) -> dict[str, list[str]]:
    """Return image ids with the reasons to show them: by turns of each kind of reason, until there are `most`."""
    name = next(iter(cases[0].scores))
    cases = [case for case in cases if name in case.scores]
    metric = load_metric(name)
    sign = 1.0 if metric.higher_is_better else -1.0
    kinds = [_most_different(cases, name)] if len(cases) > 1 else []
    kinds += [_worst(case, name, sign, facts.name_of[case.case_id]) for case in cases]
    kinds += [_confused(case, facts) for case in cases]
    if len(cases) > 1:
        ranked = sorted(cases, key=lambda case: -sign * float(np.nanmean(np.append(case.scores[name], -sign))))
        kinds.append(_beats(ranked[1], ranked[0], name, sign, facts))
    found: dict[str, list[str]] = {}
    while kinds and len(found) < most:
        for kind in list(kinds):
            image_id, why = next(kind, ("", ""))
            if not image_id:
                kinds.remove(kind)
            elif image_id in found or len(found) < most:
                found.setdefault(image_id, []).append(why)
    return found


def _most_different(cases: Sequence[CaseImages], name: str) -> Iterator[tuple[str, str]]:
    differ = disagreement(cases, name)
    for number in np.argsort(-np.nan_to_num(differ, nan=-1.0), kind="stable")[:8]:
        if differ[number] > 0:
            yield cases[0].image_ids[number], "models disagree"


def _worst(case: CaseImages, name: str, sign: float, model: str) -> Iterator[tuple[str, str]]:
    values = sign * case.scores[name]
    for number in np.argsort(np.nan_to_num(values, nan=np.inf), kind="stable")[:3]:
        if not np.isnan(values[number]):
            yield case.image_ids[number], f"among the worst of {model}"


def _confused(case: CaseImages, facts: Facts) -> Iterator[tuple[str, str]]:
    table = next((one for one in facts.confusions if one.case_id == case.case_id), None)
    for pair in table.pairs[:2] if table is not None else ():
        if pair.images:
            yield pair.images[0][0], f"{pair.true} taken for {pair.predicted} by {facts.name_of[case.case_id]}"


def _beats(worse: CaseImages, better: CaseImages, name: str, sign: float, facts: Facts) -> Iterator[tuple[str, str]]:
    ahead = np.nan_to_num(sign * (worse.scores[name] - better.scores[name]), nan=-np.inf)
    for number in np.argsort(-ahead, kind="stable")[:3]:
        if ahead[number] > 0:
            yield (
                worse.image_ids[number],
                f"{facts.name_of[worse.case_id]} beats {facts.name_of[better.case_id]}",
            )


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
    worst = np.argsort(np.nan_to_num(values, nan=np.inf), axis=1, kind="stable")[:, :LISTED]
    differ = disagreement(cases, name) if len(cases) > 1 else np.zeros(0)
    apart = np.argsort(-np.nan_to_num(differ, nan=-1.0), kind="stable")[:LISTED]
    names, ids = [facts.name_of[case.case_id] for case in cases], cases[0].image_ids
    for rank in range(BEATEN):
        for of_case, order in enumerate(worst if rank < LISTED else ()):
            if rank < len(order) and not np.isnan(values[of_case, order[rank]]):
                best = int(np.argmax(np.nan_to_num(values[:, order[rank]], nan=-np.inf)))
                shown = {cases[of_case].case_id, cases[best].case_id}
                yield ids[order[rank]], f"among the worst of {names[of_case]}", shown
        if rank < len(apart) and differ[apart[rank]] > 0:
            column = np.nan_to_num(values[:, apart[rank]], nan=0.0)
            yield (
                ids[apart[rank]],
                "models disagree",
                {cases[int(n)].case_id for n in (column.argmin(), column.argmax())},
            )
        for a, b in permutations(range(len(cases)), 2):
            ahead = np.nan_to_num(values[a] - values[b], nan=-np.inf)
            if rank < len(ahead):
                image = int(np.argsort(-ahead, kind="stable")[rank])
                if ahead[image] > 0:
                    yield ids[image], f"{names[a]} beats {names[b]}", {cases[a].case_id, cases[b].case_id}
