"""Score the cases of a run and keep scores and statistics where reports find them."""

from __future__ import annotations

from pathlib import Path

from bench.data.labels.dataset import open_labelled
from bench.data.labels.predictions import table_digest, table_for
from bench.dataset import Dataset
from bench.metric import load_metric
from bench.records import CaseScores
from bench.records.store import layout
from bench.records.store.files import content_sha256, write_atomically, write_record
from bench.records.store.layout import RunFolder
from bench.records.store.manifest import record_facts
from bench.records.store.prediction_index import AlteredPrediction, read_index
from bench.records.store.runs import is_of, read_scores
from bench.records.store.statistics import save_statistics
from bench.records.store.views import Plan, PlannedCase
from bench.score.scoring import score_case


def score_planned_case(
    run: RunFolder, plan: Plan, planned: PlannedCase, predictions: Path, *, again: bool = False
) -> CaseScores:
    """Score one case from its stored predictions, unless its scores are up to date.

    Args:
        run: The run it belongs to.
        plan: For the metrics, the task and the seed.
        planned: The case.
        predictions: Folder of its stored predictions.
        again: Score even if scores of these predictions by these metric versions are there.

    Raises:
        BenchError: If predictions are missing or damaged.
    """
    file, statistics = run.scores(planned.case.id), run.statistics(planned.case.id)
    dataset: Dataset | None = None
    mapping = ""
    if planned.case.model.trained_on is not None:
        dataset = open_labelled(planned.case.dataset)
        mapping = table_digest(table_for(planned.case.model, dataset))
    found = read_scores(run, planned.case.id)
    stored = found.scores
    if not again and stored is not None and found.damage is None:
        fresh = is_of(stored, planned.predict_key, predictions) and stored.mapping == mapping
        if fresh and _versions(stored) == _wanted_versions(plan):
            return stored
    read_index(predictions)  # says what to do where there is none
    dataset = dataset or open_labelled(planned.case.dataset)
    try:
        scored = score_case(
            planned.case,
            planned.task,
            dataset,
            predictions,
            plan.metrics,
            predict_key=planned.predict_key,
            seed=plan.seed,
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
        }
    )
    write_record(file, scores)
    record_facts(run, [statistics, file])
    return scores


def _versions(scores: CaseScores) -> list[tuple[str, int]]:
    return [(score.metric, score.version) for score in scores.scores]


def _wanted_versions(plan: Plan) -> list[tuple[str, int]]:
    return [(name, load_metric(name).version) for name in plan.metrics]
