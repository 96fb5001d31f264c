"""Carries out the searches of a suite: trials one after another, each an ordinary job, until the budget is spent.

A trial trains, predicts the validation split and is scored there. No job of a search is given the test split: what it
is planned with has the validation split in its place. A search that was interrupted goes on with the trial that was
under way, because all that is known of a trial stands in the run's files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench.errors import BenchError
from bench.metric import load_metric
from bench.records import Case, as_json_dict, digest
from bench.records.store.layout import RunFolder
from bench.records.store.studies import Study, StudyView, Trial, TrialView, read_study, study_view, write_study
from bench.run.console import ForwardingConsole, RunConsole
from bench.run.environments.interpreters import Interpreters
from bench.run.executor import Executor
from bench.run.expected import Expectation, duration
from bench.run.planning.prepare import Prepared
from bench.run.runner import Runner, Steps, Wanted
from bench.run.tuning.proposals import Proposal, Proposals, optuna_version
from bench.run.tuning.pruning import TrialExecutor
from bench.score.runs import Scoring, scoring_of
from bench.suite.jobs import CasePlan
from bench.suite.tuning import PlannedSearch, final_cases, require_recipe

HOPELESS = 3
"""A search of which so many trials failed and none came to a score is given up: the next ones would fail, too."""


@dataclass(frozen=True)
class Searched:
    """The results of the searches of a suite.

    Attributes:
        prepared: The suite with the best recipes in the place of the first ones.
        wanted: Jobs that were asked for, without those of cases that have no best recipe.
        failed: Ids of cases that were asked for and have no best recipe: no trial of their search came to a score.
    """

    prepared: Prepared
    wanted: Wanted
    failed: tuple[str, ...] = ()


def search(
    prepared: Prepared,
    run: RunFolder,
    results: Path,
    *,
    console_for: Callable[[int], RunConsole],
    wanted: Wanted,
    executor: Executor,
) -> Searched:
    """Carry out the searches of a suite as far as they are not done, and take the best recipes.

    Args:
        prepared: The suite; its plan is written.
        run: Folder of the run, which gets the trials' files; the caller holds its lock.
        results: Folder in which finished trainings of other runs are looked for.
        console_for: Makes the console, given the number of jobs to do.
        wanted: Jobs that were asked for; a search none of whose best models is to be trained is left as it is.
        executor: Carries the jobs out; the caller closes it.

    Raises:
        BenchError: If Optuna is not installed, or the record of a search is damaged.
        KeyboardInterrupt: After the job in flight has been ended.
    """
    asked = {plan.case.id for plan in prepared.cases if plan.train is not None and wanted(plan.train)}
    for planned in prepared.searches:
        if any(case.id in asked for case in planned.finals) and not _is_done(prepared, planned, run):
            _Search(prepared, planned, run, results, console_for, executor).carry_out()
    found, without = with_best(prepared, run)
    return Searched(found, lambda job: job.case_id not in without and wanted(job), tuple(sorted(without & asked)))


def with_best(prepared: Prepared, run: RunFolder | None) -> tuple[Prepared, frozenset[str]]:
    """Return a suite with the best recipes that its searches in a run found, and ids of cases that have none yet."""
    plans = {plan.case.id: plan for plan in prepared.cases}
    without: set[str] = set()
    for planned in prepared.searches:
        view = None if run is None else study_of(prepared, planned, run)
        best = view.best if view is not None and over(prepared, view) is not None else None
        if best is None:
            without |= {case.id for case in planned.finals}
            continue
        assert prepared.plan_case is not None
        for case in final_cases(planned, best.trial.values):
            plans[case.id] = prepared.plan_case(case)
    return replace(prepared, cases=tuple(plans.values())), frozenset(without)


def study_of(prepared: Prepared, planned: PlannedSearch, run: RunFolder) -> StudyView | None:
    """Return a search as far as it got in a run; None where there is none, or another one of its name."""
    study = read_study(run, planned.name)
    return None if study is None or study.digest != _digest(prepared, planned) else study_view(run, study)


def over(prepared: Prepared, view: StudyView) -> str | None:
    """Return why no further trial of a search begins, None where one does."""
    tune, ended = prepared.suite.tune, sum(one.state != "unfinished" for one in view.trials)
    assert tune is not None
    if any(one.state == "unfinished" for one in view.trials):
        return None
    if tune.trials is not None and ended >= tune.trials:
        return f"all {tune.trials} trials are done"
    if tune.hours is not None and view.seconds >= 3600 * tune.hours:
        return f"its {tune.hours:g} hours are spent"
    return f"each of its first {ended} trials failed" if _is_hopeless(view) else None


def _is_done(prepared: Prepared, planned: PlannedSearch, run: RunFolder) -> bool:
    view = study_of(prepared, planned, run)
    return view is not None and view.best is not None and view.study.ended == over(prepared, view) is not None


def _is_hopeless(view: StudyView) -> bool:
    return len(view.trials) >= HOPELESS and view.count("failed") == len(view.trials)


def _digest(prepared: Prepared, planned: PlannedSearch) -> str:
    """Return the digest of all that decides the trials of a search beside their budget."""
    tune = prepared.suite.tune
    assert prepared.plan_case is not None
    assert tune is not None
    plan = prepared.plan_case(planned.case)
    method = {name: value for name, value in as_json_dict(tune).items() if name not in ("trials", "hours")}
    return digest([planned.metric, plan.train.key if plan.train else "", plan.predict.key, method])


@dataclass(frozen=True)
class _Trials:
    """The plan of one trial, as the runner takes it."""

    cases: tuple[CasePlan, ...]
    interpreters: Interpreters


class _TrialConsole(ForwardingConsole):
    """Tells of the jobs of one trial after the other."""

    def expect(self, expectation: Expectation) -> None:
        """Say nothing: how long a search takes is told by its trials."""


class _Search:
    """One search that is carried out."""

    def __init__(
        self,
        prepared: Prepared,
        planned: PlannedSearch,
        run: RunFolder,
        results: Path,
        console_for: Callable[[int], RunConsole],
        executor: Executor,
    ) -> None:
        assert prepared.suite.tune is not None
        self._prepared, self._planned, self._tune = prepared, planned, prepared.suite.tune
        self._run, self._results, self._executor = run, results, executor
        self._plan = prepared.plan.model_copy(update={"metrics": (planned.metric,)})
        self._view = self._begun()
        self._console = console_for(2 * max(0, (self._tune.trials or 0) - len(self._ended())))

    def carry_out(self) -> None:
        """Try recipes until the budget is spent."""
        proposals = Proposals(self._view.study)
        ended, unfinished = self._ended(), [one for one in self._view.trials if one.state == "unfinished"]
        proposals.take_up(ended)
        if ended:
            self._console.note(f"{self._planned.name}: goes on after {len(ended)} trials")
        if proposals.differs:
            self._console.note(
                f"{self._planned.name}: this version of Optuna would have proposed other recipes than those of "
                f"{self._view.study.optuna}; the trials that are there stand"
            )
        self._expect_trials()
        for one in unfinished:
            self._try(proposals, proposals.again(one.trial.params), one.trial)
        while (why := over(self._prepared, self._view)) is None:
            proposal = proposals.next()
            self._try(proposals, proposal, self._added(proposal))
        self._end(why)

    def _begun(self) -> StudyView:
        """Return the search as far as it got; one of the same name with another space begins anew."""
        found, digest_now = read_study(self._run, self._planned.name), _digest(self._prepared, self._planned)
        if found is None or found.digest != digest_now:
            found = Study(
                name=self._planned.name,
                digest=digest_now,
                tune=self._tune,
                metric=self._planned.metric,
                higher_is_better=load_metric(self._planned.metric).higher_is_better,
                final_ids=(),
                optuna=optuna_version(),
            )
        finals = tuple(case.id for case in self._planned.finals)
        study = found.model_copy(update={"tune": self._tune, "final_ids": finals, "ended": None})
        if _is_hopeless(study_view(self._run, study)):  # whoever asks again may have fixed what made them fail
            study = study.model_copy(update={"trials": ()})
        write_study(self._run, study)
        return study_view(self._run, study)

    def _ended(self) -> list[TrialView]:
        return [one for one in self._view.trials if one.state != "unfinished"]

    def _expect_trials(self) -> None:
        """Tell the executor how many trainings and predictions there will be, roughly."""
        left = (self._tune.trials or 2) - len(self._ended())
        probe = self._plan_trial(self._planned.case)
        self._executor.expect(job for _ in range(left) for job in (probe.train, probe.predict) if job is not None)

    def _plan_trial(self, case: Case) -> CasePlan:
        assert self._prepared.plan_case is not None
        return self._prepared.plan_case(case)

    def _added(self, proposal: Proposal) -> Trial:
        """Write down what is tried next, before it is tried."""
        number = len(self._view.trials)
        plan = self._plan_trial(require_recipe(self._planned, number, proposal.values))
        trial = Trial(
            number=number, params=proposal.params, values=proposal.values, planned=self._prepared.planned(plan)
        )
        study = self._view.study
        self._write(study.model_copy(update={"trials": (*study.trials, trial)}))
        return trial

    def _write(self, study: Study) -> None:
        write_study(self._run, study)
        self._view = study_view(self._run, study)

    def _try(self, proposals: Proposals, proposal: Proposal, trial: Trial) -> None:
        """Train, predict and score a trial as far as that is not done, and learn from it."""
        plan = self._plan_trial(trial.planned.case)
        console = _TrialConsole(self._console)
        executor = TrialExecutor(self._executor, self._judge(proposal) if self._tune.pruner != "none" else None)
        work = _Trials((plan,), self._prepared.interpreters)
        with Runner(work, self._run, self._results, lambda _: console, lambda _: True, executor) as runner:
            runner.carry_out([self._steps(runner, plan)])
        self._view = study_view(self._run, self._view.study)
        view = self._view.trials[trial.number]
        if view.state == "unfinished":
            raise BenchError(
                f"{self._planned.name}: trial {trial.number + 1} could not be scored; what is done so far is kept. See "
                f"the line above, and {self._run.jobs}"
            )
        proposals.learn(proposal, view)
        self._console.note(self._describe(view))

    def _steps(self, runner: Runner, plan: CasePlan) -> Steps:
        for step in (runner.train, runner.predict):
            if not (yield from step(plan)):
                return False
        runner.score(plan, self._score, lambda _: None)
        return True

    def _score(self, plan: CasePlan, predictions: Path) -> Scoring | None:
        return scoring_of(self._run, self._plan, self._prepared.planned(plan), predictions)

    def _judge(self, proposal: Proposal) -> Callable[[int, float | None], str | None]:
        def judge(number: int, value: float | None) -> str | None:
            proposal.report(number, value)
            if value is None or not proposal.is_hopeless:
                return None
            return f"ended by {self._tune.pruner} at validation {number + 1}, which came to {value:.4g}"

        return judge

    def _describe(self, view: TrialView) -> str:
        """Return what a trial came to in a line, and the best so far."""
        number, of = view.trial.number + 1, f" of {self._tune.trials}" if self._tune.trials is not None else ""
        values = ", ".join(f"{field} {_word(value)}" for field, value in view.trial.values.items())
        came_to = {
            "complete": f"{self._planned.metric} {view.value:.4f} on validation" if view.value is not None else "",
            "pruned": view.reason or "pruned",
            "failed": f"failed: {view.reason}",
        }[view.state]
        best = self._view.best
        so_far = (
            "" if best is None or best.value is None else f"; best {best.value:.4f} (trial {best.trial.number + 1})"
        )
        spent = f"; {duration(self._view.seconds)} of {self._tune.hours:g} h" if self._tune.hours is not None else ""
        return f"{self._planned.name}: trial {number}{of}: {values}: {came_to}{so_far}{spent}"

    def _end(self, why: str) -> None:
        best = self._view.best
        self._write(self._view.study.model_copy(update={"ended": why}))
        if best is None:
            self._console.note(
                f"{self._planned.name}: {why} ({self._view.counts}); there is no best recipe, and none is trained"
            )
        else:
            self._console.note(
                f"{self._planned.name}: {why} ({self._view.counts}); trial {best.trial.number + 1} is the best"
            )


def _word(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
