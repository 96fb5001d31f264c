"""Says what a run found, in a few sentences: they stand first in every report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from bench.measure.counters import MAX_FOREIGN_SHARE, MAX_STEAL_SHARE
from bench.records import Interference
from bench.report.differences import over_seeds, size_of
from bench.report.draw.numbers import digits_for, significant, with_interval
from bench.report.sentences import TOLD
from bench.report.summary.rows import Comparison, Row, value_of
from bench.report.summary.summarise import RunSummary
from bench.report.tables import headline_cell


def conclusion(summary: RunSummary) -> list[str]:
    """Return what the run says, one sentence per finding; differences carry their interval.

    Where models were trained with several seeds it is about their means: the best of all single
    trainings would be the luckiest.
    """
    lines = []
    for dataset in dict.fromkeys(row.dataset for row in summary.rows):
        rows = [row for row in summary.rows if row.dataset == dataset]
        scored = [row for row in rows if row.headline is not None]
        defined = [row for row in rows if row.headline is not None and row.headline.value is not None]
        where = f"On {dataset}: " if summary.several_datasets else ""
        means = over_seeds(summary, dataset)
        if means:
            lines += [f"{where}{line}" for line in means]
        elif defined:
            lines += [f"{where}{line}" for line in _findings(summary, defined, dataset)]
        elif scored:
            lines.append(f"{where}{summary.headline} is undefined for every model scored so far.")
        else:
            lines.append(f"{where}No model is scored yet.")
    lines += _under_corruption(summary)
    return _left_out(summary) + interference_lines(summary) + lines + _random_weights(summary) + _unfinished(summary)


def _under_corruption(summary: RunSummary) -> list[str]:
    """Return which model is best on corrupted images, and on which corruption it is worst."""
    names, several = summary.names, len({one.dataset for one in summary.robustness}) > 1
    lines = []
    for dataset in dict.fromkeys(one.dataset for one in summary.robustness):
        means = {one.case_id: one.mean for one in summary.robustness if one.dataset == dataset}
        known = {case_id: mean for case_id, mean in means.items() if mean is not None and case_id in names}
        if not known:
            continue
        chosen = (max if summary.higher_is_better else min)(known, key=lambda case_id: known[case_id])
        best = next(one for one in summary.robustness if one.case_id == chosen)
        where = f"On {dataset}: under" if several else "Under"
        kept = "" if best.kept is None else f", {100 * best.kept:.0f} % of its score on the images as they are"
        lines.append(
            f"{where} corruption **{names[chosen]}** has the best mean {summary.headline}, "
            f"{with_interval(best.mean, best.low, best.high, default=3)}{kept}; worst for it is {best.worst}, "
            f"{best.worst_value:.3f}."
        )
    return lines


def _left_out(summary: RunSummary) -> list[str]:
    if not summary.left_out:
        return []
    shown = len(summary.rows)
    return [
        f"{shown} of the {shown + summary.left_out} cases of this run {'is' if shown == 1 else 'are'} shown. What "
        "compares cases (the best, the fastest, Pareto-optimal, p-values corrected for the number of pairs) is "
        "computed from what is shown, and can differ from the report of the whole run."
    ]


def _random_weights(summary: RunSummary) -> list[str]:
    names = dict.fromkeys(summary.name_of(row) for row in summary.rows if row.random_weights)
    if not names:
        return []
    return [
        f"Untrained, with random weights: {', '.join(names)}. The times are the network's; the scores say nothing "
        "about it. Give 'weights', a folder, in the suite."
    ]


def _unfinished(summary: RunSummary) -> list[str]:
    lines = []
    rows = {row.case_id: row for row in summary.rows}
    failed = dict.fromkeys(failure.case_id for failure in summary.failures if failure.case_id in rows)
    lines += [f"Damaged: {failure.reason}." for failure in summary.failures if not failure.case_id]
    if failed:
        told = ", ".join(f"{summary.names[case]} ({rows[case].status})" for case in failed)
        lines.append(f"{len(failed)} of {len(rows)} cases failed: {told}; see the failures below.")
    waiting = [summary.name_of(row) for row in summary.rows if row.status == "unfinished"]
    if waiting:
        named = f": {', '.join(waiting)}" if len(waiting) <= TOLD else ""
        lines.append(f"{len(waiting)} of {len(rows)} cases are not finished yet{named}.")
    if summary.measurement.quick:
        lines.append("Latencies were taken by the shortened protocol (`quick`) and are for orientation only.")
    return lines


def _findings(summary: RunSummary, scored: list[Row], dataset: str) -> list[str]:
    names = summary.names
    best = (max if summary.higher_is_better else min)(scored, key=value_of)
    lines = [f"**{names[best.case_id]}** has the best {summary.headline}, {headline_cell(best)}."]
    compared = {c.other: c for c in summary.comparisons if c.dataset == dataset and c.best == best.case_id}
    timed = [row for row in scored if row.comparable_ms is not None]
    if len(timed) > 1:
        fastest = min(timed, key=lambda row: row.comparable_ms or 0.0)
        also = "It is also" if fastest is best else f"**{names[fastest.case_id]}** is"
        from_file = " from file" if summary.measurement.input == "file" else ""
        latency = significant(fastest.comparable_ms)
        speed = f"{also} the fastest, {latency} ms end to end{from_file} at the median"
        if fastest is best:
            alike = [names[c.other] for c in compared.values() if c.slower is not None and not c.slower_significant]
            speed += f" (not distinguishable from {', '.join(alike[:TOLD])})" if alike else ""
        against = compared.pop(fastest.case_id, None)
        lines.append(speed + (_faster(against, names[best.case_id]) + _cost(summary, against) if against else "") + ".")
    tied = [names[c.other] for c in compared.values() if c.significant is False]
    if tied:
        lines.append(f"Not distinguishable from the best {summary.headline} on these images: {', '.join(tied)}.")
    return lines + _behind(summary, [c for c in compared.values() if c.significant], names)


def _faster(ratio: Comparison, best: str) -> str:
    """The comparison holds other over best, which is below 1 for what is faster."""
    if ratio.slower is None:
        return ""
    if ratio.slower_low is None or ratio.slower_high is None:
        return f", {1 / ratio.slower:.2f} × as fast as {best} in one process each, which is no evidence of a difference"
    if not ratio.slower_significant:
        return f" (not distinguishable from {best})"
    low, high = 1 / ratio.slower_high, 1 / ratio.slower_low
    digits = max(2, digits_for((high - low) / 2, default=2) - 1)
    return f", {1 / ratio.slower:.{digits}f} × (interval {low:.{digits}f}–{high:.{digits}f}) as fast as {best}"


def _cost(summary: RunSummary, comparison: Comparison) -> str:
    if comparison.difference is None or comparison.significant is None:
        return ""
    if not comparison.significant:
        return f", with no distinguishable difference in {summary.headline}"
    return f", and behind it by {size_of(comparison.difference, comparison.low, comparison.high)} {summary.headline}"


def _behind(summary: RunSummary, worse: list[Comparison], names: dict[str, str]) -> list[str]:
    if not worse:
        return []
    if len(worse) <= TOLD:
        told = "; ".join(f"{names[c.other]} by {size_of(c.difference, c.low, c.high)}" for c in worse)
        return [f"Significantly behind the best {summary.headline}: {told}."]
    sizes = sorted(abs(c.difference or 0.0) for c in worse)
    return [
        f"Significantly behind the best {summary.headline}: {len(worse)} others, by {sizes[0]:.3f} to {sizes[-1]:.3f}; "
        "the report lists the differences."
    ]


NAMED = 3


def interference_lines(summary: RunSummary) -> list[str]:
    """Return a sentence for what was timed and one for what was trained beside other processes; usually none."""
    timed = {
        row.case_id: [one for one in row.timing_interference if 10 * one.disturbed_blocks > one.blocks]
        for row in summary.rows
    }
    trained = {
        row.case_id: [one for one in row.training_interference if _above_limits(one)]
        for row in summary.rows
        if row.recipe is not None and row.recipe.budget.seconds is not None  # slower means shorter
    }
    lines = []
    if seen := [one for some in timed.values() for one in some]:
        lines.append(
            f"**The machine was busy while {_names(summary, timed)} timed**: {_describe(seen)}. These latencies are "
            "flagged, their intervals are wide or hold fewer samples; for numbers to rely on, close other programs and "
            "time again."
        )
    if seen := [one for some in trained.values() for one in some]:
        lines.append(
            f"**The machine was busy while {_names(summary, trained)} trained** for a given time: {_describe(seen)}. "
            "They came to fewer steps than on an idle machine, so a difference between their scores may come from the "
            "other processes; train again, or give the budget in steps."
        )
    return lines


def _above_limits(one: Interference) -> bool:
    return (one.foreign_share or 0.0) > MAX_FOREIGN_SHARE or (one.steal_share or 0.0) > MAX_STEAL_SHARE


def _names(summary: RunSummary, found: dict[str, list[Interference]]) -> str:
    disturbed = [case for case, some in found.items() if some]
    if 1 < len(summary.rows) == len(disturbed):
        return f"all {len(summary.rows)} cases were"
    *others, last = dict.fromkeys(summary.names[case] for case in disturbed)
    return f"{', '.join(others)} and {last} were" if others else f"{last} was"


def _describe(seen: Sequence[Interference]) -> str:
    """Return how much was used at worst, and by which programs on average."""
    foreign = max((one.foreign_share or 0.0 for one in seen), default=0.0)
    steal = max((one.steal_share or 0.0 for one in seen), default=0.0)
    said = [f"other processes used up to {100 * foreign:.0f} % of the cores"] if foreign > 0 else []
    said += [f"the hypervisor took up to {100 * steal:.1f} %"] if steal > MAX_STEAL_SHARE else []
    by: dict[str, float] = defaultdict(float)
    for one in seen:
        for name, share in one.by.items():
            by[name] += share / len(seen)
    most = sorted(by.items(), key=lambda item: -item[1])[:NAMED]
    who = ", ".join(f"{name} {100 * share:.0f} %" for name, share in most)
    return " and ".join(said) + (
        f" ({who})" if who else " (which ones cannot be seen from here)" if foreign > 0 else ""
    )
