"""Makes curves of the probabilities of a case: its reliability, its errors by confidence, its scores by threshold."""

from __future__ import annotations

from collections.abc import Sequence

from bench.metrics import auprc, ece, selective_accuracy, threshold_dice
from bench.records import Record
from bench.records.store.statistics import load_statistics
from bench.records.store.views import CaseView

Points = tuple[tuple[float, ...], ...]


class ProbabilityCurves(Record):
    """The curves of a case; empty ones were not asked for.

    Attributes:
        case_id, dataset: Case and data set that the curves belong to.
        reliability: (mean confidence, share right, share of pixels) of each bin of `ece`.
        risk: (coverage, share of wrong pixels among the surest).
        thresholds: (tau, IoU, Dice), means over classes without background.
        precision: (recall, precision), means over classes without background.
        taus: Class name -> threshold that was chosen.
        taus_from: Images on which the thresholds were chosen, in words.
        kept_bytes: Size of the stored probabilities on disk, bytes.
        quantisation_error: Largest error that rounding gives a stored probability.
    """

    case_id: str
    dataset: str
    reliability: Points = ()
    risk: Points = ()
    thresholds: Points = ()
    precision: Points = ()
    taus: dict[str, float] = {}
    taus_from: str = ""
    kept_bytes: int | None = None
    quantisation_error: float | None = None


def probability_curves(views: Sequence[CaseView]) -> tuple[ProbabilityCurves, ...]:
    """Return the curves of every case whose probabilities were scored."""
    kept = [view for view in views if view.case.keep and view.scores is not None and view.statistics is not None]
    found = [_curves(view) for view in kept]
    return tuple(one for one in found if one is not None)


def _curves(view: CaseView) -> ProbabilityCurves | None:
    assert view.scores is not None
    assert view.statistics is not None
    arrays, classes = load_statistics(view.statistics).arrays, view.task.classes
    confidence = arrays.get(ece.METRIC.statistic)
    if confidence is None:
        return None
    levels = arrays.get(auprc.METRIC.statistic)
    by_class = None if levels is None else levels.sum(axis=0)
    counts = confidence.sum(axis=0)
    chosen = next((score for score in view.scores.scores if score.taus), None)
    facts = view.predict.outcome.facts if view.predict is not None and view.predict.outcome is not None else None
    return ProbabilityCurves(
        case_id=view.case.id,
        dataset=view.case.dataset.label,
        reliability=tuple(ece.reliability(counts)),
        risk=tuple(selective_accuracy.risk_coverage(counts)),
        thresholds=() if by_class is None else tuple(threshold_dice.curve(by_class, classes)),
        precision=() if by_class is None else tuple(auprc.precision_recall(by_class, classes)),
        taus={} if chosen is None else chosen.taus,
        taus_from="" if chosen is None else chosen.taus_from,
        kept_bytes=None if facts is None else facts.kept_bytes,
        quantisation_error=None if facts is None else facts.quantisation_error,
    )
