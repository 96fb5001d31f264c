"""Holds the facts of a run against each other: hashes, predictions, scores, samples and the report.

Nothing is believed because it was verified before: every file is read once more. Nothing is written into the run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.data.labels.dataset import open_labelled
from bench.errors import BenchError
from bench.records import CaseScores
from bench.records.store import layout
from bench.records.store.files import content_sha256
from bench.records.store.layout import RunFolder
from bench.records.store.manifest import fact_states, manifest_damage, recorded_sha256
from bench.records.store.prediction_index import load_verified, read_index
from bench.records.store.runs import StoredScores, read_run, read_scores
from bench.records.store.statistics import Statistics, load_statistics
from bench.records.store.views import CaseView, JobView, RunView
from bench.report import write_report
from bench.report.summary.audit import EQUAL_PIXELS, audit_predictions
from bench.run.planning.fingerprints import Fingerprints
from bench.score.runs import validation_of
from bench.score.scoring import score_case

NOT_COMPARED = {"scored_at", "statistics_sha256", "predictions_sha256", "code"}
"""These fields of the scores of a case say when and by which code, or are hashes with checks of their own."""

Tell = Callable[[str], None]


@dataclass
class Finding:
    """One check of an audit: how many things it compared, and a line for each violation that was found.

    Tolerated are differences smaller than two processes on a device may show, a line each.
    """

    name: str
    compared: int = 0
    differences: list[str] = field(default_factory=list)
    tolerated: list[str] = field(default_factory=list)


def audit_run(run: RunFolder, results: Path, tell: Tell = lambda _: None) -> list[Finding]:
    """Check a run against its raw facts; `tell` gets a line before each check.

    Raises:
        BenchError: If it has no plan to read.
    """
    view = read_run(run, results)
    findings = []
    for name, check in CHECKS.items():
        tell(name)
        findings.append(Finding(name))
        check(view, findings[-1])
    return findings


def _manifest(view: RunView, found: Finding) -> None:
    """Check every fact against its hash, the manifest against its own chain, and every outcome for an entry."""
    run = view.folder
    if not run.manifest.is_file():
        found.differences.append("there is no manifest.jsonl: nothing was recorded to compare with")
        return
    damage = manifest_damage(run)
    found.differences += [f"{layout.MANIFEST}: {damage}"] if damage else []
    for name in fact_states(run):
        file = run.path / name
        found.compared += 1
        if not file.is_file():
            found.differences.append(f"{name} is missing")
        elif content_sha256(file) != recorded_sha256(run, file):
            found.differences.append(f"{name} is not what was written")
    for outcome in sorted(run.jobs.glob(f"*/{layout.OUTCOME}")):
        if recorded_sha256(run, outcome) is None:
            found.differences.append(f"{outcome.relative_to(run.path).as_posix()} has no hash in the manifest")


def _damages(view: RunView, found: Finding) -> None:
    found.compared = sum(len(case.jobs) for case in view.cases)
    for case in view.cases:
        found.differences += [f"{_of(case, job)}: {job.damage}" for job in case.jobs if job.damage is not None]
    damages = [*view.damages, *(damage for case in view.cases for damage in case.damages)]
    found.differences += [f"{damage.file}: {damage.reason}" for damage in damages]


def _predictions(view: RunView, found: Finding) -> None:
    """Check every stored prediction, those of timings too, against the index that the worker wrote."""
    for case, job in _ended_well(view):
        name = {"predict": layout.PREDICTIONS, "time": layout.AUDIT}.get(job.job.kind)
        if name is None:
            continue
        folder = job.folder / name
        try:
            index = read_index(folder)
        except BenchError as error:
            found.differences.append(f"{_of(case, job)}: {error}")
            continue
        for image_id in index:
            found.compared += 1
            try:
                load_verified(case.case.model.task, folder, image_id, index)
            except BenchError as error:
                found.differences.append(f"{_of(case, job)}: {error}")


def _timed(view: RunView, found: Finding) -> None:
    """Hold what was timed against what was scored: bit for bit on a processor, within `EQUAL_PIXELS` on a device."""
    for case, job in _ended_well(view):
        if job.job.kind != "time" or case.predict is None or not case.predict.ok:
            continue
        audit = audit_predictions(
            case.predict.folder / layout.PREDICTIONS,
            job.folder / layout.AUDIT,
            case.case.model.task,
            device=case.case.target.device,
        )
        found.compared += audit.compared
        differ, on_cpu = audit.compared - audit.identical, case.case.target.device == "cpu"
        if audit.ok is False and audit.reason is not None:
            found.differences.append(f"{_of(case, job)}: {audit.reason.seen}")
        elif differ:
            equal = "" if audit.equal_pixels is None else f", {100 * audit.equal_pixels:.4f} % equal pixels"
            told = f"{_of(case, job)}: {differ} of {audit.compared} predictions are not identical{equal}"
            if on_cpu:
                found.differences.append(f"{told}; on a processor two processes compute the same")
            else:
                found.tolerated.append(f"{told}; at least {100 * EQUAL_PIXELS:g} % are asked for on a device")


def _weights(view: RunView, found: Finding) -> None:
    """Check that each training left its weights, and that every other job ran these."""
    for case, job in _ended_well(view):
        assert job.outcome is not None
        facts = job.outcome.facts
        if facts.weights_sha256 is None:
            continue
        expected = facts.weights_sha256
        if job.job.kind == "train" and facts.weights_file is not None:
            file = job.folder / facts.weights_file
            found.compared += 1
            if not file.exists() or content_sha256(file) != expected:
                found.differences.append(f"{_of(case, job)}: {facts.weights_file} is not what the training wrote")
        elif job.job.weights_sha256 is not None:
            found.compared += 1
            if job.job.weights_sha256 != expected:
                found.differences.append(f"{_of(case, job)}: it ran other weights than those it was planned with")


def _scores(view: RunView, found: Finding) -> None:
    """Compute scores and statistics once more from the predictions and the ground truth, and compare."""
    fingerprints = Fingerprints()
    for case in view.cases:
        stored = read_scores(view.folder, case.case.id)
        if stored.scores is None or case.predict is None or not case.predict.ok:
            continue
        found.compared += len(stored.scores.scores)
        try:
            found.differences += [f"{case.case.id}: {line}" for line in _scored_again(view, case, stored, fingerprints)]
        except BenchError as error:
            found.differences.append(f"{case.case.id}: cannot be scored again: {error}")


def _scored_again(view: RunView, case: CaseView, stored: StoredScores, fingerprints: Fingerprints) -> Iterator[str]:
    scores, file = stored.scores, stored.statistics
    assert scores is not None
    assert case.predict is not None
    spec = case.case.dataset
    dataset = open_labelled(spec)
    if fingerprints.of(dataset, spec.label, spec.test, spec.max_images) != case.predict.job.dataset_fingerprint:
        yield f"data set {spec.label!r} is not the one that was predicted: its images or annotations changed"
        return
    again = score_case(
        case.case,
        case.task,
        dataset,
        case.predict.folder / layout.PREDICTIONS,
        [score.metric for score in scores.scores],
        predict_key=scores.predict_key,
        seed=view.plan.seed,
        validation=validation_of(view.folder, view.plan, case.case),
    )
    yield from _unequal_scores(scores, again.scores)
    if file is not None:
        yield from _unequal_statistics(load_statistics(file), again.statistics)


def _unequal_scores(stored: CaseScores, again: CaseScores) -> Iterator[str]:
    for old, new in zip(stored.scores, again.scores, strict=True):
        changed = [name for name in type(old).model_fields if getattr(old, name) != getattr(new, name)]
        if changed:
            told = f"{old.value} is stored, {new.value} comes out" if "value" in changed else ", ".join(changed)
            yield f"{old.metric} differs: {told}"
    rest = [name for name in CaseScores.model_fields if name not in {*NOT_COMPARED, "scores"}]
    yield from (f"{name} differs" for name in rest if getattr(stored, name) != getattr(again, name))


def _unequal_statistics(stored: Statistics, again: Statistics) -> Iterator[str]:
    if stored.image_ids != again.image_ids or stored.arrays.keys() != again.arrays.keys():
        yield "statistics are of other images or metrics"
        return
    for name, array in stored.arrays.items():
        if not np.array_equal(array, again.arrays[name], equal_nan=array.dtype.kind == "f"):
            yield f"statistics {name!r} differ"


def _report(view: RunView, found: Finding) -> None:
    """Make the report, tables and pictures once more from the facts, and compare with those that lie in the run."""
    with tempfile.TemporaryDirectory(prefix="bench-audit-") as folder:
        for file in write_report(view, Path(folder), anew=True):
            name = file.relative_to(folder).as_posix()
            published = view.folder.path / name
            found.compared += 1
            if not published.is_file():
                found.differences.append(f"{name} is missing; make it anew with: bench score RUN")
            elif published.read_bytes() != file.read_bytes():
                found.differences.append(f"{name} does not follow from the facts{_first_change(published, file)}")


CHECKS: dict[str, Callable[[RunView, Finding], None]] = {
    "files against the manifest": _manifest,
    "files that can be used": _damages,
    "predictions against their hashes": _predictions,
    "timed against scored predictions": _timed,
    "weights against their hashes": _weights,
    "scores from predictions": _scores,
    "report from facts": _report,
}
"""Name of each check -> what adds its differences to a finding, in order."""


def _first_change(published: Path, derived: Path) -> str:
    """Return the first line of a text that differs, as it is published."""
    if published.suffix == ".png":
        return ""
    old, new = (file.read_text(encoding="utf-8", errors="replace").splitlines() for file in (published, derived))
    changed = next((line for line, other in zip(old, [*new, *[""] * len(old)], strict=False) if line != other), "")
    return f", for example: {' '.join(changed.split())[:160]}"


def _ended_well(view: RunView) -> Iterator[tuple[CaseView, JobView]]:
    return ((case, job) for case in view.cases for job in case.jobs if job.ok)


def _of(case: CaseView, job: JobView) -> str:
    return f"{case.case.id}, {job.job.kind} r{job.job.replicate}"
