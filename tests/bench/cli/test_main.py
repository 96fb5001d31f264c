"""The commands of `bench`: exit codes, what goes to which stream, and messages instead of tracebacks."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bench import __version__
from bench.cli.main import GROUPS, command, found_commands, main
from bench.records.names import harness_root
from bench.records.store.runs import newest_run, read_run, runs
from bench.suite.model_configs import model_config_files
from tests.bench.suites import BRIEF, SHAPES, perfect, write_suite

ROOT = harness_root()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Work in an empty folder, so that nothing is found or left by accident."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_ADAPTERS", raising=False)


def bench(capsys, *words: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command, run in this process."""
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys, *words: object) -> str:
    """The message of a command that must end with a usage error: one paragraph on standard error."""
    code, out, err = bench(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"bench {words[0]}: ")
    assert "Traceback" not in err
    assert "\n\n" not in err
    return err


# ------------------------------------------------------------------ usage errors


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_suite_that_is_not_there_is_named_with_the_nearest(capsys, tmp_path, command):
    write_suite(tmp_path, [perfect()], name="semantic")
    assert "Did you mean 'semantic.yaml'?" in refused(capsys, command, tmp_path / "semantc.yaml")


@pytest.mark.parametrize("command", ["run", "check"])
def test_an_unknown_model_is_named_with_its_place_and_the_nearest(capsys, tmp_path, command):
    message = refused(capsys, command, write_suite(tmp_path, ["fake/perfekt"]))
    assert all(part in message for part in ("suite.yaml: models[0]", "'fake/perfekt'", "'fake/perfect'"))


def test_a_wrong_option_of_a_data_set_is_named(capsys, tmp_path):
    suite = write_suite(tmp_path, [perfect()], datasets=[{"name": "shapes", "options": {"preset": "medium"}}])
    assert "preset" in refused(capsys, "check", suite)


def test_a_split_that_is_not_there_is_named_with_those_that_are(capsys, tmp_path):
    suite = write_suite(tmp_path, [perfect()], datasets=[{**SHAPES, "test": "final"}])
    assert "has no split 'final'; it has train, val, test" in refused(capsys, "check", suite)


def test_weights_that_are_not_there_are_named(capsys, tmp_path):
    suite = write_suite(tmp_path, [perfect(weights="nowhere.pt")])
    assert "nowhere.pt" in refused(capsys, "check", suite)


def test_an_unknown_metric_is_named_with_the_nearest(capsys, tmp_path):
    suite = write_suite(tmp_path, [perfect()], metrics=["mean_iuo"])
    assert "Did you mean 'mean_iou'?" in refused(capsys, "check", suite)


def test_a_selection_that_matches_nothing_lists_the_cases_and_leaves_nothing_behind(capsys, tmp_path):
    suite = write_suite(tmp_path, [perfect()])
    message = refused(capsys, "run", suite, "--case", "unet/*", "--results", tmp_path / "results")
    assert "--case 'unet/*' matches no case" in message
    assert "fake/perfect@shapes@cpu fp32 b1 t1" in message
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("command", ["report", "score"])
def test_without_a_run_there_is_a_command_to_make_one(capsys, command):
    assert "bench run suites/semantic.yaml" in refused(capsys, command)


@pytest.mark.parametrize("words", [("--results=~/runs",), ("--results", "~/runs")])
def test_the_home_folder_is_found_where_shells_leave_its_sign(capsys, tmp_path, monkeypatch, words):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert f"{tmp_path}/runs" in refused(capsys, "report", *words)


def test_an_interpreter_in_the_home_folder_is_looked_for_there(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    file = write_suite(tmp_path, [perfect()])
    assert f"no interpreter at {tmp_path}/venv/python" in refused(
        capsys, "check", file, "--python", "fake=~/venv/python"
    )


def test_an_interpreter_for_an_unknown_adapter_is_refused(capsys, tmp_path):
    suite = write_suite(tmp_path, [perfect()])
    assert "expected ADAPTER=PATH" in refused(capsys, "check", suite, "--python", "nobody=/usr/bin/python3")


@pytest.mark.parametrize("words", [[], ["launch"], ["list"], ["list", "colours"], ["run"]])
def test_a_command_that_is_not_there_is_a_usage_error(capsys, words):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2


# ------------------------------------------------------------------ looking around


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("models", "fake/perfect"),
        ("datasets", "shapes"),
        ("metrics", "mean_iou"),
        ("adapters", "fake"),
        ("reports", "markdown"),
        ("loggers", "tensorboard"),
    ],
)
def test_each_list_names_what_a_suite_can_use(capsys, what, named):
    code, out, err = bench(capsys, "list", what)
    assert (code, err) == (0, "")
    assert named in out.split()


def test_models_can_be_listed_as_a_table_for_a_page(capsys):
    code, out, _ = bench(capsys, "list", "models", "--as", "markdown")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split() == ["|", "model", "|", "task", "|", "description", "|"]
    assert any(line.startswith("| `unet/transposed`") for line in lines)
    assert len(lines) == 2 + len(model_config_files())


def test_models_of_further_adapters_are_listed(capsys, tmp_path, monkeypatch):
    folder = tmp_path / "further" / "mine"
    (folder / "models").mkdir(parents=True)
    (folder / "adapter.py").touch()
    (folder / "models" / "first.yaml").write_text("description: My first\ntask: semantic\n")
    monkeypatch.setenv("BENCH_ADAPTERS", "")
    _, out, _ = bench(capsys, "list", "models", "--adapters", folder.parent)
    assert "mine/first" in out.split()


def test_the_schema_is_json_and_names_what_a_suite_needs(capsys):
    code, out, _ = bench(capsys, "schema")
    assert code == 0
    assert {"models", "datasets"} <= set(json.loads(out)["required"])


def test_help_names_every_command_under_a_heading_and_no_alias(capsys):
    commands = set(found_commands())
    with pytest.raises(SystemExit):
        main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert [line[:-1] for line in lines if line[:-1] in GROUPS] == list(GROUPS)
    listed = [line.split()[0] for line in lines if line.startswith("  ") and line.split()[0] in commands]
    assert sorted(listed) == sorted(commands)
    for name in commands:
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
        text = capsys.readouterr().out
        assert "--only" not in text
        assert "--run " not in text


def test_a_file_in_the_folder_of_commands_is_a_command(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.cli.commands.__path__", [*command().__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "bench.cli.commands.echo", raising=False)
    (tmp_path / "_not_a_command.py").write_text("raise AssertionError('imported')\n")
    (tmp_path / "echo.py").write_text(
        "HELP, GROUP, ORDER = 'say a word again', 'environment', 9\n"
        "def add_arguments(parser):\n"
        "    parser.add_argument('word')\n"
        "def execute(options):\n"
        "    print(options.word)\n"
        "    return 7\n"
    )
    assert bench(capsys, "echo", "hello") == (7, "hello\n", "")
    with pytest.raises(SystemExit):
        main(["--help"])
    environment = capsys.readouterr().out.partition("environment:")[2]
    assert [line.split(maxsplit=1) for line in environment.splitlines() if "echo" in line] == [
        ["echo", "say a word again"]
    ]


def test_the_doctor_fits_100_columns_and_lists_data_sets_only_when_asked(capsys):
    _, short, _ = bench(capsys, "doctor")
    _, long, _ = bench(capsys, "doctor", "--data")
    assert "data set coco" not in short
    assert "data set coco" in long
    for line in (short + long).splitlines():
        assert len(line) <= 100 or len(line.split()) == 1


def test_the_doctor_says_what_is_ready(capsys):
    code, out, _ = bench(capsys, "doctor")
    assert code == 0
    assert "adapter fake" in out


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"segbench {__version__}\n"


def test_a_reader_that_has_seen_enough_is_no_error():
    program = f"{sys.executable} -m bench.cli.main schema | head -c 10"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


# ------------------------------------------------------------------ a run from end to end


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder with `suite.yaml` and the results of a finished run with one case that fails."""
    folder = tmp_path_factory.mktemp("finished")
    suite = write_suite(folder, [perfect(), "fake/crashes"])
    command = [sys.executable, "-m", "bench.cli.main", "run", str(suite), "--results", str(folder / "results")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    (folder / "stdout").write_text(done.stdout)
    (folder / "stderr").write_text(done.stderr)
    assert done.returncode == 1, done.stderr
    return folder


def test_a_failed_case_is_exit_code_1_and_the_other_is_in_the_table(finished):
    assert "fake/perfect" in (finished / "stdout").read_text()
    assert "1 case failed" in (finished / "stderr").read_text()


def test_progress_goes_to_standard_error_and_results_to_standard_output(finished):
    said = (finished / "stderr").read_text().splitlines()
    lines = [line for line in said if "an earlier bench left behind" not in line]  # a test beside this one may kill it
    assert lines[0].startswith("4 jobs to do, expected to take ")
    assert sorted(line.split()[0] for line in lines[1:3]) == ["1/4", "2/4"]  # two predictions at a time
    assert lines[3].split()[0] == "3/4"
    (crashed,) = [line for line in lines[1:4] if "crashed" in line]
    assert crashed.endswith("RuntimeError: this fake crashes, as its name says")
    assert (finished / "stdout").read_text().splitlines()[-1].endswith("report.html")


def test_a_perfect_model_scores_1(finished):
    case, _ = read_run(newest_run(finished / "results")).cases
    assert {score.metric: score.value for score in case.scores.scores} == {"mean_iou": 1.0, "pixel_accuracy": 1.0}


def test_check_tells_what_is_done_and_what_failed(capsys, finished):
    code, out, _ = bench(capsys, "check", finished / "suite.yaml", "--results", finished / "results")
    assert code == 0
    assert "2 cases, 4 jobs (2 done, 1 failed, 1 missing)" in out
    assert "crashed: RuntimeError: this fake crashes, as its name says" in out


def test_check_tells_what_a_change_made_stale_and_why(capsys, finished, tmp_path):
    changed = write_suite(tmp_path, [perfect()], measurement={**BRIEF, "min_samples": 14})
    code, out, _ = bench(capsys, "check", changed, "--results", finished / "results")
    assert code == 0
    (line,) = [line for line in out.splitlines() if "time r0" in line]
    assert "stale" in line
    assert "min_samples" in line


def test_check_runs_nothing_and_writes_nothing(capsys, tmp_path):
    suite = write_suite(tmp_path, [perfect()])
    before = sorted(tmp_path.rglob("*"))
    code, out, _ = bench(capsys, "check", suite)
    assert (code, "1 cases, 2 jobs (2 missing); no run in results/ yet" in out) == (0, True)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("form", ["markdown", "terminal", "csv", "json"])
def test_a_finished_run_is_reported_in_each_form(capsys, finished, form):
    code, out, err = bench(capsys, "report", "--results", finished / "results", "--as", form)
    assert (code, err) == (0, "")
    assert "fake/perfect" in out


@pytest.mark.parametrize("order", [("RUN", "--case", "*perf*"), ("--case", "*perf*", "RUN"), ("--case", "*/perfect")])
def test_a_report_can_be_of_some_cases(capsys, finished, order):
    run = newest_run(finished / "results").name
    words = [run if word == "RUN" else word for word in order]
    code, out, err = bench(capsys, "report", *words, "--as", "csv", "--results", finished / "results")
    assert (code, err) == (0, "")
    assert "fake/perfect" in out
    assert "fake/crashes" not in out


@pytest.mark.parametrize("command", ["report", "score", "repro"])
def test_a_pattern_that_names_no_case_is_refused_alike_everywhere(capsys, finished, command):
    message = refused(capsys, command, "--case", "fake/perfekt", "--results", finished / "results")
    assert "no case 'fake/perfekt'. Did you mean 'fake/perfect'?" in message


def test_older_spellings_work_and_name_the_new_ones(capsys, finished):
    results, run = finished / "results", newest_run(finished / "results").name
    code, old, err = bench(capsys, "report", "--run", run, "--as", "csv", "--results", results)
    assert (code, old) == (0, bench(capsys, "report", run, "--as", "csv", "--results", results)[1])
    assert "bench report RUN" in err
    code, _, err = bench(capsys, "repro", run, "fake/perfect", "--dry-run", "--results", results)
    assert code == 0
    assert "bench repro RUN --case PATTERN" in err
    code, _, err = bench(capsys, "run", finished / "suite.yaml", "--only", "fake/nobody", "--results", results)
    assert code == 2
    assert "--case PATTERN" in err


def test_the_printed_command_runs_the_failed_job_again_from_anywhere_it_is_pasted(capsys, tmp_path, monkeypatch):
    folder = tmp_path / "own adapters" / "gate"
    (folder / "models").mkdir(parents=True)
    (folder / "requirements.txt").touch()
    (folder / "adapter.py").write_text("from adapters.fake.adapter import Adapter as Adapter\n")
    config = ROOT / "adapters" / "fake" / "models" / "crashes.yaml"
    (folder / "models" / "v.yaml").write_text(config.read_text(encoding="utf-8"))
    suite = write_suite(tmp_path, ["gate/v"])
    flags = ["--adapters", str(folder.parent), "--results", "res 2", "--python", f"gate={sys.executable}"]
    monkeypatch.setenv("BENCH_ADAPTERS", "")
    assert bench(capsys, "run", suite, *flags)[0] == 1
    (failure,) = json.loads(bench(capsys, "report", "--as", "json", "--results", "res 2")[1])["failures"]
    monkeypatch.setenv("BENCH_ADAPTERS", "")
    words = shlex.split(failure["command"])
    assert words[0] == "bench"
    code, _, err = bench(capsys, *words[1:])
    assert (code, "no model named" in err) == (1, False)
    assert len(runs(Path("res 2"))) == 1


def test_a_report_is_written_where_it_is_asked_for(capsys, finished, tmp_path):
    code, out, _ = bench(capsys, "report", "--results", finished / "results", "--as", "json", "--out", tmp_path / "x")
    assert (code, out) == (0, f"{tmp_path / 'x'}\n")
    assert json.loads((tmp_path / "x").read_text())


def test_a_folder_in_the_place_of_a_file_is_named_with_what_to_do(capsys, finished, tmp_path):
    (tmp_path / "x" / "results.csv").mkdir(parents=True)
    message = refused(capsys, "report", "--results", finished / "results", "--out", tmp_path / "x")
    assert f"Is a directory ({tmp_path / 'x' / 'results.csv'}); a folder stands where a file" in message
    assert "move it away" in message


def test_an_unknown_form_of_report_is_refused_with_those_there_are(capsys, finished):
    message = refused(capsys, "report", "--results", finished / "results", "--as", "markdwn")
    assert "no report form 'markdwn'. Did you mean 'markdown'?" in message


def test_an_unknown_run_or_suite_is_refused_with_the_nearest(capsys, finished):
    assert "no run 'x'" in refused(capsys, "report", "x", "--results", finished / "results")
    message = refused(capsys, "report", "--results", finished / "results", "--suite", "siute")
    assert "Did you mean 'suite'?" in message


def test_stored_predictions_are_scored_again_without_a_model(capsys, finished):
    run = newest_run(finished / "results")
    file = run.scores(read_run(run).cases[0].case.id)
    before = json.loads(file.read_text())["scores"]
    file.unlink()
    code, _, err = bench(capsys, "score", "--results", finished / "results")
    assert code == 0
    assert "has no predictions, not scored" in err
    assert json.loads(file.read_text())["scores"] == before


def test_the_same_command_goes_on_with_the_run_and_new_starts_another(capsys, tmp_path):
    suite, results = write_suite(tmp_path, ["fake/unsupported"]), tmp_path / "results"
    for flags, expected in ((), 1), ((), 1), (("--new",), 2):
        code, _, _ = bench(capsys, "run", suite, "--results", results, *flags)
        assert (code, len(runs(results))) == (0, expected)
