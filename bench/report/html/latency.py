"""Shows where the time goes: stages, the distribution of the raw samples, and the state of the machine beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from bench.records.array_files import packed_arrays
from bench.records.damage import ARRAY_DAMAGE
from bench.records.store import layout
from bench.records.store.samples import END_TO_END, Samples
from bench.report import sentences, tables
from bench.report.draw.numbers import milliseconds
from bench.report.facts import Facts
from bench.report.html import svg
from bench.report.runtimes import runtimes_note, runtimes_table
from bench.report.throughput import scenarios_table, sweep_table

TITLE = "Where the time goes"

MOST_ROWS, MOST_LINES = 40, 12
"""Rows whose samples are drawn, and lines of distributions in one plot; a note says where there are more."""

DOTS = 160
"""Samples of a replicate that are drawn, evenly spread over it; the longest is always among them."""

STAGES = ("decode", "preprocess", "infer", "postprocess")
WIDTH, LEFT, RIGHT = 860.0, 62.0, 848.0


def section(facts: Facts) -> dict[str, Any] | None:
    """Return what the template shows; None where nothing was timed."""
    summary = facts.summary
    stages = tables.stages_table(summary)
    loads = scenarios_table(summary)
    if not len(stages) and not len(loads) and not any(facts.samples.values()):
        return None
    timed = [(name, facts.samples.get(case_id, [])) for case_id, name in facts.name_of.items()]
    timed = [(name, samples) for name, samples in timed if samples]
    replicates = [
        {"name": name, "plot": replicate_plot(name, samples, _clocks(facts, name))}
        for name, samples in timed[:MOST_ROWS]
    ]
    return {
        "stages": stages,
        "bars": stage_bars(facts),
        "fused": sentences.fused_stages(summary),
        "distribution": distribution(timed[:MOST_LINES]) if timed else None,
        "replicates": replicates,
        "not_drawn": max(0, len(timed) - MOST_ROWS),
        "lines_left_out": max(0, len(timed) - MOST_LINES),
        "runtimes": runtimes_table(summary),
        "runtimes_note": runtimes_note(summary),
        "loads": loads,
        "sweep": sweep_table(summary),
    }


def stage_bars(facts: Facts) -> Markup | None:
    """Draw the medians of the stages of every row, one after the other."""
    rows = []
    for row, name in zip(facts.summary.rows, facts.names, strict=True):
        stages = row.latency.stages if row.latency else {}
        known = {stage: t.ms_per_image for stage, t in stages.items() if t.ms_per_image is not None}
        if known:
            rows.append((name, known))
    if not rows:
        return None
    rows = rows[:MOST_ROWS]
    left = min(300.0, 14 + svg.CHARACTER * max(len(name) for name, _ in rows))
    bottom = 10.0 + 24 * len(rows)
    axis = svg.Axis(0.0, max(sum(known.values()) for _, known in rows) * 1.04, left, RIGHT)
    parts: list[Markup] = [svg.horizontal(axis, bottom, 6.0, "median, ms per image (staged clock)")]
    for number, (name, known) in enumerate(rows):
        y, done = 10.0 + 24 * number, 0.0
        parts.append(svg.tag("text", _cut(name, left), x=left - 8, y=y + 14, text_anchor="end", class_="name"))
        for stage in STAGES:
            if stage in known:
                parts.append(_bar(axis, y, done, known[stage], stage))
                done += known[stage]
    label = f"Stages of {len(rows)} rows, stacked; the table below has the same numbers."
    return svg.picture(WIDTH, bottom + 40, label, *parts)


def _bar(axis: svg.Axis, y: float, start: float, length: float, stage: str) -> Markup:
    left, right = axis.at(start), axis.at(start + length)
    told = milliseconds(length)
    title = svg.tag("title", f"{stage}: {told} ms")
    bar = svg.tag("rect", title, x=left, y=y, width=max(0.5, right - left), height=19.0, class_=f"stage {stage}")
    if right - left < svg.CHARACTER * len(told) + 6:
        return bar
    text = svg.tag("text", told, x=(left + right) / 2, y=y + 14, text_anchor="middle", class_=f"on {stage}")
    return bar + text


def _cut(name: str, width: float) -> str:
    longest = int((width - 14) / svg.CHARACTER)
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


# --------------------------------------------------------------------------- raw samples


def distribution(timed: Sequence[tuple[str, list[Samples]]]) -> Markup:
    """Draw what share of the samples of each row is faster than a latency; usable samples of all replicates."""
    shares = np.concatenate([np.linspace(0, 0.99, 100), [0.995, 1.0]])
    curves = [np.quantile(np.concatenate([_usable_ms(one) for one in samples]), shares) for _, samples in timed]
    low, high = min(float(curve[0]) for curve in curves), max(float(curve[-3]) for curve in curves)
    log = low > 0 and high > 5 * low
    x = svg.Axis(low / 1.05, high * 1.08, LEFT, RIGHT, log)
    y = svg.Axis(0.0, 1.0, 262.0, 12.0)
    lines = [
        svg.line(
            [(x.at(float(ms)), y.at(float(share))) for ms, share in zip(curve, shares, strict=True)],
            stroke=f"var(--c{number % svg.COLOURS})",
            class_=f"ecdf dash{number // svg.COLOURS}",
        )
        for number, curve in enumerate(curves)
    ]
    legend = [
        part
        for number, (name, _) in enumerate(timed)
        for part in (
            svg.line(
                [
                    (LEFT + 10 + 390 * (number % 2), 322.0 + 17 * (number // 2)),
                    (LEFT + 34 + 390 * (number % 2), 322.0 + 17 * (number // 2)),
                ],
                stroke=f"var(--c{number % svg.COLOURS})",
                class_=f"ecdf dash{number // svg.COLOURS}",
            ),
            svg.tag("text", name[:52], x=LEFT + 40 + 390 * (number % 2), y=326.0 + 17 * (number // 2), class_="name"),
        )
    ]
    label = "Share of end-to-end samples that are at most as long, by row"
    return svg.picture(
        WIDTH,
        334.0 + 17 * ((len(timed) + 1) // 2),
        label,
        svg.horizontal(x, 262.0, 12.0, f"end to end, ms per image{', logarithmic' * log}"),
        svg.vertical(y, LEFT, RIGHT, "share of samples"),
        *lines,
        *legend,
    )


def _usable_ms(samples: Samples) -> NDArray[np.float64]:
    return np.asarray(samples.total_ns[samples.usable(END_TO_END)] / 1e6 / int(samples.batch_size))


def replicate_plot(name: str, samples: Sequence[Samples], clocks: Sequence[NDArray[np.float64]]) -> Markup:
    """Draw the end-to-end samples of each replicate in the order they were taken, with the machine's state beneath.

    Args:
        name: Name of the row.
        samples: One per replicate.
        clocks: MHz of the processor at the edges of the blocks of each replicate; empty where it cannot be read.
    """
    every = np.concatenate([_all_ms(one) for one in samples])
    top = float(np.quantile(every, 0.995) * 1.12)
    y = svg.Axis(float(every.min() * 0.96), top, 118.0, 8.0)
    gap = 8.0
    width = (RIGHT - LEFT - gap * (len(samples) - 1)) / len(samples)
    parts = [svg.vertical(y, LEFT, RIGHT, "ms/image", most=4)]
    for number, one in enumerate(samples):
        left = LEFT + number * (width + gap)
        clock = clocks[number] if number < len(clocks) else np.empty(0)
        parts.append(_replicate(one, svg.Axis(0.0, 1.0, left, left + width), y, number, clock))
    parts += [
        svg.tag("text", text, x=LEFT - 6, y=position, text_anchor="end", class_="small")
        for text, position in (("others", 133.0), ("steal", 145.0), ("clock", 157.0))
    ]
    beyond = int((every > top).sum())
    label = (
        f"End-to-end samples of {name} in {len(samples)} replicates, ms per image, {len(every)} samples"
        + (f", {beyond} of them above the plot" if beyond else "")
        + "; below: processor time of other processes and of the hypervisor, and the clock, by block"
    )
    return svg.picture(WIDTH, 180.0, label, *parts)


def _all_ms(samples: Samples) -> NDArray[np.float64]:
    return np.asarray(samples.total_ns[samples.clock == END_TO_END] / 1e6 / int(samples.batch_size))


def _replicate(samples: Samples, x: svg.Axis, y: svg.Axis, number: int, clock: NDArray[np.float64]) -> Markup:
    chosen = samples.clock == END_TO_END
    values, blocks = _all_ms(samples), samples.block[chosen]
    accepted = samples.block_accepted[blocks]
    count = max(1, len(values) - 1)
    shown = np.unique(np.linspace(0, len(values) - 1, min(DOTS, len(values))).astype(np.int64))
    shown = np.unique(np.append(shown, values.argmax()))
    parts = [svg.tag("rect", x=x.start, y=y.end, width=x.end - x.start, height=y.start - y.end, class_="panel")]
    for state, kept in (("kept", accepted[shown]), ("rejected", ~accepted[shown])):
        places = [(x.at(float(i) / count), y.at(float(values[i]))) for i in shown[kept]]
        parts += [svg.dots(places, class_=f"dots {state}")] if places else []
    median = y.at(float(np.median(values[accepted] if accepted.any() else values)))
    parts.append(svg.tag("line", x1=x.start, x2=x.end, y1=median, y2=median, class_="median"))
    for block in np.unique(blocks):
        inside = np.flatnonzero(blocks == block)
        left, right = x.at(inside[0] / count), x.at(min(1.0, (inside[-1] + 1) / count))
        foreign, steal = samples.block_foreign_share[block], samples.block_steal_share[block]
        parts += [
            _state(left, right, 124.0, foreign, 0.2, "other processes"),
            _state(left, right, 136.0, steal, 0.05, "hypervisor"),
        ]
        megahertz = float(clock[block]) if len(clock) > block else np.nan
        slow = 1 - megahertz / float(np.nanmax(clock)) if np.isfinite(megahertz) else np.nan
        parts.append(_state(left, right, 148.0, slow, 0.3, "below the highest clock", f"{megahertz:.0f} MHz, "))
    label = f"replicate {number + 1}"
    parts.append(svg.tag("text", label, x=(x.start + x.end) / 2, y=173.0, text_anchor="middle", class_="small"))
    return svg.tag("g", *parts)


def _state(left: float, right: float, y: float, share: float, most: float, what: str, before: str = "") -> Markup:
    """Return a strip as dark as a share is large, up to `most`."""
    known = bool(np.isfinite(share))
    title = svg.tag("title", f"{before}{100 * share:.1f} % {what}" if known else f"{what}: not known")
    opacity = 0.08 + 0.92 * min(1.0, max(0.0, float(share)) / most) if known else None
    return svg.tag(
        "rect",
        title,
        x=left,
        y=y,
        width=max(0.8, right - left - 0.6),
        height=10.0,
        class_="state" if known else "state unknown",
        fill_opacity=None if opacity is None else f"{opacity:.2f}",
    )


def _clocks(facts: Facts, name: str) -> list[NDArray[np.float64]]:
    """MHz at the edge of each block of every replicate of a row, where it could be read."""
    case_id = next(case for case, named in facts.name_of.items() if named == name)
    view = facts.view_of(case_id)
    found = []
    for job in view.times if view is not None else ():
        if not job.ok:
            continue
        try:
            with packed_arrays(job.folder / layout.TELEMETRY) as series:
                found.append(np.asarray(series["cpu_mhz"], dtype=np.float64) if "cpu_mhz" in series else np.empty(0))
        except ARRAY_DAMAGE:
            found.append(np.empty(0))
    return found
