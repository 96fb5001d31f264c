"""The report as a page: what is in it, for whole, half and failed runs, whatever names hold."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser

import pytest

from bench.records import Status
from bench.records.store import layout
from bench.records.store.runs import read_run
from bench.report import markdown, render, write_report
from bench.report.html import text_of, write_html
from bench.report.html.sections import model_lines
from bench.report.summary.seeds import AcrossSeeds, SeedGroup
from bench.report.summary.summarise import summarise
from bench.report.tables import results_table

HOSTILE = "<script>alert(1)</script>\"'`|&\n{{ 7*7 }}</td><img src=x onerror=alert(2)>"
VOID = {"meta", "link", "img", "input", "br", "hr"}


class Outline(HTMLParser):
    """Elements of a page; a closing tag that closes another element than the last one open is an error."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.usage_errors: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.said: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        named = dict(attributes)
        self.ids += [named["id"]] if "id" in named else []
        self.addresses += [value for key, value in attributes if key in ("src", "href") and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.usage_errors.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.said).split())


def page_of(synthetic, **changes) -> str:
    run = read_run(synthetic.run)
    return text_of(run, summarise(run).model_copy(update=changes))


def test_every_section_of_a_finished_run_is_there_and_every_element_is_closed(finished):
    outline = Outline(page_of(finished))
    assert outline.usage_errors == []
    assert outline.open == []
    assert {"overview", "latency", "accuracy", "images", "slices", "training", "method"} <= set(outline.ids)
    assert len(outline.ids) == len(set(outline.ids))
    assert "better has the best mIoU" in outline.text


def test_every_table_and_list_of_the_markdown_is_in_the_page(finished):
    third = finished.add("broken")
    finished.write_plan()
    finished.write_job(third, "train", third.train_key, status=Status.CRASHED, reason="RuntimeError: boom")
    said = "".join(Outline(page_of(finished)).text.split())
    text = markdown.render(summarise(read_run(finished.run)))
    heads = [block.split("\n")[0] for block in text.split("\n\n") if block.startswith("|")]
    cells = {cell.strip() for head in heads for cell in head.strip("|").split("|")}
    bullets = [re.sub(r"[*`]", "", line[2:]) for line in text.split("\n") if line.startswith("- ")]
    assert len(cells) > 30
    assert len(bullets) > 20
    assert [cell for cell in cells if "".join(cell.split()) not in said] == []
    assert [line for line in bullets if html.unescape("".join(line.split())) not in said] == []


def test_the_page_asks_for_nothing_but_what_lies_beside_it(finished, tmp_path):
    run = read_run(finished.run)
    written = write_html(run, summarise(run), tmp_path / "out" / "report.html")
    text = written[0].read_text()
    outline = Outline(text)
    assert [a for a in outline.addresses if re.match(r"(?i)([a-z]+:)?//", a)] == []
    assert not re.search(r"url\((?!#)", text)  # of the page itself: markers and edges of drawings
    assert "@import" not in text
    pictures = {a for a in outline.addresses if a.startswith("report_images/")}
    assert pictures == {f"report_images/{path.name}" for path in written[1:]}
    assert pictures


def test_inline_pictures_make_one_file_of_it(finished, tmp_path):
    run = read_run(finished.run)
    written = write_html(run, summarise(run), tmp_path / "out" / "report.html", inline=True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"] == [written[0].name]
    outline = Outline(written[0].read_text())
    assert all(a.startswith(("#", "data:")) for a in outline.addresses)
    assert sum(a.startswith("data:image/") for a in outline.addresses) > 10


def test_pictures_of_an_earlier_report_that_are_no_longer_shown_are_removed(finished, tmp_path):
    run, path = read_run(finished.run), tmp_path / "out" / "report.html"
    first = write_html(run, summarise(run), path)
    stale = path.parent / "report_images" / "999_image.jpg"
    stale.write_bytes(b"old")
    own = path.parent / "report_images" / "notes.txt"
    own.write_text("mine")
    assert write_html(run, summarise(run), path) == first
    assert (stale.exists(), own.exists()) == (False, True)


def test_names_and_messages_break_neither_the_page_nor_its_data(synthetic):
    planned = synthetic.add(HOSTILE)
    other = synthetic.add("plain")
    plan = synthetic.write_plan()
    for one, wrong in ((planned, 0.1), (other, 0.2)):
        synthetic.train(one)
        synthetic.predict(one, wrong, seed=1)
        synthetic.time(one, 4.0, seed=1)
        synthetic.score(plan, one)
    third = synthetic.add(f"failed {HOSTILE}")
    synthetic.write_plan()
    folder = synthetic.write_job(third, "train", third.train_key, status=Status.CRASHED, reason=HOSTILE)
    (folder / layout.WORKER_LOG).write_text(f"before\x1b[31m\n{HOSTILE}\n")
    text = page_of(synthetic, title=HOSTILE, source=HOSTILE)
    outline = Outline(text)
    assert outline.usage_errors == []
    assert outline.tags.count("script") == 2  # the data, and ours
    assert not [a for a in outline.addresses if a == "x"]
    assert "alert(1)" in outline.text
    assert "{{ 7*7 }}" in outline.text
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert " ".join(HOSTILE.split()) in " ".join(data["images"][0]["models"][0].split())


def test_a_hostile_class_name_is_text_everywhere(synthetic):
    hostile = [spec.model_copy(update={"name": f"{HOSTILE}{i}"}) for i, spec in enumerate(synthetic.task.classes)]
    planned = synthetic.add("model")
    plan = synthetic.write_plan()
    synthetic.predict(planned, 0.1, seed=1)
    synthetic.score(plan, planned)
    text = (synthetic.run.path / layout.PLAN).read_text()
    for spec, other in zip(synthetic.task.classes, hostile, strict=True):
        text = text.replace(json.dumps(spec.name), json.dumps(other.name))
    (synthetic.run.path / layout.PLAN).write_text(text)
    summary = summarise(read_run(synthetic.run))
    outline = Outline(text_of(read_run(synthetic.run), summary))
    assert outline.usage_errors == []
    assert outline.tags.count("script") == 2
    table = markdown.render(summary)
    cells = [line for line in table.splitlines() if "alert(1)" in line and line.startswith("|")]
    assert cells
    assert not [line for line in cells if "<script" in line.replace("&lt;script", "")]


def test_a_run_of_which_nothing_is_done_has_a_page(synthetic):
    synthetic.add("waiting")
    synthetic.write_plan()
    outline = Outline(page_of(synthetic))
    assert outline.usage_errors == []
    assert "waiting" in outline.text
    assert "1 of 1 cases are not finished yet" in outline.text
    assert "images" not in outline.ids


def test_a_summary_alone_has_a_page_without_images_and_samples(finished):
    outline = Outline(render("html", summarise(read_run(finished.run))))
    assert outline.usage_errors == []
    assert "better has the best mIoU" in outline.text
    assert "images" not in outline.ids


def test_a_failure_shows_the_end_of_its_log_and_the_command_that_repeats_it(finished):
    third = finished.add("broken")
    finished.write_plan()
    folder = finished.write_job(third, "train", third.train_key, status=Status.CRASHED, reason="RuntimeError: boom")
    (folder / layout.WORKER_LOG).write_bytes(b"line\n" * 5000 + b"\xff the last words\n")
    page = page_of(finished)
    log = html.unescape(re.search(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL)[1])
    assert log.endswith("the last words")
    assert len(log.splitlines()) == 40
    assert "bench run suites/synthetic.yaml --case &#39;broken@shapes@cpu fp32 b1&#39; --kind train" in page


def test_each_row_has_the_command_that_makes_it_again(finished):
    text = html.unescape(page_of(finished))
    for label in ("better", "faster"):
        assert f"bench run suites/synthetic.yaml --case '{label}@shapes@cpu fp32 b1'" in text


def test_the_whole_report_ends_with_the_page(finished, tmp_path):
    written = write_report(read_run(finished.run), tmp_path / "report")
    assert (written[0].name, written[-1].name) == ("report.md", "report.html")
    assert all(path.is_file() for path in written)


@pytest.mark.parametrize("lost", ["samples.npz", "statistics"])
def test_a_page_of_a_run_with_a_damaged_file_says_so(finished, lost):
    case = finished.planned[0]
    file = (
        finished.run.statistics(case.case.id)
        if lost == "statistics"
        else finished.run.job("time", case.case.id, 0, case.time_keys[0]) / lost
    )
    file.write_bytes(b"nothing of the kind")
    outline = Outline(page_of(finished))
    assert outline.usage_errors == []
    assert "damaged" in outline.text


def test_a_page_of_a_run_whose_data_set_is_not_on_this_machine_says_what_it_lacks(finished):
    text = (finished.run.path / layout.PLAN).read_text()
    gone = text.replace('"name": "shapes"', '"name": "camvid"').replace(json.dumps(finished.options["preset"]), '"no"')
    assert gone != text
    (finished.run.path / layout.PLAN).write_text(re.sub(r'"options": \{[^}]*"preset"[^}]*\}', '"options": {}', gone))
    run = read_run(finished.run)
    outline = Outline(text_of(run, summarise(run), inline=True))
    assert outline.usage_errors == []
    assert "No pictures of shapes" in outline.text
    assert "no slices by image size and group" in outline.text
    assert "Every image under every model" not in outline.text  # that is made by the script of the page
    assert "Worst images" in outline.text


def test_the_error_budget_of_masks_is_told_by_kind_and_not_twice(finished):
    run = read_run(finished.run)
    summary, kinds = summarise(run), ("class", "location", "both", "duplicate", "background", "missed")
    rows = []
    for row in summary.rows:
        parts = {kind: 0.01 * number for number, kind in enumerate(kinds)}
        counts = {f"{kind} errors": 100 + number for number, kind in enumerate(kinds)}
        update = {"metric": "error_budget", "value": 0.4, "parts": parts, "counts": counts}
        cell = row.scores[0].model_copy(
            update={"label": "AP50, error budget", "score": row.scores[0].score.model_copy(update=update)}
        )
        rows.append(row.model_copy(update={"scores": (*row.scores, cell)}))
    text = text_of(run, summary.model_copy(update={"rows": tuple(rows)}))
    outline = Outline(text)
    assert outline.usage_errors == []
    assert "Error budget" in outline.text
    assert outline.text.count("103 errors") == 2  # a row of each model
    assert 'style="--v:1.0">0.050' in text
    assert "AP50, error budget in detail" not in outline.text


def test_a_model_of_several_seeds_has_one_row_with_its_seeds_below(finished):
    run = read_run(finished.run)
    summary = summarise(run)
    first, second = summary.rows
    group = SeedGroup(
        model="net", dataset="shapes", target=first.target, seeds=(0, 1), case_ids=(first.case_id, second.case_id),
        metrics=(AcrossSeeds(metric="mean_iou", values=(0.5, 0.7), mean=0.6, sd=0.1414),),
    )  # fmt: skip
    lines = model_lines(summary.model_copy(update={"seed_groups": (group,)}), results_table(summary, means=False))
    assert [(line["cells"][0], line["seed"], line["place"]) for line in lines] == [
        ("net, mean ± sd of 2 seeds", False, None), ("better", True, 0), ("faster", True, 1),
    ]  # fmt: skip
    assert "0.600 ± 0.141" in lines[0]["cells"]
    assert [line["seed"] for line in model_lines(summary, results_table(summary, means=False))] == [False, False]
