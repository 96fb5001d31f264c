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
from bench.report.draw.pictures import stage_bars
from bench.report.draw.stage_times import distribution, stage_times
from bench.report.facts import Facts
from bench.report.html.figures import Axis, dots, picture, svg, tag, vertical
from bench.report.throughput import runtimes_note, runtimes_table, scenarios_table, sweep_table

MOST_ROWS, MOST_LINES = 40, 12
"""Rows whose samples are drawn, and lines of distributions in one plot; a note says where there are more."""

DOTS = 160
"""Samples of a replicate that are drawn, evenly spread over it; the longest is always among them."""

WIDTH, LEFT, RIGHT = 860.0, 62.0, 848.0


def section(facts: Facts) -> dict[str, Any] | None:
    """Return what the template shows; None where nothing was timed."""
    summary = facts.summary
    stages = tables.stages_table(summary)
    loads = scenarios_table(summary)
    if not len(stages) and not len(loads) and not any(facts.samples.values()):
        return None
    timed = {case_id: facts.samples[case_id] for case_id in facts.name_of if facts.samples.get(case_id)}
    names = [(case_id, facts.name_of[case_id]) for case_id in timed]
    usable = [
        (name, np.concatenate([_ms(one, one.usable(END_TO_END)) for one in timed[case_id]]))
        for case_id, name in names[:MOST_LINES]
    ]
    label = "Share of end-to-end samples that are at most as long, by row"
    replicates = [
        {"name": name, "plot": replicate_plot(name, timed[case_id], _clocks(facts, case_id))}
        for case_id, name in names[:MOST_ROWS]
    ]
    return {
        "stages": stages,
        "bars": stages_plot(facts),
        "fused": sentences.fused_stages(summary),
        "distribution": svg(label, distribution, usable) if usable else None,
        "replicates": replicates,
        "not_drawn": max(0, len(timed) - MOST_ROWS),
        "lines_left_out": max(0, len(timed) - MOST_LINES),
        "runtimes": runtimes_table(summary),
        "runtimes_note": runtimes_note(summary),
        "loads": loads,
        "sweep": sweep_table(summary),
    }


def stages_plot(facts: Facts) -> Markup | None:
    """Draw the medians of the stages of every row, one after the other."""
    bars = stage_bars(facts.summary)
    label = f"Stages of {len(bars)} rows, stacked, with their numbers beside them, which the table below has, too."
    return svg(label, stage_times, bars) if bars else None


# --------------------------------------------------------------------------- raw samples


def _ms(samples: Samples, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray(samples.total_ns[chosen] / 1e6 / int(samples.batch_size))


def replicate_plot(name: str, samples: Sequence[Samples], clocks: Sequence[NDArray[np.float64]]) -> Markup:
    """Draw the end-to-end samples of each replicate in the order they were taken, with the machine's state beneath.

    Args:
        name: Name of the row.
        samples: One per replicate.
        clocks: MHz of the processor at the edges of the blocks of each replicate; empty where it cannot be read.
    """
    every = np.concatenate([_ms(one, one.clock == END_TO_END) for one in samples])
    top = float(np.quantile(every, 0.995) * 1.12)
    y = Axis(float(every.min() * 0.96), top, 118.0, 8.0)
    gap = 8.0
    width = (RIGHT - LEFT - gap * (len(samples) - 1)) / len(samples)
    parts = [vertical(y, LEFT, RIGHT, "ms/image")]
    for number, one in enumerate(samples):
        left = LEFT + number * (width + gap)
        clock = clocks[number] if number < len(clocks) else np.empty(0)
        parts.append(_replicate(one, Axis(0.0, 1.0, left, left + width), y, number, clock))
    parts += [
        tag("text", text, x=LEFT - 6, y=position, text_anchor="end", class_="small")
        for text, position in (("others", 133.0), ("steal", 145.0), ("clock", 157.0))
    ]
    beyond = int((every > top).sum())
    label = (
        f"End-to-end samples of {name} in {len(samples)} replicates, ms per image, {len(every)} samples"
        + (f", {beyond} of them above the plot" if beyond else "")
        + "; below: processor time of other processes and of the hypervisor, and the clock, by block"
    )
    return picture(WIDTH, 180.0, label, *parts)


def _replicate(samples: Samples, x: Axis, y: Axis, number: int, clock: NDArray[np.float64]) -> Markup:
    chosen = samples.clock == END_TO_END
    values, blocks = _ms(samples, chosen), samples.block[chosen]
    accepted = samples.block_accepted[blocks]
    count = max(1, len(values) - 1)
    shown = np.unique(np.linspace(0, len(values) - 1, min(DOTS, len(values))).astype(np.int64))
    shown = np.unique(np.append(shown, values.argmax()))
    parts = [tag("rect", x=x.start, y=y.end, width=x.end - x.start, height=y.start - y.end, class_="panel")]
    for state, kept in (("kept", accepted[shown]), ("rejected", ~accepted[shown])):
        places = [(x.at(float(i) / count), y.at(float(values[i]))) for i in shown[kept]]
        parts += [dots(places, class_=f"dots {state}")] if places else []
    median = y.at(float(np.median(values[accepted] if accepted.any() else values)))
    parts.append(tag("line", x1=x.start, x2=x.end, y1=median, y2=median, class_="median"))
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
    parts.append(tag("text", label, x=(x.start + x.end) / 2, y=173.0, text_anchor="middle", class_="small"))
    return tag("g", *parts)


def _state(left: float, right: float, y: float, share: float, most: float, what: str, before: str = "") -> Markup:
    """Return a strip as dark as a share is large, up to `most`."""
    known = bool(np.isfinite(share))
    title = tag("title", f"{before}{100 * share:.1f} % {what}" if known else f"{what}: not known")
    opacity = 0.08 + 0.92 * min(1.0, max(0.0, float(share)) / most) if known else None
    return tag(
        "rect",
        title,
        x=left,
        y=y,
        width=max(0.8, right - left - 0.6),
        height=10.0,
        class_="state" if known else "state unknown",
        fill_opacity=None if opacity is None else f"{opacity:.2f}",
    )


def _clocks(facts: Facts, case_id: str) -> list[NDArray[np.float64]]:
    """MHz at the edge of each block of every replicate of a case, where it could be read."""
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
