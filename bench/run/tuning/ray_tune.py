"""Proposals by Ray Tune: its OptunaSearch proposes, and its schedulers end trials early that fall behind others.

Ray Tune decides and carries nothing out: its own runner would start trainings that leave none of a job's records, and
would place them beside measurements. Trials are jobs of the run's executor, as always.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.errors import BenchError
from bench.records import Tune
from bench.records.store.studies import Study
from bench.run.tuning.engine import Params, Proposal
from bench.run.tuning.optuna import distributions_of, sampler_of

OBJECTIVE, VALIDATION, STEP = "objective", "validation", "training_iteration"
"""Names of the trials' results, as Ray Tune gets them."""
MOST_STEPS = 4**9
"""Validations of the longest training; only the number of rungs depends on it, and rungs never reached do nothing."""
BRACKETS = 3
"""Brackets of Hyperband; each begins to end trials four times as late as the one before."""


def ray_version() -> str:
    """Return the version of Ray; raises `BenchError` where Ray Tune is not installed."""
    try:
        import ray.tune
    except ImportError as error:
        raise BenchError(
            f"a search with engine: ray needs Ray Tune ({error}); install it with: pip install 'segbench[tune,ray]'"
        ) from None
    return str(ray.__version__)


class RayTuneEngine:
    """Asks a search algorithm of Ray Tune, and one of its schedulers."""

    def __init__(self, study: Study, given: Sequence[Params] = ()) -> None:
        """Make both; the first recipes are those given."""
        from ray.tune.search.optuna import OptunaSearch

        self._tune = study.tune
        self._searcher = OptunaSearch(
            space=distributions_of(study.tune),
            metric=OBJECTIVE,
            mode="max" if study.higher_is_better else "min",
            points_to_evaluate=[dict(params) for params in given] or None,
            sampler=sampler_of(study.tune, drawn=len(given)),
        )
        self._scheduler = _scheduler(study.tune)
        self._asked = 0
        self._lock = threading.Lock()  # trainings are judged by a thread each

    def ask(self) -> Proposal:
        """Return the next recipe."""
        name = f"{self._asked:05d}"
        self._asked += 1
        with self._lock:
            params: Params = dict(self._searcher.suggest(name) or {})
            trial = _Trial(name)
            before = np.random.get_state()
            # Hyperband draws a bracket: a search made again draws the same.
            np.random.seed(self._tune.seed + self._asked)
            self._scheduler.on_trial_add(_Nothing(), trial)
            np.random.set_state(before)
        return _Proposal(self._tune, params, self._searcher, self._scheduler, self._lock, trial)


class _Proposal(Proposal):
    def __init__(
        self, tune: Tune, params: Params, searcher: Any, scheduler: Any, lock: threading.Lock, trial: _Trial
    ) -> None:
        super().__init__(tune, params)
        self._searcher, self._scheduler, self._lock, self._trial = searcher, scheduler, lock, trial
        self._last: dict[str, float] | None = None
        self._behind = False

    def _take(self, number: int, value: float) -> None:
        if self._behind:
            return
        self._last = {VALIDATION: value, STEP: number + 1}
        with self._lock:
            self._behind = self._scheduler.on_trial_result(_Nothing(), self._trial, self._last) == "STOP"

    def _falls_behind(self) -> bool:
        return self._behind

    def tell(self, value: float | None) -> None:
        with self._lock:
            self._searcher.on_trial_complete(self._trial.trial_id, None if value is None else {OBJECTIVE: value})
            if self._last is not None:
                self._scheduler.on_trial_complete(_Nothing(), self._trial, self._last)


@dataclass(frozen=True)
class _Trial:
    """What a scheduler wants to know of a trial."""

    trial_id: str


class _Nothing:
    """Stands in the place of Ray Tune's runner: no trial is paused for another."""

    def get_live_trials(self) -> list[_Trial]:
        """Return the trials that wait for a place: none does."""
        return []


def _scheduler(tune: Tune) -> Any:
    from ray.tune import schedulers

    common = {"time_attr": STEP, "metric": VALIDATION, "mode": "max", "grace_period": 1}
    if tune.pruner == "none":
        return schedulers.create_scheduler("fifo")
    if tune.pruner == "median":
        return schedulers.create_scheduler("median_stopping_rule", **common, min_samples_required=tune.startup_trials)
    brackets = BRACKETS if tune.pruner == "hyperband" else 1
    return schedulers.create_scheduler("async_hyperband", **common, max_t=MOST_STEPS, brackets=brackets)
