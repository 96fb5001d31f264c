"""Proposals by Optuna: its samplers, and its pruners."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from bench.errors import BenchError
from bench.records import Searched, Tune
from bench.records.store.studies import Study
from bench.run.tuning.engine import Params, Proposal
from bench.suite.tuning import is_whole_number

if TYPE_CHECKING:
    import optuna


def optuna_version() -> str:
    """Return the version of Optuna; raises `BenchError` where it is not installed."""
    try:
        import optuna
    except ImportError:
        raise BenchError("a search needs the package optuna; install it with: pip install 'segbench[tune]'") from None
    return str(optuna.__version__)


class OptunaEngine:
    """Asks a study of Optuna's, which lives in memory."""

    def __init__(self, study: Study, given: Sequence[Params] = ()) -> None:
        """Make the study; its first recipes are those given."""
        import optuna

        direction: Literal["maximize", "minimize"] = "maximize" if study.higher_is_better else "minimize"
        # Hyperband chooses a bracket by the study's name: it must be the same in every process.
        self._study = optuna.create_study(
            study_name=study.name,
            direction=direction,
            sampler=sampler_of(study.tune, drawn=len(given)),
            pruner=_pruner(study.tune),
        )
        self._tune, self._distributions = study.tune, distributions_of(study.tune)
        # Higher validations are always better, whatever the direction of the objective.
        self._sign = 1.0 if study.higher_is_better else -1.0
        for params in given:
            self._study.enqueue_trial(params)

    def ask(self) -> Proposal:
        """Return the next recipe."""
        return _Proposal(self._tune, self._study, self._study.ask(self._distributions), self._sign)


class _Proposal(Proposal):
    def __init__(self, tune: Tune, study: optuna.Study, trial: optuna.Trial, sign: float) -> None:
        super().__init__(tune, dict(trial.params))
        self._study, self._trial, self._sign = study, trial, sign

    def _take(self, number: int, value: float) -> None:
        self._trial.report(self._sign * value, number)

    def _falls_behind(self) -> bool:
        return bool(self._trial.should_prune())

    def tell(self, value: float | None) -> None:
        from optuna.trial import TrialState

        if value is not None:
            self._study.tell(self._trial, value)
        else:
            # Samplers pass over failed trials, and would go back to where trainings diverge; pruned ones count as bad.
            self._study.tell(self._trial, state=TrialState.PRUNED)


def sampler_of(tune: Tune, drawn: int = 0) -> optuna.samplers.BaseSampler:
    """Return a sampler; one of a search of which some recipes were drawn elsewhere does not draw the same again."""
    from optuna import logging, samplers
    from optuna.exceptions import ExperimentalWarning

    logging.set_verbosity(logging.WARNING)
    seed = tune.seed + drawn
    if tune.sampler == "random":
        return samplers.RandomSampler(seed=seed)
    if tune.sampler == "cmaes":
        return samplers.CmaEsSampler(seed=seed, n_startup_trials=tune.startup_trials)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        # Trials that are under way count as bad, so that the next one is tried elsewhere; changes nothing without any.
        return samplers.TPESampler(seed=seed, n_startup_trials=tune.startup_trials, constant_liar=True)


def _pruner(tune: Tune) -> optuna.pruners.BasePruner:
    from optuna import pruners

    if tune.pruner == "median":
        return pruners.MedianPruner(n_startup_trials=tune.startup_trials, n_warmup_steps=0)
    if tune.pruner == "successive_halving":
        return pruners.SuccessiveHalvingPruner()
    if tune.pruner == "hyperband":
        return pruners.HyperbandPruner()
    return pruners.NopPruner()


def distributions_of(tune: Tune) -> dict[str, optuna.distributions.BaseDistribution]:
    """Return field -> distribution; of choices their places are drawn."""
    return {field: _distribution(field, one) for field, one in tune.space.items()}


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
