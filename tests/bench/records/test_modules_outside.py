"""Metrics, data sets and loggers from outside of this tree: found, kept apart, and known by what they say."""

from __future__ import annotations

import sys

import pytest

from bench.cli.arguments import MODULES_OUTSIDE
from bench.cli.main import main
from bench.errors import PluginError
from bench.metric import load_metric, metric_names
from bench.records.names import OUTSIDE, file_outside, named_module, outside_files
from bench.records.store.code import code_behind
from bench.records.store.invocation import rerun_command
from bench.records.store.layout import RunFolder
from bench.records.store.runs import read_run
from tests.bench.suites import perfect, write_suite

MODULE = '"""One line."""\n\nVALUE = 1\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_METRICS", str(tmp_path))
    return tmp_path


def test_every_kind_has_a_flag_and_the_variable_that_it_sets():
    assert [place.flag for place in OUTSIDE.values()] == [f"--{kind}" for kind in MODULES_OUTSIDE]
    assert [place.variable for place in OUTSIDE.values()] == [f"BENCH_{kind.upper()}" for kind in MODULES_OUTSIDE]


def test_modules_of_a_folder_have_names_but_tests_and_private_ones_have_not(folder):
    for name in ("mine", "_parts", "test_mine", "conftest"):
        (folder / f"{name}.py").write_text(MODULE)
    assert [*outside_files("bench.metrics")] == ["mine"]
    assert "mine" in metric_names()
    assert named_module("bench.metrics", "mine", "metric", "metrics").VALUE == 1


def test_a_module_that_has_the_name_of_one_of_ours_is_refused_when_it_is_named(folder):
    (folder / "dice.py").write_text(MODULE)
    with pytest.raises(PluginError, match=r"dice\.py: the harness has a metric named 'dice' of its own"):
        load_metric("dice")
    assert load_metric("recall").name == "recall"


def test_two_folders_do_not_share_a_module(tmp_path, monkeypatch):
    for value in (1, 2):
        place = tmp_path / str(value)
        place.mkdir()
        (place / "mine.py").write_text(f"VALUE = {value}\n")
        monkeypatch.setenv("BENCH_METRICS", str(place))
        assert value == named_module("bench.metrics", "mine", "metric", "metrics").VALUE


@pytest.mark.parametrize("text", ["import no_such_package_at_all\n", "def broken(:\n"])
def test_a_module_that_cannot_be_imported_is_a_paragraph(folder, text):
    (folder / "mine.py").write_text(text)
    with pytest.raises(PluginError, match=r"mine\.py cannot be imported"):
        named_module("bench.metrics", "mine", "metric", "metrics")


def test_an_installed_package_brings_modules_by_entry_points(tmp_path, monkeypatch):
    package, facts = tmp_path / "my_metrics", tmp_path / "my_metrics-1.0.dist-info"
    package.mkdir()
    facts.mkdir()
    (package / "__init__.py").write_text("")
    (package / "sharp.py").write_text(MODULE)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: my-metrics\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[bench.metrics]\nsharpest = my_metrics.sharp\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert file_outside("bench.metrics.sharpest") == package / "sharp.py"
    assert named_module("bench.metrics", "sharpest", "metric", "metrics").VALUE == 1


def test_what_a_module_says_is_part_of_the_code_behind_it_and_what_it_imports_of_ours_too(folder):
    file = folder / "mine.py"
    file.write_text("from bench.metrics import ratio\n\nVALUE = 1\n")
    before = code_behind(["bench.metrics.mine"])
    assert "outside:mine.py" in before
    assert "bench/metrics/_bootstrap.py" in before
    file.write_text("# only a comment\nfrom bench.metrics import ratio\n\nVALUE = 1\n")
    assert code_behind(["bench.metrics.mine"]) == before
    file.write_text("from bench.metrics import ratio\n\nVALUE = 2\n")
    after = code_behind(["bench.metrics.mine"])
    assert {path for path in before if before[path] != after[path]} == {"outside:mine.py"}


def changed_by(edited, names=("bench.metrics.mine",), text="SCALE = 2\n"):
    """Places whose code is another one after a file got another text."""
    before = code_behind(names)
    edited.write_text(text)
    after = code_behind(names)
    return {path for path in {*before, *after} if before.get(path) != after.get(path)}


def test_what_a_module_imports_from_beside_it_is_part_of_the_code_behind_it_too(folder):
    (folder / "mine.py").write_text("import _parts\nfrom bench.metrics import ratio\nimport numpy\n")
    (folder / "_parts.py").write_text("from _more import SCALE\n")
    (folder / "_more.py").write_text("SCALE = 1\n")
    (folder / "_other.py").write_text("SCALE = 1\n")
    assert changed_by(folder / "_more.py") == {"outside:_more.py"}
    assert changed_by(folder / "_other.py") == set()
    assert changed_by(folder / "_more.py", text="SCALE = 2  # a comment\n") == set()


@pytest.mark.parametrize("line", ["from my_metrics.inner import parts", "from .inner.parts import SCALE"])
def test_what_a_module_of_a_package_imports_from_its_package_is_part_of_the_code_behind_it(tmp_path, monkeypatch, line):
    package = tmp_path / "site-packages" / "my_metrics"
    (package / "inner").mkdir(parents=True)
    for name in ("__init__.py", "inner/__init__.py", "inner/parts.py"):
        (package / name).write_text("SCALE = 1\n")
    (package / "mine.py").write_text(f"{line}\nimport numpy\n")
    (package.parent / "numpy.py").write_text("")  # of somebody else
    monkeypatch.setenv("BENCH_METRICS", str(package))
    assert changed_by(package / "inner" / "parts.py") == {"outside:my_metrics/inner/parts.py"}
    assert "outside:numpy.py" not in code_behind(["bench.metrics.mine"])


def test_two_files_of_one_name_from_outside_are_both_part_of_the_code(tmp_path, monkeypatch):
    for kind in ("metrics", "datasets"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "mine.py").write_text("SCALE = 1\n")
        monkeypatch.setenv(f"BENCH_{kind.upper()}", str(tmp_path / kind))
    names = ("bench.datasets.mine", "bench.metrics.mine")
    assert changed_by(tmp_path / "datasets" / "mine.py", names)
    assert changed_by(tmp_path / "metrics" / "mine.py", names)


def test_a_run_is_scored_by_a_metric_from_outside_and_its_commands_name_the_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_METRICS", "")  # the flag sets it; given back at the end
    assert main(["new", "metric", "mine", "--out", "own"]) == 0
    suite = write_suite(tmp_path, [perfect()], metrics=["mine", "mean_iou"])
    assert main(["check", str(suite)]) == 2
    assert "no metric named 'mine'" in capsys.readouterr().err
    assert main(["run", str(suite), "--metrics", "own", "--results", "there"]) == 0
    assert "mine" in capsys.readouterr().out
    (folder,) = (tmp_path / "there").glob("*/2*")
    run = read_run(RunFolder(folder), tmp_path / "there")
    (view, *_) = run.cases
    assert [score.metric for score in view.scores.scores] == ["mine", "mean_iou"]
    assert "outside:mine.py" in view.scores.code
    assert f"--metrics {tmp_path / 'own'}" in rerun_command(run, view.case.id, "predict")
    assert f"--metrics {tmp_path / 'own'}" in rerun_command(run, view.case.id, "score")


BROKEN = """from dataclasses import replace

from bench.metrics.pixel_accuracy import METRIC as SOUND


def formula(images):
    raise ZeroDivisionError("of nothing")


METRIC = replace(SOUND, name="mine", label="mine", formula=formula)
"""


def test_a_metric_from_outside_that_raises_is_told_with_its_line_and_everything_else_is_done(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("BENCH_METRICS", "")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.py").write_text(BROKEN)
    suite = write_suite(tmp_path, [perfect()], metrics=["mean_iou", "mine"], measurement="none")
    assert main(["run", str(suite), "--metrics", str(tmp_path / "own"), "--results", str(tmp_path / "there")]) == 1
    told = capsys.readouterr()
    assert f"{tmp_path / 'own' / 'mine.py'}, line 7: ZeroDivisionError: of nothing" in told.out + told.err
    (folder,) = (tmp_path / "there").glob("*/2*")
    assert "1 of 1 cases are not finished yet" in (folder / "report.md").read_text()
