"""Proposes the next trial of a search by Optuna, whose study lives in memory and is rebuilt from the run's facts.

Optuna is imported when a search is carried out, and by nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import JsonValue

from bench.errors import BenchError
from bench.records import Searched, Tune
from bench.records.store.studies import Study, TrialView
from bench.suite.tuning import is_whole_number

if TYPE_CHECKING:
    import optuna

Params = dict[str, int | float]


def optuna_version() -> str:
    """Return the version of Optuna; raises `BenchError` where it is not installed."""
    try:
        import optuna
    except ImportError:
        raise BenchError("a search needs the package optuna; install it with: pip install 'segbench[tune]'") from None
    return str(optuna.__version__)


class Proposals:
    """Proposes recipes, and learns what they came to.

    A sampler with a seed that is asked and told the same things proposes the same recipes: a search that goes on after
    a kill asks again for the trials that are there, and tells what came of them. Where it then proposes others (another
    version of Optuna), the trials that are there stand, and only the further ones are proposed.
    """

    def __init__(self, study: Study) -> None:
        """Begin without a trial."""
        self._of = study
        self._sign = 1.0 if study.higher_is_better else -1.0
        self._distributions = {field: _distribution(field, one) for field, one in study.tune.space.items()}
        self._study = _new_study(study)
        self.differs = False

    def take_up(self, trials: Sequence[TrialView]) -> None:
        """Learn from trials that are over, in order; `differs` says whether others would be proposed now."""
        for view in trials:
            proposed = self._study.ask(self._distributions)
            if proposed.params != view.trial.params:
                self.differs = True
                break
            self._tell_all(proposed, view)
        if self.differs:
            self._study = _new_study(self._of)
            for view in trials:
                self._study.enqueue_trial(view.trial.params)
                self._tell_all(self._study.ask(self._distributions), view)

    def next(self) -> Proposal:
        """Return the next recipe."""
        return Proposal(self._study.ask(self._distributions), self._of.tune, self._sign)

    def again(self, params: Params) -> Proposal:
        """Return a recipe that was proposed, and whose trial is not over."""
        proposed = self._study.ask(self._distributions)
        if proposed.params != params:
            self.differs = True
            self._tell(proposed, None)
            self._study.enqueue_trial(params)
            proposed = self._study.ask(self._distributions)
        return Proposal(proposed, self._of.tune, self._sign)

    def learn(self, proposal: Proposal, view: TrialView) -> None:
        """Take note of how a trial ended; its validations were reported as they came."""
        for number, value in list(enumerate(view.validations))[proposal.reported :]:
            proposal.report(number, value)
        self._tell(proposal.trial, view.value if view.state == "complete" else None)

    def _tell_all(self, trial: optuna.Trial, view: TrialView) -> None:
        for number, value in enumerate(view.validations):
            if value is not None:
                trial.report(self._sign * value, number)
                trial.should_prune()  # Hyperband divides its resources when it is first asked
        self._tell(trial, view.value if view.state == "complete" else None)

    def _tell(self, trial: optuna.Trial, value: float | None) -> None:
        from optuna.trial import TrialState

        if value is not None:
            self._study.tell(trial, value)
        else:
            # Samplers pass over failed trials, and would go back to where trainings diverge; pruned ones count as bad.
            self._study.tell(trial, state=TrialState.PRUNED)


class Proposal:
    """A recipe that is tried."""

    def __init__(self, trial: optuna.Trial, tune: Tune, sign: float) -> None:
        """Keep Optuna's trial; `sign` is −1 where a lower objective is better, while higher validations always are."""
        self.trial, self._tune, self._sign = trial, tune, sign
        self.reported = 0

    @property
    def params(self) -> Params:
        """Return what the sampler chose, as Optuna names it."""
        return dict(self.trial.params)

    @property
    def values(self) -> dict[str, JsonValue]:
        """Field of the recipe -> its value."""
        return {field: value_of(self._tune.space[field], param) for field, param in self.trial.params.items()}

    def report(self, number: int, value: float | None) -> None:
        """Take note of a validation, numbered from 0; one that was reported is that of a training which goes on."""
        if number < self.reported:
            return
        self.reported = max(self.reported, number + 1)
        if value is not None:
            self.trial.report(self._sign * value, number)

    @property
    def is_hopeless(self) -> bool:
        """Return whether the pruner ends it after the validations reported so far."""
        return self._tune.pruner != "none" and bool(self.trial.should_prune())


def value_of(searched: Searched, param: float) -> JsonValue:
    """Return the value of a field for what the sampler said."""
    return searched.choices[int(param)] if searched.choices is not None else param


def _new_study(study: Study) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    direction: Literal["maximize", "minimize"] = "maximize" if study.higher_is_better else "minimize"
    # Hyperband chooses a bracket by the study's name: it must be the same in every process.
    return optuna.create_study(
        study_name=study.name, direction=direction, sampler=_sampler(study.tune), pruner=_pruner(study.tune)
    )


def _sampler(tune: Tune) -> optuna.samplers.BaseSampler:
    from optuna import samplers

    if tune.sampler == "random":
        return samplers.RandomSampler(seed=tune.seed)
    if tune.sampler == "cmaes":
        return samplers.CmaEsSampler(seed=tune.seed, n_startup_trials=tune.startup_trials)
    return samplers.TPESampler(seed=tune.seed, n_startup_trials=tune.startup_trials)


def _pruner(tune: Tune) -> optuna.pruners.BasePruner:
    from optuna import pruners

    if tune.pruner == "median":
        return pruners.MedianPruner(n_startup_trials=tune.startup_trials, n_warmup_steps=0)
    if tune.pruner == "successive_halving":
        return pruners.SuccessiveHalvingPruner()
    if tune.pruner == "hyperband":
        return pruners.HyperbandPruner()
    return pruners.NopPruner()


def _distribution(field: str, searched: Searched) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if searched.choices is not None:
        return CategoricalDistribution(list(range(len(searched.choices))))
    assert searched.low is not None
    assert searched.high is not None
    if is_whole_number(field):
        step = 1 if searched.step is None else int(searched.step)
        return IntDistribution(int(searched.low), int(searched.high), log=searched.log, step=step)
    return FloatDistribution(searched.low, searched.high, log=searched.log, step=searched.step)
