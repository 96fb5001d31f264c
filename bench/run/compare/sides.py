"""The sides of a comparison: the cases of a run, one case of it, or a baseline that was stored before.

A baseline is a zip file with what a comparison needs of a run, which is little beside the run itself: scores and their
statistics, the end-to-end samples of each process, peaks of memory, and how all this was measured.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError, did_you_mean
from bench.records import ClassSpec, Record, Score
from bench.records.array_files import bounded_zip, packed_arrays
from bench.records.damage import ARRAY_DAMAGE
from bench.records.store.files import write_atomically
from bench.records.store.runs import is_run, newest_run, open_run, read_run
from bench.records.store.samples import END_TO_END
from bench.records.store.statistics import Statistics, load_statistics, read_statistics, statistics_bytes
from bench.records.store.views import CaseView, RunView
from bench.report.summary.training_progress import training_doubts

BASELINE_SUFFIX = ".zip"
_FACTS = "facts.json"


class CaseFacts(Record):
    """The facts of a case in words and numbers; its arrays are stored apart.

    Attributes:
        case_id, model, dataset, target: Id of the case, and its names in the tables.
        classes: Its label space.
        scores: Scores in the order of the suite.
        measured: Conditions of the measurement: subject -> value, such as machine, protocol, packages, data.
        invalid: Reasons not to use its latency.
        doubts: Reasons not to test its scores.
        peak_host_mib: Peak host memory of each timing process, MiB.
    """

    case_id: str
    model: str
    dataset: str
    target: str
    classes: tuple[ClassSpec, ...]
    scores: tuple[Score, ...] = ()
    measured: dict[str, str] = {}
    invalid: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    peak_host_mib: tuple[float, ...] = ()


class SideFacts(Record):
    """The facts of all cases of a side; `facts.json` of a baseline."""

    name: str
    seed: int
    cases: tuple[CaseFacts, ...]


@dataclass(frozen=True)
class SideCase:
    """A case with its arrays.

    Attributes:
        facts: The case in words and numbers.
        statistics: Statistics that its scores are computed from; None without scores.
        processes_ms: End-to-end samples per image of each timing process; none where it was not timed.
    """

    facts: CaseFacts
    statistics: Statistics | None
    processes_ms: tuple[NDArray[np.float64], ...]


@dataclass(frozen=True)
class Side:
    """A side of a comparison.

    Attributes:
        name: Name of the side as it was asked for.
        seed: Seed of the suite.
        cases: Cases of the side, at least one.
        chosen: True if one case was asked for by name, so that it may be compared with a case of another label.
        origin: The run and its cases; None of a baseline.
    """

    name: str
    seed: int
    cases: tuple[SideCase, ...]
    chosen: bool = False
    origin: tuple[RunView, tuple[CaseView, ...]] | None = None


def open_side(asked: str, results: Path) -> Side:
    """Open what a side was called on the command line.

    Args:
        asked: A run (folder or name), `RUN:CASE`, a baseline file, or a case of the newest run; a case by its id or the
            label of its model.
        results: Folder of all results.

    Raises:
        BenchError: If it is none of these.
    """
    if asked.endswith(BASELINE_SUFFIX) and Path(asked).is_file():
        return load_baseline(Path(asked))
    if is_run(results, asked):
        return side_of(read_run(open_run(results, asked), results), asked)
    run, _, case = asked.rpartition(":")
    if run and is_run(results, run):
        return _one_case(read_run(open_run(results, run), results), asked, case)
    newest = read_run(newest_run(results), results)
    return _one_case(newest, asked, asked)


def _one_case(run: RunView, asked: str, wanted: str) -> Side:
    own = [view for view in run.unshifted.cases if view.case.model.label == wanted]
    views = [*own, *(view for view in run.cases if view.case.id == wanted and view not in own)]
    if not views:
        known = sorted({view.case.model.label for view in run.cases} | {view.case.id for view in run.cases})
        name = f"{run.folder.suite}/{run.folder.name}"
        raise BenchError(
            f"{asked!r} is no run, no baseline file and no case of run {name}.{did_you_mean(wanted, known)} Expected a "
            f"run (folder or name), RUN:CASE, FILE{BASELINE_SUFFIX}, or a case of the newest run: "
            f"{', '.join(view.case.model.label for view in run.cases[:8])}"
        )
    return replace(side_of(replace(run, cases=tuple(views)), asked), chosen=True)


def side_of(run: RunView, name: str) -> Side:
    """Return all cases of a run; those of shifted images only where nothing else is left."""
    run = run.unshifted
    return Side(name, run.plan.seed, tuple(_case(view) for view in run.cases), origin=(run, run.cases))


def _case(view: CaseView) -> SideCase:
    samples = view.samples()
    times = [job for job in view.times if job.ok and job.outcome is not None]
    invalid = {flag.text: None for job in times if job.outcome for flag in job.outcome.facts.invalid}
    peaks = [job.outcome.facts.host_rss_peak_bytes for job in times if job.outcome]
    facts = CaseFacts(
        case_id=view.case.id,
        model=view.case.model.label,
        dataset=view.case.dataset.label,
        target=view.case.id.rpartition("@")[2],
        classes=view.task.classes,
        scores=view.scores.scores if view.scores else (),
        measured=_measured(view),
        invalid=tuple(invalid),
        doubts=tuple(flag.text for flag in training_doubts(view)),
        peak_host_mib=tuple(peak / 2**20 for peak in peaks if peak is not None),
    )
    statistics = load_statistics(view.statistics) if view.statistics is not None else None
    processes = [s.total_ns[s.usable(END_TO_END)] / 1e6 / int(s.batch_size) for s in samples]
    return SideCase(facts, statistics, tuple(values for values in processes if len(values)))


MACHINE, PROTOCOL, TARGET, DATA = "machine", "protocol", "target", "data"


def _measured(view: CaseView) -> dict[str, str]:
    """Return how a case was measured: the parts of the keys of its jobs."""
    parts: dict[str, str] = {}
    for job in (view.predict, *view.times[:1]):
        if job is not None:
            parts |= {name: value for name, value in job.job.key_parts.items() if name != "replicate"}
            if job.job.provenance is not None and job.job.provenance.commit:
                parts["harness commit"] = job.job.provenance.commit[:12]
    parts[TARGET] = parts.get(TARGET, view.case.target.model_dump_json())
    parts[DATA] = view.predict.job.dataset_fingerprint if view.predict is not None else ""
    return parts


# --------------------------------------------------------------------------- baselines


def save_baseline(side: Side, path: Path) -> None:
    """Write a side as a baseline file, atomically."""
    facts = SideFacts(name=side.name, seed=side.seed, cases=tuple(case.facts for case in side.cases))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_FACTS, facts.to_json())
        for number, case in enumerate(side.cases):
            arrays = {f"p{k}": values for k, values in enumerate(case.processes_ms)}
            archive.writestr(f"{number}/processes.npz", _npz(arrays))
            if case.statistics is not None:
                archive.writestr(f"{number}/statistics.npz", statistics_bytes(case.statistics))
    write_atomically(path, buffer.getvalue())


def load_baseline(path: Path) -> Side:
    """Read what `save_baseline` wrote; raises `BenchError` if it is damaged or something else."""
    try:
        with bounded_zip(path) as archive:
            facts = SideFacts.from_json(archive.read(_FACTS).decode())
            names = set(archive.namelist())
            cases = []
            for number, case in enumerate(facts.cases):
                with packed_arrays(io.BytesIO(archive.read(f"{number}/processes.npz"))) as arrays:
                    processes = tuple(np.asarray(arrays[f"p{k}"]) for k in range(len(arrays)))
                name = f"{number}/statistics.npz"
                found = read_statistics(io.BytesIO(archive.read(name)), f"{path}/{name}") if name in names else None
                cases.append(SideCase(case, found, processes))
    except ARRAY_DAMAGE as error:
        raise BenchError(
            f"{path} is no baseline file or is damaged ({error}); write one with: "
            f"bench compare RUN --save-baseline {path}"
        ) from error
    return Side(str(path), facts.seed, tuple(cases))


def _npz(arrays: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def matched(reference: Side, other: Side) -> Sequence[tuple[SideCase, SideCase]]:
    """Return the cases that both sides have, by model, data set and target.

    A side that was asked for as one case is compared with what has its data set, and its target where several have.
    """
    pairs = []
    for a in reference.cases:
        for b in other.cases:
            same = (a.facts.dataset, a.facts.target) == (b.facts.dataset, b.facts.target)
            alone = len(reference.cases) == len(other.cases) == 1 and a.facts.dataset == b.facts.dataset
            chosen = reference.chosen or other.chosen
            if alone or (same and (chosen or a.facts.model == b.facts.model)):
                pairs.append((a, b))
    return pairs
