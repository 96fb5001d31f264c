"""The report as markdown: the answer first, then pictures, details, failures, and how it was measured."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tabulate import tabulate

from bench.report import differences, image_tables, search_tables, sentences, tables, training_tables
from bench.report.conclusion import conclusion
from bench.report.draw.curves import LOADS, PROBABILITIES, ROBUSTNESS
from bench.report.resources import resources_measured, resources_notes, resources_table
from bench.report.summary.summarise import RunSummary
from bench.report.text_table import TextTable
from bench.report.throughput import runtimes_note, runtimes_table, scenarios_table, sweep_table
from bench.report.training_tables import folds_note, folds_table
from bench.report.weights_table import weights_table

PICTURES = {
    "accuracy_latency.png": "Score against end-to-end latency, with 95 % intervals and the Pareto front",
    "stage_times.png": "Where the time goes: medians of the staged clock",
    LOADS: "Under load: images per second by batch size, latency by rate of queries",
    PROBABILITIES: "Probabilities: reliability, risk among the surest pixels, scores by threshold, precision by recall",
    ROBUSTNESS: "Score by severity of corruption, mean over the corruptions of a family; 0 is the images as they are",
    "training_curves.png": "Loss and validated score of all models, by seconds and images; losses differ in kind",
    "training_curve.png": "Loss and score, training and validation, against training seconds and images seen",
    "accuracy_budget.png": "Score on the test split against training seconds and images seen",
    "sweep_heat_map.png": "Sweep of two fields of the recipe: mean score of each combination",
    "sweep_coordinates.png": "Sweep of several fields of the recipe: a line for each combination",
    "search_history.png": "Course of a search: each trial on the validation split, and the best so far",
    "search_coordinates.png": "Complete trials of a search: a line for each recipe",
    "contact_sheet.png": "Image, ground truth and each model's prediction, on images where the models disagree most",
}
"""File name -> caption, in the order of the report."""


SELF_REPORTED = "## What the frameworks report of their own training (not comparable with the scores above)"
"""Heading of a framework's own figures: other images, other sizes, other definitions."""

OURS = re.compile(r"<details><summary>(Curves of each model|Every slice) \(\d+\)</summary>|</details>")
"""The only HTML of a report."""
TAG_OR_CODE = re.compile(r"`[^`]*`|<(?=[A-Za-z/!?])")


def render(summary: RunSummary, pictures: Sequence[str] = (), left_out: Sequence[str] = ()) -> str:
    """Return the report.

    Args:
        summary: The summary that it lays out.
        pictures: Names of the pictures that lie beside it, in order.
        left_out: Pictures that could not be drawn, each with the reason.
    """
    section = _section("Memory, energy and operations", resources_table(summary))
    parts = [
        f"# {' '.join(summary.title.split())}",
        f"`{summary.source}`, run {summary.run}"
        + _constant(summary, "dataset", "data set")
        + _constant(summary, "target", "target"),
        _bullets(conclusion(summary)),
        markdown_table(tables.results_table(summary)),
        "`a (b–c)`: value and 95 % interval; every column is explained in the [notes](#notes)." if summary.rows else "",
        *_listed("Reasons behind the verdicts:", sentences.doubts(summary)),
        *(_picture(name) for name in pictures if not _of_training(name) and not name.startswith(("sweep_", "search_"))),
        *(f"Not drawn: {reason}" for reason in left_out),
        *_scores(summary),
        _bullets(sentences.reductions(summary)),
        *(part for heading, frame in tables.parts_tables(summary).items() for part in _section(heading, frame)),
        *_section(tables.per_class_heading(summary), tables.classes_table(summary)),
        *_section("Thresholds", image_tables.thresholds_table(summary)),
        _bullets(image_tables.probability_notes(summary)),
        *_section("Against the best", tables.comparisons_table(summary)),
        *_recipes(summary, pictures),
        *_slices(summary),
        *_robustness(summary),
        *_section("Runtimes", runtimes_table(summary)),
        _paragraph(runtimes_note(summary)),
        *_section(
            "Where the time goes, per image (staged clock; median unless said otherwise)", tables.stages_table(summary)
        ),
        _bullets(sentences.fused_stages(summary)),
        *_section(
            "Under load (named after MLPerf Inference's scenarios; not an MLPerf result)", scenarios_table(summary)
        ),
        *_section("Batch sizes", sweep_table(summary)),
        *section,
        *([_bullets(resources_notes(summary))] if section else []),
        *_training(summary, pictures),
        *_section("Weights and preprocessing", weights_table(summary)),
        *_listed(SELF_REPORTED, sentences.self_reported(summary)),
        *_section("Failures", tables.failures_table(summary), code="run it again"),
        *_listed("## Recipe fields not honoured", sentences.not_honoured(summary)),
        "## How it was measured",
        _bullets([*sentences.how_measured(summary), *resources_measured(summary)]),
        *_section("Where each job was done", tables.origins_table(summary)),
        _paragraph(sentences.origins_note(summary)),
        "## Environment",
        _bullets(sentences.environment_lines(summary)),
        "## Notes",
        _bullets(sentences.footnotes(summary)),
    ]
    return "\n\n".join(_without_html(part) for part in parts if part) + "\n"


def _without_html(text: str) -> str:
    """The text with every tag shown instead of obeyed, whoever wrote it; code stays as it is."""

    def shown(found: re.Match[str]) -> str:
        return found[0] if found[0].startswith("`") else "&lt;"

    return "\n".join(line if OURS.fullmatch(line) else TAG_OR_CODE.sub(shown, line) for line in text.split("\n"))


def _scores(summary: RunSummary) -> list[str]:
    """The conclusion in words, then the numbers, then how they vary with the seed."""
    heading, *table = _section("Scores", tables.scores_table(summary)) or [""]
    return [
        heading,
        *(_paragraph(text) for text in differences.significance(summary)),
        *table,
        *_section("Across seeds", training_tables.seeds_table(summary)),
        _paragraph(sentences.seeds_note(summary)),
        *_section("Across folds", folds_table(summary)),
        _paragraph(folds_note(summary)),
    ]


def _recipes(summary: RunSummary, pictures: Sequence[str]) -> list[str]:
    """Return the tables of sweeps and of searches."""
    parts = []
    for heading, frame in search_tables.sweeps_tables(summary).items():
        parts += [f"**{heading}**", markdown_table(frame)]
    shown = [_picture(name) for name in pictures if name.startswith("sweep_")]
    sweeps = ["## Sweeps", _paragraph(search_tables.SWEEPS_NOTE), *shown, *parts] if parts else []
    if not summary.searches:
        return sweeps
    parts = [_picture(name) for name in pictures if name.startswith("search_")]
    for one in summary.searches:
        parts += [f"**{_paragraph(one.name)}**", _bullets(search_tables.search_notes(one))]
        parts += [markdown_table(search_tables.trials_table(one))]
    return [*sweeps, "## Search of recipes", markdown_table(search_tables.searches_table(summary)), *parts]


def _slices(summary: RunSummary) -> list[str]:
    """The worst slice of each row, then every slice behind a line to open it."""
    worst = _section("Slices", image_tables.worst_slices_table(summary))
    every = image_tables.slices_tables(summary)
    if not every:
        return []
    folded = [part for heading, frame in every.items() for part in (f"**{heading}**", markdown_table(frame))]
    opening = f"<details><summary>Every slice ({sum(len(frame) for frame in every.values())})</summary>"
    return [*(worst or ["## Slices"]), _bullets(image_tables.slices_notes(summary)), opening, *folded, "</details>"]


def _robustness(summary: RunSummary) -> list[str]:
    """Return what shifted images do to each model, then each corruption, then other data sets."""
    return [
        *_section(f"Robustness ({summary.headline})", image_tables.robustness_table(summary)),
        _bullets(image_tables.robustness_notes(summary)),
        *_section("By corruption, mean over severities", image_tables.corruptions_table(summary)),
        *_section("On other data sets", image_tables.natural_table(summary)),
    ]


def _training(summary: RunSummary, pictures: Sequence[str]) -> list[str]:
    """Curves and recipes, then what every training made of its budget."""
    shown = [name for name in pictures if _of_training(name)]
    alone = [name for name in shown if name.startswith("training_curve@")]
    curves = [_picture(name) for name in shown if name == "training_curves.png"]
    parts = [
        _bullets(sentences.untrained(summary)),
        *curves,
        *_folded(alone),
        markdown_table(training_tables.training_table(summary)),
    ]
    budget = _section("Under one budget", training_tables.budget_table(summary))
    if budget:
        plots = [_picture(name) for name in shown if name == "accuracy_budget.png"]
        budget = [budget[0], *plots, *budget[1:], _bullets(sentences.budget_notes(summary))]
    return (["## Training", *parts] if any(parts) else []) + budget


def _folded(names: Sequence[str]) -> list[str]:
    """Pictures behind a line to open them: there is one per model."""
    if not names:
        return []
    opening = f"<details><summary>Curves of each model ({len(names)})</summary>"
    return [opening, *(_picture(name) for name in names), "</details>"]


def _of_training(name: str) -> bool:
    return name.startswith("training_curve") or name == "accuracy_budget.png"


def _picture(name: str) -> str:
    return f"![{_caption(name)}]({name})\n\n*{_caption(name)}.*"


def _constant(summary: RunSummary, field: str, name: str) -> str:
    values = {getattr(row, field) for row in summary.rows}
    return f" · {name} {values.pop()}" if len(values) == 1 else ""


def _caption(picture: str) -> str:
    """Caption of a picture; one drawn per data set or model has its name behind an @, with digits for uniqueness."""
    stem, _, name = picture.removesuffix(".png").partition("@")
    name = re.sub(r"-[0-9a-f]{12}$", "", name)
    return PICTURES[f"{stem}.png"] + (f" ({name})" if name else "")


def _listed(heading: str, lines: list[str]) -> list[str]:
    return [heading, _bullets(lines)] if lines else []


def _paragraph(text: str) -> str:
    """The text in one line: a name with a line break in it begins no heading, list or table."""
    return " ".join(text.splitlines())


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {_paragraph(line)}" for line in lines)


def _section(heading: str, frame: TextTable, code: str = "") -> list[str]:
    return [f"## {heading}", markdown_table(frame, code)] if len(frame) else []


ALIGNED = 2000
"""Cells up to which the columns of a table are aligned in the text; it is shown alike in either case."""


def markdown_table(frame: TextTable, code: str = "") -> str:
    """Return a frame as a markdown table; the column `code` holds commands."""
    if not len(frame):
        return ""
    columns = [[cell(text, name == code) for text in frame[name]] for name in frame.columns]
    heads = [cell(name) for name in frame.columns]
    if len(frame) * len(heads) > ALIGNED:
        rows = [heads, ["---"] * len(heads), *zip(*columns, strict=True)]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return str(tabulate(zip(*columns, strict=True), headers=heads, tablefmt="pipe", disable_numparse=True))


def cell(text: str, is_code: bool = False) -> str:
    """Return text that stays in its cell: a reason may hold anything, a message of a framework for example."""
    line = " ".join(str(text).split()).replace("|", r"\|")
    return f"`{line.replace('`', chr(39))}`" if is_code else line.replace("&", "&amp;").replace("<", "&lt;")
