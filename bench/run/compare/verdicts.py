"""Decides what changed between two sides, and whether it is more than chance and more than a margin.

Each number is tested once: scores paired over images or groups, latencies and memory over processes. All numbers of a
comparison are one family, corrected by Holm's procedure, and each interval is as wide as that correction asks for, so
that interval, p-value and verdict say the same. A number that is the same to the last bit is not tested.

Verdicts: `better` and `worse`, where the interval leaves out no change; `same`, where it lies within the margin on
both sides; else `undecided`. A change that is significant and yet within the margin throughout is `same`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, exp, log
from pathlib import Path

import numpy as np

from bench.metric import Metric, load_metric
from bench.records.damage import json_of
from bench.records.provenance import same_machine
from bench.records.store.statistics import Statistics
from bench.report.summary.columns import Columns, read_columns
from bench.report.summary.compare import paired_differences
from bench.run.compare.finding import Comparison, Finding, Verdict
from bench.run.compare.gate import PEAK, USUAL, Gate, Margin, kind_of, percent_of
from bench.run.compare.per_class import class_differences
from bench.run.compare.sides import DATA, MACHINE, PROTOCOL, TARGET, Side, SideCase, matched
from bench.score.stats.holm import holm, interval_levels
from bench.score.stats.processes import POWER, compare_processes, process_percentiles, processes_to_find
from bench.score.stats.student import LEVEL, Estimate, quantile, welch

_ONLY_LATENCY = {MACHINE: "another machine", PROTOCOL: "another protocol", "environment": "other threads or settings"}
"""Parts of how it was measured that only its times depend on."""
MOST_NEEDED = 1_000_000


@dataclass(frozen=True)
class Tested:
    """A finding with its test, before the correction; the estimate is of a logarithm where it is relative."""

    finding: Finding
    estimate: Estimate | None = None
    relative: bool = False
    higher_is_better: bool = True
    units: int = 0
    grouped: bool = False


def compare(reference: Side, others: Sequence[Side], gate: Gate | None) -> tuple[Comparison, ...]:
    """Compare each of the others with the reference; all numbers together are one family."""
    asked = gate or Gate()
    pairs = [matched(reference, other) for other in others]
    columns = [_columns(asked, other, some) for other, some in zip(others, pairs, strict=True)]
    tested = [
        [test for pair in some for test in _of_pair(pair, reference.seed, asked, of_data)]
        for some, of_data in zip(pairs, columns, strict=True)
    ]
    judged = iter(_judged([test for some in tested for test in some]))
    return tuple(
        Comparison(
            reference=reference.name,
            other=other.name,
            differences=tuple(dict.fromkeys(line for pair in some for line in how_they_differ(*pair))),
            findings=tuple(next(judged) for _ in tests),
            only_in_one=_only_in_one(reference, other, some),
        )
        for other, some, tests in zip(others, pairs, tested, strict=True)
    )


def _columns(gate: Gate, side: Side, pairs: Sequence[tuple[SideCase, SideCase]]) -> dict[str, Columns]:
    """Label of a data set -> columns of the table that the gate, or the suite of a run, names; none if unused."""
    found: dict[str, Columns] = {}
    if not any(part.column for part in gate.slices.values()):
        return found
    planned = side.origin[0].plan.columns if side.origin is not None else {}
    for _, case in pairs:
        label = case.facts.dataset
        path = gate.table or planned.get(label)
        if path is not None and label not in found and case.statistics is not None:
            found[label] = read_columns(Path(path), case.statistics.image_ids)
    return found


def _only_in_one(a: Side, b: Side, pairs: Sequence[tuple[SideCase, SideCase]]) -> tuple[str, ...]:
    shared = [{pair[k].facts.case_id for pair in pairs} for k in (0, 1)]
    sides = zip((a, b), shared, strict=True)
    return tuple(f"{c.facts.case_id} ({s.name})" for s, ids in sides for c in s.cases if c.facts.case_id not in ids)


def how_they_differ(a: SideCase, b: SideCase) -> Iterator[str]:
    """Yield what differs in how two cases were measured, a line each."""
    for name in sorted({*a.facts.measured, *b.facts.measured}):
        before, after = (case.facts.measured.get(name, "") for case in (a, b))
        if not _alike(name, before, after):
            yield from (f"{name}{part}: {_short(old)} → {_short(new)}" for part, old, new in _parts(before, after))
    for case in (a, b):
        yield from (f"{case.facts.case_id}: {why}" for why in (*case.facts.invalid, *case.facts.doubts))


def _parts(before: str, after: str) -> Iterator[tuple[str, str, str]]:
    """Yield what differs, part by part where both are objects in JSON: name of the part, before, after."""
    try:
        old, new = json_of(before), json_of(after)
    except ValueError:
        old = new = None
    if not isinstance(old, dict) or not isinstance(new, dict):
        yield "", before, after
        return
    for key in [*old, *(key for key in new if key not in old)]:
        if old.get(key) != new.get(key):
            texts = [json.dumps(one[key], ensure_ascii=False) if key in one else "" for one in (old, new)]
            for part, *both in _parts(*texts):
                yield f" {key}{part}", both[0].strip('"'), both[1].strip('"')


def _short(text: str) -> str:
    return (text if len(text) <= 48 else f"{text[:45]}...") or "not known"


def _of_pair(
    pair: tuple[SideCase, SideCase], seed: int, gate: Gate, columns: Mapping[str, Columns]
) -> Iterator[Tested]:
    a, b = pair
    yield from _scores(a, b, seed, gate, columns.get(b.facts.dataset, {}))
    latencies = ["end_to_end_p50", *(q for q in gate.margins if kind_of(q) == "latency" and q != "end_to_end_p50")]
    own = gate.models.get(b.facts.model, {})
    latencies += [q for q in own if kind_of(q) == "latency" and q not in latencies]
    for quantity in latencies:
        yield _latency(a, b, quantity, gate)
    yield _memory(a, b, gate)


def _start(
    b: SideCase, quantity: str, gate: Gate, scope: str = "", margin: Margin | None = None
) -> tuple[Finding, Margin]:
    gated = margin or gate.margin(quantity, b.facts.model)
    used = gated or USUAL[kind_of(quantity)]
    case = f"{b.facts.model} · {b.facts.dataset} · {b.facts.target}"
    return Finding(case=case, quantity=quantity, scope=scope, margin=used.amount, gated=gated is not None), used


# --------------------------------------------------------------------------- scores


def _scores(a: SideCase, b: SideCase, seed: int, gate: Gate, columns: Columns) -> Iterator[Tested]:
    before = {score.metric: score for score in a.facts.scores}
    for score in b.facts.scores:
        finding, margin = _start(b, score.metric, gate)
        why = _no_scores(a, b)
        if why is None and (score.metric not in before or before[score.metric].version != score.version):
            why = "the reference has no score of this metric and version"
        if why is not None or a.statistics is None or b.statistics is None:
            yield Tested(finding.model_copy(update={"why": why or "not scored", "after": score.value}))
            continue
        metric = load_metric(score.metric)
        whole = (a.statistics, b.statistics)
        yield _score(finding, margin, a, b, whole, metric, seed)
        for name, margins in gate.classes.items():
            if score.metric in margins:
                yield _class_score(a, b, whole, metric, seed, gate, name, margins[score.metric])
        for name, part in gate.slices.items():
            if score.metric in part.margins:
                finding, margin = _start(b, score.metric, gate, f"slice {name}", part.margins[score.metric])
                cut = tuple(one.of_images(part.chosen(one.image_ids, columns)) for one in whole)
                if not cut[0].image_ids:
                    yield Tested(finding.model_copy(update={"why": f"no image is {part}"}))
                else:
                    yield _score(finding, margin, a, b, (cut[0], cut[1]), metric, seed)
    for name in gate.margins:
        if kind_of(name) == "score" and name not in {score.metric for score in b.facts.scores}:
            yield Tested(_start(b, name, gate)[0].model_copy(update={"why": "it was not scored by this metric"}))


def _no_scores(a: SideCase, b: SideCase) -> str | None:
    """Return why scores cannot be compared; None if they can."""
    if a.statistics is None or b.statistics is None:
        return "not scored"
    if [spec.name for spec in a.facts.classes] != [spec.name for spec in b.facts.classes]:
        return "other classes"
    if set(a.statistics.image_ids) != set(b.statistics.image_ids):
        return "other images"
    fingerprints = [case.facts.measured.get(DATA) for case in (a, b)]
    if all(fingerprints) and fingerprints[0] != fingerprints[1]:
        return "images or annotations of the same names are not the same"
    return None


def _score(
    finding: Finding,
    margin: Margin,
    a: SideCase,
    b: SideCase,
    of: tuple[Statistics, Statistics],
    metric: Metric,
    seed: int,
) -> Tested:
    (paired,) = paired_differences({"b": of[1], "a": of[0]}, metric, b.facts.classes, seed=seed).values()
    classes, statistic = b.facts.classes, metric.statistic
    values = [metric.score(one.arrays[statistic], classes, seed=seed).value for one in of]
    unit = next(
        (str(getattr(score, "unit", None) or "") for score in b.facts.scores if score.metric == metric.name), ""
    )
    if unit and not margin.relative:
        if finding.gated:
            why = f"it is measured in {unit}, so that its margin must be in %"
            return Tested(finding.model_copy(update={"why": why, "unit": unit}))
        margin = USUAL["distance"]
    found = finding.model_copy(
        update={
            "before": values[0],
            "after": values[1],
            "change": paired.difference,
            "margin": margin.of(values[0] or 0.0),
            "unit": unit,
            "why": "" if paired.difference is not None else "undefined on one side",
        }
    )
    doubts = (*a.facts.doubts, *b.facts.doubts)
    if doubts:
        return Tested(found.model_copy(update={"why": f"not tested: {doubts[0]}"}))
    groups = len(set(of[0].groups_of(of[0].image_ids)))
    return Tested(
        found,
        paired.estimate,
        higher_is_better=metric.higher_is_better,
        units=groups or paired.images,
        grouped=groups > 0,
    )


def _class_score(
    a: SideCase,
    b: SideCase,
    of: tuple[Statistics, Statistics],
    metric: Metric,
    seed: int,
    gate: Gate,
    name: str,
    margin: Margin,
) -> Tested:
    finding, used = _start(b, metric.name, gate, f"class {name}", margin)
    found = class_differences(of[0], of[1], metric, b.facts.classes, name, seed=seed)
    if isinstance(found, str):
        return Tested(finding.model_copy(update={"why": found}))
    finding = finding.model_copy(
        update={
            "before": found.before,
            "after": found.after,
            "change": found.after - found.before,
            "margin": used.of(found.before),
        }
    )
    doubts = (*a.facts.doubts, *b.facts.doubts)
    if doubts:
        return Tested(finding.model_copy(update={"why": f"not tested: {doubts[0]}"}))
    groups = len(set(of[0].groups_of(of[0].image_ids)))
    units = groups or len(of[0].image_ids)
    return Tested(finding, found.estimate, higher_is_better=metric.higher_is_better, units=units, grouped=groups > 0)


# --------------------------------------------------------------------------- latency and memory


def _latency(a: SideCase, b: SideCase, quantity: str, gate: Gate) -> Tested:
    finding, _ = _start(b, quantity, gate)
    why = _no_latency(a, b)
    if why is not None:
        return Tested(finding.model_copy(update={"why": why}))
    percent = percent_of(quantity)
    logs = [np.log(process_percentiles(case.processes_ms, percent)) for case in (a, b)]
    before, after = (float(exp(values.mean())) for values in logs)
    found = finding.model_copy(
        update={"before": before, "after": after, "change": after / before - 1, "unit": "ms/image"}
    )
    estimate = compare_processes(b.processes_ms, a.processes_ms, percent)
    if estimate is None:
        found = found.model_copy(
            update={"why": "timed in a single process, which cannot tell how much processes differ"}
        )
    return Tested(found, estimate, relative=True, higher_is_better=False, units=min(map(len, logs)))


def _no_latency(a: SideCase, b: SideCase) -> str | None:
    if not a.processes_ms or not b.processes_ms:
        return "not timed"
    for case in (a, b):
        if case.facts.invalid:
            return f"must not be used: {case.facts.invalid[0]}"
    before, after = a.facts.measured, b.facts.measured
    for name, what in (*_ONLY_LATENCY.items(), (TARGET, "another target"), (DATA, "other images")):
        if not _alike(name, before.get(name, ""), after.get(name, "")):
            return what
    return None


def _alike(name: str, before: str, after: str) -> bool:
    return same_machine(before, after) if name == MACHINE else before == after


def _memory(a: SideCase, b: SideCase, gate: Gate) -> Tested:
    finding, _ = _start(b, PEAK, gate)
    peaks = [case.facts.peak_host_mib for case in (a, b)]
    why = _no_latency(a, b) if all(peaks) else "not measured"
    if why is not None:
        return Tested(finding.model_copy(update={"why": why}))
    before, after = (float(np.exp(np.log(values).mean())) for values in peaks)
    found = finding.model_copy(update={"before": before, "after": after, "change": after / before - 1, "unit": "MiB"})
    if min(map(len, peaks)) < 2:
        return Tested(found.model_copy(update={"why": "measured in a single process"}))
    estimate = welch([log(v) for v in peaks[1]], [log(v) for v in peaks[0]])
    return Tested(found, estimate, relative=True, higher_is_better=False, units=min(map(len, peaks)))


# --------------------------------------------------------------------------- the family


def _judged(tested: Sequence[Tested]) -> list[Finding]:
    """Correct all tests as one family, and say what each comes to."""
    family = [test for test in tested if test.estimate is not None and not _identical(test.estimate)]
    p_values = [test.estimate.p for test in family if test.estimate is not None]
    corrected = dict(zip(map(id, family), zip(holm(p_values), interval_levels(p_values), strict=True), strict=True))
    return [_verdict(test, *corrected.get(id(test), (1.0, LEVEL))) for test in tested]


def _identical(estimate: Estimate) -> bool:
    return estimate.value == 0 and estimate.error == 0


def _verdict(test: Tested, p_holm: float, level: float) -> Finding:
    estimate, finding = test.estimate, test.finding
    if estimate is None or finding.why:
        return finding
    half = estimate.half(level)
    low, high = (_as_change(end, relative=test.relative) for end in (estimate.value - half, estimate.value + half))
    significant = p_holm < LEVEL
    within = low >= -finding.margin and high <= finding.margin
    improved = (estimate.value > 0) == test.higher_is_better
    verdict: Verdict = "same" if within else ("better" if improved else "worse") if significant else "undecided"
    reach = (quantile(estimate.degrees, level) + quantile(estimate.degrees, 2 * (1 - POWER))) * estimate.error
    return finding.model_copy(
        update={
            "low": low,
            "high": high,
            "p_holm": p_holm,
            "verdict": verdict,
            "smallest": _as_change(reach, relative=test.relative),
            "needed": _needed(test, reach, level) if verdict == "undecided" else "",
        }
    )


def _as_change(value: float, *, relative: bool) -> float:
    return exp(min(value, 700.0)) - 1 if relative else value


def _needed(test: Tested, reach: float, level: float) -> str:
    """Return what would show a change as large as the margin in 9 of 10 comparisons."""
    margin, estimate = test.finding.margin, test.estimate
    assert estimate is not None
    if margin <= 0:
        return "a margin above 0"
    if test.relative:
        spread = estimate.error * (test.units / 2) ** 0.5
        count = processes_to_find(margin, spread, estimate.degrees, level=level)
        return f"{max(count, test.units + 1)} processes a side (measurement.replicates), {test.units} now"
    count = ceil(test.units * (reach / margin) ** 2)
    what = "groups" if test.grouped else "images"
    return (
        f"about {max(count, test.units + 1):,} {what}, {test.units:,} now"
        if count < MOST_NEEDED
        else f"far more {what}"
    )
