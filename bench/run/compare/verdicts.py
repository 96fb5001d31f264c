"""Decides what changed between two sides, and whether it is more than chance and more than a margin.

Each number is tested once: scores paired over images or groups, latencies and memory over processes. All numbers of a
comparison are one family, corrected by Holm's procedure, and each interval is as wide as that correction asks for, so
that interval, p-value and verdict say the same. A number that is the same to the last bit is not tested.

Verdicts: `better` and `worse`, where the interval leaves out no change; `same`, where it lies within the margin on
both sides; else `undecided`. A change that is significant and yet within the margin throughout is `same`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, exp, log
from pathlib import Path

import numpy as np

from bench.metric import Metric, load_metric
from bench.records.damage import json_of
from bench.records.provenance import same_machine
from bench.records.store.code import changed_files
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
_CODE = ("code", "adapter source")
"""Parts that list files with digits of their content, of which the ones that differ are named."""
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
        [test for a, b in some for test in _of_pair(_Pair(a, b, reference.seed, asked, of.get(b.facts.dataset, {})))]
        for some, of in zip(pairs, columns, strict=True)
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
        if name in _CODE and before and after and before != after:
            yield f"{name}: {changed_files(before, after)}"
        elif not _alike(name, before, after):
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


@dataclass(frozen=True)
class _Pair:
    """Two cases that are compared: the reference's and the other side's, with the gate, and the columns of slices."""

    a: SideCase
    b: SideCase
    seed: int
    gate: Gate
    columns: Columns

    def start(self, quantity: str, scope: str = "", margin: Margin | None = None) -> tuple[Finding, Margin]:
        """Return a finding without numbers, and its margin: the given one, else the gate's, else the usual one."""
        facts = self.b.facts
        gated = margin or self.gate.margin(quantity, facts.model)
        used = gated or USUAL[kind_of(quantity)]
        case = f"{facts.model} · {facts.dataset} · {facts.target}"
        return Finding(case=case, quantity=quantity, scope=scope, margin=used.amount, gated=gated is not None), used


def _of_pair(pair: _Pair) -> Iterator[Tested]:
    yield from _scores(pair)
    named = (*pair.gate.margins, *pair.gate.models.get(pair.b.facts.model, {}))
    for quantity in dict.fromkeys(("end_to_end_p50", *(q for q in named if kind_of(q) == "latency"))):
        yield _latency(pair, quantity)
    yield _memory(pair)


def _changed(finding: Finding, **fields: object) -> Finding:
    return finding.model_copy(update=fields)


def _ratio(finding: Finding, before: float, after: float, unit: str) -> Finding:
    return _changed(finding, before=before, after=after, change=after / before - 1, unit=unit)


# --------------------------------------------------------------------------- scores


def _scores(pair: _Pair) -> Iterator[Tested]:
    a, b, gate = pair.a, pair.b, pair.gate
    before = {score.metric: score for score in a.facts.scores}
    for score in b.facts.scores:
        finding, margin = pair.start(score.metric)
        why = _no_scores(a, b)
        if why is None and (score.metric not in before or before[score.metric].version != score.version):
            why = "the reference has no score of this metric and version"
        if why is not None or a.statistics is None or b.statistics is None:
            yield Tested(_changed(finding, why=why or "not scored", after=score.value))
            continue
        metric, whole = load_metric(score.metric), (a.statistics, b.statistics)
        yield _score(pair, finding, margin, whole, metric)
        for name, margins in gate.classes.items():
            if score.metric in margins:
                yield _class_score(pair, whole, metric, name, margins[score.metric])
        for name, part in gate.slices.items():
            if score.metric in part.margins:
                finding, margin = pair.start(score.metric, f"slice {name}", part.margins[score.metric])
                first, second = (one.of_images(part.chosen(one.image_ids, pair.columns)) for one in whole)
                if not first.image_ids:
                    yield Tested(_changed(finding, why=f"no image is {part}"))
                else:
                    yield _score(pair, finding, margin, (first, second), metric)
    for name in gate.margins:
        if kind_of(name) == "score" and name not in {score.metric for score in b.facts.scores}:
            yield Tested(_changed(pair.start(name)[0], why="it was not scored by this metric"))


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


def _score(pair: _Pair, finding: Finding, margin: Margin, of: tuple[Statistics, Statistics], metric: Metric) -> Tested:
    classes, seed = pair.b.facts.classes, pair.seed
    (paired,) = paired_differences({"b": of[1], "a": of[0]}, metric, classes, seed=seed).values()
    before, after = (metric.score(one.arrays[metric.statistic], classes, seed=seed).value for one in of)
    units = (getattr(score, "unit", None) for score in pair.b.facts.scores if score.metric == metric.name)
    unit = str(next(units, None) or "")
    if unit and not margin.relative:
        if finding.gated:
            why = f"it is measured in {unit}, so that its margin must be in %"
            return Tested(_changed(finding, why=why, unit=unit))
        margin = USUAL["distance"]
    found = _changed(
        finding,
        before=before,
        after=after,
        change=paired.difference,
        margin=margin.of(before or 0.0),
        unit=unit,
        why="" if paired.difference is not None else "undefined on one side",
    )
    return _score_tested(pair, found, of, metric, paired.estimate, paired.images)


def _class_score(pair: _Pair, of: tuple[Statistics, Statistics], metric: Metric, name: str, margin: Margin) -> Tested:
    finding, used = pair.start(metric.name, f"class {name}", margin)
    found = class_differences(of[0], of[1], metric, pair.b.facts.classes, name, seed=pair.seed)
    if isinstance(found, str):
        return Tested(_changed(finding, why=found))
    before, after = found.before, found.after
    finding = _changed(finding, before=before, after=after, change=after - before, margin=used.of(before))
    return _score_tested(pair, finding, of, metric, found.estimate, len(of[0].image_ids))


def _score_tested(
    pair: _Pair,
    finding: Finding,
    of: tuple[Statistics, Statistics],
    metric: Metric,
    estimate: Estimate | None,
    images: int,
) -> Tested:
    """Return a score with its test; without one where its training is in doubt."""
    doubts = (*pair.a.facts.doubts, *pair.b.facts.doubts)
    if doubts:
        return Tested(_changed(finding, why=f"not tested: {doubts[0]}"))
    groups, up = len(set(of[0].groups_of(of[0].image_ids))), metric.higher_is_better
    return Tested(finding, estimate, higher_is_better=up, units=groups or images, grouped=groups > 0)


# --------------------------------------------------------------------------- latency and memory


def _latency(pair: _Pair, quantity: str) -> Tested:
    a, b, (finding, _) = pair.a, pair.b, pair.start(quantity)
    why = _no_latency(a, b)
    if why is not None:
        return Tested(_changed(finding, why=why))
    percent = percent_of(quantity)
    logs = [np.log(process_percentiles(case.processes_ms, percent)) for case in (a, b)]
    before, after = (float(exp(values.mean())) for values in logs)
    found = _ratio(finding, before, after, "ms/image")
    estimate = compare_processes(b.processes_ms, a.processes_ms, percent)
    if estimate is None:
        found = _changed(found, why="timed in a single process, which cannot tell how much processes differ")
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


def _memory(pair: _Pair) -> Tested:
    finding, _ = pair.start(PEAK)
    peaks = [case.facts.peak_host_mib for case in (pair.a, pair.b)]
    why = _no_latency(pair.a, pair.b) if all(peaks) else "not measured"
    if why is not None:
        return Tested(_changed(finding, why=why))
    before, after = (float(np.exp(np.log(values).mean())) for values in peaks)
    found = _ratio(finding, before, after, "MiB")
    if min(map(len, peaks)) < 2:
        return Tested(_changed(found, why="measured in a single process"))
    estimate = welch([log(v) for v in peaks[1]], [log(v) for v in peaks[0]])
    return Tested(found, estimate, relative=True, higher_is_better=False, units=min(map(len, peaks)))


# --------------------------------------------------------------------------- the family


def _judged(tested: Sequence[Tested]) -> list[Finding]:
    """Correct all tests as one family, and say what each comes to."""
    family = [t for t in tested if t.estimate is not None and (t.estimate.value, t.estimate.error) != (0, 0)]
    p_values = [test.estimate.p for test in family if test.estimate is not None]
    corrected = dict(zip(map(id, family), zip(holm(p_values), interval_levels(p_values), strict=True), strict=True))
    return [_verdict(test, *corrected.get(id(test), (1.0, LEVEL))) for test in tested]


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
    return _changed(
        finding,
        low=low,
        high=high,
        p_holm=p_holm,
        verdict=verdict,
        smallest=_as_change(reach, relative=test.relative),
        needed=_needed(test, reach, level) if verdict == "undecided" else "",
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
