"""Score the cases of a run and keep scores and statistics where reports find them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.data.labels.dataset import open_labelled
from bench.data.labels.predictions import table_digest, table_for
from bench.errors import BenchError
from bench.metric import metric_module
from bench.records import Case, CaseScores
from bench.records.names import fault_outside
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


@dataclass(frozen=True)
class Scoring:
    """The computation of a case's scores; any process that sees the folders may do it, and comes to the same scores.

    Attributes:
        metrics: Names of the metrics, in the order of the scores.
        predictions: Folder of its stored predictions.
        validation: Folder of the probabilities on which thresholds are chosen, where they are not beside these.
    """

    run: RunFolder
    planned: PlannedCase
    metrics: tuple[str, ...]
    seed: int
    predictions: Path
    validation: Path | None

    def with_absolute_paths(self) -> Scoring:
        """Return the same for a process that works in another folder."""
        validation = None if self.validation is None else self.validation.resolve()
        run = RunFolder(self.run.path.resolve())
        return replace(self, run=run, predictions=self.predictions.resolve(), validation=validation)

    def compute(self) -> CaseScores:
        """Score the case, and write its scores and statistics; raises `BenchError` if its predictions are damaged.

        So it does if a metric or a data set from outside of this tree raises anything.
        """
        planned, predictions = self.planned, self.predictions
        dataset = open_labelled(planned.case.dataset)
        read_index(predictions)  # says what to do where there is none
        try:
            scored = score_case(
                planned.case,
                planned.task,
                dataset,
                predictions,
                self.metrics,
                predict_key=planned.predict_key,
                seed=self.seed,
                validation=self.validation,
            )
        except AlteredPrediction as error:
            # From now on the job is a row that says so, and the next run predicts again.
            write_atomically(predictions.parent / layout.DAMAGED, f"{error}\n")
            raise
        except BenchError:
            raise
        except Exception as error:  # a module of the user's stops its case, and nothing else
            told = fault_outside(error)
            if told is None:
                raise
            raise BenchError(f"{told}. Correct it; the same command scores the case then") from error
        file, statistics = self._files()
        save_statistics(scored.statistics, statistics)
        scores = scored.scores.model_copy(
            update={
                "statistics_sha256": content_sha256(statistics),
                "predictions_sha256": content_sha256(predictions / layout.PREDICTION_INDEX),
                "code": score_code(self.metrics, planned),
            }
        )
        write_record(file, scores)
        return scores

    def record(self) -> None:
        """Have the manifest name what was written; the caller holds the run's lock."""
        file, statistics = self._files()
        record_facts(self.run, [statistics, file])

    def _files(self) -> tuple[Path, Path]:
        return self.run.scores(self.planned.case.id), self.run.statistics(self.planned.case.id)


def scoring_of(
    run: RunFolder, plan: Plan, planned: PlannedCase, predictions: Path, *, again: bool = False
) -> Scoring | None:
    """Return what is to be computed of a case; None where its scores are up to date.

    Args:
        plan: Plan with the metrics, the task and the seed.
        predictions: Folder of its stored predictions.
        again: True scores even if scores of these predictions by these metric versions are there.
    """
    if not again and why_score_again(run, plan, planned, predictions) is None:
        return None
    return Scoring(run, planned, plan.metrics, plan.seed, predictions, validation_of(run, plan, planned.case))


def validation_of(run: RunFolder, plan: Plan, case: Case) -> Path | None:
    """Return the folder of the probabilities that choose the thresholds of a case whose images are shifted.

    They are those of the case on the images as they are; None for that one itself.
    """
    if case.shift is None:
        return None
    clean = plan.by_id.get(case.shift.of)
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
    code = score_code(plan.metrics, planned)
    if stored.code != code:
        return f"code: {changed_files(as_key_part(stored.code), as_key_part(code))}"
    return None


def score_code(metrics: Sequence[str], planned: PlannedCase) -> Code:
    """Return the code of the harness that can change a score of a case."""
    modules = ("bench.score.scoring", "bench.data.labels.predictions", f"bench.datasets.{planned.case.dataset.name}")
    return code_behind((*modules, *map(metric_module, metrics)))


def _mapping(planned: PlannedCase) -> str:
    """Return the digest of the table from the model's classes to the suite's; empty where it predicts these."""
    if planned.case.model.trained_on is None:
        return ""
    return table_digest(table_for(planned.case.model, open_labelled(planned.case.dataset)))
