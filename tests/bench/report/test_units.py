"""Scores that are no shares: their unit stands beside them, the smallest is the best, and misses are counted."""

from __future__ import annotations

from bench.records.store import layout
from bench.records.store.files import write_record
from bench.records.store.runs import read_run
from bench.report import latex, markdown
from bench.report.summary.summarise import summarise
from tests.bench.builders import score_planned_case


def test_distances_are_told_in_their_unit_the_nearest_is_the_best_and_misses_are_counted(synthetic):
    good, bad = synthetic.add("good"), synthetic.add("bad")
    plan = synthetic.write_plan().model_copy(update={"metrics": ("hd95", "nsd@2")})
    write_record(synthetic.run.path / layout.PLAN, plan)
    for planned, wrong in ((good, 0.02), (bad, 0.6)):
        synthetic.predict(planned, wrong, seed=0)
        folder = synthetic.run.job("predict", planned.case.id, 0, planned.predict_key) / layout.PREDICTIONS
        score_planned_case(synthetic.run, plan, planned, folder)
    summary = summarise(read_run(synthetic.run))
    text = markdown.render(summary, [], [])
    assert "**good** has the best HD95" in text
    assert "| HD95 (px)" in text
    assert "## HD95 in detail (px)" in text
    assert "## HD95 per class (px)" in text
    assert "| missed" in text
    assert "NSD at 2" in text
    assert "HD95 (px) & NSD at 2 &" in latex.render(summary)
