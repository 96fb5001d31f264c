"""Nobody's numbers under another's name, and no number from a file that was changed: each damage is a named row."""

from __future__ import annotations

import json
import shutil

import pytest

from bench.errors import BenchError
from bench.records.png import read_png, write_png
from bench.records.store import layout
from bench.records.store.layout import RunFolder, file_stem
from bench.records.store.manifest import facts_of_job, record_facts
from bench.records.store.runs import read_run
from bench.report import render
from bench.report.summary.summarise import summarise
from tests.bench.builders import score_planned_case

ALIKE = [("unet (a)", "unet [a]"), ("模型一", "模型二"), ("a" * 200, "a" * 201), ("é", "e\u0301"), ("../x", ".. x")]
FORMS = ("terminal", "markdown", "csv", "json")


def summary_of(synthetic):
    return summarise(read_run(synthetic.run))


def sealed(synthetic):
    """The run with every job in the manifest, as the runner leaves it."""
    for folder in sorted(synthetic.run.jobs.iterdir()):
        record_facts(synthetic.run, facts_of_job(folder))
    return synthetic


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_labels_that_look_alike_as_file_names_keep_their_own_scores(synthetic, one, other):
    good, bad = synthetic.add(one), synthetic.add(other)
    plan = synthetic.write_plan()
    synthetic.predict(good, wrong=0.0, seed=1)
    synthetic.predict(bad, wrong=0.5, seed=2)
    synthetic.score(plan, good)
    synthetic.score(plan, bad)
    values = [row.headline.value for row in summary_of(synthetic).rows]
    assert values[0] == 1.0
    assert values[1] < 0.9


@pytest.mark.parametrize("name", [one for pair in ALIKE for one in pair])
def test_the_file_of_a_name_is_one_plain_file_name(name):
    stem = file_stem(name)
    assert "/" not in stem
    assert not stem.startswith(".")
    assert len(stem.encode()) < 120


def test_scores_that_an_older_version_wrote_are_still_read_and_never_as_those_of_another(finished):
    run, (first, second) = finished.run, finished.planned
    for planned in (first, second):
        old = json.loads(run.scores(planned.case.id).read_text())
        old = {key: value for key, value in old.items() if not key.endswith("sha256")}
        run.earlier_scores(planned.case.id).write_text(json.dumps(old))
        run.statistics(planned.case.id).rename(run.earlier_statistics(planned.case.id))
        run.scores(planned.case.id).unlink()
    run.manifest.unlink()
    run.manifest_head.unlink()
    before = summary_of(finished)
    assert all(row.headline is not None for row in before.rows)
    assert before.failures == ()
    shutil.copy(run.earlier_scores(first.case.id), run.earlier_scores(second.case.id))
    assert [row.headline is None for row in summary_of(finished).rows] == [False, True]


def test_a_manifest_that_was_removed_with_its_head_is_said(finished):
    (finished.run.path / layout.ENVIRONMENTS).mkdir()  # runs of before there were manifests have none
    assert summary_of(finished).failures == ()
    finished.run.manifest.unlink()
    finished.run.manifest_head.unlink()
    (failure,) = summary_of(finished).failures
    assert (failure.status, "nothing of this run can be verified" in failure.reason) == ("damaged", True)


def swap(synthetic, *names):
    """Copy predictions of the better model over those of the other."""
    source, target = (
        synthetic.run.job("predict", p.case.id, 0, p.predict_key) / layout.PREDICTIONS for p in synthetic.planned
    )
    for name in names or [path.name for path in source.glob("*.png")]:
        shutil.copy(source / name, target / name)
    return target


def test_swapped_predictions_are_not_scored_and_the_image_is_named(finished):
    plan, faster = finished.write_plan(), finished.planned[1]
    folder = swap(finished)
    with pytest.raises(BenchError, match=rf"image '{finished.ids[0]}'.* SHA-256 differs"):
        score_planned_case(finished.run, plan, faster, folder, again=True)
    summary = summary_of(finished)
    assert summary.rows[1].headline is None
    assert summary.rows[1].status == "damaged"
    (failure,) = summary.failures
    assert (failure.kind, failure.status) == ("predict", "damaged")
    assert "SHA-256 differs" in failure.reason
    assert failure.command.endswith(f"--case '{faster.case.id}' --kind predict")
    assert summary.rows[0].headline.value is not None


@pytest.mark.parametrize("pixel", [0, -1])
def test_one_changed_pixel_is_another_prediction(finished, pixel):
    plan, better = finished.write_plan(), finished.planned[0]
    folder = finished.run.job("predict", better.case.id, 0, better.predict_key) / layout.PREDICTIONS
    file = folder / f"{finished.ids[3]}.png"
    pixels = read_png(file)
    pixels.flat[pixel] ^= 1
    write_png(file, pixels)
    with pytest.raises(BenchError, match=finished.ids[3]):
        score_planned_case(finished.run, plan, better, folder, again=True)


def test_predictions_that_are_swapped_with_their_index_are_another_jobs(finished):
    sealed(finished)
    swap(finished)
    swap(finished, layout.PREDICTION_INDEX)
    summary = summary_of(finished)
    assert summary.rows[1].headline is None
    assert any("index.json is not what was written" in failure.reason for failure in summary.failures)


def test_scores_are_bound_to_the_index_of_their_predictions_without_a_manifest_too(finished):
    finished.run.manifest.unlink()
    swap(finished)
    swap(finished, layout.PREDICTION_INDEX)
    assert summary_of(finished).rows[1].headline is None


def of(synthetic, number, kind, name):
    planned = synthetic.planned[number]
    key = {"train": planned.train_key, "predict": planned.predict_key, "time": planned.time_keys[0]}[kind]
    return synthetic.run.job(kind, planned.case.id, 0, key) / name


def changed_digit(path):
    text = path.read_bytes()
    place = next(i for i, byte in enumerate(text) if chr(byte) in "12345678")
    path.write_bytes(text[:place] + bytes([text[place] + 1]) + text[place + 1 :])


DAMAGES = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "one digit": changed_digit,
    "noise": lambda path: path.write_bytes(bytes(range(256))),
    "deep": lambda path: path.write_text("[" * 100_000),
    "null": lambda path: path.write_text("null"),
    "surrogate": lambda path: path.write_text('{"a": "\\udce9"}'),
}
FILES = {
    "samples": ("time", lambda s: of(s, 0, "time", layout.SAMPLES)),
    "time outcome": ("time", lambda s: of(s, 0, "time", layout.OUTCOME)),
    "time job": ("time", lambda s: of(s, 0, "time", layout.JOB)),
    "audit": ("time", lambda s: of(s, 0, "time", f"{layout.AUDIT}/{layout.PREDICTION_INDEX}")),
    "index": ("predict", lambda s: of(s, 0, "predict", f"{layout.PREDICTIONS}/{layout.PREDICTION_INDEX}")),
    "predict outcome": ("predict", lambda s: of(s, 0, "predict", layout.OUTCOME)),
    "predict job": ("predict", lambda s: of(s, 0, "predict", layout.JOB)),
    "training log": ("train", lambda s: of(s, 0, "train", layout.TRAINING_LOG)),
    "train job": ("train", lambda s: of(s, 0, "train", layout.JOB)),
    "scores": ("score", lambda s: s.run.scores(s.planned[0].case.id)),
    "statistics": ("score", lambda s: s.run.statistics(s.planned[0].case.id)),
    "environment": ("environment", lambda s: s.run.path / layout.ENVIRONMENT),
}


@pytest.mark.few(4)
@pytest.mark.parametrize("what", FILES)
def test_every_damage_of_every_file_is_a_row_and_the_other_case_is_reported_as_before(finished, what):
    sealed(finished)
    record_facts(finished.run, [finished.run.path / layout.ENVIRONMENT])
    before = summary_of(finished)
    kind, place = FILES[what]
    path = place(finished)
    content = path.read_bytes()
    for name, damage in DAMAGES.items():
        damage(path)
        summary = summary_of(finished)
        rows = [(f.kind, f.status) for f in summary.failures]
        assert (kind, "damaged") in rows, (what, name, rows)
        assert all(f.command.startswith("bench ") for f in summary.failures)
        assert summary.rows[1] == before.rows[1].model_copy(
            update={
                "pareto_optimal": summary.rows[1].pareto_optimal,
                "pareto_probability": summary.rows[1].pareto_probability,
            }
        )
        assert all(render(form, summary) for form in FORMS)
        path.write_bytes(content)
    assert summary_of(finished) == before


def test_a_search_whose_file_was_changed_or_removed_is_a_row(finished):
    assert summary_of(finished).failures == ()
    file = finished.run.study("rate")
    file.parent.mkdir()
    file.write_text("{}")
    record_facts(finished.run, [file])
    for damage in (lambda: file.write_text('{"trials": []}'), file.unlink):
        damage()
        (row,) = summary_of(finished).failures
        assert (row.kind, row.status, row.command.split()[:2]) == ("search", "damaged", ["bench", "run"])
        assert f"tuning/{file.name}" in row.reason


def test_a_changed_manifest_is_told(finished):
    sealed(finished)
    lines = finished.run.manifest.read_text().splitlines()
    entry = json.loads(lines[2])
    lines[2] = json.dumps({**entry, "sha256": "0" * 64})
    finished.run.manifest.write_text("\n".join(lines) + "\n")
    assert any("manifest was changed" in failure.reason for failure in summary_of(finished).failures)


def test_a_manifest_whose_last_line_a_kill_cut_off_goes_on(finished):
    run, head = finished.run, finished.run.manifest_head.read_bytes()
    scores = run.scores(finished.planned[0].case.id)
    record_facts(run, [scores])
    # A kill comes before the head is written: it still tells of the lines before.
    run.manifest.write_bytes(run.manifest.read_bytes()[:-30])
    run.manifest_head.write_bytes(head)
    record_facts(run, [scores])
    assert summary_of(finished).failures == ()


def test_a_run_that_was_moved_is_verified_where_it_lies_now(finished, tmp_path):
    sealed(finished)
    moved = shutil.copytree(finished.run.path, tmp_path / "elsewhere" / "synthetic" / "run")
    assert summarise(read_run(RunFolder(moved))).failures == ()
