"""Tests that what other processes disturbed is said once, at the top, with their names."""

from __future__ import annotations

import pytest

from bench.records import Interference
from bench.records.store.runs import read_run
from bench.report import render
from bench.report.summary.summarise import summarise
from tests.bench.builders import make_recipe

BUSY = Interference(
    foreign_share=0.48, steal_share=0.0, disturbed_blocks=9, blocks=10, by={"firefox": 0.31, "cc1plus": 0.12}
)
QUIET = Interference(foreign_share=0.01, steal_share=0.0, disturbed_blocks=0, blocks=10)


def top(run, *, timing=QUIET, training=QUIET, budget=None) -> list[str]:
    """Lines of the report above its first table."""
    changes = {"recipe": make_recipe(budget=budget)} if budget else {}
    for label in ("first", "second"):
        run.add(label, **changes)
    plan = run.write_plan()
    for planned in run.planned:
        run.train(planned)
        run.predict(planned, 0.1, 1)
        run.time(planned, 4.0, 1)
        run.score(plan, planned)
        run.write_job(planned, "train", planned.train_key, interference=training)
        for replicate, key in enumerate(planned.time_keys):
            run.write_job(planned, "time", key, replicate, interference=timing)
    summary = summarise(read_run(run.run, run.run.path.parent.parent))
    return render("markdown", summary).split("\n|", maxsplit=1)[0].splitlines()


def test_a_quiet_machine_is_not_worth_a_word(synthetic):
    assert not any("busy" in line for line in top(synthetic))


def test_a_busy_machine_is_said_once_with_how_much_by_whom_and_what_to_do(synthetic):
    (line,) = [line for line in top(synthetic, timing=BUSY) if "busy" in line]
    for words in ("all 2 cases were timed", "up to 48 % of the cores", "firefox 31 %, cc1plus 12 %", "time again"):
        assert words in line


def test_processes_that_cannot_be_seen_are_said_to_be_so(synthetic):
    hidden = BUSY.model_copy(update={"by": {}})
    assert any("cannot be seen from here" in line for line in top(synthetic, timing=hidden))


@pytest.mark.parametrize(("budget", "said"), [({"seconds": 20.0}, True), ({"steps": 20}, False)])
def test_a_training_by_the_clock_on_a_busy_machine_warns_of_its_score(synthetic, budget, said):
    lines = top(synthetic, training=BUSY, budget=budget)
    assert any("fewer steps" in line and "firefox" in line for line in lines) == said
