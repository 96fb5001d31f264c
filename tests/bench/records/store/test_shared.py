"""Records of many cases hold once what is equal in them, and say what they said."""

from __future__ import annotations

import pytest

from bench.records.store.runs import read_run
from bench.records.store.shared import _same, _share
from tests.bench.builders import make_model
from tests.bench.report.conftest import SyntheticRun


def test_cases_of_a_run_share_their_classes_and_are_written_as_they_were(tmp_path):
    run = SyntheticRun(tmp_path / "results")
    planned = [run.add(f"model {n}") for n in range(2)]
    plan = run.write_plan()
    for one in planned:
        run.predict(one, 0.1, 0)
        run.time(one, 5.0, 0)
        run.score(plan, one)
    first, second = read_run(run.run).cases
    assert first.task is second.task is second.predict.job.task is second.times[0].job.task
    assert first.case.target is second.predict.job.target
    assert first.scores.scores[0].definition is second.scores.scores[0].definition
    assert second.case.model.label == "model 1"
    for view in (first, second):
        for job in view.jobs:
            assert job.job.to_json() == (job.folder / "job.json").read_text()
            assert job.outcome.to_json() == (job.folder / "outcome.json").read_text()


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (1, True), (0.0, -0.0), ({"a": 1, "b": 2}, {"b": 2, "a": 1})])
def test_what_is_equal_and_written_otherwise_stays_what_it_is(one, other):
    assert one == other
    assert not _same({"x": (one,)}, {"x": (other,)})
    model, like = make_model(options={"x": one}), make_model(options={"x": other})
    before = model.to_json()
    _share(model, like)
    assert model.to_json() == before
