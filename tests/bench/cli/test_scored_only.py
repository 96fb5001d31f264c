"""Suites with `measurement: none`: predicted and scored, never timed, and the report says so."""

import json

import pytest

from bench.cli.main import main

SUITE = """
models:
  - name: fake/noisy
    options: {infer_ms: 0.0, dataset: {preset: easy, size: [32, 32], test: 4}}
datasets:
  - name: shapes
    options: {preset: easy, size: [32, 32], test: 4}
"""


@pytest.mark.few(1)
@pytest.mark.parametrize("written", ["measurement: none", "measurement: null", "measurement: {replicates: 0}"])
def test_a_suite_without_measurement_predicts_and_scores_and_is_done(tmp_path, capsys, written):
    suite = tmp_path / "s.yaml"
    suite.write_text(f"{SUITE}{written}\n")
    words = ["--results", str(tmp_path / "results")]
    assert main(["run", str(suite), *words]) == 0
    table = capsys.readouterr().out
    assert "scored only" in table
    assert "ms/image" not in table
    run = next((tmp_path / "results" / "s").iterdir())
    assert {json.loads(file.read_text())["kind"] for file in run.glob("jobs/*/job.json")} == {"predict"}
    report = (run / "report.md").read_text()
    assert "Nothing was timed" in report
    assert "Warm-up" not in report
    assert "not finished" not in report


def test_a_suite_that_extends_a_timed_one_may_leave_the_timing_out(tmp_path, capsys):
    (tmp_path / "timed.yaml").write_text(f"{SUITE}measurement: {{quick: true}}\n")
    (tmp_path / "s.yaml").write_text("extends: timed.yaml\nmeasurement: none\n")
    assert main(["check", str(tmp_path / "s.yaml"), "--results", str(tmp_path / "results")]) == 0
    assert "time r0" not in capsys.readouterr().out
