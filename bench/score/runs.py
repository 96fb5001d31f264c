"""Score the cases of a run and keep scores and statistics where reports find them."""

from __future__ import annotations

from pathlib import Path

from bench.data.labels.dataset import open_labelled
from bench.data.labels.predictions import table_digest, table_for
from bench.metric import metric_module
from bench.records import Case, CaseScores
from bench.records.store import layout
from bench.records.store.code import Code, as_key_part, changed_files, code_behind
from bench.records.store.files import content_sha256, write_atomically, write_record
from bench.records.store.layout import RunFolder
from bench.records.store.manifest import record_facts
from bench.records.store.prediction_index import AlteredPrediction, read_index
from bench.records.store.runs import find_job, is_of, read_scores
from bench.records.store.statistics import save_statistics
from bench.records.store.views import Plan, PlannedCase
from bench.score.scoring import score_case


def score_planned_case(
    run: RunFolder, plan: Plan, planned: PlannedCase, predictions: Path, *, again: bool = False
) -> CaseScores:
    """Score one case from its stored predictions, unless its scores are up to date.

    Args:
        run: The run it belongs to.
        plan: Plan with the metrics, the task and the seed.
        planned: The case.
        predictions: Folder of its stored predictions.
        again: Score even if scores of these predictions by these metric versions are there.

    Raises:
        BenchError: If predictions are missing or damaged.
    """
    file, statistics = run.scores(planned.case.id), run.statistics(planned.case.id)
    found = read_scores(run, planned.case.id)
    if not again and found.scores is not None and why_score_again(run, plan, planned, predictions) is None:
        return found.scores
    dataset = open_labelled(planned.case.dataset)
    read_index(predictions)  # says what to do where there is none
    try:
        scored = score_case(
            planned.case,
            planned.task,
            dataset,
            predictions,
            plan.metrics,
            predict_key=planned.predict_key,
            seed=plan.seed,
            validation=validation_of(run, plan, planned.case),
        )
    except AlteredPrediction as error:
        # From now on the job is a row that says so, and the next run predicts again.
        write_atomically(predictions.parent / layout.DAMAGED, f"{error}\n")
        raise
    save_statistics(scored.statistics, statistics)
    scores = scored.scores.model_copy(
        update={
            "statistics_sha256": content_sha256(statistics),
            "predictions_sha256": content_sha256(predictions / layout.PREDICTION_INDEX),
            "code": score_code(plan, planned),
        }
    )
    write_record(file, scores)
    record_facts(run, [statistics, file])
    return scores


def validation_of(run: RunFolder, plan: Plan, case: Case) -> Path | None:
    """Return the folder of the probabilities that choose the thresholds of a case whose images are shifted.

    They are those of the case on the images as they are; None for that one itself.
    """
    if case.shift is None:
        return None
    clean = next((one for one in plan.cases if one.case.id == case.shift.of), None)
    view = None if clean is None else find_job(run, "predict", clean.predict_key)
    return None if view is None else view.folder / layout.VALIDATION


def why_score_again(run: RunFolder, plan: Plan, planned: PlannedCase, predictions: Path) -> str | None:
    """Return why the scores of a case do not stand any more; None if they do, `no scores yet` if there are none."""
    found = read_scores(run, planned.case.id)
    stored = found.scores
    if stored is None or found.damage is not None:
        return found.damage.reason if found.damage is not None else "no scores yet"
    if not is_of(stored, planned.predict_key, predictions):
        return "they are of other predictions"
    if stored.mapping != _mapping(planned):
        return "classes of the model are mapped otherwise"
    if [score.metric for score in stored.scores] != list(plan.metrics):
        return "the suite asks for other metrics"
    code = score_code(plan, planned)
    if stored.code != code:
        return f"code: {changed_files(as_key_part(stored.code), as_key_part(code))}"
    return None


def score_code(plan: Plan, planned: PlannedCase) -> Code:
    """Return the code of the harness that can change a score of a case."""
    metrics = map(metric_module, plan.metrics)
    modules = ("bench.score.scoring", "bench.data.labels.predictions", f"bench.datasets.{planned.case.dataset.name}")
    return code_behind((*modules, *metrics))


def _mapping(planned: PlannedCase) -> str:
    """Return the digest of the table by which predictions become the suite's classes; empty where the model predicts
    these.
    """
    if planned.case.model.trained_on is None:
        return ""
    return table_digest(table_for(planned.case.model, open_labelled(planned.case.dataset)))
