"""The sentences a report opens with: what is best, what is fastest, and what must not be said."""

from __future__ import annotations

import json
import re

import pytest

from bench.records import Flag, Score, Status
from bench.records.store.files import write_record
from bench.records.store.manifest import record_facts
from bench.records.store.runs import read_run
from bench.report import sentences as words
from bench.report.conclusion import conclusion
from bench.report.summary.summarise import RunSummary, summarise


def summary_of(synthetic) -> RunSummary:
    return summarise(read_run(synthetic.run))


def complete(synthetic, label, *, wrong, infer_ms, seed):
    """A case with predictions, timings and scores."""
    planned = synthetic.add(label)
    plan = synthetic.write_plan()
    synthetic.predict(planned, wrong, seed)
    synthetic.time(planned, infer_ms, seed)
    synthetic.score(plan, planned)
    return planned


def test_the_fastest_is_told_with_what_it_costs(finished):
    best, fastest = conclusion(summary_of(finished))
    assert best.startswith("**better** has the best mIoU, 0.94")
    # (0.2 + 8 + 0.5) / (0.2 + 4 + 0.5) = 1.851
    assert "1.85 × (interval 1.8" in fastest
    assert "as fast as better, and behind it by 0.1" in fastest


def test_models_with_equal_predictions_are_not_told_apart(synthetic):
    complete(synthetic, "one", wrong=0.1, infer_ms=8.0, seed=1)
    complete(synthetic, "two", wrong=0.1, infer_ms=9.0, seed=1)
    complete(synthetic, "three", wrong=0.1, infer_ms=4.0, seed=1)
    _, fastest, tied = conclusion(summary_of(synthetic))
    assert fastest.endswith("as fast as one, with no distinguishable difference in mIoU.")
    assert tied == "Not distinguishable from the best mIoU on these images: two."


def test_equally_fast_models_are_not_told_apart(synthetic):
    complete(synthetic, "one", wrong=0.1, infer_ms=8.0, seed=3)
    complete(synthetic, "two", wrong=0.3, infer_ms=7.999, seed=3)
    fastest = conclusion(summary_of(synthetic))[1]
    assert fastest.startswith("**two** is the fastest, 8.")
    assert "at the median (not distinguishable from one), and behind it by 0." in fastest


def test_the_best_is_not_called_the_fastest_of_what_is_equally_fast(synthetic):
    complete(synthetic, "one", wrong=0.1, infer_ms=7.999, seed=3)
    complete(synthetic, "two", wrong=0.3, infer_ms=8.0, seed=3)
    complete(synthetic, "slow", wrong=0.3, infer_ms=16.0, seed=4)
    fastest = conclusion(summary_of(synthetic))[1]
    assert fastest.startswith("It is also the fastest, 8.")
    assert fastest.endswith("at the median (not distinguishable from two).")


def test_one_process_per_model_is_no_evidence_of_which_is_faster(synthetic):
    for label, wrong, infer_ms in (("good", 0.1, 8.0), ("fast", 0.3, 4.0)):
        planned = synthetic.add(label)
        synthetic.planned[-1] = planned = planned.model_copy(update={"time_keys": planned.time_keys[:1]})
        plan = synthetic.write_plan()
        synthetic.predict(planned, wrong, 1)
        synthetic.time(planned, infer_ms, 1)
        synthetic.score(plan, planned)
    summary = summary_of(synthetic)
    assert "× as fast as good in one process each, which is no evidence of a difference" in conclusion(summary)[1]
    assert [row.pareto_probability for row in summary.rows] == [None, None]


def test_a_small_but_clear_ratio_has_enough_digits_to_leave_out_one(synthetic):
    complete(synthetic, "one", wrong=0.1, infer_ms=8.00, seed=3)
    complete(synthetic, "two", wrong=0.3, infer_ms=7.93, seed=3)
    fastest = conclusion(summary_of(synthetic))[1]
    # 8.70 / 8.63 = 1.008
    assert re.search(r"1\.008 × \(interval 1\.00[1-7]–1\.01\d\)", fastest)


def test_many_models_behind_are_counted_and_left_to_the_table(synthetic):
    for number in range(6):
        complete(synthetic, f"m{number}", wrong=0.02 + 0.1 * number, infer_ms=4.0 + number, seed=number)
    summary = summary_of(synthetic)
    last = conclusion(summary)[-1]
    assert "5 others" in last
    assert "m3" not in last
    sizes = sorted(one.difference for one in summary.comparisons)
    assert f"by {sizes[0]:.3f} to {sizes[-1]:.3f}" in last


def test_a_model_whose_timing_is_invalid_is_neither_the_fastest_nor_on_the_front(finished):
    faster = finished.planned[1]
    finished.write_job(
        faster,
        "time",
        faster.time_keys[0],
        invalid=(Flag(name="forgotten_sync", seen="work went on after infer", advice="fix synchronize()"),),
    )
    summary = summary_of(finished)
    assert [row.pareto_optimal for row in summary.rows] == [True, None]
    assert summary.comparisons[0].slower is None
    assert summary.comparisons[0].difference > 0
    text = " ".join(conclusion(summary))
    assert "fastest" not in text
    assert "behind the best mIoU: faster" in text


def test_a_run_of_failures_only_says_which_and_nothing_else(synthetic):
    for label in ("one", "two"):
        planned = synthetic.add(label)
        synthetic.write_plan()
        synthetic.write_job(planned, "train", planned.train_key, status=Status.OOM_HOST, reason="it was killed")
    assert conclusion(summary_of(synthetic)) == [
        "No model is scored yet.",
        "2 of 2 cases failed: one (oom_host), two (oom_host); see the failures below.",
    ]


def test_cases_that_wait_are_told(finished):
    finished.add("waiting")
    finished.write_plan()
    assert conclusion(summary_of(finished))[-1] == "1 of 3 cases are not finished yet: waiting."


def test_an_undefined_score_is_neither_best_nor_unscored(synthetic):
    planned = complete(synthetic, "one", wrong=0.1, infer_ms=8.0, seed=1)
    file = synthetic.run.scores(planned.case.id)
    scores = read_run(synthetic.run).cases[0].scores
    undefined = Score(
        metric="mean_iou", version=1, value=None, undefined_because="no class occurs", images=12, definition="d"
    )
    write_record(file, scores.model_copy(update={"scores": (undefined, scores.scores[1])}))
    record_facts(synthetic.run, [file])
    summary = summary_of(synthetic)
    assert conclusion(summary) == ["mIoU is undefined for every model scored so far."]
    assert summary.rows[0].pareto_optimal is None


def test_scores_of_other_metrics_than_the_plan_asks_for_are_not_shown_under_its_headings(finished):
    plan = finished.write_plan()
    changed = plan.model_copy(update={"metrics": ("pixel_accuracy", "mean_iou")})
    write_record(finished.run.path / "plan.json", changed)
    summary = summary_of(finished)
    assert [(row.status, row.scores, row.pareto_optimal) for row in summary.rows] == [("unfinished", (), None)] * 2
    assert summary.comparisons == ()


def test_every_version_is_told_when_interpreters_differ(finished):
    planned = finished.planned[0]
    finished.write_job(planned, "train", planned.train_key, versions={"torch": "1.13", "numpy": "2.0"})
    assert summary_of(finished).versions == {"numpy": "2.0", "torch": "1.13 and 2.0"}


def test_threads_are_told_once_per_setting(finished):
    for planned in finished.planned:
        finished.write_job(planned, "time", planned.time_keys[0], threads={"torch": 2, "opencv": 1})
    lines = words.environment_lines(summary_of(finished))
    assert "Threads of a timing process, read back: torch 2, opencv 1" in lines


def test_an_environment_that_was_not_recorded_is_told_as_not_known(finished):
    (finished.run.path / "environment.json").write_text(json.dumps({}))
    lines = words.environment_lines(summary_of(finished))
    assert not [line for line in lines if "None" in line]
    assert lines[0].startswith("CPU: not known")


def test_stages_that_cannot_be_separated_are_told(finished):
    planned = finished.planned[1]
    folder = finished.write_job(planned, "time", planned.time_keys[1], 1, fused_stages=("preprocess+infer",))
    assert (folder / "samples.npz").is_file()
    (line,) = words.fused_stages(summary_of(finished))
    assert line.startswith("faster: preprocess+infer cannot be separated")


@pytest.mark.parametrize("percentiles", [(50.0, 90.0), (50.0, 99.0)])
def test_percentiles_are_explained_as_the_protocol_has_them(finished, percentiles):
    summary = summary_of(finished)
    measurement = summary.measurement.model_copy(update={"percentiles": percentiles})
    notes = words.footnotes(summary.model_copy(update={"measurement": measurement}))
    assert any(note.startswith(f"p50, p{percentiles[1]:g}: nearest-rank") for note in notes)


def test_intervals_of_means_over_rare_classes_are_called_rough_where_simulation_shows_that_they_do_not_cover(finished):
    summary = summary_of(finished)
    assert not any("They are most of the classes" in line for line in words.how_measured(summary))  # of mIoU they cover
    cell = summary.rows[0].scores[0]
    of_segments = cell.model_copy(
        update={"label": "PQ", "score": cell.score.model_copy(update={"metric": "panoptic_quality"})}
    )

    def told(few: int) -> bool:
        update = {"scores": (of_segments,), "few_images": {f"class {n}": 3 for n in range(few)}}
        changed = summary.model_copy(update={"rows": (summary.rows[0].model_copy(update=update),)})
        return any("the 95 % intervals of PQ then do not hold" in line for line in words.how_measured(changed))

    assert [told(few) for few in (4, 5)] == [False, True]  # 8 classes are scored
