"""A job whose folder a kill left empty was not begun; one whose folder somebody emptied is damaged."""

from __future__ import annotations

import shutil

from bench.cli.main import main
from bench.records.store.runs import newest_run, read_run
from tests.bench.suites import perfect, write_suite


def test_an_empty_folder_is_no_damage_unless_something_was_recorded_of_it(tmp_path):
    suite, results = write_suite(tmp_path, [perfect()]), tmp_path / "results"
    words = ["run", str(suite), "--results", str(results), "--kind", "predict"]
    assert main(words) == 0
    folder = next(newest_run(results).jobs.glob("predict-*"))
    shutil.rmtree(folder)
    folder.mkdir()
    assert [damage.reason for damage in read_run(newest_run(results)).cases[0].damages] == ["is missing"]
    again = tmp_path / "again"
    words[3] = str(again)
    assert main([*words[:4], "--kind", "export"]) == 0
    (newest_run(again).jobs / folder.name).mkdir(parents=True)
    (newest_run(again).jobs / folder.name / ".job.json.1.tmp").write_text("{")
    assert not read_run(newest_run(again)).cases[0].damages
    assert main(words) == 0
    assert read_run(newest_run(again)).cases[0].scores is not None
