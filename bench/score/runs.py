"""Score the cases of a run and keep scores and statistics where reports find them."""

from __future__ import annotations

from pathlib import Path

from bench.data.labels.dataset import open_labelled
from bench.data.labels.predictions import table_digest, table_for
from bench.dataset import Dataset
from bench.metric import load_metric
from bench.records import CaseScores, read_record
from bench.records.store.files import write_record
from bench.records.store.layout import RunFolder
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
    file = run.scores(planned.case.id)
    dataset: Dataset | None = None
    mapping = ""
    if planned.case.model.trained_on is not None:
        dataset = open_labelled(planned.case.dataset)
        mapping = table_digest(table_for(planned.case.model, dataset))
    if not again and file.is_file():
        stored = read_record(CaseScores, file)
        fresh = stored.predict_key == planned.predict_key and stored.mapping == mapping
        if fresh and _versions(stored) == _wanted_versions(plan):
            return stored
    dataset = dataset or open_labelled(planned.case.dataset)
    scored = score_case(
        planned.case, planned.task, dataset, predictions, plan.metrics, predict_key=planned.predict_key, seed=plan.seed
    )
    save_statistics(scored.statistics, run.statistics(planned.case.id))
    write_record(file, scored.scores)
    return scored.scores


def _versions(scores: CaseScores) -> list[tuple[str, int]]:
    return [(score.metric, score.version) for score in scores.scores]


def _wanted_versions(plan: Plan) -> list[tuple[str, int]]:
    return [(name, load_metric(name).version) for name in plan.metrics]
