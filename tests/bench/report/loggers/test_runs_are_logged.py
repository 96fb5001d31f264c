"""A suite that names loggers: refused early if one is missing, written once, and never in the way of a run."""

from __future__ import annotations

import json
import re

import pytest

from bench.cli.main import main
from bench.logger import load_logger, logger_names
from bench.records.store.layout import file_stem
from bench.records.store.runs import newest_run
from bench.run.planning import plugin_checks
from bench.suite.load import load_suite
from tests.bench.report.loggers.conftest import NAMES


def bench(capsys, *words):
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def contents(folder):
    """Every file with when it was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_the_loggers_are_the_files_of_their_folder():
    assert logger_names() == sorted(NAMES)
    assert all(load_logger(name).packages for name in NAMES)


def test_one_logger_may_be_written_without_brackets(tmp_path):
    file = tmp_path / "suite.yaml"
    file.write_text("models: fake/perfect\ndatasets: shapes\nloggers: tensorboard\n")
    assert load_suite(file).loggers == ("tensorboard",)


@pytest.mark.parametrize("command", ["run", "check"])
def test_an_unknown_logger_is_refused_with_the_nearest_before_anything_runs(capsys, suite, tmp_path, command):
    code, out, err = bench(capsys, command, suite("tensorbord"))
    assert (code, out) == (2, "")
    assert "loggers[0] (line 12): no logger named 'tensorbord'. Did you mean 'tensorboard'?" in err
    assert not (tmp_path / "results").exists()


def test_a_logger_whose_package_is_missing_is_refused_with_the_command_before_anything_runs(
    capsys, suite, tmp_path, monkeypatch
):
    monkeypatch.setattr(plugin_checks, "find_spec", lambda module: None if module == "wandb" else module)
    code, _, err = bench(capsys, "run", suite("wandb"))
    assert code == 2
    assert "loggers[0] (line 12): wandb needs wandb, which" in err
    assert "-m pip install wandb" in err
    assert not (tmp_path / "results").exists()


def test_all_packages_that_are_missing_are_in_one_command(capsys, suite, monkeypatch):
    monkeypatch.setattr(plugin_checks, "find_spec", lambda module: None)
    code, _, err = bench(capsys, "check", suite("mlflow", "neptune"))
    assert code == 2
    assert re.search(r"pip install mlflow-skinny sqlalchemy alembic(.|\n)*no logger named 'neptune'", err)


@pytest.mark.slow
def test_every_scored_case_is_written_once_and_not_again_by_a_run_of_what_is_done(capsys, suite, tmp_path):
    pytest.importorskip("tensorboard", reason="the package tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    file = suite("tensorboard")
    code, _, err = bench(capsys, "run", file)
    assert code == 0, err
    folder = newest_run(tmp_path / "results").path / "loggers" / "tensorboard"
    (trained,) = folder.glob("fake-trains@*/")
    events = EventAccumulator(str(trained))
    events.Reload()
    # the fake reports a loss of 1 / step
    assert [e.value for e in events.Scalars("train/loss")][-1] == pytest.approx(1 / 3)
    assert events.Scalars("val/mean_iou")[0].value == pytest.approx(0.75)
    scores = json.loads(next((folder.parent.parent / "scores").glob("fake-trains*.json")).read_text())
    assert events.Scalars("score/mean_iou")[0].value == pytest.approx(scores["scores"][0]["value"])
    assert len(events.Tags()["images"]) == 4
    assert len(list(folder.glob("*.json"))) == 2
    before = contents(folder)
    assert bench(capsys, "run", file)[0] == 0
    assert contents(folder) == before


@pytest.mark.slow
def test_a_logger_that_fails_costs_a_warning_and_is_tried_again(capsys, suite, tmp_path):
    pytest.importorskip("tensorboard", reason="the package tensorboard")
    assert bench(capsys, "run", suite())[0] == 0
    run = newest_run(tmp_path / "results")
    in_the_way = run.logger("tensorboard") / file_stem("fake/perfect@shapes@cpu fp32 b1 t1")
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("a file where a folder belongs")
    code, _, err = bench(capsys, "run", suite("tensorboard"))
    assert code == 0
    assert err.count("could not be written by the logger tensorboard") == 1
    assert "NotADirectoryError" in err
    assert sorted(path.name for path in run.logger("tensorboard").glob("*.json")) == [
        f"{file_stem('fake/trains@shapes@cpu fp32 b1 t1')}.json"
    ]
    in_the_way.unlink()
    code, _, err = bench(capsys, "run", suite("tensorboard"))
    assert (code, "could not" in err) == (0, False)
    assert list(in_the_way.glob("events.out.*"))
