"""Pictures that were drawn from the same facts are not drawn again: matplotlib takes seconds for a large run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import JsonValue

from bench.records import digest
from bench.records.damage import content_of, json_of
from bench.records.names import harness_root
from bench.records.store import layout
from bench.records.store.files import content_sha256, file_state, write_atomically
from bench.records.store.views import RunView
from bench.report.draw.figure import LETTERS
from bench.report.draw.pictures import Pictures, draw_pictures
from bench.report.summary.stored import summary_key
from bench.report.summary.summarise import RunSummary


def drawn_once(
    run: RunView, summary: RunSummary, folder: Path, show_from: float | None = None, plots: Sequence[str] = ()
) -> Pictures:
    """Return `draw_pictures(run, summary, folder, show_from)`, drawn or as they lie in the folder.

    They are taken where they follow from the same facts and code and are, byte by byte, what was drawn.

    Args:
        run, summary, folder, show_from: The arguments of `draw_pictures` of the same names.
        plots: Forms that plots are written in beside PNG.
    """
    key, file = _key(run, summary, show_from, plots), folder / layout.DRAWN
    found = _kept(file, key)
    if found is not None:
        return found
    pictures = draw_pictures(run, summary, folder, show_from)
    if any(LETTERS in line for line in pictures.left_out):
        return pictures  # a font that is installed later changes them, and nothing else tells
    names = [path.name for path in pictures.drawn]
    names += [path.with_suffix(f".{form}").name for path in pictures.drawn for form in plots]
    hashes = {name: content_sha256(folder / name) for name in names}
    record = {
        "key": key,
        "drawn": [path.name for path in pictures.drawn],
        "left_out": pictures.left_out,
        "sha256": hashes,
    }
    write_atomically(file, json.dumps(record) + "\n")
    return pictures


def _kept(file: Path, key: str) -> Pictures | None:
    try:
        record = json_of(content_of(file))
        if record["key"] != key:
            return None
        hashes, folder = dict(record["sha256"]), file.parent
        if any(content_sha256(folder / name) != sha256 for name, sha256 in hashes.items()):
            return None
        drawn, left_out = [str(name) for name in record["drawn"]], [str(line) for line in record["left_out"]]
        return Pictures(tuple(folder / name for name in drawn if name in hashes), tuple(left_out))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _key(run: RunView, summary: RunSummary, show_from: float | None, plots: Sequence[str]) -> str:
    draws = sorted((harness_root() / "bench" / "report" / "draw").glob("*.py"))
    code: list[JsonValue] = [[file.name, [*(file_state(file) or ())]] for file in draws]
    # Columns of a table change the summary and no picture; when a run was planned, which each resume sets, neither.
    drawn = replace(run, plan=run.plan.model_copy(update={"planned_at": ""}))
    return digest([summary_key(drawn), len(summary.rows), show_from, [*plots], code])
