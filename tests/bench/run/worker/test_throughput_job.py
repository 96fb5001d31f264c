"""Throughput jobs in real workers: what they leave behind, whatever the model does under load."""

from __future__ import annotations

import numpy as np
import pytest

from bench.records import Status, read_record
from bench.records.store import layout
from bench.records.store.files import write_atomically, write_record
from bench.records.store.runs import new_run, read_run
from bench.records.store.samples import Samples
from bench.records.throughput import Loads
from bench.report import render
from bench.report.summary.summarise import summarise
from bench.run.environments.interpreters import Interpreters
from bench.run.planning.prepare import prepare
from tests.bench.suites import BRIEF, job_folders, run_suite, write_suite

THROUGHPUT = {
    "scenarios": ["single_stream", "multi_stream", "server", "offline"],
    "min_s": 0.1,
    "max_s": 3.0,  # 64 queries of 5 ms have time, 662 have not
    "largest_batch": 4,
    "streams": 4,
    "percentile": 90.0,
    "latency_bound_ms": 50.0,
    "server_resolution": 0.5,
}
SMALL = {
    "name": "fake/oom_device",
    "label": "small memory",
    "options": {"behaviour": "oom_device", "fits": 2, "infer_ms": 1.0},
}


def carried_out(tmp_path, models, kinds, **changes):
    suite = write_suite(tmp_path, models, **changes)
    run = new_run(tmp_path / "results", "suite")
    write_record(run.path / layout.PLAN, prepare(suite, Interpreters()).plan)
    write_atomically(run.path / layout.ENVIRONMENT, "{}")
    return run_suite(suite, run, tmp_path / "results", kinds=kinds), run


@pytest.mark.slow
def test_a_model_under_load_leaves_its_result_and_its_raw_times(tmp_path):
    ran, run = carried_out(tmp_path, ["fake/slow_5ms", SMALL], ("predict", "throughput"), throughput=THROUGHPUT)
    assert {ran.outcome("throughput", label).status for label in ("fake/slow_5ms", "small memory")} == {Status.OK}
    slow, small = sorted(job_folders(run, "throughput"), key=lambda folder: "slow" not in folder.name)

    loads = read_record(Loads, slow / layout.THROUGHPUT)
    raw = np.load(slow / layout.LATENCIES)
    # A fake's latency is a minimum: a busy machine only adds to it. A batch takes as long as an image.
    assert loads.single_stream.tail.ms >= 5.0
    assert loads.single_stream.tail.queries == len(raw["single_stream_ns"]) >= 64
    assert loads.multi_stream.tail.missing.startswith("needs 662 queries, has ")
    assert loads.sweep.points[0].rate.images_per_s <= 200.0
    assert [point.batch_size for point in loads.sweep.points][:2] == [1, 2]
    assert loads.offline.rate.images == raw["offline_images"].sum()
    assert loads.server.trials[0].answered == len(raw["server_0_ns"])
    assert loads.refused == {}

    loads = read_record(Loads, small / layout.THROUGHPUT)
    assert [point.ended for point in loads.sweep.points] == ["measured", "measured", "oom_device"]
    assert (loads.sweep.chosen_batch, loads.sweep.stopped_by, loads.offline.batch_size) == (2, "memory", 2)
    assert loads.multi_stream is None
    assert loads.refused == {"multi_stream": "oom_device: CUDA out of memory. Tried to allocate 2.00 GiB"}

    text = render("markdown", summarise(read_run(run)))
    assert "not an MLPerf result" in text
    assert "| out of device memory: CUDA out of memory" in text


def test_a_timing_that_begins_at_files_has_a_stage_more_and_says_so(tmp_path):
    measurement = {**BRIEF, "input": "file", "pipelined_s": 0.05}
    ran, run = carried_out(tmp_path, ["fake/slow_5ms"], ("predict", "time"), measurement=measurement)
    assert ran.outcome("time", "fake/slow_5ms").status is Status.OK
    (folder,) = job_folders(run, "time")
    samples = Samples.load(folder / layout.SAMPLES)
    assert samples.from_file
    assert (samples.stage_decode_ns[samples.clock == 1] > 0).all()
    (row,) = summarise(read_run(run)).rows
    assert list(row.latency.stages) == ["decode", "preprocess", "infer", "postprocess"]
    assert (row.latency.input, row.latency.replicates) == ("file", 1)
    text = render("markdown", summarise(read_run(run)))
    assert "end-to-end from file p50 ms/image" in text
    assert "the content of image files in host memory to predictions" in text


def test_a_prompted_model_cannot_be_timed_from_files(tmp_path):
    model = {"name": "fake/prompt_itself", "label": "itself"}
    measurement = {**BRIEF, "input": "file"}
    ran, _ = carried_out(
        tmp_path,
        [model],
        ("predict", "time"),
        measurement=measurement,
        task="prompted",
        prompts="box",
        metrics=["prompted_iou"],
    )
    outcome = ran.outcome("time", "itself box")
    assert outcome.status is Status.UNSUPPORTED
    assert "measurement: {input: array}" in outcome.reason
