"""Tabulates what a model needs beside time: memory, energy, operations, and what a million images cost."""

from __future__ import annotations

from collections.abc import Callable

from bench.records import Cost, EnergyUse, MemoryUse, ProfileResult
from bench.report.draw.numbers import MISSING, mebibytes, significant
from bench.report.sentences import row_name
from bench.report.summary.rows import Row
from bench.report.summary.summarise import RunSummary
from bench.report.text_table import TextTable

Cell = Callable[[ProfileResult], str]


def _memory(name: str) -> Cell:
    return lambda profile: mebibytes(getattr(profile.memory, name, None))


def _energy(name: str) -> Cell:
    return lambda profile: significant(getattr(profile.energy, name, None))


def _operations(name: str, unit: float) -> Cell:
    def cell(profile: ProfileResult) -> str:
        return MISSING if profile.operations is None else significant(getattr(profile.operations, name) / unit)

    return cell


def _busy(name: str) -> Cell:
    return lambda profile: significant(getattr(profile.device_busy, name, None))


COLUMNS: dict[str, Cell] = {
    "weights MiB": _memory("weights_bytes"),
    "host before MiB": _memory("host_rss_before_bytes"),
    "+ model MiB": _memory("host_rss_model_bytes"),
    "+ batch MiB": _memory("host_rss_batch_bytes"),
    "host peak MiB": _memory("host_rss_peak_bytes"),
    "device MiB": _memory("device_used_delta_bytes"),
    "torch allocated MiB": _memory("torch_peak_allocated_bytes"),
    "torch reserved MiB": _memory("torch_peak_reserved_bytes"),
    "J/image": _energy("joules_per_image"),
    "images/J": _energy("images_per_joule"),
    "idle W": _energy("idle_w"),
    "mean W": _energy("mean_w"),
    "GFLOP/image": _operations("flops_per_image", 1e9),
    "activations/image, millions": _operations("activations_per_image", 1e6),
    "device busy ms/batch": _busy("busy_ms"),
    "launch-bound index": _busy("launch_bound_index"),
}
"""Heading -> cell; a column in which no row has a number is left out."""

BRIEF = ("host peak MiB", "device MiB", "J/image", "GFLOP/image")
"""This is what a terminal has room for."""


def resources_table(summary: RunSummary, *, brief: bool = False) -> TextTable:
    """Return a row per case that was profiled or has a price, if any; `brief` has what a terminal has room for."""
    price = {} if summary.cost is None else {price_heading(summary.cost): summary.cost}
    entries = []
    for row in summary.rows:
        prices = {heading: significant(million_images(row, cost)) for heading, cost in price.items()}
        if row.profile is None and set(prices.values()) <= {MISSING}:
            continue
        cells = {
            heading: MISSING if row.profile is None else cell(row.profile)
            for heading, cell in COLUMNS.items()
            if heading in BRIEF or not brief
        }
        names = {"model": row_name(summary, row), **({"data set": row.dataset} if summary.several_datasets else {})}
        entries.append({**names, **cells, **prices})
    return TextTable(entries).without_missing()


def price_heading(cost: Cost) -> str:
    """Heading of the price.

    >>> price_heading(Cost(price_per_hour=2.5))
    'EUR per million images'
    """
    return f"{cost.currency} per million images"


def million_images(row: Row, cost: Cost) -> float | None:
    """Price of a million images: at the images/s of `offline` where it was measured, else of the throughput pass.

    None without either, and where the verdict forbids their use.
    """
    if row.verdict is not None and row.verdict.state == "invalid":
        return None
    if row.loads is not None and row.loads.offline is not None:
        images_per_s = row.loads.offline.rate.images_per_s
    elif row.latency is not None and row.latency.images_per_s is not None:
        images_per_s = row.latency.images_per_s.median
    else:
        return None
    return 1e6 / images_per_s / 3600 * cost.price_per_hour


def resources_notes(summary: RunSummary) -> list[str]:
    """Return what could not be measured of which rows, and why; then how the price is meant."""
    rows_of: dict[tuple[str, str], list[str]] = {}
    for row in summary.rows:
        for what, reason in _gaps(row.profile) if row.profile is not None else ():
            rows_of.setdefault((what, reason), []).append(row_name(summary, row))
    together: dict[tuple[str, str], list[str]] = {}
    every = ", ".join(row_name(summary, row) for row in summary.rows if row.profile is not None)
    for (what, reason), names in rows_of.items():
        whose = "" if ", ".join(names) == every else f" of {', '.join(names)}"
        together.setdefault((reason, whose), []).append(what)
    lines = [f"Not available: {', '.join(what)}{whose}: {reason}." for (reason, whose), what in together.items()]
    if summary.cost is not None:
        cost = summary.cost
        lines.append(
            f"{price_heading(cost)}: at {cost.price_per_hour:g} {cost.currency} per hour of this machine, which is "
            "assumed to be always in use, and the throughput of the offline scenario, or else of the first table."
        )
    return lines


def _gaps(profile: ProfileResult) -> list[tuple[str, str]]:
    """(what is missing, why), of the whole and of its parts; the words are those of `profile.json`."""
    parts = [part for part in (profile, profile.memory, profile.energy) if part is not None]
    return [
        (name.removesuffix("_bytes").replace("_", " "), reason)
        for part in parts
        for name, reason in part.missing.items()
    ]


def resources_measured(summary: RunSummary) -> list[str]:
    """Return how it was measured; nothing where nothing was."""
    profiles = [row.profile for row in summary.rows if row.profile is not None]
    memory = [profile.memory for profile in profiles if profile.memory is not None]
    energy = [profile.energy for profile in profiles if profile.energy is not None]
    methods = dict.fromkeys(profile.operations.method for profile in profiles if profile.operations is not None)
    told = "Memory, energy and operations are measured in this order, in one further process per case."
    lines = [told] if profiles else []
    lines += [_memory_measured(memory)] if memory else []
    lines += [_energy_measured(energy)] if energy else []
    if any(profile.device_busy is not None for profile in profiles):
        lines.append(
            "*device busy*: device time of *infer* that was queued as a whole while the device was held busy, so "
            "without the gaps in which it waits for launches. *launch-bound index*: *infer* by the host's clock, over "
            "that; well above 1 the host cannot launch as fast as the device computes, and CUDA graphs or larger "
            "batches help."
        )
    return lines + [
        f"GFLOP and activations: of the first batch of the test split, shared out over its images, by {method}."
        for method in methods
    ]


def _memory_measured(uses: list[MemoryUse]) -> str:
    anew = all(use.peak_started_anew for use in uses)
    life = "" if anew else " The kernel cannot reset the peak here, so it covers the whole life of the process."
    return (
        "*host before*: resident before the model is built, of interpreter, harness, a batch of images and the "
        "adapter's imports. *+ model*: what the build added, with all that the framework imports only then. *+ batch*: "
        f"the peak of {uses[0].batches} batches above that.{life} *device*: the largest use that the GPU's driver saw "
        "at 20 Hz, minus that before the model: context, kernels and what allocators hold, of any framework."
    )


def _energy_measured(uses: list[EnergyUse]) -> str:
    counters = ". ".join(dict.fromkeys(f"{use.method}; it covers {use.covers}" for use in uses))
    return (
        f"J/image: (mean W − idle W) × seconds / images, over at least {min(use.seconds for use in uses):.1f} s of "
        f"batches pushed through as for throughput; idle W: of {min(use.idle_s for use in uses):.1f} s before, with "
        f"the model built. {counters}."
    )


def resources_fields(row: Row, cost: Cost | None) -> dict[str, object]:
    """Return the raw numbers of a row, for tables that machines read; empty where nothing was measured."""
    fields: dict[str, object] = {}
    profile = row.profile
    if profile is not None and profile.memory is not None:
        read = profile.memory.model_dump(exclude={"missing", "weights_bytes"})
        fields |= {f"profile_{name}": value for name, value in read.items()}
    if profile is not None and profile.energy is not None:
        fields |= {
            "joules_per_image": profile.energy.joules_per_image,
            "images_per_joule": profile.energy.images_per_joule,
            "idle_w": profile.energy.idle_w,
            "mean_w": profile.energy.mean_w,
        }
    if profile is not None and profile.operations is not None:
        fields |= {
            "flops_per_image": profile.operations.flops_per_image,
            "activations_per_image": profile.operations.activations_per_image,
        }
    if cost is not None:
        fields["cost_per_million_images"] = million_images(row, cost)
    return fields
