"""Other ways out of a run: LaTeX, tables of raw facts, paragraphs, and one table across runs."""

from __future__ import annotations

import io
import json
import re
import shutil

import pytest

from bench.cli.main import main
from bench.records import Status
from bench.records.store import layout
from bench.records.store.runs import read_run
from bench.report import latex
from bench.report.explain import explain
from bench.report.facts import facts_of
from bench.report.leaderboard import as_markdown, leaderboard
from bench.report.summary.summarise import summarise


def test_latex_has_a_line_a_row_the_best_in_bold_and_marks_what_is_behind(finished):
    text = latex.render(summarise(read_run(finished.run)))
    lines = [line.strip() for line in text.splitlines()]
    assert lines[-2:] == [r"\end{tabular}", r"\end{table}"]
    (better,) = [line for line in lines if line.startswith("better")]
    (faster,) = [line for line in lines if line.startswith("faster")]
    columns = re.search(r"\\begin\{tabular\}\{(.*)\}", text)[1]
    assert better.count("&") == faster.count("&") == len(columns) - 1
    assert re.search(r"& \\textbf\{0\.\d+\} \$\\pm\$ 0\.\d+ &", better)
    assert r"$^{\downarrow}$" in faster
    assert r"\textbf{4." in faster
    assert r"\textbf{8." not in better


def test_a_hostile_name_is_text_in_latex(synthetic):
    synthetic.add(r"50% of a_b & {c} \input{x} $^#~")
    synthetic.write_plan()
    text = latex.render(summarise(read_run(synthetic.run)))
    (line,) = [line for line in text.splitlines() if "50" in line]
    assert r"50\% of a\_b \& \{c\} \textbackslash{}input\{x\} \$\textasciicircum{}\#\textasciitilde{}" in line


def test_raw_facts_are_written_as_csv_and_parquet(finished, tmp_path, capsys):
    import pandas as pd

    run = str(finished.run.path)
    assert main(["report", run, "--form", "per_image"]) == 0
    printed = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert len(printed) == 2 * 12
    pytest.importorskip("pyarrow")
    assert main(["report", run, "--as", "samples", "--out", str(tmp_path / "s.parquet")]) == 0
    stored = pd.read_parquet(tmp_path / "s.parquet")
    assert len(stored) == 2 * 2 * 240
    assert set(stored["clock"]) == {"end_to_end", "staged"}


def test_a_form_that_is_not_there_is_refused_with_the_nearest(finished, capsys):
    assert main(["report", str(finished.run.path), "--form", "per_imgae"]) == 2
    assert "Did you mean 'per_image'?" in capsys.readouterr().err


def test_columns_of_a_table_are_in_the_report(finished, tmp_path, capsys):
    meta = tmp_path / "meta.csv"
    weather = ["night" if i < 4 else "day" for i in range(12)]
    meta.write_text("image,weather\n" + "".join(f"{i},{w}\n" for i, w in zip(finished.ids, weather, strict=True)))
    assert main(["report", str(finished.run.path), "--slices", str(meta)]) == 0
    text = capsys.readouterr().out
    assert "By weather" in text
    assert re.search(r"\| night +\| 4 ", text)


def test_each_model_is_explained_by_what_was_measured(finished):
    run = read_run(finished.run)
    better, faster = explain(facts_of(run, summarise(run)))
    assert (better.name, faster.name) == ("better", "faster")
    said = " ".join(faster.found)
    assert "rank 2 of 2, significantly behind better" in said
    assert re.search(r"Of the staged time: preprocess \d+ %, infer \d+ %, postprocess \d+ %", said)
    assert "It most often mistakes" in said
    # Wrong pixels are drawn at random, so most of them are not at an outline of the ground truth; each is one itself.
    assert re.search(r"\d+ % of its wrong pixels lie at outlines", said)


def test_a_failure_is_explained_and_what_is_not_measured_is_not_spoken_of(synthetic):
    broken, waiting = synthetic.add("broken"), synthetic.add("waiting")
    synthetic.write_plan()
    synthetic.write_job(broken, "train", broken.train_key, status=Status.CRASHED, reason="RuntimeError: boom")
    run = read_run(synthetic.run)
    first, second = explain(facts_of(run, summarise(run)))
    assert "Its train job ended as crashed: RuntimeError: boom" in first.found
    assert second.found == ("Nothing about it is measured yet.",)
    assert waiting.case.model.label == second.name


def test_explain_takes_a_run_and_a_model(finished, capsys):
    assert main(["explain", str(finished.run.path), "fast*"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("faster\n")
    assert "rank 2 of 2" in " ".join(out.split())
    assert main(["explain", str(finished.run.path), "nobody"]) == 2


def again(finished, name: str):
    """The same run once more under another name."""
    folder = finished.run.path.parent / name
    shutil.copytree(finished.run.path, folder)
    return folder


def test_runs_under_the_same_conditions_make_one_table_of_their_newest_rows(finished):
    again(finished, "2026-01-02T00-00-00")
    (table,) = leaderboard(finished.run.path.parent.parent).tables
    assert [(one.model, one.run, one.runs) for one in table.entries] == [
        ("better", "synthetic/2026-01-02T00-00-00", 2),
        ("faster", "synthetic/2026-01-02T00-00-00", 2),
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"dataset_fingerprint": "f"', '"dataset_fingerprint": "g"'),
        ('"precision": "fp32"', '"precision": "bf16"'),
    ],
)
def test_what_was_measured_otherwise_stands_in_a_table_of_its_own(finished, before, after):
    folder = again(finished, "2026-01-02T00-00-00")
    changed = 0
    for file in [folder / layout.PLAN, *folder.glob("jobs/*/job.json")]:
        text = file.read_text()
        changed += before in text
        file.write_text(text.replace(before, after))
    assert changed
    assert len(leaderboard(finished.run.path.parent.parent).tables) == 2


def test_a_run_that_cannot_be_read_is_named_and_leaves_the_others(finished, capsys):
    folder = again(finished, "2026-01-02T00-00-00")
    (folder / layout.PLAN).write_text("{}")
    results = finished.run.path.parent.parent
    board = leaderboard(results)
    assert [one.runs for one in board.tables[0].entries] == [1, 1]
    assert "synthetic/2026-01-02T00-00-00" in as_markdown(board)
    for form in ("markdown", "html", "json"):
        assert main(["leaderboard", str(results), "--form", form]) == 0
        text = capsys.readouterr().out
        assert "better" in text
    assert json.loads(text)["left_out"]


def test_a_folder_without_runs_is_refused(tmp_path, capsys):
    assert main(["leaderboard", str(tmp_path)]) == 2
    assert "no runs in" in capsys.readouterr().err


@pytest.mark.slow
def test_plots_are_written_as_svg_and_pdf_beside_the_png_and_are_equal_for_equal_runs(untrained, tmp_path, capsys):
    contents = []
    for name in ("a", "b"):
        out = tmp_path / name
        assert main(["report", str(untrained.run.path), "--plots", "svg", "--plots", "pdf", "--out", f"{out}/"]) == 0
        contents.append({path.name: path.read_bytes() for path in sorted(out.glob("*.[sp][vd][gf]"))})
    assert {"accuracy_latency.svg", "accuracy_latency.pdf", "stage_times.svg"} <= set(contents[0])
    assert contents[0] == contents[1]
    assert contents[0]["accuracy_latency.pdf"].startswith(b"%PDF")
    assert ">mIoU (0–1)<".encode() in contents[0]["accuracy_latency.svg"]  # text, not outlines of letters
    assert str(tmp_path / "b" / "accuracy_latency.svg") in capsys.readouterr().out.splitlines()
    assert main(["report", str(untrained.run.path), "--plots", "svg"]) == 2
