"""Progress for programs: JSON lines on standard error, and nothing else there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.suites import perfect, write_suite

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_every_line_on_standard_error_is_json_that_tells_the_run_from_plan_to_end(tmp_path):
    crashes = {"name": "fake/crashes", "label": "crashes"}
    suite = write_suite(tmp_path, [perfect(label="perfect"), crashes])
    command = [sys.executable, "-m", "bench.cli.main", "run", str(suite), "--json-progress", "--results", "results"]
    ended = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert ended.returncode == 1
    events = [json.loads(line) for line in ended.stderr.splitlines()]
    told = [event for event in events if event["event"] not in ("note", "progress")]
    assert (told[0]["event"], told[-1]["event"]) == ("planned", "finished")
    assert all("at" in event for event in events)
    order = [(event["event"], event["kind"], event["number"]) for event in told[1:-1]]
    jobs = {(kind, number) for _, kind, number in order}
    assert len(order) == 2 * len(jobs)
    assert all(order.index(("started", *job)) < order.index(("ended", *job)) for job in jobs)
    by_case = {
        (event["case"].split("@")[0], event["kind"]): event["status"] for event in told if event["event"] == "ended"
    }
    assert by_case["perfect", "predict"] == "ok"
    assert by_case["crashes", "predict"] == "crashed"
    # What crashed while it predicted is not timed.
    assert told[0]["jobs"] == told[1]["of"] == len(jobs) + 1
    assert told[-1]["failed"] == [event["case"] for event in told if event.get("status") == "crashed"]
    assert ended.stdout.splitlines()[-1].endswith("report.html")
