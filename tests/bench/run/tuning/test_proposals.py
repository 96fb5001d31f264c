"""A search that is made again from its facts proposes what it would have proposed."""

from __future__ import annotations

import math
import random
from importlib.util import find_spec

import pytest

pytest.importorskip("optuna", reason="needs optuna: pip install 'segbench[tune]'")

from bench.records import Searched, Tune
from bench.records.store.studies import Study, Trial, TrialView
from bench.run.tuning.engine import value_of
from bench.run.tuning.optuna import optuna_version
from bench.run.tuning.proposals import Proposals

SPACE = {
    "learning_rate": Searched(low=1e-4, high=1e-1, log=True),
    "weight_decay": Searched(low=0.0, high=0.1),
    "batch_size": Searched(low=2, high=16, step=2),
}


def study(sampler="tpe", pruner="median", space=None, higher_is_better=True, engine="optuna") -> Study:
    tune = Tune(
        space=space or SPACE, trials=20, sampler=sampler, pruner=pruner, startup_trials=3, seed=4, engine=engine
    )
    return Study(
        name="a on b", digest="", tune=tune, metric="mean_iou", higher_is_better=higher_is_better, final_ids=(),
        optuna=optuna_version(),
    )  # fmt: skip


def objective(values) -> float:
    return math.exp(-((math.log10(values["learning_rate"]) + 2) ** 2)) - values["weight_decay"]


def tried(proposals: Proposals, number: int) -> TrialView:
    """Try the next recipe, with no other under way."""
    trial = UnderWay(proposals, number, ())
    while not trial.validated():
        pass
    return trial.learned(proposals)


class UnderWay:
    """A trial that validates four times, ended early where the pruner says so."""

    def __init__(self, proposals: Proposals, number: int, in_flight: tuple[int, ...]) -> None:
        self.proposal = proposals.next()
        params, values = self.proposal.params, self.proposal.values
        self.trial = Trial.model_construct(
            number=number, params=params, values=values, planned=None, in_flight=in_flight
        )
        self.seen: list[float] = []

    def validated(self) -> bool:
        """Validate once; return whether the training is over."""
        self.seen.append(objective(self.trial.values) * (len(self.seen) + 1) / 4)
        self.proposal.report(len(self.seen) - 1, self.seen[-1])
        return len(self.seen) == 4 or self.proposal.is_hopeless

    def learned(self, proposals: Proposals) -> TrialView:
        pruned = self.proposal.is_hopeless
        state, value = ("pruned", self.seen[-1]) if pruned else ("complete", objective(self.trial.values))
        view = TrialView(self.trial, state, value, tuple(self.seen), 1.0)
        proposals.learn(self.proposal, view)
        return view

    @property
    def unfinished(self) -> TrialView:
        return TrialView(self.trial, "unfinished", None, tuple(self.seen), 1.0)


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes"])
@pytest.mark.parametrize("pruner", ["none", "median", "successive_halving", "hyperband"])
def test_a_search_made_again_after_any_trial_goes_on_as_if_it_had_never_ended(sampler, pruner):
    if sampler == "cmaes":
        pytest.importorskip("cmaes", reason="needs cmaes: pip install 'segbench[tune]'")
    whole = Proposals(study(sampler, pruner))
    views = [tried(whole, number) for number in range(12)]
    for kept in (0, 1, 5, 11):
        again = Proposals(study(sampler, pruner))
        again.take_up(views[:kept])
        assert not again.differs
        rest = [tried(again, number) for number in range(kept, 12)]
        assert [(one.trial.params, one.state) for one in rest] == [(o.trial.params, o.state) for o in views[kept:]]


ENGINES = [
    "optuna",
    # slow because of its imports
    pytest.param("ray", marks=[pytest.mark.slow, pytest.mark.skipif(find_spec("ray") is None, reason="needs ray")]),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes"])
@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_a_search_with_several_trials_under_way_is_made_again_at_any_moment_as_it_was(engine, sampler, pruner):
    if sampler == "cmaes":
        pytest.importorskip("cmaes", reason="needs cmaes: pip install 'segbench[tune]'")
    chance, whole = random.Random(f"{engine} {sampler} {pruner}"), Proposals(study(sampler, pruner, engine=engine))
    views: dict[int, TrialView] = {}
    flying: dict[int, UnderWay] = {}
    for number in range(14):
        flying[number] = UnderWay(whole, number, tuple(flying))
        while len(flying) >= 3:
            some = chance.choice([*flying])
            if flying[some].validated():
                views[some] = flying.pop(some).learned(whole)
        there = [views[n] if n in views else flying[n].unfinished for n in range(number + 1)]
        after = Proposals(study(sampler, pruner, engine=engine))
        assert {n: one.params for n, one in after.take_up(there).items()} == {
            n: one.trial.params for n, one in flying.items()
        }
        assert not after.differs
    assert {view.state for view in views.values()} == {"complete", "pruned"}
    assert after.next().params == whole.next().params


def test_one_trial_after_the_other_is_what_optuna_alone_would_try():
    optuna = pytest.importorskip("optuna", reason="needs optuna: pip install 'segbench[tune]'")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    alone = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=4, n_startup_trials=3))

    def by_hand(trial) -> float:
        rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
        decay = trial.suggest_float("weight_decay", 0.0, 0.1)
        trial.suggest_int("batch_size", 2, 16, step=2)
        return objective({"learning_rate": rate, "weight_decay": decay})

    alone.optimize(by_hand, n_trials=10)
    proposals = Proposals(study(pruner="none"))
    assert [tried(proposals, number).trial.params for number in range(10)] == [trial.params for trial in alone.trials]


def test_trials_under_way_are_not_proposed_again_beside_themselves():
    proposals = Proposals(study())
    for number in range(8):
        tried(proposals, number)
    beside = [proposals.next().params for _ in range(4)]
    assert len({str(params) for params in beside}) == 4


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_ray_tune_without_an_early_end_proposes_what_optuna_does(sampler):
    pytest.importorskip("ray", reason="needs ray: pip install 'segbench[ray]'")
    ours, theirs = (Proposals(study(sampler, "none", engine=engine)) for engine in ("optuna", "ray"))
    assert [tried(theirs, n).trial.params for n in range(8)] == [tried(ours, n).trial.params for n in range(8)]


@pytest.mark.slow
def test_ray_tunes_successive_halving_ends_what_is_below_the_best_quarter_of_those_before():
    pytest.importorskip("ray", reason="needs ray: pip install 'segbench[ray]'")
    proposals = Proposals(study(pruner="successive_halving", engine="ray"))
    # rungs at validations 1, 4, 16, ...: at each it goes on from the 75th percentile of those before, the first always
    stopped = []
    for value in (0.5, 0.4, 0.6, 0.52, 0.58):
        proposal = proposals.next()
        proposal.report(0, value)
        stopped.append(proposal.is_hopeless)
        if not proposal.is_hopeless:
            proposal.report(1, 0.0)  # no rung: nobody is ended there
            assert not proposal.is_hopeless
    # percentiles 75 of (0.5), (0.5, 0.4), (0.5, 0.4, 0.6), (0.5, 0.4, 0.6, 0.52): 0.5, 0.475, 0.55, 0.54
    assert stopped == [False, True, False, True, False]


@pytest.mark.parametrize("engine", ENGINES)
def test_recipes_that_were_drawn_elsewhere_are_not_drawn_once_more(engine):
    rates = [0.01, 0.02]
    views = [
        TrialView(
            Trial.model_construct(
                number=n, params={"learning_rate": rate, "weight_decay": 0.05, "batch_size": 4}, values={}, planned=None
            ),
            "complete", 0.5, (), 1.0,
        )
        for n, rate in enumerate(rates)
    ]  # fmt: skip
    proposals, fresh = Proposals(study("random", engine=engine)), Proposals(study("random", engine=engine))
    first = [fresh.next().params for _ in range(3)]
    assert proposals.take_up(views) == {}
    assert proposals.differs
    assert proposals.next().params not in first


def test_values_keep_to_their_ranges_and_whole_numbers_to_their_steps():
    proposals = Proposals(study("random"))
    for number in range(40):
        values = tried(proposals, number).trial.values
        assert 1e-4 <= values["learning_rate"] <= 1e-1
        assert values["batch_size"] in range(2, 17, 2)
        assert type(values["batch_size"]) is int


def test_recipes_that_another_version_proposed_stand():
    foreign = [
        TrialView(
            Trial.model_construct(
                number=n, params={"learning_rate": rate, "weight_decay": 0.05, "batch_size": 4}, values={}, planned=None
            ),
            "complete",
            value,
            (),
            1.0,
        )
        for n, (rate, value) in enumerate([(0.01, 0.9), (0.02, 0.8), (0.0001, 0.1)])
    ]
    proposals = Proposals(study())
    proposals.take_up(foreign)
    assert proposals.differs
    assert set(tried(proposals, 3).trial.params) == set(SPACE)


def test_where_a_lower_score_is_better_the_search_goes_down_and_good_validations_are_kept():
    proposals = Proposals(study(pruner="median", higher_is_better=False))
    states = []
    for number in range(10):
        proposal = proposals.next()
        good = number % 2 == 0  # validated accuracy: higher is better, whatever the metric's direction
        proposal.report(0, 0.9 if good else 0.1)
        states.append((good, proposal.is_hopeless))
        proposals.learn(
            proposal,
            TrialView(
                Trial.model_construct(number=number, params=proposal.params, values={}, planned=None),
                "complete", 1.0 if good else 50.0, (0.9 if good else 0.1,), 1.0,
            ),
        )  # fmt: skip
    assert not any(hopeless for good, hopeless in states if good)
    assert any(hopeless for good, hopeless in states if not good)


def test_a_choice_may_be_of_any_kind():
    sizes = Searched(choices=([32, 32], [64, 64], None))
    proposals = Proposals(study(space={"random_crop": sizes}))
    found = {str(tried_choice(proposals)) for _ in range(20)}
    assert found == {"[32, 32]", "[64, 64]", "None"}
    assert value_of(sizes, 1) == [64, 64]


def tried_choice(proposals: Proposals):
    proposal = proposals.next()
    trial = Trial.model_construct(number=0, params=proposal.params, values={}, planned=None)
    proposals.learn(proposal, TrialView(trial, "complete", 0.5, (), 1.0))
    return proposal.values["random_crop"]
