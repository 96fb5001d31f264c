"""Decides whether a case was reproduced: its predictions, its scores and its latency, each with the reason.

On a CPU predictions and scores must be equal to the last bit. On a GPU the order of additions is not
fixed, so a share of the pixels may get another class and scores may move by as much as is stated.
Latency is compared on the same class of machine only, and only where both sides were timed in
several processes: one process cannot tell how much processes differ. A few of them still say too
little of the next, so that a small change is let pass whatever its interval.
"""

from __future__ import annotations

from typing import Literal

from bench.errors import BenchError, StoreError
from bench.records import CaseScores, Record, Status
from bench.records.store import layout
from bench.records.store.prediction_index import read_index
from bench.records.store.views import CaseView, JobView
from bench.report.summary.compare import latency_ratio
from bench.report.summary.latency import end_to_end_ms
from bench.run.repro.differences import Difference
from bench.run.repro.repeat import machine_of
from bench.score.changed_pixels import changed_pixels

GPU_CHANGED_PIXELS = 0.001
"""Share of changed pixels up to which a GPU's predictions count as reproduced."""
GPU_SCORE = 0.001
"""Change of a score, on its scale of 0-1, up to which it counts as reproduced on a GPU."""
LATENCY = 0.02
"""Change of the median latency that counts as the same: two runs of one suite on one machine differ by as much."""

Answer = Literal["reproduced", "not reproduced", "cannot be compared"]


class Tolerance(Record):
    """Allowed differences: of changed pixels and scores on a GPU, and relative ones of median latencies everywhere."""

    changed_pixels: float = GPU_CHANGED_PIXELS
    score: float = GPU_SCORE
    latency: float = LATENCY


class Finding(Record):
    """The answer of one comparison, with its reason."""

    what: Literal["predictions", "scores", "latency"]
    answer: Answer
    reason: str


class CaseAnswer(Record):
    """The answer of one case.

    Attributes:
        case_id: Id of the case.
        answer: `reproduced` if predictions and scores are and latency is or could not be compared.
        reason: Reason of an answer for the case as a whole; empty where the findings say it.
        findings: Findings of the comparison.
        weights: The weights that the case ran with, in words.
    """

    case_id: str
    answer: Answer
    reason: str = ""
    findings: tuple[Finding, ...] = ()
    weights: str = ""


class RepetitionVerdict(Record):
    """The findings of `bench repro`, an answer for each case; `repro.json` in the folder of the repetition.

    `record` is the folder of the run that was repeated, `differences` are those between its record and this machine.
    """

    record: str
    tolerance: Tolerance
    differences: tuple[Difference, ...]
    cases: tuple[CaseAnswer, ...]

    @property
    def reproduced(self) -> bool:
        """Return whether something was compared, and all of it was reproduced."""
        answers = {case.answer for case in self.cases}
        return "reproduced" in answers and "not reproduced" not in answers


def answer_for(old: CaseView, new: CaseView, tolerance: Tolerance, *, machine: str, retrained: bool) -> CaseAnswer:
    """Compare a case of the record with its repetition on a class of machine; `retrained` if it was trained again."""
    failed = _failure(new)
    if failed is not None:
        return failed
    if retrained and old.case.recipe is not None and old.case.recipe.budget.seconds is not None:
        reason = (
            f"its training ends after {old.case.recipe.budget.seconds:g} s, so that each is another; only its stored "
            "weights can be compared, without --retrain"
        )
        return CaseAnswer(case_id=new.case.id, answer="cannot be compared", reason=reason)
    exact = not old.case.target.device.startswith(("cuda", "mps"))
    findings = (_predictions(old, new, tolerance, exact=exact), _scores(old, new, tolerance, exact=exact))
    timed = _latency(old, new, tolerance, same_machine=machine_of(old) == machine)
    answers = {finding.answer for finding in findings}
    answer: Answer = "reproduced"
    if "not reproduced" in {*answers, timed.answer}:
        answer = "not reproduced"
    elif "cannot be compared" in answers:
        answer = "cannot be compared"
    return CaseAnswer(case_id=new.case.id, answer=answer, findings=(*findings, timed))


def _failure(new: CaseView) -> CaseAnswer | None:
    """The answer of a case that did not run to its predictions."""
    jobs = [job for job in (new.train, new.export, new.predict) if job is not None and job.outcome is not None]
    for job in jobs:
        if job.outcome is not None and not job.ok:
            missing = job.outcome.status in (Status.UNSUPPORTED, Status.ENVIRONMENT_ERROR, Status.USAGE_ERROR)
            return CaseAnswer(
                case_id=new.case.id,
                answer="cannot be compared" if missing else "not reproduced",
                reason=f"its {job.job.kind} job ended as {job.outcome.status.value}: {job.outcome.reason}",
            )
    if new.predict is None or not new.predict.ok:
        return CaseAnswer(case_id=new.case.id, answer="cannot be compared", reason="it was not predicted")
    return None


def _predictions(old: CaseView, new: CaseView, tolerance: Tolerance, *, exact: bool) -> Finding:
    recorded, here = _hashes(old.predict), _hashes(new.predict)
    if recorded is None or here is None:
        whose = "the record" if recorded is None else "the repetition"
        return Finding(what="predictions", answer="cannot be compared", reason=f"{whose} has none any more")
    if set(recorded) != set(here):
        return Finding(
            what="predictions",
            answer="not reproduced",
            reason=f"of other images: {len(recorded)} recorded, {len(here)} now",
        )
    differing = [image_id for image_id, digest in recorded.items() if here[image_id] != digest]
    if not differing:
        return Finding(what="predictions", answer="reproduced", reason=f"all {len(here)} equal, bit for bit")
    share = _changed_share(old, new)
    said = f"{len(differing)} of {len(here)} differ, first {differing[0]!r}"
    said += "" if share is None else f"; {100 * share:.4f} % of the pixels have another class"
    if exact or share is None:
        return Finding(what="predictions", answer="not reproduced", reason=said)
    return Finding(
        what="predictions",
        answer="reproduced" if share <= tolerance.changed_pixels else "not reproduced",
        reason=f"{said} (up to {100 * tolerance.changed_pixels:g} % may)",
    )


def _hashes(job: JobView | None) -> dict[str, str] | None:
    """Image -> content hash of its prediction; None if they are not there."""
    file = None if job is None else job.folder / layout.PREDICTIONS / layout.PREDICTION_INDEX
    if file is None or not file.is_file():
        return None
    try:
        return read_index(file.parent)
    except StoreError:
        return None  # what is damaged says nothing about how a model predicts


def _changed_share(old: CaseView, new: CaseView) -> float | None:
    """Share of pixels with another class over all images; None where predictions are no label maps, or are gone."""
    if old.predict is None or new.predict is None:
        return None
    try:
        counted = changed_pixels(old.predict, new.predict).values()
    except (BenchError, OSError):
        return None  # A run may have been copied without its predictions.
    pixels, changed = (sum(counts[i] for counts in counted) for i in (0, 1))
    return changed / pixels if pixels else None


def _scores(old: CaseView, new: CaseView, tolerance: Tolerance, *, exact: bool) -> Finding:
    if old.scores is None or new.scores is None:
        whose = "the record" if old.scores is None else "the repetition"
        return Finding(what="scores", answer="cannot be compared", reason=f"{whose} has none")
    if _definitions(old.scores) != _definitions(new.scores):
        return Finding(
            what="scores",
            answer="cannot be compared",
            reason="a metric's definition has another version since; take the harness at its commit",
        )
    allowed = 0.0 if exact else tolerance.score
    pairs = list(zip(old.scores.scores, new.scores.scores, strict=True))
    off = [(a, b) for a, b in pairs if not _agree(a.value, b.value, allowed)]
    bound = "equal" if exact else f"within {allowed:g}"
    if not off:
        values = ", ".join(f"{b.metric} {_shown(b.value)}" for _, b in pairs)
        return Finding(what="scores", answer="reproduced", reason=f"{bound}: {values}")
    said = ", ".join(f"{a.metric} {_shown(a.value)} -> {_shown(b.value)}" for a, b in off)
    return Finding(what="scores", answer="not reproduced", reason=f"not {bound}: {said}")


def _definitions(scores: CaseScores) -> list[tuple[str, int]]:
    return [(score.metric, score.version) for score in scores.scores]


def _agree(recorded: float | None, here: float | None, allowed: float) -> bool:
    if recorded is None or here is None:
        return recorded is here
    return abs(recorded - here) <= allowed


def _shown(value: float | None) -> str:
    return "undefined" if value is None else repr(round(value, 6))


def _latency(old: CaseView, new: CaseView, tolerance: Tolerance, *, same_machine: bool) -> Finding:
    why = _why_no_latency(old, new, same_machine=same_machine)
    if why:
        return Finding(what="latency", answer="cannot be compared", reason=why)
    processes = [end_to_end_ms(view.samples()) for view in (new, old)]
    ratio = latency_ratio(processes[0], processes[1])
    if ratio.low is None or ratio.high is None:
        why = "timed in a single process, which cannot tell how much processes differ; set measurement.replicates"
        return Finding(what="latency", answer="cannot be compared", reason=why)
    same = ratio.low <= 1 + tolerance.latency and ratio.high >= 1 - tolerance.latency
    said = (
        f"end-to-end median {ratio.ratio:.3f} × the record's, 95 % interval {ratio.low:.3f}-{ratio.high:.3f} "
        f"(1 ± {tolerance.latency:g} is the same)"
    )
    return Finding(what="latency", answer="reproduced" if same else "not reproduced", reason=said)


def _why_no_latency(old: CaseView, new: CaseView, *, same_machine: bool) -> str:
    """Return why two latencies cannot be compared; empty if they can."""
    if not any(job.ok for job in old.times):
        return "the record has none"
    if not same_machine:
        return "this machine is of another class: other processor, cores, GPUs or driver"
    if not any(job.ok for job in new.times):
        return "was not measured again"
    invalid = [
        reason for view in (old, new) for job in view.times if job.outcome for reason in job.outcome.facts.invalid
    ]
    if invalid:
        return f"a measurement must not be used: {invalid[0]}"
    return ""
