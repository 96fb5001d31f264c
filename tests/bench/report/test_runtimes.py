"""The table of runtimes: what an export changes, against the eager case that is equal otherwise."""

from __future__ import annotations

import json

import pytest

from bench.predictions import SemanticMap, load_prediction, save_prediction
from bench.records import Target
from bench.report import markdown
from bench.report.runtimes import runtimes_note, runtimes_table
from bench.report.summary import summarise
from bench.store import layout
from bench.store.runs import read_run

PIXELS = 12 * 48 * 64
"""Of the synthetic data set."""


def add(synthetic, runtime, *, infer_ms, **target):
    case_id = f"net@shapes@cpu fp32 b1 {runtime}"
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


def test_no_tolerance_is_set_for_other_arithmetic(synthetic):
    summary = pair(synthetic, 900, precision="bf16")
    assert summary.runtimes[0].parity is None
    assert runtimes_table(summary)["parity"][0] == "no tolerance set"


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
    assert set(runtimes_table(summary).iloc[0]) >= {"–"}


def test_the_report_has_the_table_only_where_there_are_runtimes(synthetic):
    summary = pair(synthetic, 37)
    text = markdown.render(summary)
    assert "## Runtimes" in text
    assert "| NO: above 0.1 %" in text
    assert "## Runtimes" not in markdown.render(summary.model_copy(update={"runtimes": ()}))
