"""The end of a run says where experiment trackers wrote, and how to open each."""

from __future__ import annotations

import shlex

import pytest

from bench.logger import load_logger, logger_names
from bench.records.store.layout import RunFolder
from bench.run.loggers import where_trackers_wrote


@pytest.mark.parametrize("name", logger_names())
def test_a_tracker_that_wrote_is_named_with_its_folder_and_a_command_on_it(tmp_path, name):
    run = RunFolder(tmp_path / "a suite" / "run")
    run.logger(name).mkdir(parents=True)
    assert where_trackers_wrote(run, [name]) == []
    (run.logger(name) / "case.json").write_text("{}")
    (line,) = where_trackers_wrote(run, [name])
    folder, _, command = line.removeprefix(f"{name}: ").partition("; open it with: ")
    assert folder == str(run.logger(name).resolve())
    assert any(folder in word for word in shlex.split(command))


def test_the_server_of_mlflow_comes_from_the_full_package_where_this_one_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.report.loggers.mlflow.find_spec", lambda _: None)
    command = load_logger("mlflow").opened_with(tmp_path)
    assert command.startswith("uvx --from mlflow==")
    assert command.endswith(f"mlflow ui --backend-store-uri sqlite:///{tmp_path}/mlflow.db")
