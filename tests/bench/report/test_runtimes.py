"""The table of runtimes: what an export changes, against the eager case that is equal otherwise."""

from __future__ import annotations

import json

import pytest

from bench.records import Target
from bench.records.predictions import SemanticMap, load_prediction, save_prediction
from bench.records.store import layout
from bench.records.store.runs import read_run
from bench.report import markdown
from bench.report.summary.summarise import summarise
from bench.report.throughput import runtimes_note, runtimes_table

PIXELS = 12 * 48 * 64
"""Of the synthetic data set."""


def add(synthetic, runtime, *, infer_ms, id=None, **target):
    case_id = id or f"net@shapes@cpu fp32 b1 {runtime}"
    planned = synthetic.add("net", id=case_id, target=Target(runtime=runtime, **target))
    plan = synthetic.write_plan()
    synthetic.predict(planned, 0.1, 1)
    synthetic.time(planned, infer_ms, 1)
    return plan, planned


def change(synthetic, planned, count):
    """Give the first pixels of the second image another class."""
    folder = synthetic.run.job("predict", planned.case.id, 0, planned.predict_key) / layout.PREDICTIONS
    image_id = synthetic.ids[1]
    labels = load_prediction("semantic", folder, image_id).labels.copy()
    labels.flat[:count] = (labels.flat[:count] + 1) % 2
    save_prediction(SemanticMap(labels), folder, image_id)
    index = json.loads((folder / layout.PREDICTION_INDEX).read_text())
    index[image_id] = SemanticMap(labels).content_hash()
    (folder / layout.PREDICTION_INDEX).write_text(json.dumps(index))


def pair(synthetic, changed, runtime="onnxruntime", **target):
    plan, eager = add(synthetic, "eager", infer_ms=8.0, **target)
    _, other = add(synthetic, runtime, infer_ms=2.0, **target)
    change(synthetic, other, changed)
    for planned in (eager, other):
        synthetic.score(plan, planned)
    return summarise(read_run(synthetic.run))


def test_changed_pixels_are_counted_over_all_images(synthetic):
    (found,) = pair(synthetic, 30).runtimes
    assert (found.runtime, found.pixels) == ("onnxruntime", PIXELS)
    assert found.changed == pytest.approx(30 / PIXELS)
    assert found.worst_image == synthetic.ids[1]
    assert found.worst_changed == pytest.approx(30 / (48 * 64))


def test_the_ratio_of_latencies_is_this_over_eager(synthetic):
    (found,) = pair(synthetic, 0).runtimes
    # Stages of 0.2 and 0.5 ms around 2 and 8 ms; the noise is the same draw.
    assert found.latency_ratio == pytest.approx(2.7 / 8.7, rel=0.05)
    assert found.latency_low <= found.latency_ratio <= found.latency_high


@pytest.mark.parametrize(("changed", "parity"), [(36, True), (37, False)])
def test_more_than_a_pixel_in_a_thousand_is_flagged(synthetic, changed, parity):
    # 36 864 pixels: 36 are 0.098 %, 37 are 0.1004 %.
    summary = pair(synthetic, changed)
    assert summary.runtimes[0].parity is parity
    assert ("Flagged" in runtimes_note(summary)) is not parity
    assert runtimes_table(summary)["parity"][0].startswith("yes" if parity else "NO")


def test_equal_predictions_have_no_worst_image_and_no_change_of_the_score(synthetic):
    (found,) = pair(synthetic, 0).runtimes
    assert (found.changed, found.worst_image, found.score_change) == (0.0, None, 0.0)


def test_the_change_of_the_score_is_this_minus_eager(synthetic):
    summary = pair(synthetic, 500)
    eager, other = (row.headline.value for row in summary.rows)
    assert summary.runtimes[0].score_change == pytest.approx(other - eager)
    assert other != eager


@pytest.mark.parametrize(("changed", "parity"), [(0, True), (3000, False)])
def test_other_arithmetic_is_held_to_the_score_alone(synthetic, changed, parity):
    # 3000 of its 3072 pixels turn one image of twelve over: far more than a hundredth of the score.
    (found,) = pair(synthetic, changed, precision="bf16").runtimes
    assert found.same_pixels is None
    assert found.kept_score is found.parity is parity


def test_a_lower_score_is_flagged_beside_the_pixels(synthetic):
    summary = pair(synthetic, 3000)
    assert runtimes_table(summary)["parity"][0] == "NO: above 0.1 % of pixels and below 99 % of the score"


def test_int8_is_held_against_eager_fp32(synthetic):
    _, eager = add(synthetic, "eager", infer_ms=8.0)
    add(synthetic, "onnxruntime", infer_ms=2.0, precision="int8")
    add(synthetic, "eager", infer_ms=8.0, precision="int8", id="net@shapes@cpu int8 b1")
    (found,) = summarise(read_run(synthetic.run)).runtimes
    assert (found.eager_id, found.changed) == (eager.case.id, 0.0)


def test_size_and_time_of_an_export_stand_in_the_table(synthetic):
    add(synthetic, "eager", infer_ms=8.0)
    other = synthetic.add("net", id="net@shapes@cpu fp32 b1 openvino", target=Target(runtime="openvino")).model_copy(
        update={"export_key": "e".ljust(64, "0")}
    )
    synthetic.planned[-1] = other
    synthetic.write_plan()
    synthetic.write_job(other, "export", other.export_key, exported_bytes=12_340_000, export_s=4.26)
    summary = summarise(read_run(synthetic.run))
    assert (summary.runtimes[0].exported_bytes, summary.runtimes[0].export_s) == (12_340_000, 4.26)
    row = runtimes_table(summary).records()[0]
    assert (row["export MB"], row["export s"]) == ("12.3", "4.3")


def test_a_case_that_differs_in_more_than_the_runtime_is_not_compared(synthetic):
    add(synthetic, "eager", infer_ms=8.0)
    add(synthetic, "openvino", infer_ms=4.0, batch_size=2)
    assert summarise(read_run(synthetic.run)).runtimes == ()


def test_a_run_with_half_its_predictions_says_what_it_knows(synthetic):
    add(synthetic, "eager", infer_ms=8.0)
    synthetic.add("net", id="net@shapes@cpu fp32 b1 openvino", target=Target(runtime="openvino"))
    synthetic.write_plan()
    summary = summarise(read_run(synthetic.run))
    (found,) = summary.runtimes
    assert (found.pixels, found.changed, found.parity, found.latency_ratio) == (0, None, None, None)
    assert set(runtimes_table(summary).rows[0]) >= {"–"}


def test_the_report_has_the_table_only_where_there_are_runtimes(synthetic):
    summary = pair(synthetic, 37)
    text = markdown.render(summary)
    assert "## Runtimes" in text
    assert "| NO: above 0.1 % of pixels" in text
    assert "## Runtimes" not in markdown.render(summary.model_copy(update={"runtimes": ()}))
