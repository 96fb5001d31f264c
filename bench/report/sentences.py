"""The sentences of a report: how it was measured, and what every sign means."""

from __future__ import annotations

from pydantic import JsonValue

from bench.errors import few
from bench.records import Measurement
from bench.report.summary import grouped
from bench.report.summary.origins import several_origins
from bench.report.summary.summarise import RunSummary
from bench.report.throughput import how_loaded
from bench.score.reduce import REDUCED_BY
from bench.score.stats.jackknife import FEW_GROUPS

NOT_TIMED = "Nothing was timed (`measurement: none`): the rows are scored only."

RARE_NAMED = 12
"""Most rare classes that are named."""
TOLD = 3
"""Most models that are named; the table of differences has the rest."""


def how_measured(summary: RunSummary) -> list[str]:
    """Return the protocol as it was applied, for readers who will ask."""
    return [
        *(_how_timed(summary) if summary.measurement.times else [NOT_TIMED]),
        "Scores are computed by this harness from stored predictions at the original image size, one code path for every "
        "framework.",
        *_support(summary),
        *_prompted(summary),
        *how_loaded(summary),
        *_code(summary),
        *(f"Data set {label}: {note}." for label, notes in summary.data_notes.items() for note in notes),
    ]


ROUGH = ("panoptic_quality", "boundary_panoptic_quality")
"""Metrics, beside distances, whose means over rare classes are so biased that intervals do not cover, see docs/statistics.md."""


def _support(summary: RunSummary) -> list[str]:
    """Return what the intervals of scores are over, and which classes too few images hold."""
    lines = []
    groups = {row.dataset: row.headline.groups for row in summary.rows if row.headline and row.headline.groups}
    for dataset, count in groups.items():
        rough = f"; with fewer than {FEW_GROUPS} the interval is rough" if count < FEW_GROUPS else ""
        lines.append(f"Data set {dataset}: intervals and p-values are over {count} groups, not over images{rough}.")
    for row in {row.dataset: row for row in summary.rows if row.few_images}.values():
        dataset, classes = row.dataset, row.few_images
        told = few((f"{name} ({images})" for name, images in classes.items()), RARE_NAMED)
        lines.append(
            f"Data set {dataset}: fewer than 10 images or groups hold {told}. Their scores, and means over classes "
            "that include them, rest on these few images and may be far from those of other images."
        )
        uncovered = [cell.label for cell in row.scores if cell.score.metric in ROUGH or cell.score.unit in ("mm", "px")]
        if uncovered and row.headline is not None and 2 * len(classes) > (row.headline.classes_scored or 0):
            lines[-1] += (
                f" They are most of the classes: the 95 % intervals of {', '.join(uncovered)} then do not hold for other "
                "images (in simulations they covered down to 62 % for PQ and 88 % for HD95); differences between models "
                "on these images do."
            )
    return lines


def _how_timed(summary: RunSummary) -> list[str]:
    m = summary.measurement
    first = next((row for row in summary.rows if row.latency is not None), None)
    images = first.latency.images if first and first.latency else m.images
    begins = "decoded RGB arrays" if m.input == "array" else "the content of image files"
    tails = f", and enough samples for p{max(m.percentiles):g}" if m.percentiles else ""
    return [
        f"Protocol {m.protocol}{' (quick)' if m.quick else ''}. What is timed: {begins} in host memory to "
        "predictions in host memory at the original image size. *preprocess* ends with the batch on the device, *infer* "
        f"with raw output on the device, *postprocess* with label maps on the host. {_decoding(m)}",
        f"{images} distinct images in an order shuffled with seed {m.order_seed}. {_replicates(m)}",
        f"Warm-up until at least {m.warmup_min_iterations} iterations, {m.warmup_min_s_cpu:g} s (CPU) or "
        f"{m.warmup_min_s_cuda:g} s (CUDA), every image shape twice, and medians of the last two windows of "
        f"{m.warmup_window} within {100 * m.warmup_tolerance:g} %.",
        f"Sampling until at least {m.min_s:g} s, {m.min_samples} samples, a 95 % interval of the median within "
        f"±{100 * m.median_half_width:g} %{tails}; checked each time the number "
        f"of samples has doubled; at most {m.max_s:g} s. No sample is removed; blocks of {m.block_s:g} s in which other processes used "
        "more than 5 % of the cores or the hypervisor took more than 1 % are measured "
        f"again, for at most {100 * m.busy_allowance:g} % of the time that sampling takes undisturbed; a machine that "
        "stays busy is timed as it is, and flagged.",
        "*end to end* is timed with the device idle only before the start and after the last stage; the stages are timed "
        "in batches of their own with the device idle at each boundary. Throughput is a pass of its own, not 1 / latency: "
        "on a GPU the next batch is preprocessed, and the one before postprocessed, while the device computes; on a "
        "processor one stage follows the other.",
        "Audits of each process: idle gaps between stages (unfinished work), sampled images against changed ones (caches) "
        "and images never seen, device against host time, and the timed predictions of images that are drawn against "
        "the scored ones.",
    ]


def _code(summary: RunSummary) -> list[str]:
    """Return what is to be known of the code behind the numbers, beside its commit."""
    lines = []
    if summary.unlike_score_code:
        lines.append(
            f"Scores of this table were computed by different states of {', '.join(summary.unlike_score_code)}; compute "
            "all of them again with: bench score RUN"
        )
    if summary.accepted_code is not None:
        code = summary.accepted_code
        lines.append(
            f"Code was accepted: this run treats its code as equal to commit {code.commit[:12]} (--accept-code "
            f"{code.revision}), although these files differ: {', '.join(code.files) or 'none'}."
        )
    return lines


def _prompted(summary: RunSummary) -> list[str]:
    """Return where prompts come from, which makes such a score an oracle's."""
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


def _decoding(m: Measurement) -> str:
    if m.input == "array":
        return "Reading or drawing an image (decode) is reported, not part of end to end."
    return (
        "*decode* makes RGB arrays of the files, by the framework's own decoder where its adapter has one, else by OpenCV, and is "
        "part of end to end and of throughput; data sets without files are written as PNG in memory before."
    )


def _replicates(m: Measurement) -> str:
    if m.replicates == 1:
        return "One worker process per case: the intervals of latencies cannot show how much processes differ."
    return (
        f"{m.replicates} fresh worker processes per case, in randomised blocks: each block runs every case once, in "
        "random order."
    )


def footnotes(summary: RunSummary) -> list[str]:
    """Return what the signs in the tables mean."""
    if not summary.measurement.times:
        return [
            "`a (b–c)`: value and 95 % interval, by leaving out each image, or group of images, in turn (jackknife).",
            "verdict: scored only, with the names of the reasons for doubt; each is explained under the table. "
            "`–`: not available.",
        ]
    notes = [
        "`a (b–c)`: value and 95 % interval. Scores: by leaving out each image, or group of images, in turn (jackknife), with Student's t. "
        "Latencies: over processes, by Student's t for the median and a generalised interval for other percentiles; that of a "
        "single process is a bootstrap over blocks of its samples and says nothing about other processes.",
        f"{', '.join(f'p{p:g}' for p in summary.measurement.percentiles)}: nearest-rank upper percentile of all samples of "
        "all processes, per image of the batch; printed only if the sample supports it (binomial rule, 99 % confidence), "
        "else what is missing.",
        "Pareto-optimal: whether no other model on this data set and device is both better and as fast, and in how many of the joint "
        "draws of images and processes that is so, given two processes per case or more.",
        "Δ, its interval and p: the paired difference (both models on the same images) by Student's t, "
        "leaving out the same images for both; the latency ratio is that of typical processes, by Welch's test of its logarithm, and has no "
        "interval where one was timed in a single process. p (Holm) is corrected for all pairs of models on the data set (ratio: "
        "for all comparisons with one model), and intervals are as wide as that correction asks for: significant, p (Holm) "
        "below 5 %, and an interval without 0 (ratio: without 1) are the same.",
        "throughput: median over processes of the pass in which batches are pushed through; first call and decode: median over processes.",
        "verdict: valid, flagged or invalid, with the names of the reasons; each is explained under the table. "
        "`–`: not available.",
        "peak host MiB: largest resident memory of a timing process (VmHWM), framework included.",
    ]
    if summary.rows and any(row.latency and row.latency.sync_overhead is not None for row in summary.rows):
        notes.append(
            "synchronisation overhead: (sum of staged medians − end-to-end median) / end-to-end median, the price of waiting at each "
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
    """Return how to read the table of budgets."""
    if all(row.course is None or row.course.final is None for row in summary.rows):
        return []
    return [
        "A validated score at a share of the budget is that of the last validation by then, as the framework's trainer "
        "reports it; `–`: none yet, or none at all. Nothing is interpolated: with few validations the columns are coarse.",
        "To 90 % of final: training seconds at the first validation with at least 90 % of the last validation's score. Best step: "
        "the step whose weights are kept and scored. Training seconds leave validation out.",
    ]


def seeds_note(summary: RunSummary) -> str:
    """Return how to read the table over seeds."""
    if not summary.seed_groups:
        return ""
    return (
        "mean (95 % interval by Student's t, cut to the values that the metric can take) and sample standard deviation over "
        "trainings that differ only in their seed, all scored on the same images; error of images: standard error of one "
        "such score over images, which other test images would add."
    )


def fused_stages(summary: RunSummary) -> list[str]:
    """Stages that a framework cannot separate: their columns are to be read as one."""
    return [
        f"{summary.name_of(row)}: {', '.join(row.fused_stages)} cannot be separated in this framework; read their times as "
        "one, in the first of the two columns."
        for row in summary.rows
        if row.fused_stages
    ]


def reductions(summary: RunSummary) -> list[str]:
    """Return how models of other tasks came to the scores of a column, once for each rule."""
    rows_of = grouped(
        (cell.score.definition.partition(REDUCED_BY)[2], summary.name_of(row))
        for row in summary.rows
        for cell in row.scores
    )
    told = {rule: ", ".join(dict.fromkeys(names)) for rule, names in rows_of.items() if rule}
    return [f"{names}: scored after a reduction, {rule}." for rule, names in told.items()]


def self_reported(summary: RunSummary) -> list[str]:
    """Return what each framework reports of its own training, unchanged; it is comparable with nothing here."""
    return [
        f"{summary.name_of(row)}: " + ", ".join(f"{name} {value:.4g}" for name, value in row.self_reported.items())
        for row in summary.rows
        if row.self_reported
    ]


def not_honoured(summary: RunSummary) -> list[str]:
    """Return the recipe fields that a framework could not honour: what makes a comparison less alike."""
    return [f"{row.model}: {name}: {why}" for row in summary.rows for name, why in row.not_honoured.items()]


def doubts(summary: RunSummary) -> list[str]:
    """Return every reason of every verdict, once, with the rows it applies to and what to do."""
    seen = grouped(
        (reason.name, (summary.name_of(row), reason.text))
        for row in summary.rows
        for reason in (row.verdict.reasons if row.verdict else ())
    )
    return [f"{name} ({', '.join(dict(found))}): {found[0][1]}" for name, found in seen.items()]


def environment_lines(summary: RunSummary) -> list[str]:
    """Return the machine and the software, in a few lines; the rest is in `environment.json`.

    Where jobs of several commits, machines or sets of packages stand in one report, each of these has its lines.
    """
    several = [origin for origin in summary.origins if origin.environment] if len(summary.origins) > 1 else []
    told = {f"{origin.name}: ": origin.environment for origin in several} or {"": summary.environment}
    lines = [
        *(f"{name}{line}" for name, environment in told.items() for line in _machine_lines(environment)),
        _threads(summary),
        "Versions: " + ", ".join(f"{name} {version}" for name, version in summary.versions.items()),
        *(f"{name}{_harness(environment)}" for name, environment in told.items()),
    ]
    return [line for line in lines if line]


def origins_note(summary: RunSummary) -> str:
    """Return how to read the table of origins; empty where all jobs have one."""
    if not several_origins(row.origins for row in summary.rows):
        return ""
    return (
        "Jobs of this run were done with several commits, machines or sets of packages, each with a letter that the "
        "environment below explains (`?`: done by a version that did not record it). Times of different machines are "
        "never taken together: the machine is part of a timing's key."
    )


def _machine_lines(environment: dict[str, JsonValue]) -> list[str]:
    cpu, system = _mapping(environment.get("cpu")), _mapping(environment.get("system"))
    return [
        f"CPU: {cpu.get('model') or 'not known'}, {cpu.get('cores_allowed') or '?'} cores, "
        f"governor {cpu.get('governor') or 'not readable'}, boost {cpu.get('boost') or 'not readable'}",
        f"GPU: {_gpus(environment.get('gpus'))}",
        f"System: {system.get('distribution') or 'not known'}, {system.get('kernel') or 'kernel not known'}, "
        + ("container, " if system.get("container") else "")
        + ("virtual machine" if system.get("hypervisor") else "bare metal"),
    ]


def _harness(environment: dict[str, JsonValue]) -> str:
    git = _mapping(environment.get("git"))
    return f"Harness: commit {str(git.get('commit') or 'unknown')[:12]}" + (
        " with uncommitted changes" if git.get("dirty") else ""
    )


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
