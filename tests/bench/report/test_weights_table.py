"""Tests what the report says of weights and preprocessing, from the facts of the jobs."""

from __future__ import annotations

from bench.records.store.runs import read_run
from bench.report import markdown
from bench.report.summary.summarise import RunSummary, summarise
from bench.report.weights_table import weights_table

READ = {
    "loaded": 62,
    "left": 3,
    "renamed": 0,
    "drawn": 0,
    "taken": "ema",
    "classes": [["Background", "background"], ["cat", "cat"]],
}
CONTRACT = {
    "mean": [0.485, 0.456, 0.406],
    "std": [0.25, 0.25, 0.25],
    "channels": "bgr",
    "size": [64, 96],
    "fit": "letterbox",
    "interpolation": "auto",
    "said_by": "the option input; timm, for resnet34",
    "from": {
        **dict.fromkeys(("mean", "std", "channels", "interpolation"), "timm, for resnet34"),
        "size": "the target",
        "fit": "the option input",
    },
}


def summary_of(run, **facts):
    """A run of one model whose prediction tells facts."""
    planned = run.add("mine", recipe=None).model_copy(update={"train_key": None})
    run.planned[-1] = planned
    run.write_plan()
    run.predict(planned, wrong=0.1, seed=1, **facts)
    return summarise(read_run(run.run))


def test_a_row_has_the_counts_the_classes_and_each_part_of_the_input_with_who_said_it(synthetic):
    (row,) = weights_table(summary_of(synthetic, weights_read=READ, input_contract=CONTRACT)).records()
    assert row == {
        "model": "mine",
        "tensors loaded": "62",
        "tensors left": "3",
        "tensors renamed": "0",
        "tensors drawn": "0",
        "classes matched by name": "2 (Background = background)",
        "mean": "0.485, 0.456, 0.406",
        "std": "0.25, 0.25, 0.25",
        "channels": "bgr",
        "size": "64, 96",
        "fit": "letterbox",
        "interpolation": "auto",
        "said by": "mean, std, channels, interpolation: timm, for resnet34; size: the target; fit: the option input",
    }


def test_columns_that_nobody_has_are_left_out_and_one_source_is_named_once(synthetic):
    contract = {
        "mean": [0.5],
        "std": [0.25],
        "size": None,
        "from": {"mean": "the network's own", "std": "the network's own"},
    }
    (row,) = weights_table(summary_of(synthetic, input_contract=contract)).records()
    assert row == {"model": "mine", "mean": "0.5", "std": "0.25", "said by": "the network's own"}


def test_how_images_were_fitted_in_training_stands_beside_how_they_are():
    from bench.report.weights_table import _fit

    stretched = {"size": [64, 64], "fit": "stretch"}
    assert _fit({**stretched, "trained_fit": "crop"}, weights_given=True) == "stretch (in training: crop)"
    assert _fit({**stretched, "trained_fit": "stretch"}, weights_given=True) == "stretch"
    assert _fit({**stretched, "trained_fit": None}, weights_given=True) == "stretch (in training: not known)"
    assert _fit({**stretched, "trained_fit": None}, weights_given=False) == "stretch"
    assert _fit({"size": None, "fit": "stretch", "trained_fit": "crop"}, weights_given=True) == (
        "own size (in training: crop)"
    )


def test_where_no_job_tells_anything_there_is_no_section(synthetic):
    summary = summary_of(synthetic)
    assert not weights_table(summary).rows
    assert "Weights and preprocessing" not in markdown.render(summary)


def test_report_and_json_have_what_the_facts_say(synthetic):
    summary = summary_of(synthetic, weights_read=READ, input_contract=CONTRACT)
    assert "## Weights and preprocessing" in markdown.render(summary)
    (row,) = RunSummary.from_json(summary.to_json()).rows
    assert (row.weights_read, row.input_contract) == (READ, CONTRACT)


def test_a_size_by_the_short_side_is_told_as_that(synthetic):
    contract = {"mean": [0.5], "std": [0.25], "size": None, "fit": "stretch", "short_edge": [800, 1333]}
    (row,) = weights_table(summary_of(synthetic, input_contract=contract)).records()
    assert row["fit"] == "short side to 800, long side to 1333 at most"
