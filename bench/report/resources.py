"""Tabulates what a model needs beside time: memory, energy, operations, and what a million images cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.records import Cost, EnergyUse, MemoryUse, ProfileResult
from bench.report.draw.numbers import MISSING, mebibytes, significant
from bench.report.summary import grouped
from bench.report.summary.rows import Row
from bench.report.summary.summarise import RunSummary
from bench.report.text_table import TextTable


def _in(unit: float) -> Callable[[float | None], str]:
    return lambda value: significant(None if value is None else value / unit)


COLUMNS: dict[str, tuple[str, str, Callable[[Any], str]]] = {
    "weights MiB": ("memory", "weights_bytes", mebibytes),
    "host before MiB": ("memory", "host_rss_before_bytes", mebibytes),
    "+ model MiB": ("memory", "host_rss_model_bytes", mebibytes),
    "+ batch MiB": ("memory", "host_rss_batch_bytes", mebibytes),
    "host peak MiB": ("memory", "host_rss_peak_bytes", mebibytes),
    "device MiB": ("memory", "device_used_delta_bytes", mebibytes),
    "torch allocated MiB": ("memory", "torch_peak_allocated_bytes", mebibytes),
    "torch reserved MiB": ("memory", "torch_peak_reserved_bytes", mebibytes),
    "J/image": ("energy", "joules_per_image", significant),
    "images/J": ("energy", "images_per_joule", significant),
    "idle W": ("energy", "idle_w", significant),
    "mean W": ("energy", "mean_w", significant),
    "GFLOP/image": ("operations", "flops_per_image", _in(1e9)),
    "activations/image, millions": ("operations", "activations_per_image", _in(1e6)),
    "device busy ms/batch": ("device_busy", "busy_ms", significant),
    "launch-bound index": ("device_busy", "launch_bound_index", significant),
}
"""Heading -> part of a profile, its field, and how it is written; a column in which no row has a number is left out."""

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
            heading: write(getattr(getattr(row.profile, part, None), field, None))
            for heading, (part, field, write) in COLUMNS.items()
            if heading in BRIEF or not brief
        }
        names = {"model": summary.name_of(row), **({"data set": row.dataset} if summary.several_datasets else {})}
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
    profiles = [(summary.name_of(row), row.profile) for row in summary.rows if row.profile is not None]
    rows_of = grouped((gap, name) for name, profile in profiles for gap in _gaps(profile))
    every = [name for name, _ in profiles]
    together = grouped(
        ((reason, "" if names == every else f" of {', '.join(names)}"), what)
        for (what, reason), names in rows_of.items()
    )
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
    memory = row.profile.memory if row.profile is not None else None
    read = memory.model_dump(exclude={"missing", "weights_bytes"}) if memory is not None else {}
    fields: dict[str, object] = {f"profile_{name}": value for name, value in read.items()}
    for part, name, _ in COLUMNS.values():
        found = getattr(row.profile, part, None)
        if part in ("energy", "operations") and found is not None:
            fields[name] = getattr(found, name)
    return fields if cost is None else {**fields, "cost_per_million_images": million_images(row, cost)}
