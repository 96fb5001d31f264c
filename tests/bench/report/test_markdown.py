"""Markdown that renders: tables keep their columns whatever stands in a cell."""

from __future__ import annotations

import re

import pytest

from bench.records import Status
from bench.records.store.runs import read_run
from bench.report import markdown
from bench.report.summary.summarise import summarise
from bench.report.tables import results_table, stages_table

REASON = "ValueError: a | b\nin <module> of 'net' && then"


def tables_of(text):
    """Every table as its rows of cells."""
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    return [[re.split(r"(?<!\\)\|", line)[1:-1] for line in block] for block in blocks]


@pytest.fixture
def text(finished):
    broken = finished.add("broken")
    finished.write_plan()
    finished.write_job(broken, "train", broken.train_key, status=Status.CRASHED, reason=REASON)
    return markdown.render(summarise(read_run(finished.run)), ["stage_times.png"], ["the contact sheet: no files"])


def test_every_row_of_a_table_has_as_many_cells_as_its_heading(text):
    found = tables_of(text)
    # results, scores, classes, against the best, worst slices, slices, stages, training, budget, failures
    assert len(found) == 10
    assert [len({len(row) for row in table}) for table in found] == [1] * 10


def test_a_reason_stays_in_its_cell_and_its_angle_brackets_stay_text(text):
    assert r"ValueError: a \| b in &lt;module> of 'net' &amp;&amp; then" in text


def test_the_command_that_repeats_a_job_can_be_copied(text):
    assert "`bench run suites/synthetic.yaml --case 'broken@shapes@cpu fp32 b1' --kind train`" in text


def test_the_answer_comes_first_and_the_notes_last(text):
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    assert headings[0] == "A synthetic run"
    assert headings[-4:] == ["Failures", "How it was measured", "Environment", "Notes"]
    assert text.index("has the best mIoU") < text.index("| model") < text.index("![") < text.index("## Scores")


def test_pictures_are_shown_with_their_caption_and_others_with_the_reason(text):
    assert "![Where the time goes: medians of the staged clock](stage_times.png)" in text
    assert text.count("![") == 1
    assert "Not drawn: the contact sheet: no files" in text


def test_a_picture_of_a_further_data_set_names_it(finished):
    text = markdown.render(summarise(read_run(finished.run)), ["contact_sheet@brain.png"])
    assert "models disagree most (brain)](contact_sheet@brain.png)" in text


def test_every_column_of_numbers_has_a_unit_or_a_range(text):
    headings = [cell.strip() for cell in tables_of(text)[0][0]]
    counts = {"model", "parameters", "Pareto-optimal", "verdict"}
    assert all(re.search(r"ms|images/s|MiB|0–1", heading) for heading in headings if heading not in counts)


def test_the_tail_in_the_first_table_is_the_highest_percentile_of_the_protocol(synthetic):
    planned = synthetic.add("quick")
    measurement = planned.case.measurement.model_copy(update={"percentiles": (50.0, 90.0)})
    case = planned.case.model_copy(update={"measurement": measurement})
    synthetic.planned = [planned.model_copy(update={"case": case})]
    plan = synthetic.write_plan()
    synthetic.predict(planned, 0.1, 0)
    synthetic.time(planned, 5.0, 0)
    synthetic.score(plan, planned)
    headings, _, row = tables_of(markdown.render(summarise(read_run(synthetic.run))))[0]
    (column,) = [number for number, heading in enumerate(headings) if heading.strip() == "p90 ms/image"]
    # 0.2 + 5 + 0.5 ms and noise of 3 %
    assert float(row[column].split()[0]) == pytest.approx(5.9, abs=0.15)


@pytest.mark.parametrize(
    ("percentiles", "wanted"),
    [
        ((50.0,), ["end-to-end p50 ms/image"]),
        ((99.0,), ["end-to-end p50 ms/image", "p99 ms/image"]),
        ((10.0, 50.0), ["end-to-end p50 ms/image"]),
    ],
)
def test_the_median_is_told_once_whatever_percentiles_a_suite_asks_for(synthetic, percentiles, wanted):
    planned = synthetic.add("one")
    measurement = planned.case.measurement.model_copy(update={"percentiles": percentiles})
    case = planned.case.model_copy(update={"measurement": measurement})
    synthetic.planned = [planned.model_copy(update={"case": case})]
    plan = synthetic.write_plan()
    synthetic.predict(planned, 0.1, 0)
    synthetic.time(planned, 5.0, 0)
    synthetic.score(plan, planned)
    summary = summarise(read_run(synthetic.run))
    row = results_table(summary).records()[0]
    assert [name for name in row if re.search(r"p\d+ ms", name)] == wanted
    assert float(row[wanted[0]].split()[0]) == pytest.approx(5.7, abs=0.15)  # 0.2 + 5 + 0.5 ms
    stages = list(stages_table(summary).columns)
    assert len(stages) == len(set(stages))
    assert any("p50" in name for name in stages) is False


def test_no_interval_without_0_stands_beside_a_no(finished):
    summary = summarise(read_run(finished.run))
    for one in summary.comparisons:
        assert one.significant == (one.low > 0 or one.high < 0)
        assert one.slower_significant == (one.slower_low > 1 or one.slower_high < 1)


def test_curves_stand_in_the_section_on_training_those_of_single_models_folded_away(finished):
    names = ["stage_times.png", "training_curves.png", "training_curve@better.png", "accuracy_budget.png"]
    text = markdown.render(summarise(read_run(finished.run)), names)
    places = [text.rindex(part) for part in (
        "(stage_times.png)", "## Scores", "## Training", "(training_curves.png)", "<details>",
        "(better)](training_curve@better.png)", "</details>", "## Under one budget", "(accuracy_budget.png)",
    )]  # fmt: skip
    assert places == sorted(places)
    assert text.count("![") == 4


def test_the_conclusion_stands_at_the_top_of_the_scores(text):
    after = text.split("## Scores\n\n")[1]
    assert after.startswith("**better** has the best mIoU")
