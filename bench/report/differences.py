"""The conclusion of the scores in plain words: what is best, what ties with it, and what that is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from bench.report.draw.numbers import with_interval
from bench.report.sentences import TOLD
from bench.report.summary.rows import Row, value_of
from bench.report.summary.seeds import SeedGroup, SeedPair
from bench.report.summary.significance import Pair, PairFamily
from bench.report.summary.summarise import RunSummary
from bench.report.tables import headline_cell


def significance(summary: RunSummary) -> list[str]:
    """Return a paragraph for every data set on which at least two models are scored.

    Where at least two models were trained with several seeds, it is about their means over seeds;
    else about the single trainings, with a warning that these may be luck.
    """
    paragraphs = []
    for dataset in dict.fromkeys(row.dataset for row in summary.rows):
        sentences = over_seeds(summary, dataset) or _over_images(summary, dataset)
        if sentences:
            paragraphs.append((f"On {dataset}: " if summary.several_datasets else "") + " ".join(sentences))
    return paragraphs


# --------------------------------------------------------------------------- trained once


def _over_images(summary: RunSummary, dataset: str) -> list[str]:
    pairs = [pair for pair in summary.pairs if pair.dataset == dataset]
    if not pairs:
        return []
    rows = {row.case_id: row for row in summary.rows}
    family = _family(summary, dataset, pairs)
    ids = family.models
    names = summary.names
    best = (max if summary.higher_is_better else min)(ids, key=lambda case_id: value_of(rows[case_id]))
    value = headline_cell(rows[best])
    images = family.images
    opening = f"**{names[best]}** has the best {summary.headline}, {value}, on {images} test image{'s' * (images > 1)}."
    if not family.tested:
        return [opening, f"{images} image{'s' * (images > 1)} cannot tell whether the others differ from it."]
    told = [pair.seen_from(best) for pair in pairs if best in (pair.a, pair.b)]
    ties = [names[pair.b] for pair in told if pair.significant is False]
    untested = [names[pair.b] for pair in told if pair.significant is None]
    behind = [(names[pair.b], pair.difference or 0.0, pair.low, pair.high) for pair in told if pair.significant]
    test = "Leaving out the same images for both models of a pair"
    lines = [opening, f"{test}{_corrected(family.tested, len(ids))}, {_against_best(ties, behind)}."]
    alike = [(names[pair.a], names[pair.b]) for pair in pairs if pair.significant is False]
    lines += _untold(alike, family.tested, family.tested - family.told_apart)
    if len(pairs) < family.pairs:
        lines.append(
            f"Of the {family.pairs} pairs, results.json lists the {len(pairs)} with it; the correction counts all of "
            "them."
        )
    if untested:
        lines.append(
            f"Not tested against it: {_listed(untested, 'and')}, as one of the two was trained for a time in which "
            "others disturbed it or in which it hardly trained, or both are trainings of one model."
        )
    return lines + _luck(summary, [rows[case_id] for case_id in ids])


def _family(summary: RunSummary, dataset: str, pairs: Sequence[Pair]) -> PairFamily:
    """Return what is known of all pairs of a data set; in a summary of before 0.3 all of them are listed."""
    known = next((family for family in summary.pair_families if family.dataset == dataset), None)
    return known or PairFamily(
        dataset=dataset,
        models=tuple(dict.fromkeys(case_id for pair in pairs for case_id in (pair.a, pair.b))),
        pairs=len(pairs),
        tested=sum(pair.significant is not None for pair in pairs),
        told_apart=sum(pair.significant is True for pair in pairs),
        images=pairs[0].images,
    )


def _corrected(pairs: int, models: int) -> str:
    if pairs == 1:
        return ", at the 5 % level"
    return f", with Holm's correction for all {pairs} pairs of {models} models, at the 5 % level"


Behind: TypeAlias = tuple[str, float, float | None, float | None]
"""Name of a model, its distance from the best, and the ends of its interval."""


def _against_best(ties: Sequence[str], behind: Sequence[Behind]) -> str:
    parts = []
    if behind:
        whom = "every other model" if not ties and len(behind) > 1 else ""
        parts.append(f"it is significantly better than {_behind(behind, whom)}")
    if ties:
        parts.append(f"it is not distinguishable from {_listed(ties, 'and' if behind else 'or')}")
    return "; ".join(parts)


def _behind(behind: Sequence[Behind], whom: str) -> str:
    """Return each with the size of its distance, or their number and the range of the distances."""
    if len(behind) <= TOLD:
        told = [f"{name} by {size_of(*distance)}" for name, *distance in behind]
        return f"{whom}: {'; '.join(told)}" if whom else _listed(told, "and")
    sizes = sorted(abs(difference) for _, difference, _, _ in behind)
    return f"{whom or f'{len(behind)} models'}, by {sizes[0]:.3f} to {sizes[-1]:.3f}"


def size_of(difference: float | None, low: float | None, high: float | None) -> str:
    """Return a distance without its sign: where less is better, the best has the smaller number."""
    if difference is not None and difference < 0 and low is not None and high is not None:
        return with_interval(-difference, -high, -low, default=3)
    return with_interval(difference, low, high, default=3)


def _untold(untold: Sequence[tuple[str, str]], pairs: int, count: int) -> list[str]:
    """Return how many of all pairs are told apart; nothing new where there is only one.

    Args:
        untold: Names of the pairs that are not told apart, as far as they are listed.
        pairs: Number of all pairs.
        count: Number of the pairs that are not told apart.
    """
    if pairs == 1:
        return []
    if not count:
        return [f"All {pairs} pairs differ significantly."]
    named = f": {'; '.join(f'{a} and {b}' for a, b in untold)}" if len(untold) == count <= TOLD else ""
    do = "does" if count == 1 else "do"
    return [f"{pairs - count} of the {pairs} pairs differ significantly, {count} {do} not{named}."]


def _luck(summary: RunSummary, rows: Sequence[Row]) -> list[str]:
    """Return what images alone cannot tell: how another training of the same network would have come out."""
    if any(row.case_id in group.case_ids for row in rows for group in summary.seed_groups):
        return ["Rows that differ only in their seed are one architecture: their difference is training luck."]
    trained = [row for row in rows if row.recipe is not None]
    if len({row.model for row in trained}) < 2:
        return []
    seeds = sorted({row.recipe.seed for row in trained if row.recipe is not None})
    which = f"seed {seeds[0]}" if len(seeds) == 1 else "one seed each"
    return [
        f"Every model was trained only once ({which}): the intervals cover the choice of test images, not the luck of "
        "a training, so a difference between architectures may be training luck. To tell, train each with several "
        "seeds: `seeds: [0, 1, 2]`."
    ]


# --------------------------------------------------------------------------- trained several times


def over_seeds(summary: RunSummary, dataset: str) -> list[str]:
    """Sentences on the means over seeds of the models on a data set; none where fewer than two have several."""
    pairs = [pair for pair in summary.seed_pairs if summary.seed_groups[pair.a].dataset == dataset]
    if not pairs:
        return []
    groups = summary.seed_groups
    members = list(dict.fromkeys(i for pair in pairs for i in (pair.a, pair.b)))
    names = {i: seed_group_name(summary, groups[i]) for i in members}
    best = (max if summary.higher_is_better else min)(members, key=lambda i: groups[i].metrics[0].mean or 0.0)
    headline = groups[best].metrics[0]
    fewest, most = (limit(len(groups[i].metrics[0].values) for i in members) for limit in (min, max))
    count = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    value = with_interval(headline.mean, headline.low, headline.high, default=3)
    told = [_from(pair, best) for pair in pairs if best in (pair.a, pair.b)]
    ties = [names[pair.b] for pair in told if not pair.significant]
    behind = [(names[pair.b], pair.difference, pair.low, pair.high) for pair in told if pair.significant]
    return [
        f"**{names[best]}** has the best mean {summary.headline} over its training seeds, {value}; "
        f"the models with several seeds are compared, {count} each.",
        f"By Welch's t-test on the seeds{_corrected(len(pairs), len(members))}, {_against_best(ties, behind)}.",
        *_untold(untold := [(names[p.a], names[p.b]) for p in pairs if not p.significant], len(pairs), len(untold)),
        "These intervals cover training luck on the same test images, not the choice of these images"
        + ("; so few seeds show only large differences." if fewest < 5 else "."),
        *_trained_once(summary, dataset, {case_id for group in groups for case_id in group.case_ids}),
    ]


def seed_group_name(summary: RunSummary, group: SeedGroup) -> str:
    """Return the model, with its target where groups differ in it."""
    return f"{group.model} ({group.target})" if len({g.target for g in summary.seed_groups}) > 1 else group.model


def _from(pair: SeedPair, best: int) -> SeedPair:
    if pair.a == best:
        return pair
    return pair.model_copy(
        update={"a": pair.b, "b": pair.a, "difference": -pair.difference, "low": -pair.high, "high": -pair.low}
    )


def _trained_once(summary: RunSummary, dataset: str, grouped: set[str]) -> list[str]:
    left = [
        summary.name_of(row)
        for row in summary.rows
        if row.dataset == dataset and row.headline is not None and row.case_id not in grouped
    ]
    return [f"Not compared here, because they were trained with one seed: {', '.join(left)}."] if left else []


def _listed(names: Sequence[str], last: str) -> str:
    """`a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"
