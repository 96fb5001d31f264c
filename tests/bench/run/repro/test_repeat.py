"""`bench repro`: a finished run once more, from its record alone, and the answer for each case."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench.cli.main import main
from bench.records.store.files import write_record
from bench.records.store.layout import RunFolder
from bench.records.store.manifest import record_facts
from bench.records.store.runs import new_run, newest_run, read_run, runs
from bench.run.environments.interpreters import Interpreters
from bench.run.environments.record import write_environment
from bench.run.planning.prepare import prepare
from tests.bench.builders import score_planned_case
from tests.bench.suites import SHAPES, job_folders, perfect, run_suite, write_suite

CASES = ("fake/perfect@shapes@cpu fp32 b1 t1", "fake/trains@shapes@cpu fp32 b1 t1")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """Results of a run of a model that knows the ground truth and one that is trained."""
    folder = tmp_path_factory.mktemp("finished")
    suite = write_suite(
        folder,
        [perfect(), "fake/trains"],
        recipe={"budget": {"steps": 3}, "device": "cpu", "threads": 1},
        datasets=[{**SHAPES, "max_images": 3}],
    )
    prepared = prepare(suite, Interpreters())
    run = new_run(folder / "results", "suite")
    write_record(run.path / "plan.json", prepared.plan)
    write_environment(run, Interpreters(), ["fake"])
    planned = {case.case.id: case for case in prepared.plan.cases}

    def score(plan, predictions) -> None:
        score_planned_case(run, prepared.plan, planned[plan.case.id], predictions)

    assert not run_suite(suite, run, folder / "results", kinds=("train", "predict"), score=score).summary.failed
    return folder


@pytest.fixture
def results(finished, tmp_path, monkeypatch) -> Path:
    """A copy of these results that may be spoilt, in a folder without the suite's file."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished / "results", tmp_path / "results")
    return tmp_path / "results"


def repro(capsys, results: Path, *words: object) -> tuple[int, str, str]:
    run = newest_run(results, "suite")
    code = main([str(word) for word in ("repro", run.path, *words, "--results", results)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def answers(results: Path) -> dict[str, dict[str, object]]:
    """Case -> what `repro.json` of the newest repetition says."""
    document = json.loads((newest_run(results, "suite-repro").path / "repro.json").read_text())
    return {case["case_id"]: case for case in document["cases"]}


def predictions(run: RunFolder, case: int) -> Path:
    return read_run(run).cases[case].predict.folder / "predictions"


def spoil(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))
    record_facts(RunFolder(file.parents[2]), [file])  # as another run would have left it


# ------------------------------------------------------------------ reproduced


def test_a_run_is_reproduced_bit_for_bit_with_the_weights_it_left(capsys, results):
    before = {path: path.read_bytes() for path in newest_run(results).path.rglob("*") if path.is_file()}
    code, out, _ = repro(capsys, results)
    assert code == 0
    found = answers(results)
    assert [found[case]["answer"] for case in CASES] == ["reproduced", "reproduced"]
    reasons = {one["what"]: one["reason"] for one in found[CASES[0]]["findings"]}
    assert reasons["predictions"] == "all 3 equal, bit for bit"
    assert reasons["scores"] == "equal: mean_iou 1.0, pixel_accuracy 1.0"
    assert found[CASES[1]]["weights"].endswith("weights/weights.txt")
    assert f"{CASES[0]}: reproduced" in out
    # The repetition is a run of its own: the suite goes on with its own newest run, which is as it was.
    assert [run.suite for run in runs(results)] == ["suite", "suite-repro"]
    assert job_folders(newest_run(results, "suite-repro"), "train") == []
    after = {path: path.read_bytes() for path in before}
    assert after == before


def test_a_training_is_repeated_only_when_asked_for(capsys, results):
    code, _, _ = repro(capsys, results, "fake/trains", "--retrain")
    assert code == 0
    found = answers(results)
    assert list(found) == [CASES[1]]
    assert found[CASES[1]]["weights"] == "trained again"
    assert len(job_folders(newest_run(results, "suite-repro"), "train")) == 1


def test_a_dry_run_shows_what_differs_and_writes_nothing(capsys, results):
    run = newest_run(results)
    (environment,) = run.path.glob("environments/*.json")  # of the jobs, whoever resumed the run since
    recorded = json.loads(environment.read_text())
    recorded["git"]["commit"] = "f" * 40
    recorded["system"]["kernel"] = "Linux 2.4"
    environment.write_text(json.dumps(recorded))
    record_facts(run, [environment])
    before = sorted(results.rglob("*"))
    code, out, _ = repro(capsys, results, "--dry-run")
    assert code == 0
    assert "Linux 2.4" in out
    assert "git worktree add" in out
    assert f"{CASES[1]}: would run predict; weights: {results}" in out
    assert sorted(results.rglob("*")) == before


# ------------------------------------------------------------------ not reproduced


def test_another_prediction_is_not_reproduced_and_named(capsys, results):
    index = predictions(newest_run(results), 0) / "index.json"
    hashes = json.loads(index.read_text())
    second = list(hashes)[1]
    index.write_text(json.dumps({**hashes, second: "0" * 64}))
    record_facts(newest_run(results), [index])  # as a run that came to another prediction would have left it
    code, out, _ = repro(capsys, results, "fake/perfect")
    assert code == 1
    assert f"1 of 3 differ, first '{second}'" in out


# ------------------------------------------------------------------ cannot be compared


def test_weights_that_are_gone_or_others_are_not_compared(capsys, results):
    weights = next(results.rglob("weights.txt"))
    weights.write_text("others")
    code, out, _ = repro(capsys, results, "fake/trains")
    assert code == 1
    assert "does not hold the weights of the record" in out
    weights.unlink()
    code, out, _ = repro(capsys, results, "fake/trains")
    assert code == 1
    assert "--retrain" in out
    assert [run.suite for run in runs(results)] == ["suite"]  # nothing was run


def test_other_data_are_not_compared(capsys, results):
    job = predictions(newest_run(results), 0).parent / "job.json"
    parts = json.loads(job.read_text())["key_parts"]
    spoil(job, f'"data": "{parts["data"]}"', f'"data": "{"0" * 64}"')
    code, out, _ = repro(capsys, results, "fake/perfect")
    assert code == 1
    assert "its images or ground truth are not those of the record" in out


def test_other_packages_are_listed_with_what_puts_them_back(capsys, results):
    job = predictions(newest_run(results), 0).parent / "job.json"
    packages = json.loads(job.read_text())["key_parts"]["packages"]
    spoil(job, f'"packages": "{packages}"', '"packages": "numpy=1.0.0"')
    _, out, _ = repro(capsys, results, "fake/perfect", "--dry-run")
    assert "numpy=1.0.0" in out
    assert "pip install numpy==1.0.0" in out


# ------------------------------------------------------------------ usage errors


def test_an_unknown_case_and_an_unknown_run_are_named_with_the_nearest(capsys, results):
    code, _, err = repro(capsys, results, "fake/perfekt")
    assert code == 2
    assert "Did you mean 'fake/perfect'?" in err
    assert main(["repro", "nothing", "--results", str(results)]) == 2


def test_a_tolerance_is_a_share(capsys, results):
    code, _, err = repro(capsys, results, "--pixels", 2)
    assert code == 2
    assert "--pixels 2: expected a share between 0 and 1" in err
