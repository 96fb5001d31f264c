"""Names and messages are shown as they are: no markup, no HTML, no formulas."""

from __future__ import annotations

import csv as reader
import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from bench.records import Outcome, Status
from bench.records.store.runs import read_run
from bench.report import csv, markdown, render
from bench.report.summary.summarise import summarise
from bench.run.console import RunConsole
from tests.bench.builders import make_job

HTML = "<img src=x onerror=alert(1)></td><script>alert(2)</script><!-- <details>"


def test_no_tag_of_a_title_label_or_reason_reaches_the_report(synthetic):
    planned = synthetic.add(HTML)
    synthetic.write_plan()
    synthetic.predict(planned, wrong=0.1, seed=1)
    synthetic.write_job(planned, "train", planned.train_key, status=Status.CRASHED, reason=f"`{HTML}` ` {HTML}")
    summary = summarise(read_run(synthetic.run)).model_copy(update={"title": HTML, "source": f"`{HTML}"})
    text = markdown.render(summary, [], [HTML])
    outside_code = "".join(part for line in text.split("\n") for part in line.split("`")[::2])
    assert not [tag for tag in ("<img", "<script", "</td", "<!--", "<details") if tag in outside_code]
    assert "&lt;img" in text


@pytest.mark.parametrize("label", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =cmd|' /C calc'!A0", "plain"])
def test_no_cell_of_the_csv_is_a_formula(synthetic, label):
    synthetic.add(label)
    synthetic.write_plan()
    (row,) = reader.DictReader(io.StringIO(csv.render(summarise(read_run(synthetic.run)))))
    assert row["model"] == (label if label == "plain" else f"'{label}")
    assert not [cell for cell in row.values() if cell.strip()[:1] in ("=", "+", "-", "@")]


@pytest.mark.parametrize("label", ["unet[/v2]", "[bold]x[/]", "[/]", "{task.x}", "a{0}", "[link=x]y"])
def test_a_label_with_signs_of_markup_is_printed_as_it_is(label):
    out = io.StringIO()
    console = RunConsole(Console(file=out, width=300, force_terminal=True, color_system=None), 1)
    job = make_job(kind="predict", case_id=label)
    console.note(f"{label} could not be scored")
    for kind in ("time", "predict"):
        with console.watching(make_job(kind=kind, case_id=label), Path("/nowhere")):
            pass
    console.ended(job, Outcome(status=Status.CRASHED, reason=label, started_at="2026-01-01T00:00:00Z", wall_s=1.0))
    assert f"{label} could not be scored" in out.getvalue()
    assert out.getvalue().count(label) >= 3


def test_every_form_takes_a_hostile_label(synthetic):
    synthetic.add("[/x] <b> =1 {y} `z` |")
    synthetic.write_plan()
    assert all(render(form, summarise(read_run(synthetic.run))) for form in ("terminal", "markdown", "csv", "json"))


def test_bars_and_line_breaks_in_names_break_no_table_and_no_list_of_the_markdown(synthetic):
    names = ["a|b\nc", "d | e\r\nf", "- g\n\n# h"]
    planned = [synthetic.add(name) for name in names]
    plan = synthetic.write_plan()
    for number, one in enumerate(planned):
        synthetic.predict(one, 0.1 + 0.1 * number, seed=number)
        synthetic.time(one, 4.0 + number, seed=number)
        synthetic.score(plan, one)
    columns = {"": {"we|ather\nnow": {i: "ra|in\n" if n % 2 else "sun" for n, i in enumerate(synthetic.ids)}}}
    blocks = markdown.render(summarise(read_run(synthetic.run), columns)).split("\n\n")
    tables = [block.split("\n") for block in blocks if block.startswith("|")]
    assert len(tables) >= 7
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1, table[0]
    lists = [line for block in blocks if block.startswith("- ") for line in block.split("\n")]
    assert [line for line in lists if line and not line.startswith("- ")] == []
    assert [block for block in blocks if re.match(r"# h|f\b|c\b", block)] == []
