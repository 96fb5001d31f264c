"""Trainings for a number of seconds, judged like timings: what others took of the machine, the model did not learn.

A budget in steps is the same on every machine. One in seconds is not: beside other processes, or waiting for a
processor, a model makes fewer steps, and its score is that of the neighbours. Such a score is flagged, and takes part
in no comparison that ends with "significantly better".
"""

from __future__ import annotations

from bench.measure.counters import MAX_FOREIGN_SHARE, MAX_STEAL_SHARE
from bench.records import Flag, JobFacts, Recipe
from bench.records.store.views import CaseView

MAX_WAITED_SHARE = 0.05
"""Largest share of its time that a training may be ready to run and not run."""
FEWEST_STEPS = 20
"""Optimiser steps below which a budget of seconds has hardly trained anything."""


def training_doubts(view: CaseView) -> list[Flag]:
    """Return what speaks against the score of a case that was trained for a number of seconds; none for others."""
    train = view.train
    if view.case.recipe is None or train is None or not train.ok or train.outcome is None:
        return []
    return _doubts(view.case.recipe, train.outcome.facts)


def _doubts(recipe: Recipe, facts: JobFacts) -> list[Flag]:
    if recipe.budget.seconds is None:
        return []
    found, seen = [], facts.interference
    told = (
        []
        if seen is None
        else [
            f"{what} {100 * share:.0f} %"
            for what, share, most in (
                ("other processes used", seen.foreign_share, MAX_FOREIGN_SHARE),
                ("the hypervisor took", seen.steal_share, MAX_STEAL_SHARE),
                ("it was ready and waited for a processor", seen.waited_share, MAX_WAITED_SHARE),
            )
            if share is not None and share > most
        ]
    )
    if told:
        rate = (
            ""
            if not facts.trained_s or facts.trained_steps is None
            else (f"; it came to {facts.trained_steps} steps, {facts.trained_steps / facts.trained_s:.3g} a second")
        )
        found.append(
            Flag(
                name="training_disturbed",
                seen=f"trained for {recipe.budget.seconds:g} s, of which {', '.join(told)}{rate}",
                advice="train again on an idle machine, or give the budget in steps",
            )
        )
    if facts.trained_steps is not None and facts.trained_steps < FEWEST_STEPS:
        found.append(
            Flag(
                name="training_starved",
                seen=f"{recipe.budget.seconds:g} s came to {facts.trained_steps} optimiser steps",
                advice="raise recipe.budget.seconds, or give the budget in steps",
            )
        )
    return found
