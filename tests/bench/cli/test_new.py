"""`bench new`: what is written works as it stands, and nothing is overwritten."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from bench.adapter import ADAPTERS_VARIABLE, ClassSpec, Target, TaskSpec, load_adapter, predict
from bench.cli.main import main
from bench.records.names import harness_root
from bench.suite.model_configs import resolve_model

TASK = TaskSpec(kind="semantic", classes=tuple(ClassSpec(name=n, colour=(0, 0, 0)) for n in ("background", "cat")))


def new(kind, name, out):
    return main(["new", kind, name, "--out", str(out)])


def run_the_tests_of(folder):
    """Run the tests of a folder as a user does, in a process of their own."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(words, cwd=harness_root(), capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_new_adapter_has_at_most_25_lines_and_passes_its_own_test(tmp_path):
    assert new("adapter", "mine", tmp_path) == 0
    assert len((tmp_path / "mine" / "adapter.py").read_text().splitlines()) <= 25
    done = run_the_tests_of(tmp_path / "mine")
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


@pytest.mark.slow
def test_the_test_of_a_new_adapter_finds_an_adapter_that_answers_at_another_size(tmp_path):
    new("adapter", "mine", tmp_path)
    file = tmp_path / "mine" / "adapter.py"
    text = file.read_text()
    assert "super().postprocess(raw, sizes)" in text
    file.write_text(text.replace("postprocess(raw, sizes)\n", "postprocess(raw, [type(s)(9, 9) for s in sizes])\n"))
    assert run_the_tests_of(tmp_path / "mine").returncode == 1


def test_own_pre_and_postprocessing_are_two_methods(tmp_path, monkeypatch):
    new("adapter", "mine", tmp_path)
    file = tmp_path / "mine" / "adapter.py"
    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    monkeypatch.setenv(ADAPTERS_VARIABLE, str(tmp_path))

    def predicted(given):
        adapter = load_adapter("mine")
        adapter.build(resolve_model("mine/default"), TASK, Target(threads=1), None)
        return predict(adapter, [given])[0].labels

    plain, of_inverted = predicted(image), predicted(255 - image)
    assert (plain != of_inverted).any()
    text = file.read_text().replace("super().preprocess(images)", "super().preprocess([255 - i for i in images])")
    file.write_text(text)
    np.testing.assert_array_equal(predicted(image), of_inverted)


@pytest.mark.slow
def test_the_suite_of_a_new_adapter_trains_times_and_scores_it_and_prints_commands_with_its_folder(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    new("adapter", "mine", "my")
    suite = tmp_path / "my" / "mine" / "suite.yaml"
    suite.write_text(suite.read_text().replace("seconds: 10", "steps: 3").replace("[64, 64]", "[32, 32], train: 8"))
    assert main(["run", str(suite), "--adapters", "my", "--results", "there"]) == 0
    assert "mine/default" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "said"),
    [("unet", "already"), ("My-Net", "small letters"), ("class", "small letters"), ("", "small letters")],
)
def test_names_that_cannot_be_are_refused(tmp_path, capsys, name, said):
    assert new("adapter", name, tmp_path) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path, capsys):
    new("adapter", "mine", tmp_path)
    (tmp_path / "mine" / "adapter.py").write_text("# mine\n")
    assert new("adapter", "mine", tmp_path) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert (tmp_path / "mine" / "adapter.py").read_text() == "# mine\n"


KINDS = ["metric", "dataset", "logger"]


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_module_passes_its_own_test_and_is_listed(tmp_path, capsys, kind):
    assert new(kind, "mine", tmp_path) == 0
    done = run_the_tests_of(tmp_path)
    assert done.returncode == 0, done.stdout
    capsys.readouterr()
    assert main(["list", f"{kind}s", f"--{kind}s", str(tmp_path)]) == 0
    assert "mine" in capsys.readouterr().out.split()


BREAKS = {
    "metric": ("np.isnan(values), np.inf", "np.isnan(values), 0"),
    "dataset": ("255: 255", "255: 0"),
    "logger": ("[*others, json", "[json"),
}


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind != "dataset")) for kind in KINDS])
def test_the_test_of_a_new_module_finds_a_module_that_is_wrong(tmp_path, kind):
    new(kind, "mine", tmp_path)
    file, (right, wrong) = tmp_path / "mine.py", BREAKS[kind]
    assert right in file.read_text()
    file.write_text(file.read_text().replace(right, wrong))
    assert run_the_tests_of(tmp_path).returncode == 1


@pytest.mark.parametrize(("kind", "taken"), [("metric", "dice"), ("dataset", "shapes"), ("logger", "wandb")])
def test_names_of_the_harness_s_own_are_refused(tmp_path, capsys, kind, taken):
    assert new(kind, taken, tmp_path) == 2
    assert "already" in capsys.readouterr().err


def test_the_page_on_own_models_shows_all_of_the_file_that_is_written_its_imports_too(tmp_path):
    new("adapter", "mine", tmp_path)
    page = (harness_root() / "docs" / "bring_a_model.md").read_text()
    assert f"```python\n{(tmp_path / 'mine' / 'adapter.py').read_text()}```" in page
