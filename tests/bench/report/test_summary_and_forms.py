"""Tests what a report says: a pure function of a run's files, half-finished runs included."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest

from bench.errors import PluginError
from bench.records import CaseScores, Flag, OracleScore, Status
from bench.records.store import layout
from bench.records.store.files import write_record
from bench.records.store.manifest import record_facts
from bench.records.store.runs import read_run
from bench.records.store.samples import STAGED, Samples
from bench.records.store.selection import with_cases
from bench.report import render, report_names
from bench.report.summary.summarise import RunSummary, summarise
from bench.report.tables import stages_table

GOLDEN = Path(__file__).parent.parent.parent / "golden"


def summary_of(synthetic) -> RunSummary:
    return summarise(read_run(synthetic.run))


def test_the_better_and_the_faster_are_named_with_their_intervals(finished):
    summary = summary_of(finished)
    (comparison,) = summary.comparisons
    assert (comparison.best, comparison.other) == ("better@shapes@cpu fp32 b1", "faster@shapes@cpu fp32 b1")
    assert comparison.significant
    assert comparison.low > 0
    # 0.2 + 4 + 0.5 ms against 0.2 + 8 + 0.5 ms
    assert comparison.slower == pytest.approx(4.7 / 8.7, rel=0.02)
    text = render("markdown", summary)
    assert "**better** has the best mIoU" in text
    assert "**faster** is the fastest" in text
    assert "1.8" in text.split("**faster** is the fastest")[1].split("as fast as")[0]


def test_both_lie_on_the_front_since_neither_is_better_and_faster(finished):
    rows = summary_of(finished).rows
    assert [row.pareto_optimal for row in rows] == [True, True]
    assert min(row.pareto_probability for row in rows) > 0.99


def test_every_form_is_a_function_of_the_files_alone(finished):
    for form in report_names():
        assert render(form, summary_of(finished)) == render(form, summary_of(finished))


def test_json_reads_back_as_the_summary(finished):
    summary = summary_of(finished)
    assert RunSummary.from_json(render("json", summary)) == summary


def test_json_of_before_0_3_reads_back_by_its_former_names(finished):
    summary = summary_of(finished)
    text = summary.to_json()
    former = {"pareto_optimal": "on_front", "pareto_probability": "front_probability", "sync_overhead": "sync_tax"}
    for name, old in former.items():
        assert f'"{name}"' in text
        text = text.replace(f'"{name}"', f'"{old}"')
    assert RunSummary.from_json(text) == summary


def test_csv_has_a_row_per_case_units_in_its_headings_and_raw_numbers(finished):
    rows = list(csv.DictReader(io.StringIO(render("csv", summary_of(finished)))))
    assert [row["model"] for row in rows] == ["better", "faster"]
    assert {"end_to_end_p50_ms", "end_to_end_p95_ms", "infer_p50_ms", "throughput_images_per_s", "trained_s"} <= set(
        rows[0]
    )
    assert float(rows[0]["infer_p50_ms"]) == pytest.approx(8.0, rel=0.02)
    assert float(rows[0]["host_rss_peak_bytes"]) == 500 * 2**20


def test_counts_stay_counts_in_csv_beside_a_row_without_them(finished):
    finished.add("waiting")
    finished.write_plan()
    line = render("csv", summary_of(finished)).splitlines()[1]
    assert ",485673," in line
    assert "485673.0" not in line


def test_a_percentile_that_the_sample_does_not_support_says_what_is_missing(synthetic):
    planned = synthetic.add("short")
    plan = synthetic.write_plan()
    synthetic.predict(planned, 0.1, 0)
    synthetic.time(planned, 5.0, 0, count=80)
    synthetic.score(plan, planned)
    # 2 processes x 40 end-to-end samples; p95 takes 130, p90 takes 64
    (row,) = summary_of(synthetic).rows
    assert [timing.ms_per_image is None for timing in row.latency.end_to_end] == [False, False, True]
    assert "130" in render("markdown", summary_of(synthetic))


def test_device_time_by_events_has_a_column_of_its_own(synthetic):
    planned = synthetic.add("fast")
    synthetic.write_plan()
    synthetic.predict(planned, 0.1, seed=2)
    synthetic.time(planned, 4.0, seed=2)
    for key, replicate in zip(planned.time_keys, range(2), strict=True):
        file = synthetic.run.job("time", planned.case.id, replicate, key) / layout.SAMPLES
        found = Samples.load(file)
        device_ns = np.where(found.clock == STAGED, 3_000_000, -1).astype(np.int64)
        dataclasses.replace(found, device_ns=device_ns).save(file)
    (row,) = stages_table(summary_of(synthetic)).records()
    assert row["infer by events ms"] == "3.00"


def test_a_run_of_which_nothing_is_done_yet_reads_as_unfinished(synthetic):
    synthetic.add("waiting")
    synthetic.write_plan()
    summary = summary_of(synthetic)
    assert [row.status for row in summary.rows] == ["unfinished"]
    for form in report_names():
        assert "waiting" in render(form, summary)


def test_a_run_that_is_predicted_but_not_timed_shows_its_scores(synthetic):
    planned = synthetic.add("half")
    plan = synthetic.write_plan()
    synthetic.predict(planned, 0.1, 0)
    synthetic.score(plan, planned)
    (row,) = summary_of(synthetic).rows
    assert (row.status, row.latency, row.verdict) == ("unfinished", None, None)
    assert row.headline.value > 0.5


def test_a_failure_is_a_row_with_its_reason_and_the_command_that_repeats_it(finished):
    third = finished.add("broken")
    finished.write_plan()
    finished.write_job(third, "train", third.train_key, status=Status.CRASHED, reason="RuntimeError: boom")
    summary = summary_of(finished)
    assert [row.status for row in summary.rows] == ["ok", "ok", "crashed"]
    for form in ("markdown", "terminal"):
        text = render(form, summary)
        assert "RuntimeError: boom" in text
        assert "bench run suites/synthetic.yaml --case 'broken@shapes@cpu fp32 b1' --kind train" in text


def test_timed_predictions_that_differ_from_the_scored_ones_make_a_row_invalid(finished):
    planned = finished.planned[0]
    folder = finished.run.job("time", planned.case.id, 0, planned.time_keys[0])
    other = finished.run.job("predict", finished.planned[1].case.id, 0, finished.planned[1].predict_key)
    image_id = finished.ids[0]
    (folder / "audit" / f"{image_id}.png").write_bytes((other / "predictions" / f"{image_id}.png").read_bytes())
    (folder / "audit" / "index.json").write_text(f'{{"{image_id}": "another hash"}}')
    row = summary_of(finished).rows[0]
    assert row.verdict.state == "invalid"
    assert "timed_and_scored_differ" in render("markdown", summary_of(finished))


def test_an_unknown_form_is_refused_with_the_nearest(finished):
    with pytest.raises(PluginError, match=r"Did you mean 'markdown'\?"):
        render("markdwn", summary_of(finished))


def test_the_report_of_a_fixed_run_reads_as_it_did(finished):
    """Write it anew with BENCH_UPDATE_GOLDEN=1, and name the change in the commit."""
    text, golden = render("markdown", summary_of(finished)), GOLDEN / "report.md"
    if os.environ.get("BENCH_UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_a_run_whose_records_have_the_form_of_0_1_gives_the_same_report(finished):
    better = finished.planned[0]
    doubt = Flag(name="not_steady", seen="medians differ by 3 %", advice="close other programs")
    folder = finished.write_job(better, "time", better.time_keys[0], flags=(doubt,))
    stored = finished.run.scores(better.case.id)
    scores = CaseScores.from_json(stored.read_text())
    oracle = {"oracle": OracleScore(tau=0.25, value=0.9)}
    scores = scores.model_copy(update={"scores": tuple(s.model_copy(update=oracle) for s in scores.scores)})
    write_record(stored, scores)
    record_facts(finished.run, [stored])
    now = summary_of(finished)
    assert now.rows[0].verdict.reasons[0] == doubt
    assert now.rows[0].scores[0].score.oracle.value == 0.9

    outcome = json.loads((folder / layout.OUTCOME).read_text())
    outcome["facts"]["flags"] = ["not_steady: medians differ by 3 %; close other programs"]
    (folder / layout.OUTCOME).write_text(json.dumps(outcome))
    old = json.loads(stored.read_text())
    for score in old["scores"]:
        score["dialects"]["best_tau_oracle"] = score["oracle"]["value"]
        score["parts"]["tau_of_best_tau_oracle"] = score.pop("oracle")["tau"]
    stored.write_text(json.dumps(old))
    record_facts(finished.run, [stored])
    assert summary_of(finished) == now
    report = json.loads(render("json", now))
    for row in report["rows"]:
        for reason in row["verdict"]["reasons"]:
            reason["recommendation"] = reason.pop("advice")
    assert RunSummary.from_json(json.dumps(report)) == now


@pytest.mark.parametrize("form", ["markdown", "terminal"])
def test_a_report_of_chosen_cases_says_that_comparisons_are_among_these(finished, form):
    finished.add("third")
    finished.write_plan()
    run = read_run(finished.run)
    some = render(form, summarise(with_cases(run, "*er")))
    assert "2 of the 3 cases of this run are shown. What compares cases" in some
    assert "of this run are shown" not in render(form, summarise(run))
