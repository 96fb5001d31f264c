"""The sentences of a report: its conclusion, how it was measured, and what every sign means."""

from __future__ import annotations

from pydantic import JsonValue

from bench.records import Measurement
from bench.report.numbers import digits_for, milliseconds, with_interval
from bench.report.summary import Comparison, Row, RunSummary
from bench.score.reduce import REDUCED_BY

TOLD = 3
"""Up to so many models are told one by one; the table of differences tells the others."""


def conclusion(summary: RunSummary) -> list[str]:
    """What the run says, one sentence per finding; differences carry their interval."""
    lines = []
    several = len({row.dataset for row in summary.rows}) > 1
    for dataset in dict.fromkeys(row.dataset for row in summary.rows):
        rows = [row for row in summary.rows if row.dataset == dataset]
        scored = [row for row in rows if row.headline is not None]
        defined = [row for row in scored if row.headline is not None and row.headline.value is not None]
        where = f"On {dataset}: " if several else ""
        if defined:
            lines += [f"{where}{line}" for line in _findings(summary, defined, dataset)]
        elif scored:
            lines.append(f"{where}{summary.headline} is undefined for every model scored so far.")
        else:
            lines.append(f"{where}No model is scored yet.")
    return lines + _random_weights(summary) + _unfinished(summary)


def _random_weights(summary: RunSummary) -> list[str]:
    names = dict.fromkeys(row_name(summary, row) for row in summary.rows if row.random_weights)
    if not names:
        return []
    return [
        f"Untrained, with random weights: {', '.join(names)}. The times are the network's; the scores say nothing of "
        "it. Give 'weights', a folder, in the suite."
    ]


def _unfinished(summary: RunSummary) -> list[str]:
    lines = []
    rows = {row.case_id: row for row in summary.rows}
    failed = dict.fromkeys(failure.case_id for failure in summary.failures)
    if failed:
        told = ", ".join(f"{row_name(summary, rows[case])} ({rows[case].status})" for case in failed)
        lines.append(f"{len(failed)} of {len(rows)} cases did not end well: {told}; see the failures below.")
    waiting = [row_name(summary, row) for row in summary.rows if row.status == "unfinished"]
    if waiting:
        lines.append(f"{len(waiting)} of {len(rows)} cases are not finished yet: {', '.join(waiting)}.")
    if summary.measurement.quick:
        lines.append("Latencies were taken by the shortened protocol (`quick`) and are for orientation only.")
    return lines


def _findings(summary: RunSummary, scored: list[Row], dataset: str) -> list[str]:
    names = {row.case_id: row_name(summary, row) for row in scored}
    best = (max if summary.higher_is_better else min)(scored, key=lambda row: _value(row))
    score = best.headline
    assert score is not None
    value = with_interval(score.value, score.low, score.high, default=3)
    lines = [f"**{names[best.case_id]}** has the best {summary.headline}, {value}."]
    compared = {c.other: c for c in summary.comparisons if c.dataset == dataset and c.best == best.case_id}
    timed = [row for row in scored if row.comparable_ms is not None]
    if len(timed) > 1:
        fastest = min(timed, key=lambda row: row.comparable_ms or 0.0)
        also = "It is also" if fastest is best else f"**{names[fastest.case_id]}** is"
        speed = f"{also} the fastest, {milliseconds(fastest.comparable_ms)} ms end to end at the median"
        against = compared.pop(fastest.case_id, None)
        lines.append(speed + (_against(summary, against, names[best.case_id]) if against else "") + ".")
    tied = [names[c.other] for c in compared.values() if c.significant is False]
    if tied:
        lines.append(f"Not distinguishable from the best {summary.headline} on these images: {', '.join(tied)}.")
    return lines + _behind(summary, [c for c in compared.values() if c.significant], names)


def _against(summary: RunSummary, comparison: Comparison, best: str) -> str:
    """How much faster than the best it is, and what that costs."""
    return _faster(comparison, best) + _cost(summary, comparison)


def _faster(ratio: Comparison, best: str) -> str:
    """The comparison holds other over best, which is below 1 for what is faster."""
    if ratio.slower is None or ratio.slower_low is None or ratio.slower_high is None:
        return ""
    if not ratio.slower_significant:
        return f" (not distinguishable from {best})"
    low, high = 1 / ratio.slower_high, 1 / ratio.slower_low
    digits = max(2, digits_for((high - low) / 2, default=2) - 1)
    return f", {1 / ratio.slower:.{digits}f} × (95 % interval {low:.{digits}f}–{high:.{digits}f}) as fast as {best}"


def _cost(summary: RunSummary, comparison: Comparison) -> str:
    if comparison.difference is None:
        return ""
    if not comparison.significant:
        return f", with no distinguishable difference in {summary.headline}"
    return f", and behind it by {_difference(comparison)} {summary.headline}"


def _behind(summary: RunSummary, worse: list[Comparison], names: dict[str, str]) -> list[str]:
    if not worse:
        return []
    if len(worse) <= TOLD:
        told = "; ".join(f"{names[c.other]} by {_difference(c)}" for c in worse)
        return [f"Significantly behind the best {summary.headline}: {told}."]
    sizes = sorted(abs(c.difference or 0.0) for c in worse)
    return [
        f"Significantly behind the best {summary.headline}: {len(worse)} others, by {sizes[0]:.3f} to {sizes[-1]:.3f}; "
        "the report lists the differences."
    ]


def _difference(comparison: Comparison) -> str:
    """Its size: a lower-is-better best is smaller than the other."""
    low, high = comparison.low, comparison.high
    if comparison.difference is not None and comparison.difference < 0 and low is not None and high is not None:
        return with_interval(-comparison.difference, -high, -low, default=3)
    return with_interval(comparison.difference, low, high, default=3)


def row_name(summary: RunSummary, row: Row) -> str:
    """The model, with its target where rows differ in it."""
    several = len({r.target for r in summary.rows}) > 1
    return f"{row.model} ({row.target})" if several else row.model


def _value(row: Row) -> float:
    assert row.headline is not None
    assert row.headline.value is not None
    return row.headline.value


def how_measured(summary: RunSummary) -> list[str]:
    """The protocol as it was applied, for readers who will ask."""
    m = summary.measurement
    first = next((row for row in summary.rows if row.latency is not None), None)
    images = first.latency.images if first and first.latency else m.images
    return [
        f"Protocol {m.protocol}{' (quick)' if m.quick else ''}. What is timed: decoded RGB arrays in host memory to "
        "predictions in host memory at the original image size. *preprocess* ends with the batch on the device, *infer* "
        "with raw output on the device, *postprocess* with label maps on the host. Reading or drawing an image (decode) "
        "is reported, not part of end to end.",
        f"{images} distinct images in an order shuffled with seed {m.order_seed}. {_replicates(m)}",
        f"Warm-up until at least {m.warmup_min_iterations} iterations, {m.warmup_min_s_cpu:g} s (CPU) or "
        f"{m.warmup_min_s_cuda:g} s (CUDA), every image shape twice, and medians of the last two windows of "
        f"{m.warmup_window} within {100 * m.warmup_tolerance:g} %.",
        f"Sampling until at least {m.min_s:g} s, {m.min_samples} samples, a 95 % interval of the median within "
        f"±{100 * m.median_half_width:g} %{_tails(m)}; looked at only at doubling "
        f"counts; at most {m.max_s:g} s. No sample is removed; blocks of {m.block_s:g} s in which other processes used "
        "more than 5 % of the cores or the hypervisor took more than 1 % are measured again.",
        "*end to end* is timed with the device idle only before the start and after the last stage; the stages are timed "
        "in batches of their own with the device idle at each boundary. Throughput is a pass without waiting in between, "
        "not 1 / latency.",
        "Audits: idle gaps between stages (unfinished work), repeated against new images (caches), device against host "
        "time, and the timed predictions of a share of the images against the scored ones.",
        "Scores are computed by this harness from stored predictions at the original image size, one code path for every "
        "framework.",
        *_prompted(summary),
    ]


def _prompted(summary: RunSummary) -> list[str]:
    """Where prompts come from, which makes such a score an oracle's."""
    kinds = dict.fromkeys(row.prompt for row in summary.rows if row.prompt is not None)
    if not kinds:
        return []
    told = {
        "point": "*point*: the object's pixel farthest from its border",
        "box": "*box*: the smallest box around it",
        "centre": "*centre*: the middle of that box, as a point",
    }
    rules = "; ".join(told[kind] for kind in kinds)
    return [
        f"Prompts are an oracle: the harness makes one for every object from its true mask ({rules}), and the model "
        "answers each with a mask. It finds and names nothing, so these scores compare with no class-aware ones. A time "
        "per image is that of the image with all its prompts."
    ]


def _tails(m: Measurement) -> str:
    return f", and enough samples for p{max(m.percentiles):g}" if m.percentiles else ""


def _replicates(m: Measurement) -> str:
    if m.replicates == 1:
        return "One worker process per case: the interval cannot show how much processes differ."
    return (
        f"{m.replicates} fresh worker processes per case, in randomised blocks: each block runs every case once, in "
        "random order."
    )


def footnotes(summary: RunSummary) -> list[str]:
    """What the signs in the tables mean."""
    notes = [
        "`a (b–c)`: value and 95 % interval. Scores: bootstrap over images (pooled counts are drawn image by image). "
        "Latencies: hierarchical bootstrap over processes, then over blocks of 10 samples.",
        f"{', '.join(f'p{p:g}' for p in summary.measurement.percentiles)}: nearest-rank upper percentile of all samples of "
        "all processes, per image of the batch; printed only if the sample supports it (binomial rule, 99 % confidence), "
        "else what is missing.",
        "front: whether no other model on this data set and device is both better and as fast, and in how many of the joint "
        "resamples of images and samples that is so.",
        "Δ significant: the p-value of the paired difference (both models are drawn on the same images; Student's t with the "
        "spread of the draws) is below 5 % after Holm's correction for all pairs of models on the data set, and its 95 % interval "
        "leaves out 0. The intervals themselves are not corrected. ratio significant: the interval of the latency ratio leaves "
        "out 1, not corrected.",
        "throughput: median over processes of the pipelined pass; first call and decode: median over processes.",
        "verdict: valid, flagged or invalid, with the names of the reasons; each is explained under the table. "
        "`–`: not available.",
        "peak host MiB: largest resident memory of a timing process (VmHWM), framework included.",
    ]
    if summary.rows and any(row.latency and row.latency.sync_tax is not None for row in summary.rows):
        notes.append(
            "sync tax: (sum of staged medians − end-to-end median) / end-to-end median, the price of waiting at each "
            "boundary; near 0 on a CPU."
        )
    return notes


def untrained(summary: RunSummary) -> list[str]:
    """Models without curves, and why; nothing where none is trained."""
    if all(row.recipe is None for row in summary.rows):
        return []
    without = dict.fromkeys(row.model for row in summary.rows if row.recipe is None)
    waiting = dict.fromkeys(row.model for row in summary.rows if row.recipe is not None and row.course is None)
    lines = ["Not trained in this run and so without curves: " + ", ".join(without) + "."] if without else []
    return lines + (["No training step yet: " + ", ".join(waiting) + "."] if waiting else [])


def budget_notes(summary: RunSummary) -> list[str]:
    """How the table of budgets is to be read."""
    if all(row.course is None or row.course.final is None for row in summary.rows):
        return []
    return [
        "Validation mIoU at a share of the budget is that of the last validation by then, as the framework's trainer "
        "reports it; `–`: none yet, or none at all. Nothing is interpolated: with few validations the columns are coarse.",
        "To 90 % of final: training seconds at the first validation with at least 90 % of the last validation's mIoU. Best step: "
        "the step whose weights are kept and scored. Training seconds leave validation out.",
    ]


def seeds_note(summary: RunSummary) -> str:
    """How the table over seeds is to be read."""
    if not summary.seed_groups:
        return ""
    return (
        "mean (95 % interval by Student's t) and sample standard deviation over trainings that differ only in their seed, all "
        "scored on the same images."
    )


def fused_stages(summary: RunSummary) -> list[str]:
    """Stages that a framework cannot separate: their columns are to be read as one."""
    return [
        f"{row_name(summary, row)}: {', '.join(row.fused_stages)} cannot be separated in this framework; read their times as "
        "one, in the first of the two columns."
        for row in summary.rows
        if row.fused_stages
    ]


def reductions(summary: RunSummary) -> list[str]:
    """How models of other tasks came to the scores of a column, once for each rule."""
    rows_of: dict[str, list[str]] = {}
    for row in summary.rows:
        for cell in row.scores:
            rule = cell.score.definition.partition(REDUCED_BY)[2]
            if rule:
                rows_of.setdefault(rule, []).append(row_name(summary, row))
    return [f"{', '.join(dict.fromkeys(names))}: scored after a reduction, {rule}." for rule, names in rows_of.items()]


def self_reported(summary: RunSummary) -> list[str]:
    """What each framework says of its own training; taken over as it is, comparable with nothing here."""
    return [
        f"{row_name(summary, row)}: " + ", ".join(f"{name} {value:.4g}" for name, value in row.self_reported.items())
        for row in summary.rows
        if row.self_reported
    ]


def doubts(summary: RunSummary) -> list[str]:
    """Every reason of every verdict, once, with the rows it applies to and what to do."""
    rows_of: dict[str, list[str]] = {}
    text_of: dict[str, str] = {}
    for row in summary.rows:
        for reason in row.verdict.reasons if row.verdict else ():
            rows_of.setdefault(reason.name, []).append(row_name(summary, row))
            text_of.setdefault(reason.name, f"{reason.seen}; {reason.recommendation}".rstrip("; "))
    return [f"{name} ({', '.join(dict.fromkeys(rows_of[name]))}): {text}" for name, text in text_of.items()]


def environment_lines(summary: RunSummary) -> list[str]:
    """The machine and the software, in a few lines; the rest is in `environment.json`."""
    environment = summary.environment
    cpu, system, git = (_mapping(environment.get(name)) for name in ("cpu", "system", "git"))
    lines = [
        f"CPU: {cpu.get('model') or 'not known'}, {cpu.get('cores_allowed') or '?'} cores, "
        f"governor {cpu.get('governor') or 'not readable'}, boost {cpu.get('boost') or 'not readable'}",
        f"GPU: {_gpus(environment.get('gpus'))}",
        f"System: {system.get('distribution') or 'not known'}, {system.get('kernel') or 'kernel not known'}, "
        + ("container, " if system.get("container") else "")
        + ("virtual machine" if system.get("hypervisor") else "bare metal"),
        _threads(summary),
        "Versions: " + ", ".join(f"{name} {version}" for name, version in summary.versions.items()),
        f"Harness: commit {str(git.get('commit') or 'unknown')[:12]}"
        + (" with uncommitted changes" if git.get("dirty") else ""),
    ]
    return [line for line in lines if line]


def _threads(summary: RunSummary) -> str:
    """Threads in effect, one entry per setting that occurs."""
    settings = dict.fromkeys(", ".join(f"{name} {n}" for name, n in row.threads.items()) for row in summary.rows)
    told = "; ".join(setting for setting in settings if setting)
    return f"Threads of a timing process, read back: {told}" if told else ""


def _gpus(value: JsonValue) -> str:
    if isinstance(value, list):
        told = [f"{_mapping(gpu).get('name')}, driver {_mapping(gpu).get('driver')}" for gpu in value]
        return "; ".join(told) or "none"
    return f"none ({value})" if value else "none"


def _mapping(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {}
