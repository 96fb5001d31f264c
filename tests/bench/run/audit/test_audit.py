"""`bench audit` finds whatever was changed in a run, and `bench seal` makes that provable to others."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from bench.cli.main import main
from bench.errors import BenchError
from bench.records import CaseScores, Target, read_record
from bench.records.predictions import SemanticMap, read_png, write_png
from bench.records.store import layout
from bench.records.store.files import write_record
from bench.records.store.manifest import record_facts
from bench.records.store.runs import newest_run, read_run
from bench.records.store.samples import Samples
from bench.run.audit.checks import Finding, _timed
from bench.run.audit.seal import signer_of
from tests.bench.suites import perfect, write_suite


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A small run that was trained, predicted, timed, scored and reported by `bench run`."""
    folder = tmp_path_factory.mktemp("measured")
    suite = write_suite(folder, [perfect(), "fake/trains"], recipe={"budget": {"steps": 2}, "device": "cpu"})
    assert main(["run", str(suite), "--results", str(folder / "results")]) == 0
    return folder / "results"


@pytest.fixture
def results(measured, tmp_path):
    shutil.copytree(measured, tmp_path / "results")
    return tmp_path / "results"


def folder_of(results, kind):
    return min(newest_run(results).jobs.glob(f"{kind}-*"))


def test_an_untouched_run_has_no_differences_and_everything_was_compared(results, capsys):
    assert main(["audit", "--results", str(results)]) == 0
    out = capsys.readouterr().out
    assert "nothing differs" in out
    rows = [line.split() for line in out.splitlines()[2:] if line.endswith(" none")]
    assert len(rows) == 7
    assert all(int(row[-2]) > 0 for row in rows)


def one_pixel(results):
    file = min(folder_of(results, "predict").glob("predictions/*.png"))
    pixels = read_png(file)
    pixels[0, 0] ^= 1
    write_png(file, pixels)


def one_pixel_of_the_timed(results):
    file = min(folder_of(results, "time").glob("audit/*.png"))
    pixels = read_png(file)
    pixels[0, 0] ^= 1
    write_png(file, pixels)


def one_score(results, *, with_manifest=False):
    run = newest_run(results)
    file = min((run.path / "scores").glob("*.json"))
    scores = read_record(CaseScores, file)
    better = scores.scores[0].model_copy(update={"value": 0.99})
    write_record(file, scores.model_copy(update={"scores": (better, *scores.scores[1:])}))
    if with_manifest:
        record_facts(run, [file])


def one_sample(results):
    file = folder_of(results, "time") / layout.SAMPLES
    arrays = dict(np.load(file))
    arrays["total_ns"] = arrays["total_ns"] // 2
    Samples(**arrays).save(file)
    record_facts(newest_run(results), [file])


def one_report_cell(results):
    file = newest_run(results).path / "results.csv"
    file.write_text(file.read_text().replace("fake/perfect", "fake/perfekt", 1))


def the_weights(results):
    next(folder_of(results, "train").glob("weights/*")).write_text("other")


def the_timed_and_the_scored(results):
    """Another prediction in the timing, with its hash: the model that was timed is not the one that was scored."""
    folder = folder_of(results, "time") / layout.AUDIT
    index = json.loads((folder / layout.PREDICTION_INDEX).read_text())
    one, two = sorted(json.loads((folder_of(results, "predict") / "predictions/index.json").read_text()))[:2]
    source = folder_of(results, "predict") / layout.PREDICTIONS
    hashes = json.loads((source / layout.PREDICTION_INDEX).read_text())
    for name in index:
        other = two if name == one else one
        shutil.copy(source / f"{other}.png", folder / f"{name}.png")
        index[name] = hashes[other]
    (folder / layout.PREDICTION_INDEX).write_text(json.dumps(index))
    record_facts(newest_run(results), [folder / layout.PREDICTION_INDEX])


@pytest.mark.slow  # a report with its pictures is made for each
@pytest.mark.parametrize(
    ("change", "seen_by"),
    [
        (one_pixel, "predictions against their hashes"),
        (one_pixel_of_the_timed, "predictions against their hashes"),
        (one_score, "files against the manifest"),
        (lambda results: one_score(results, with_manifest=True), "scores from predictions"),
        (one_sample, "report from facts"),
        (one_report_cell, "report from facts"),
        (the_weights, "weights against their hashes"),
        (the_timed_and_the_scored, "timed against scored predictions"),
        (lambda results: newest_run(results).manifest.unlink(), "files against the manifest"),
    ],
)
def test_every_change_is_seen(results, capsys, change, seen_by):
    change(results)
    assert main(["audit", "--results", str(results)]) == 1
    assert f"\n{seen_by}: " in capsys.readouterr().out


@pytest.mark.slow  # a report with its pictures is made
def test_the_commit_of_a_run_is_told_beside_this_one_where_something_differs(results, capsys):
    run = newest_run(results)
    file = run.path / layout.ENVIRONMENT
    file.write_text(json.dumps({**json.loads(file.read_text()), "git": {"commit": "0" * 40, "dirty": True}}))
    record_facts(run, [file])
    (run.path / layout.REPORT).write_text("laid out otherwise")
    assert main(["audit", "--results", str(results)]) == 1
    said = "note: the run was made with commit 000000000000 with uncommitted changes, this is commit "
    assert said in capsys.readouterr().out


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    public = (tmp_path / "key.pub").read_text().split()
    (tmp_path / "allowed").write_text(f"ada@example.org {public[0]} {public[1]}\n")
    return path


@pytest.mark.slow
def test_a_seal_that_was_signed_is_verified_and_another_signature_is_not(results, key, tmp_path, capsys):
    common = ["--results", str(results)]
    allowed = ["--allowed-signers", str(tmp_path / "allowed")]
    assert main(["audit", *allowed, *common]) == 2
    assert main(["seal", *common, "--key", str(key)]) == 0
    assert main(["audit", *allowed, *common]) == 0
    assert "signature of ada@example.org" in capsys.readouterr().out
    (tmp_path / "allowed").write_text("eve@example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHSB1hXWDzsTPqxJbXZ2mSoR\n")
    with pytest.raises(BenchError, match="ssh-keygen -Y find-principals refused"):
        signer_of(newest_run(results), tmp_path / "allowed")


def test_a_file_that_changes_comes_or_goes_after_the_seal_is_named(results, capsys):
    assert main(["seal", "--results", str(results)]) == 0
    run = newest_run(results)
    capsys.readouterr()
    subprocess.run(["sha256sum", "-c", "--quiet", "seal.sha256"], cwd=run.path, check=True)
    (run.path / "report.md").write_text("better\n")
    (run.path / "more.txt").write_text("")
    min(folder_of(results, "predict").glob("worker.log")).unlink()
    assert main(["audit", "--results", str(results)]) == 1
    out = capsys.readouterr().out
    assert "seal: report.md changed" in out
    assert "more.txt came after the seal" in out
    assert "worker.log is missing" in out


def another_pixel_in_the_timed(results):
    """A timed prediction of which one pixel of 1,024 in four images is another, with its hash: 99.98 % are equal."""
    folder = folder_of(results, "time") / layout.AUDIT
    index = json.loads((folder / layout.PREDICTION_INDEX).read_text())
    name = min(index)
    pixels = read_png(folder / f"{name}.png")
    pixels[0, 0] ^= 1
    write_png(folder / f"{name}.png", pixels)
    index[name] = SemanticMap(pixels).content_hash()
    (folder / layout.PREDICTION_INDEX).write_text(json.dumps(index))
    record_facts(newest_run(results), [folder / layout.PREDICTION_INDEX])


@pytest.mark.parametrize(("device", "differences", "tolerated"), [("cpu", 1, 0), ("cuda", 0, 1)])
def test_a_rounding_is_tolerated_on_a_device_and_said_and_on_a_processor_it_is_a_difference(
    results, device, differences, tolerated
):
    another_pixel_in_the_timed(results)
    view = read_run(newest_run(results), results)
    moved = [
        replace(case, case=case.case.model_copy(update={"target": Target(device=device)}))
        for case in view.cases
        if case.case.model.name == "fake/perfect"
    ]
    found = Finding("timed")
    _timed(replace(view, cases=tuple(moved)), found)
    assert (len(found.differences), len(found.tolerated)) == (differences, tolerated)
    told = (*found.differences, *found.tolerated)[0]
    assert "1 of " in told
    assert "predictions are not identical, 99.9" in told
