"""`bench compare` at the command line: sides, exit codes, files, and both sides timed again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import bench
from bench.cli.main import main
from bench.records.store.runs import newest_run, read_run
from tests.bench.suites import BRIEF, SHAPES, perfect, write_suite

pytestmark = pytest.mark.alone  # times


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Results of a model that knows the ground truth, and of one that spoils a tenth and takes ten times as long."""
    folder = tmp_path_factory.mktemp("compared")
    noisy = {"name": "fake/noisy", "options": {"dataset": SHAPES["options"], "infer_ms": 10.0}}
    models = [perfect(options={"dataset": SHAPES["options"], "infer_ms": 1.0}), noisy]
    suite = write_suite(folder, models, measurement={**BRIEF, "replicates": 3})
    assert main(["run", str(suite), "--results", str(folder / "results")]) == 0
    (folder / "gate.yaml").write_text("mean_iou: -1pt\nend_to_end_p50: +25%\n")
    return folder


@pytest.fixture
def compare(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def called(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in ("compare", *words, "--results", folder / "results")])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return called


def run_of(folder: Path) -> Path:
    return newest_run(folder / "results", "suite").path


def test_a_run_passes_its_own_gate(folder, compare):
    code, out, _ = compare(run_of(folder), run_of(folder), "--gate", folder / "gate.yaml")
    assert code == 0
    assert "nothing differs in how they were measured" in out
    assert "The gate passes: " in out
    assert "worse" not in out


def test_two_cases_of_a_run_answer_which_is_better_and_the_gate_ends_with_1(folder, compare):
    run = run_of(folder)
    code, out, _ = compare(
        f"{run}:fake/perfect", f"{run}:fake/noisy", "--gate", folder / "gate.yaml", "--out", "c.md", "--out", "c.xml",
        "--out", "c.json",
    )  # fmt: skip
    assert code == 1
    assert "The gate fails: " in out
    assert Path("c.md").read_text().startswith("**The gate fails: ")
    assert "<failure" in Path("c.xml").read_text()
    found = {f["quantity"]: f for f in json.loads(Path("c.json").read_text())["comparisons"][0]["findings"]}
    latency = found["end_to_end_p50"]
    assert found["mean_iou"]["verdict"] == latency["verdict"] == "worse"
    assert (latency["before"] >= 1.0, latency["after"] >= 10.0) == (True, True)  # ms; a busy machine adds to both
    assert latency["change"] == pytest.approx(latency["after"] / latency["before"] - 1)


def test_a_better_model_passes_the_gate(folder, compare):
    run = run_of(folder)
    assert compare(f"{run}:fake/noisy", f"{run}:fake/perfect", "--gate", folder / "gate.yaml")[0] == 0


def test_a_stored_baseline_is_a_reference(folder, compare):
    assert compare(run_of(folder), "--save-baseline", "main.zip")[0] == 0
    code, out, _ = compare("main.zip", run_of(folder), "--gate", folder / "gate.yaml")
    assert code == 0
    assert "against main.zip" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("RUN",), "there is nothing to compare it with"),
        (("RUN", "RUN:fake/perfekt"), "Did you mean 'fake/perfect'?"),
        (("RUN", "RUN", "--gate", "none.yaml"), "none.yaml cannot be read"),
        (("RUN", "RUN", "--out", "c.pdf"), "ends with .md, .json or .xml"),
        (("RUN", "RUN", "--replicates", "3"), "goes with --interleave"),
        (("broken.zip", "RUN"), "is no baseline file or is damaged"),
    ],
)
def test_usage_errors_end_with_2_and_say_what_to_type(folder, compare, words, said):
    Path("broken.zip").write_bytes(b"PK no")
    code, _, err = compare(*(word.replace("RUN", str(run_of(folder))) for word in words))
    assert code == 2
    assert said in " ".join(err.split())


def test_both_sides_are_timed_again_in_alternating_processes(folder, compare):
    run = run_of(folder)
    code, out, _ = compare(f"{run}:fake/perfect", f"{run}:fake/noisy", "--interleave", "--replicates", "2")
    assert code == 0
    again = read_run(newest_run(folder / "results", "interleaved"))
    assert [view.case.id[:2] for view in again.cases] == ["A ", "B "]
    assert [sum(job.ok for job in view.times) for view in again.cases] == [2, 2]
    starts = [[view.times[k].outcome.started_at for view in again.cases] for k in (0, 1)]
    assert max(starts[0]) <= min(starts[1])  # each side once, then each side again
    assert "end_to_end_p50" in out


def test_a_baseline_cannot_be_timed_again(folder, compare):
    compare(run_of(folder), "--save-baseline", "main.zip")
    code, _, err = compare("main.zip", run_of(folder), "--interleave")
    assert (code, "has no model to time" in " ".join(err.split())) == (2, True)


def test_from_python_the_findings_are_a_frame(folder):
    run = run_of(folder)
    gate = {"mean_iou": "-1pt", "end_to_end_p50": "+25%"}
    found = bench.compare(f"{run}:fake/perfect", f"{run}:fake/noisy", gate=gate, results=folder / "results")
    assert set(found[found.regressed].quantity) == {"mean_iou", "end_to_end_p50"}
    assert any(line.startswith("model ") for line in found.attrs["differences"][f"{run}:fake/noisy"])
