"""Tests what the report says of models under load: results, what is missing, and what they are not."""

from __future__ import annotations

import csv
import io

import matplotlib as mpl
import pytest

from bench.records.store import layout
from bench.records.store.files import write_record
from bench.records.store.runs import read_run
from bench.records.throughput import Loads, Offline, Rate, Served, ServerTrial, Streamed, Sweep, SweepPoint, TailLatency
from bench.report import markdown, render
from bench.report.draw.curves import LOADS as PICTURE
from bench.report.draw.curves import draw_curves, load_curves
from bench.report.draw.figure import STYLE, draw
from bench.report.draw.pictures import draw_pictures
from bench.report.summary.summarise import RunSummary, summarise
from bench.report.throughput import how_loaded, scenarios_table, sweep_table


def rate(images_per_s, **changes):
    fields = {"low": images_per_s - 2, "high": images_per_s + 2, "images": 1000, "wall_s": 5.0, "blocks": 5}
    return Rate(images_per_s=images_per_s, **{**fields, **changes})


def trial(queries_per_s, percentile_ms, *, passed):
    return ServerTrial(
        queries_per_s=queries_per_s,
        planned=700,
        answered=700 if passed else 60,
        over=1 if passed else 2,
        allowed_over=1,
        passed=passed,
        median_ms=None if percentile_ms is None else 6.0,
        percentile_ms=percentile_ms,
    )


SWEEP = Sweep(
    points=(
        SweepPoint(batch_size=1, ended="measured", rate=rate(100.0), host_rss_peak_bytes=200 * 2**20),
        SweepPoint(batch_size=2, ended="measured", rate=rate(150.0), host_rss_peak_bytes=300 * 2**20),
        SweepPoint(batch_size=4, ended="oom_device", reason="no more"),
    ),
    chosen_batch=2,
    stopped_by="memory",
)
SERVER = Served(
    bound_ms=100.0,
    percentile=99.0,
    largest_batch=1,
    resolution=0.05,
    trials=(trial(75.0, 20.0, passed=True), trial(150.0, None, passed=False)),
    queries_per_s=75.0,
    fails_at=150.0,
)
LOADS = Loads(
    sweep=SWEEP,
    single_stream=Streamed(
        images_per_query=1,
        tail=TailLatency(percentile=90.0, ms=12.345, queries=1200, needed=64, slower=9),
        median_ms=10.0,
        wall_s=5.0,
    ),
    multi_stream=Streamed(
        images_per_query=8, tail=TailLatency(percentile=99.0, queries=150, needed=662), median_ms=80.0, wall_s=120.0
    ),
    offline=Offline(batch_size=2, rate=rate(151.0)),
    server=SERVER,
)


@pytest.fixture
def planned(synthetic):
    """A run of two models of which nothing is done yet."""
    synthetic.add("loaded")
    synthetic.add("other")
    synthetic.write_plan()
    return synthetic


@pytest.fixture
def summary(planned) -> RunSummary:
    """The run, as if the first model was put under load."""
    return with_loads(summarise(read_run(planned.run)), LOADS)


def with_loads(summary, loads):
    return summary.model_copy(update={"rows": (summary.rows[0].model_copy(update={"loads": loads}), summary.rows[1])})


def cells(summary, scenario):
    (row,) = [row for row in scenarios_table(summary).records() if row["scenario"] == scenario]
    return row


def test_results_of_streams_are_percentiles_with_their_queries(summary):
    row = cells(summary, "single stream")
    assert (row["result"], row["queries"], row["valid"]) == ("p90 12.3 ms", "1,200", "yes")


def test_a_percentile_without_enough_queries_is_no_number_and_says_what_to_do(summary):
    row = cells(summary, "multi stream")
    assert row["result"] == "–"
    assert row["valid"] == "no: needs 662 queries, has 150; raise throughput.max_s"


def test_the_server_is_told_with_its_bound_and_the_rate_that_failed(summary):
    row = cells(summary, "server")
    assert (row["result"], row["bound"], row["queries"]) == ("75 queries/s (fails at 150)", "p99 ≤ 100 ms", "700")


def test_a_server_without_a_rate_says_why(summary):
    none = SERVER.model_copy(update={"trials": (), "queries_per_s": None, "fails_at": None, "missing": "too slow"})
    row = cells(with_loads(summary, Loads(server=none)), "server")
    assert (row["result"], row["valid"]) == ("–", "no: too slow")


def test_offline_names_the_batch_and_the_interval(summary):
    assert cells(summary, "offline")["result"] == "151.0 (149.0–153.0) images/s in batches of 2"


def test_what_was_disturbed_is_flagged(summary):
    loads = Loads(offline=Offline(batch_size=1, rate=rate(10.0, disturbed=True)))
    assert cells(with_loads(summary, loads), "offline")["valid"].startswith("flagged: disturbed")


def test_a_refused_scenario_has_a_row_with_the_reason(summary):
    loads = Loads(refused={"multi_stream": "unsupported: batches of 1 only"})
    assert cells(with_loads(summary, loads), "multi stream")["valid"] == "no: unsupported: batches of 1 only"


def test_batch_sizes_have_gains_and_say_which_was_chosen_and_why_it_ended(summary):
    rows = sweep_table(summary).records()
    assert [(row["batch"], row["gain %"]) for row in rows] == [("1", "–"), ("2", "+50.0"), ("4", "–")]
    assert [row["ended"] for row in rows] == ["measured", "chosen", "out of device memory: no more"]
    assert "peak device MiB" not in rows[0]
    assert rows[1]["peak host MiB"] == "300"


def test_the_last_batch_says_why_there_is_no_larger_one(summary):
    points = SWEEP.points[:2]
    ended = Loads(sweep=SWEEP.model_copy(update={"points": points, "chosen_batch": 1, "stopped_by": "gain"}))
    rows = sweep_table(with_loads(summary, ended)).records()
    assert [row["ended"] for row in rows] == ["chosen", "measured; ended: larger batches gained too little"]


def test_the_report_says_that_it_is_no_mlperf_result_and_how_latencies_were_taken(summary):
    text = markdown.render(summary)
    assert "## Under load (named after MLPerf Inference's scenarios; not an MLPerf result)" in text
    assert "## Batch sizes" in text
    assert "there is no LoadGen, no audit" in text
    assert "from the moment a query was due to its completion" in text


def test_a_run_without_loads_says_nothing_of_them(planned):
    summary = summarise(read_run(planned.run))
    text = markdown.render(summary)
    assert "MLPerf" not in text
    assert "Batch sizes" not in text
    assert how_loaded(summary) == []
    assert draw_curves(summary, planned.run.path) == []


def test_only_what_was_measured_is_explained(summary):
    told = " ".join(how_loaded(with_loads(summary, Loads(offline=LOADS.offline))))
    assert "*server*" not in told
    assert "Batch sizes" not in told


def test_the_other_forms_carry_the_numbers(summary, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert "75 queries/s (fails at 150)" in render("terminal", summary)
    (row, _) = csv.DictReader(io.StringIO(render("csv", summary)))
    assert (row["single_stream_p90_ms"], row["multi_stream_p99_ms"]) == ("12.345", "")
    assert (row["sweep_batch"], row["sweep_images_per_s"], row["offline_images_per_s"]) == ("2", "150.0", "151.0")
    assert (row["server_queries_per_s"], row["server_bound_ms"]) == ("75.0", "100.0")
    assert RunSummary.from_json(render("json", summary)).rows[0].loads == LOADS


def test_loads_are_read_from_the_job_that_measured_them(planned):
    first = planned.planned[0].model_copy(update={"throughput_key": "e".ljust(64, "0")})
    planned.planned[0] = first
    planned.write_plan()
    folder = planned.write_job(first, "throughput", first.throughput_key)
    write_record(folder / layout.THROUGHPUT, LOADS)
    view = read_run(planned.run)
    rows = summarise(view).rows
    assert (rows[0].loads, rows[1].loads) == (LOADS, None)
    assert [path.name for path in draw_pictures(view, summarise(view), planned.run.path).drawn] == [PICTURE]
    (folder / layout.THROUGHPUT).write_text('{"records_version": 1, "sw')
    summary = summarise(read_run(planned.run))
    assert summary.rows[0].loads is None
    (failure,) = summary.failures
    assert (failure.kind, failure.status) == ("throughput", "damaged")
    assert "throughput.json is damaged" in failure.reason


def curve(label, *, batches=True, trials=True):
    points = (
        SweepPoint(batch_size=1, ended="measured", rate=rate(100.0)),
        SweepPoint(batch_size=2, ended="measured", rate=rate(150.0, low=None, high=None)),
    )
    served = (trial(75.0, 20.0, passed=True), trial(100.0, 120.0, passed=False), trial(150.0, None, passed=False))
    server = Served(bound_ms=100.0, percentile=99.0, largest_batch=8, resolution=0.05, trials=served)
    sweep = Sweep(points=points, chosen_batch=2, stopped_by="gain")
    return label, Loads(sweep=sweep if batches else None, server=server if trials else None)


@pytest.mark.parametrize(
    ("curves", "panels"),
    [
        ([curve("a"), curve("b")], ["batch size", "offered load (queries/s)"]),
        ([curve("a", trials=False)], ["batch size"]),
        ([curve("a", batches=False)], ["offered load (queries/s)"]),
        ([curve("a", batches=False), curve("b", trials=False)], ["batch size", "offered load (queries/s)"]),
    ],
)
def test_the_picture_has_a_panel_for_each_thing_that_was_measured(curves, panels):
    with mpl.rc_context(STYLE):
        figure = load_curves(curves)
    assert [axes.get_xlabel() for axes in figure.axes] == panels
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == sorted({label for label, _ in curves})


def test_a_rate_that_did_not_hold_is_hollow_and_on_the_bound_if_its_trial_ended_early():
    with mpl.rc_context(STYLE):
        figure = load_curves([curve("a", batches=False)])
    held, late, bound = figure.axes[0].lines
    assert held.get_xydata().tolist() == [[75.0, 20.0]]
    assert late.get_xydata().tolist() == [[100.0, 120.0], [150.0, 100.0]]
    assert (held.get_fillstyle(), late.get_fillstyle()) == ("full", "none")
    assert set(bound.get_ydata()) == {100.0}


def test_equal_loads_are_drawn_as_equal_files(tmp_path):
    for name in ("one.png", "two.png"):
        draw(tmp_path / name, load_curves, [curve("a"), curve("b")])
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
