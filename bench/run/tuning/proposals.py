"""Proposes the next trial of a search, by an engine that lives in memory and is rebuilt from the run's facts.

An engine is asked and told in the same order again, so that it comes to what it was. Its package is imported when a
search is carried out, and by nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.records import Tune
from bench.records.store.studies import Study, TrialView
from bench.run.tuning.engine import Engine, Params, Proposal


def engine_of(study: Study, given: Sequence[Params] = ()) -> Engine:
    """Return the engine that a study asks for; raises `BenchError` where its package is not installed."""
    if study.tune.engine == "ray":
        from bench.run.tuning.ray_tune import RayTuneEngine

        return RayTuneEngine(study, given)
    from bench.run.tuning.optuna import OptunaEngine

    return OptunaEngine(study, given)


def versions_of(tune: Tune) -> dict[str, str]:
    """Return the versions of what proposes, as a study records them; raises `BenchError` where it is not installed."""
    from bench.run.tuning.optuna import optuna_version

    if tune.engine == "optuna":
        return {"optuna": optuna_version()}
    from bench.run.tuning.ray_tune import ray_version

    return {"optuna": optuna_version(), "ray_tune": ray_version()}


class Proposals:
    """Proposes recipes, and learns what they came to.

    An engine with a seed that is asked and told the same things proposes the same recipes: a search that goes on after
    a kill asks again for the trials that are there, each while those were under way that were so at the time, and tells
    what came of them. Where it then proposes others (another version of Optuna), the trials that are there stand, and
    only the further ones are proposed.
    """

    def __init__(self, study: Study) -> None:
        self._of, self._engine = study, engine_of(study)
        self.differs = False

    def take_up(self, trials: Sequence[TrialView]) -> dict[int, Proposal]:
        """Learn from the trials that are there; returns those that are not over, by number.

        `differs` says afterwards whether others would be proposed now.
        """
        unfinished = self._replayed(trials)
        if unfinished is None:
            self.differs = True
            self._engine = engine_of(self._of, [view.trial.params for view in trials])
            unfinished = self._replayed(trials, compare=False)
        assert unfinished is not None
        return unfinished

    def next(self) -> Proposal:
        """Return the next recipe."""
        return self._engine.ask()

    def learn(self, proposal: Proposal, view: TrialView) -> None:
        """Take note of how a trial ended; its validations were reported as they came."""
        for number, value in list(enumerate(view.validations))[proposal.reported :]:
            proposal.report(number, value)
        proposal.tell(view.value if view.state == "complete" else None)

    def _replayed(self, trials: Sequence[TrialView], *, compare: bool = True) -> dict[int, Proposal] | None:
        """Ask for all trials again, in order; returns those that are not over, None where others are proposed."""
        waiting: dict[int, tuple[Proposal, TrialView]] = {}
        for view in trials:
            self._learn_again(waiting, except_for=view.trial.in_flight)
            proposal = self.next()
            if compare and proposal.params != view.trial.params:
                return None
            waiting[view.trial.number] = (proposal, view)
        self._learn_again(waiting)
        return {number: proposal for number, (proposal, _) in waiting.items()}

    def _learn_again(self, waiting: dict[int, tuple[Proposal, TrialView]], except_for: Sequence[int] = ()) -> None:
        over = [n for n, (_, view) in waiting.items() if view.state != "unfinished" and n not in except_for]
        for number in over:
            proposal, view = waiting.pop(number)
            for validation, value in enumerate(view.validations):
                proposal.report(validation, value)
                if value is not None:
                    _ = proposal.is_hopeless  # Hyperband divides its resources when it is first asked
            self.learn(proposal, view)
