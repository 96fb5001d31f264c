"""The sentences of a report: its conclusion, how it was measured, and what every sign means."""

from __future__ import annotations

from pydantic import JsonValue

from bench.records import Measurement
from bench.report.numbers import milliseconds, with_interval
from bench.report.summary import Comparison, Row, RunSummary


def conclusion(summary: RunSummary) -> list[str]:
    """What the run says, one sentence per finding; differences carry their interval."""
    lines = []
    several = len({row.dataset for row in summary.rows}) > 1
    for dataset in dict.fromkeys(row.dataset for row in summary.rows):
        rows = [row for row in summary.rows if row.dataset == dataset]
        scored = [row for row in rows if row.headline is not None and row.headline.value is not None]
        where = f"On {dataset}, " if several else ""
        if not scored:
            lines.append(f"{where}nothing is scored yet.".capitalize())
            continue
        lines += _findings(summary, scored, dataset, where)
    failed = sorted({failure.case_id for failure in summary.failures})
    if failed:
        lines.append(f"{len(failed)} of {len(summary.rows)} cases failed: {', '.join(failed)}; see below.")
    if summary.measurement.quick:
        lines.append("Latencies were taken by the shortened protocol (`quick`) and are for orientation only.")
    return lines


def _findings(summary: RunSummary, scored: list[Row], dataset: str, where: str) -> list[str]:
    names = {row.case_id: _name(summary, row) for row in scored}
    best = (max if summary.higher_is_better else min)(scored, key=lambda row: _value(row))
    score = best.headline
    assert score is not None
    value = with_interval(score.value, score.low, score.high, default=3)
    lines = [f"{where}**{names[best.case_id]}** has the best {summary.headline}, {value}."]
    compared = [c for c in summary.comparisons if c.dataset == dataset and c.best == best.case_id]
    tied = [names[c.other] for c in compared if c.significant is False]
    worse = [c for c in compared if c.significant]
    if tied:
        lines.append(f"Not distinguishable from it on these images: {', '.join(tied)}.")
    if worse:
        told = "; ".join(f"{names[c.other]} by {_difference(c)}" for c in worse)
        lines.append(f"Significantly behind: {told}.")
    timed = [row for row in scored if _median(row) is not None]
    if len(timed) > 1:
        fastest = min(timed, key=lambda row: _median(row) or 0.0)
        ratio = next((c for c in compared if c.other == fastest.case_id), None)
        also = "It is also" if fastest is best else f"**{names[fastest.case_id]}** is"
        lines.append(
            f"{also} the fastest, {milliseconds(_median(fastest))} ms end to end at the median"
            + _faster(ratio, names[best.case_id])
        )
    return lines


def _faster(ratio: Comparison | None, best: str) -> str:
    """How much faster than the best; the comparison holds other over best, which is below 1 here."""
    if ratio is None or ratio.slower is None or ratio.slower_low is None or ratio.slower_high is None:
        return "."
    if not ratio.slower_significant:
        return f", which is not distinguishable from {best}."
    low, high = 1 / ratio.slower_high, 1 / ratio.slower_low
    return f", {1 / ratio.slower:.2f} × (95 % interval {low:.2f}–{high:.2f}) as fast as {best}."


def _difference(comparison: Comparison) -> str:
    return with_interval(comparison.difference, comparison.low, comparison.high, default=3)


def _name(summary: RunSummary, row: Row) -> str:
    several = len({r.target for r in summary.rows}) > 1
    return f"{row.model} ({row.target})" if several else row.model


def _value(row: Row) -> float:
    assert row.headline is not None
    assert row.headline.value is not None
    return row.headline.value


def _median(row: Row) -> float | None:
    timing = row.latency.end_to_end_at(50.0) if row.latency else None
    return timing.ms_per_image if timing else None


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
        "p50, p95: nearest-rank upper percentile of all samples of all processes, per image of the batch; printed only if "
        "the sample supports it (binomial rule, 99 % confidence), else what is missing.",
        "front: no other model on this data set and device is both better and as fast.",
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


def doubts(summary: RunSummary) -> list[str]:
    """Every reason of every verdict, once, with the rows it applies to and what to do."""
    rows_of: dict[str, list[str]] = {}
    text_of: dict[str, str] = {}
    for row in summary.rows:
        for reason in row.verdict.reasons if row.verdict else ():
            rows_of.setdefault(reason.name, []).append(_name(summary, row))
            text_of.setdefault(reason.name, f"{reason.seen}; {reason.recommendation}".rstrip("; "))
    return [f"{name} ({', '.join(dict.fromkeys(rows_of[name]))}): {text}" for name, text in text_of.items()]


def environment_lines(summary: RunSummary) -> list[str]:
    """The machine and the software, in a few lines; the rest is in `environment.json`."""
    environment = summary.environment
    cpu, system, git = (_mapping(environment.get(name)) for name in ("cpu", "system", "git"))
    lines = [
        f"CPU: {cpu.get('model')}, {cpu.get('cores_allowed')} cores, governor {cpu.get('governor') or 'not readable'}, "
        f"boost {cpu.get('boost') or 'not readable'}",
        f"GPU: {_gpus(environment.get('gpus'))}",
        f"System: {system.get('distribution')}, {system.get('kernel')}, "
        + ("container, " if system.get("container") else "")
        + ("virtual machine" if system.get("hypervisor") else "bare metal"),
        "Versions: " + ", ".join(f"{name} {version}" for name, version in summary.versions.items()),
        f"Harness: commit {str(git.get('commit') or 'unknown')[:12]}"
        + (" with uncommitted changes" if git.get("dirty") else ""),
    ]
    return [line for line in lines if line]


def _gpus(value: JsonValue) -> str:
    if isinstance(value, list):
        told = [f"{_mapping(gpu).get('name')}, driver {_mapping(gpu).get('driver')}" for gpu in value]
        return "; ".join(told) or "none"
    return f"none ({value})" if value else "none"


def _mapping(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {}
