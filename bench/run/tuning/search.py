"""Carries out the searches of a suite: trials of ordinary jobs, as many at once as there are places for.

A trial trains, predicts the validation split and is scored there. No job of a search is given the test split: what it
is planned with has the validation split in its place. A search that was interrupted goes on with the trials that were
under way, because all that is known of a trial stands in the run's files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bench.errors import BenchError
from bench.metric import load_metric
from bench.records import Job, Tune, as_json_dict, digest
from bench.records.store.layout import RunFolder
from bench.records.store.studies import (
    Study,
    StudyView,
    Trial,
    TrialView,
    read_study,
    study_view,
    trial_view,
    write_study,
)
from bench.run.console import ForwardingConsole, RunConsole
from bench.run.executor import Executor
from bench.run.expected import Expectation, duration
from bench.run.planning.prepare import Prepared
from bench.run.runner import Runner, Steps, Wanted
from bench.run.tuning.engine import Proposal
from bench.run.tuning.proposals import Proposals, versions_of
from bench.run.tuning.pruning import TrialExecutor
from bench.score.runs import Scoring, scoring_of
from bench.suite.jobs import CasePlan
from bench.suite.tuning import PlannedSearch, final_cases, require_recipe

HOPELESS = 3
"""A search of which so many trials failed and none came to a score is given up: the next ones would fail, too."""


def search(
    prepared: Prepared,
    run: RunFolder,
    results: Path,
    *,
    console_for: Callable[[int], RunConsole],
    wanted: Wanted,
    executor: Executor,
) -> tuple[Prepared, Wanted, tuple[str, ...]]:
    """Carry out the searches of a suite as far as they are not done, and take the best recipes.

    The plan of the suite is written; the caller holds the lock of the run, and closes the executor. Trainings are
    looked for in all results. A search none of whose best models is wanted is left as it is.

    Returns:
        The suite with the best recipes in the place of the first ones; the jobs that were asked for, without those of
        cases that have no best recipe; and ids of these, where no trial of their search came to a score.

    Raises:
        BenchError: If Optuna is not installed, or the record of a search is damaged.
        KeyboardInterrupt: After the jobs in flight have been ended.
    """
    asked = {plan.case.id for plan in prepared.cases if plan.train is not None and wanted(plan.train)}
    ahead = [one for one in prepared.searches if any(case.id in asked for case in one.finals)]
    if ahead := [one for one in ahead if not _is_done(prepared, one, run)]:
        _carry_out(prepared, ahead, run, results, console_for, executor)
    found, without = with_best(prepared, run)
    return found, lambda job: job.case_id not in without and wanted(job), tuple(sorted(without & asked))


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
        for case in final_cases(planned, best.trial.values):
            plans[case.id] = prepared.plan_case(case)
    return replace(prepared, cases=tuple(plans.values())), frozenset(without)


def study_of(prepared: Prepared, planned: PlannedSearch, run: RunFolder) -> StudyView | None:
    """Return a search as far as it got in a run; None where there is none, or another one of its name."""
    study = read_study(run, planned.name)
    return None if study is None or study.digest != _digest(prepared, planned) else study_view(run, study)


def over(prepared: Prepared, view: StudyView) -> str | None:
    """Return why no further trial of a search begins and none is under way; None where there is more to do."""
    assert prepared.suite.tune is not None
    return None if view.count("unfinished") else _spent(prepared.suite.tune, view)


def _spent(tune: Tune, view: StudyView, running_s: float = 0.0) -> str | None:
    """Return why no further trial of a search begins; those under way have taken `running_s` so far."""
    if tune.trials is not None and len(view.trials) >= tune.trials:
        return f"all {tune.trials} trials are done"
    if tune.hours is not None and view.seconds + running_s >= 3600 * tune.hours:
        return f"its {tune.hours:g} hours are spent"
    return f"each of its first {view.count('failed')} trials failed" if _is_hopeless(view) else None


def _is_done(prepared: Prepared, planned: PlannedSearch, run: RunFolder) -> bool:
    view = study_of(prepared, planned, run)
    return view is not None and view.best is not None and view.study.ended == over(prepared, view) is not None


def _is_hopeless(view: StudyView) -> bool:
    ended = len(view.trials) - view.count("unfinished")
    return ended >= HOPELESS and view.count("failed") == ended


def _digest(prepared: Prepared, planned: PlannedSearch) -> str:
    """Return the digest of all that decides the trials of a search beside their budget."""
    tune = prepared.suite.tune
    assert tune is not None
    plan = prepared.plan_case(planned.case)
    method = {name: value for name, value in as_json_dict(tune).items() if name not in ("trials", "hours", "at_once")}
    if tune.engine == "optuna":  # searches that began before there was another
        del method["engine"]
    return digest([planned.metric, plan.train.key if plan.train else "", plan.predict.key, method])


class _TrialConsole(ForwardingConsole):
    """Tells of the jobs of the trials."""

    def expect(self, expectation: Expectation) -> None:
        """Say nothing: how long a search takes is told by its trials."""


def _carry_out(
    prepared: Prepared,
    ahead: Sequence[PlannedSearch],
    run: RunFolder,
    results: Path,
    console_for: Callable[[int], RunConsole],
    executor: Executor,
) -> None:
    """Try recipes until the budgets of all searches are spent."""
    trials = TrialExecutor(executor)
    searches = [_Search(prepared, planned, run, trials) for planned in ahead]
    console = _TrialConsole(console_for(sum(one.expected for one in searches)))
    executor.expect(job for one in searches for job in one.jobs_ahead())
    with Runner((), prepared.interpreters, run, results, lambda _: console, lambda _: True, trials) as runner:
        for one in searches:
            one.begin(runner, console)
        runner.carry_out(_Coming(searches))


class _Coming:
    """Yields the steps of the trials that may begin; it ends while none may, and goes on when it is asked again.

    A search gets the places that those before it leave: their budget is spent, or `at_once` of them are under way.
    """

    def __init__(self, searches: Sequence[_Search]) -> None:
        self._searches = list(searches)

    def __iter__(self) -> Iterator[Steps]:
        return self

    def __next__(self) -> Steps:
        for one in self._searches:
            one.settle()
        while self._searches:
            for one in self._searches:
                if (steps := one.following()) is not None:
                    return steps
            going_on = [one for one in self._searches if not one.ended()]
            if len(going_on) == len(self._searches):
                break
            self._searches = going_on
        raise StopIteration


class _Search:
    """One search that is carried out."""

    _runner: Runner
    _console: RunConsole

    def __init__(self, prepared: Prepared, planned: PlannedSearch, run: RunFolder, executor: TrialExecutor) -> None:
        assert prepared.suite.tune is not None
        self._prepared, self._planned, self._tune = prepared, planned, prepared.suite.tune
        self._run, self._executor = run, executor
        self._plan = prepared.plan.model_copy(update={"metrics": (planned.metric,)})
        self._view = self._begun()
        self._proposals = Proposals(self._view.study)
        self._in_flight: dict[int, Proposal] = {}
        self._waiting: list[int] = []
        self._over: list[int] = []

    @property
    def expected(self) -> int:
        """Return the largest number of jobs that it may take; 0 where that is not known."""
        return 2 * max(0, (self._tune.trials or 0) - self._number_over())

    def jobs_ahead(self) -> list[Job]:
        """Return its trainings and predictions, roughly."""
        probe = self._prepared.plan_case(self._planned.case)
        jobs = [job for job in (probe.train, probe.predict) if job is not None]
        return jobs * max(0, (self._tune.trials or 2) - self._number_over())

    def begin(self, runner: Runner, console: RunConsole) -> None:
        """Take up what is there."""
        self._runner, self._console = runner, console
        self._in_flight = self._proposals.take_up(self._view.trials)
        self._waiting = sorted(self._in_flight)
        if number := self._number_over():
            self._console.note(f"{self._planned.name}: goes on after {number} trials")
        if self._proposals.differs:
            self._console.note(
                f"{self._planned.name}: this version of Optuna would have proposed other recipes than those of "
                f"{self._view.study.optuna}; the trials that are there stand"
            )

    def following(self) -> Steps | None:
        """Return the steps of the next trial; None where none may begin now."""
        if self._waiting:
            return self._steps(self._view.trials[self._waiting.pop(0)].trial)
        ids = {self._view.trials[number].trial.planned.case.id for number in self._in_flight}
        if len(ids) > self._executor.jobs_of(ids):
            return None  # one of them waits for a job of another, whose recipe is the same
        if self._tune.at_once is not None and len(ids) >= self._tune.at_once:
            return None
        if _spent(self._tune, self._view, sum(map(self._executor.seconds, ids))) is not None:
            return None
        proposal = self._proposals.next()
        trial = self._added(proposal)
        self._in_flight[trial.number] = proposal
        return self._steps(trial)

    def ended(self) -> bool:
        """Return whether it is over; says what it came to where it is."""
        if self._in_flight or (why := over(self._prepared, self._view)) is None:
            return False
        self._end(why)
        return True

    def _number_over(self) -> int:
        return len(self._view.trials) - self._view.count("unfinished")

    def settle(self) -> None:
        """Learn from the trials whose steps have ended."""
        self._runner.finish_scores()
        for number in sorted(self._over):
            view = self._viewed(number)
            if view.state == "unfinished":
                raise BenchError(
                    f"{self._planned.name}: trial {number + 1} could not be scored; what is done so far is kept. See "
                    f"the line above, and {self._run.jobs}"
                )
            self._proposals.learn(self._in_flight.pop(number), view)
            self._console.note(self._describe(view))
        self._over.clear()

    def _viewed(self, number: int) -> TrialView:
        """Return a trial as its files are now."""
        views = list(self._view.trials)
        views[number] = trial_view(self._run, self._view.study, views[number].trial)
        self._view = replace(self._view, trials=tuple(views))
        return views[number]

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
                optuna="",
            ).model_copy(update=versions_of(self._tune))
        finals = tuple(case.id for case in self._planned.finals)
        study = found.model_copy(update={"tune": self._tune, "final_ids": finals, "ended": None})
        if _is_hopeless(study_view(self._run, study)):  # whoever asks again may have fixed what made them fail
            study = study.model_copy(update={"trials": ()})
        write_study(self._run, study)
        return study_view(self._run, study)

    def _added(self, proposal: Proposal) -> Trial:
        """Write down what is tried next, before it is tried."""
        number = len(self._view.trials)
        plan = self._prepared.plan_case(require_recipe(self._planned, number, proposal.values))
        trial = Trial(
            number=number,
            params=proposal.params,
            values=proposal.values,
            planned=self._prepared.planned(plan),
            in_flight=tuple(sorted(self._in_flight)),
        )
        study = self._view.study.model_copy(update={"trials": (*self._view.study.trials, trial)})
        write_study(self._run, study)
        self._view = StudyView(study, (*self._view.trials, trial_view(self._run, study, trial)))
        return trial

    def _steps(self, trial: Trial) -> Steps:
        """Train, predict and score a trial as far as that is not done."""
        plan = self._prepared.plan_case(trial.planned.case)
        if plan.train is not None and self._tune.pruner != "none":
            self._executor.judge(plan.train, self._judge(self._in_flight[trial.number]))
        for step in (self._runner.train, self._runner.predict):
            if not (yield from step(plan)):
                break
        else:
            self._runner.score(plan, self._score, lambda _: None)
        self._over.append(trial.number)
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
        write_study(self._run, self._view.study.model_copy(update={"ended": why}))
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
