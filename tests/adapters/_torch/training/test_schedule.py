from __future__ import annotations

import pytest
import torch

from adapters._torch.training.clock import Schedule, learning_rate
from bench.records import Budget, Recipe


def recipe(**fields):
    return Recipe(**{"budget": Budget(steps=100), "learning_rate": 0.1, "warmup_fraction": 0.2, **fields})


def test_the_limit_reached_first_ends_the_training():
    course = Schedule.of(Budget(epochs=3, steps=50, seconds=10.0), steps_per_epoch=20)
    assert course.steps == 50
    assert course.fraction(step=25, train_s=1.0) == 0.5
    assert course.fraction(step=25, train_s=8.0) == 0.8
    assert course.fraction(step=50, train_s=0.0) == course.fraction(step=0, train_s=11.0) == 1.0


def test_epochs_are_counted_in_steps():
    assert Schedule.of(Budget(epochs=3), steps_per_epoch=7) == Schedule(steps=21, seconds=None)


@pytest.mark.parametrize(("schedule", "middle"), [("constant", 0.1), ("cosine", 0.05), ("poly", 0.1 * 0.5**0.9)])
def test_half_way_down_the_rate_is_what_the_curve_says(schedule, middle):
    curve = recipe(schedule=schedule)
    assert learning_rate(curve, 0.2) == pytest.approx(0.1)  # the warm-up ends at the peak
    assert learning_rate(curve, 0.6) == pytest.approx(middle)  # half of what follows it


@pytest.mark.parametrize("schedule", ["constant", "cosine", "poly"])
def test_warm_up_rises_in_a_straight_line_from_a_hundredth(schedule):
    curve = recipe(schedule=schedule)
    assert [learning_rate(curve, f) for f in (0.0, 0.1)] == pytest.approx([0.001, 0.0505])


@pytest.mark.parametrize(("schedule", "end"), [("cosine", 0.0), ("poly", 0.0), ("one_cycle", 0.1 * 1e-4 / 25)])
def test_a_falling_curve_ends_where_it_should(schedule, end):
    assert learning_rate(recipe(schedule=schedule), 1.0) == pytest.approx(end, abs=1e-12)


def test_one_cycle_is_the_curve_of_torch():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    # torch's warm-up ends at step pct_start · total − 1, its curve at step total − 1.
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.1, total_steps=101, pct_start=21 / 101, cycle_momentum=False
    )
    ours = recipe(schedule="one_cycle")
    for step in range(100):
        assert learning_rate(ours, step / 100) == pytest.approx(theirs.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        theirs.step()
