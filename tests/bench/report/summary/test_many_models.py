"""Tests what is told of very many models: all pairs are tested and counted, those with the best are listed."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from bench.metric import load_metric
from bench.records.store.runs import read_run
from bench.records.store.statistics import load_statistics
from bench.report import differences, markdown, tables
from bench.report.draw import pictures
from bench.report.summary import significance
from bench.report.summary.compare import paired_differences
from bench.report.summary.summarise import summarise


@pytest.fixture
def five(synthetic):
    planned = [synthetic.add(f"model {n}") for n in range(5)]
    plan = synthetic.write_plan()
    for number, one in enumerate(planned):
        synthetic.train(one)
        synthetic.predict(one, 0.03 + 0.02 * number, number)
        synthetic.time(one, 4.0 + number, number)
        synthetic.score(plan, one)
    return synthetic


def test_pairs_are_those_that_are_compared_one_by_one(five):
    run = read_run(five.run)
    summary = summarise(run)
    metric = load_metric("mean_iou")
    statistics = {view.case.id: load_statistics(view.statistics) for view in run.cases}
    one_by_one = paired_differences(statistics, metric, five.task.classes, seed=0)
    assert [(pair.a, pair.b) for pair in summary.pairs] == list(combinations(statistics, 2))
    for pair in summary.pairs:
        assert pair.difference == pytest.approx(one_by_one[pair.a, pair.b].difference)
    ordered = sorted(one.p for one in one_by_one.values())
    assert min(pair.p_holm for pair in summary.pairs) == pytest.approx(10 * ordered[0])
    assert summary.pair_families[0].tested == 10


def test_of_very_many_pairs_those_with_the_best_are_listed_and_all_count(five, monkeypatch):
    run = read_run(five.run)
    whole = summarise(run)
    monkeypatch.setattr(significance, "MOST_PAIRS", 5)
    few = summarise(run)
    best = max(whole.rows, key=lambda row: row.headline.value).case_id
    assert few.pairs == tuple(pair for pair in whole.pairs if best in (pair.a, pair.b))
    assert few.pair_families == whole.pair_families
    assert few.comparisons == whole.comparisons
    told = " ".join(differences.significance(few))
    assert "all 10 pairs of 5 models" in told
    assert "Of the 10 pairs, results.json lists the 4 with it" in told
    assert "are listed" not in " ".join(differences.significance(whole))


def test_pictures_of_very_many_models_show_the_best_and_say_so(five, monkeypatch, tmp_path):
    monkeypatch.setattr(pictures, "MOST_SHOWN", 2)
    monkeypatch.setattr(pictures, "MOST_BARS", 3)
    run = read_run(five.run)
    drawn = pictures.draw_pictures(run, summarise(run), tmp_path)
    assert [path.name for path in drawn.drawn if path.name.startswith("training_curve")] == ["training_curves.png"]
    assert any("training curves of 3 rows; the 2 with the best score are drawn" in line for line in drawn.left_out)
    assert any("stage times of 2 rows" in line for line in drawn.left_out)
    assert any("3 models in the contact sheet of shapes" in line for line in drawn.left_out)


def test_a_p_value_is_the_same_in_a_table_of_many_and_of_two(five):
    run = read_run(five.run)
    pair = summarise(run).pairs[0]
    again = {view.case.id: load_statistics(view.statistics) for view in run.cases if view.case.id in (pair.a, pair.b)}
    (found,) = paired_differences(again, load_metric("mean_iou"), five.task.classes, seed=0).values()
    assert np.sign(found.difference) == np.sign(pair.difference)
    assert pair.p_holm >= found.p


def test_of_very_many_rows_the_best_have_a_column_per_class(five, monkeypatch):
    summary = summarise(read_run(five.run))
    assert len(tables.classes_table(summary).columns) == 6
    monkeypatch.setattr(tables, "MOST_COLUMNS", 2)
    best = sorted(summary.rows, key=lambda row: -row.headline.value)[:2]
    assert set(tables.classes_table(summary).columns) == {"class", *(row.model for row in best)}
    assert "## mIoU per class (0–1), the 2 best of 5 rows" in markdown.render(summary)
