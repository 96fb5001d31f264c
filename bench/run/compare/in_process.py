"""`bench.compare`: the findings of a comparison as a pandas frame, for scripts and notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.run.compare.gate import load_gate, parsed_gate
from bench.run.compare.sides import open_side
from bench.run.compare.verdicts import compare as compare_sides

if TYPE_CHECKING:
    import pandas as pd


def compare(
    reference: str | Path,
    *others: str | Path,
    gate: str | Path | Mapping[str, Any] | None = None,
    results: str | Path = "results",
) -> pd.DataFrame:
    """Compare runs, cases or stored baselines with a reference, as `bench compare` does.

    Args:
        reference: A run (folder or name), `RUN:CASE`, a baseline file, or a case of the newest run.
        others: Runs, cases or baselines that are compared with the reference, named in the same ways.
        gate: Margins, as a file or as its content.
        results: Folder of all results.

    Returns:
        A row for each number: reference, other, case, quantity, scope, before, after, change with its interval, p_holm,
        margin, verdict, smallest, needed, why, regressed. How the sides were measured differently stands in
        `frame.attrs["differences"]`, the other side's name -> lines.

    Raises:
        BenchError: If a side or the gate cannot be read.
    """
    import pandas as pd

    folder = Path(results)
    margins = (
        parsed_gate(gate, "gate") if isinstance(gate, Mapping) else None if gate is None else load_gate(Path(gate))
    )
    sides = [open_side(str(one), folder) for one in (reference, *others)]
    found = compare_sides(sides[0], sides[1:], margins)
    rows = [
        {"reference": one.reference, "other": one.other, **finding.model_dump(), "regressed": finding.regressed}
        for one in found
        for finding in one.findings
    ]
    frame = pd.DataFrame(rows)
    frame.attrs["differences"] = {one.other: list(one.differences) for one in found}
    return frame
