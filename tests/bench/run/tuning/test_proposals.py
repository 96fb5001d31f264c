"""A search that is made again from its facts proposes what it would have proposed."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("optuna", reason="needs optuna: pip install 'segbench[tune]'")

from bench.records import Searched, Tune
from bench.records.store.studies import Study, Trial, TrialView
from bench.run.tuning.proposals import Proposals, optuna_version, value_of

SPACE = {
    "learning_rate": Searched(low=1e-4, high=1e-1, log=True),
    "weight_decay": Searched(low=0.0, high=0.1),
    "batch_size": Searched(low=2, high=16, step=2),
}


def study(sampler="tpe", pruner="median", space=None, higher_is_better=True) -> Study:
    tune = Tune(space=space or SPACE, trials=20, sampler=sampler, pruner=pruner, startup_trials=3, seed=4)
    return Study(
        name="a on b", digest="", tune=tune, metric="mean_iou", higher_is_better=higher_is_better, final_ids=(),
        optuna=optuna_version(),
    )  # fmt: skip


def objective(values) -> float:
    return math.exp(-((math.log10(values["learning_rate"]) + 2) ** 2)) - values["weight_decay"]


def tried(proposals: Proposals, number: int) -> TrialView:
    """Try the next recipe: validate four times, ended early where the pruner says so."""
    proposal = proposals.next()
    value, seen = objective(proposal.values), []
    for validation in range(4):
        seen.append(value * (validation + 1) / 4)
        proposal.report(validation, seen[-1])
        if proposal.is_hopeless:
            break
    pruned = proposal.is_hopeless
    view = TrialView(
        Trial.model_construct(number=number, params=proposal.params, values=proposal.values, planned=None),
        "pruned" if pruned else "complete",
        seen[-1] if pruned else value,
        tuple(seen),
        1.0,
    )
    proposals.learn(proposal, view)
    return view


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
