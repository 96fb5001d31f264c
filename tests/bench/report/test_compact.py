"""A run as Parquet: nothing of it is lost, and its report says what the ordinary one says."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from bench.cli.main import main
from bench.errors import BenchError
from bench.records.store import layout
from bench.records.store.runs import read_run
from bench.report import csv
from bench.report.frames import RunFrames
from bench.report.summary.summarise import summarise

pytest.importorskip("pyarrow", reason="the package pyarrow is not installed: pip install 'segbench[huggingface]'")

from bench.report.compact import reading, writing
from bench.report.compact.reading import markdown, scanned, write_csv
from bench.report.compact.writing import CASES, SAMPLES, compact


@pytest.fixture
def compacted(finished, tmp_path):
    """The finished run with a third case, of which there is nothing yet, and its two files."""
    finished.add("not begun")
    finished.write_plan()
    folder = tmp_path / "compact"
    assert compact(finished.run, tmp_path, folder) == (3, 2 * 2 * 240)
    return finished, folder


def lines_of(folder):
    text = io.StringIO()
    write_csv(folder, text)
    return pd.read_csv(io.StringIO(text.getvalue())).set_index("case")


def test_every_number_of_the_table_is_that_of_the_ordinary_report(compacted):
    synthetic, folder = compacted
    ordinary = csv.render(summarise(read_run(synthetic.run)))
    wanted = pd.read_csv(io.StringIO(ordinary)).set_index("case")
    found = lines_of(folder)
    assert [*found.index] == [*wanted.index]
    shared = [name for name in found.columns if name in wanted.columns]
    assert {"mean_iou", "mean_iou_low", "end_to_end_p50_ms", "end_to_end_p50_ms_high", "verdict"} <= set(shared)
    filled = found.loc[wanted.index[:2], shared]
    pd.testing.assert_frame_equal(filled, wanted.loc[wanted.index[:2], shared], check_dtype=False, rtol=0, atol=0)
    assert found.loc[wanted.index[2], "status"] == "unfinished"


def test_the_samples_are_the_raw_ones_of_the_run(compacted):
    synthetic, folder = compacted
    found = pd.read_parquet(folder / SAMPLES)
    wanted = RunFrames(read_run(synthetic.run)).samples
    assert (found["total_ns"] / 1e6).tolist() == wanted["total_ms"].tolist()
    assert found["image"].tolist() == wanted["image"].tolist()
    assert found["replicate"].tolist() == wanted["replicate"].tolist()
    names = pd.read_parquet(folder / CASES).set_index("number")["case"]
    assert [names[case] for case in found["case"]] == wanted["case"].tolist()


@pytest.mark.parametrize("at_once", [1, 7, 100, 1 << 17])
def test_where_a_batch_ends_changes_nothing(compacted, monkeypatch, at_once):
    _, folder = compacted
    whole = [(row.fields, row.latency) for row in scanned(folder)]
    assert [len(latency) > 0 for _, latency in whole] == [True, True, False]
    monkeypatch.setattr(reading, "AT_ONCE", at_once)
    assert [(row.fields, row.latency) for row in scanned(folder)] == whole


def test_row_groups_hold_some_cases_each_and_no_more(finished, tmp_path, monkeypatch):
    import pyarrow.parquet

    monkeypatch.setattr(writing, "ROWS", 100)
    compact(finished.run, tmp_path, tmp_path / "compact")
    file = pyarrow.parquet.ParquetFile(tmp_path / "compact" / SAMPLES)
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [480, 480]


def test_the_page_names_the_best_of_each_data_set_first(compacted):
    _, folder = compacted
    text = markdown(folder, best=1)
    assert "3 cases (2 ok, 1 unfinished), 960 timed batches." in text
    assert "the 1 best of 3" in text
    assert "| better " in text
    assert "| faster " not in text


def test_the_command_line_writes_and_reports(finished, tmp_path, capsys):
    results, folder = tmp_path, tmp_path / "c"
    words = [str(finished.run.path), str(folder), "--results", str(results)]
    assert main(["compact", *words]) == 0
    assert "2 cases, 960 samples" in capsys.readouterr().out
    assert main(["report", str(folder)]) == 0
    assert "# A synthetic run" in capsys.readouterr().out
    assert main(["report", str(folder), "--as", "csv", "--out", str(tmp_path / "all.csv")]) == 0
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 3
    assert main(["report", str(folder), "--as", "html"]) == 2
    assert "the run itself has the other forms" in capsys.readouterr().err
    assert main(["compact", *words]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err


def test_damaged_files_are_told_in_a_sentence(compacted):
    _, folder = compacted
    content = (folder / SAMPLES).read_bytes()
    (folder / SAMPLES).write_bytes(content[: len(content) // 2])
    with pytest.raises(BenchError, match="a file of this compacted run is damaged"):
        markdown(folder)
    (folder / CASES).write_bytes(b"PAR1")
    with pytest.raises(BenchError, match="is damaged, or was not written by bench compact"):
        markdown(folder)


def test_samples_that_cannot_be_read_cost_their_own_case_alone(finished, tmp_path):
    (file, *_) = sorted(finished.run.jobs.glob(f"time-faster*/{layout.SAMPLES}"))
    file.write_bytes(b"no archive")
    compact(finished.run, tmp_path, tmp_path / "compact")
    found = lines_of(tmp_path / "compact")["status"]
    assert {name.partition("@")[0]: status for name, status in found.items()} == {"better": "ok", "faster": "damaged"}
