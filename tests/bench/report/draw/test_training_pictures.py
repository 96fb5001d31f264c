"""Curves hold what the logs hold: the same numbers, once per training, against seconds and images."""

from __future__ import annotations

from bench.records import DatasetSpec
from bench.records.store.runs import read_run
from bench.report.draw.pictures import draw_pictures
from bench.report.draw.training_pictures import budget_points, draw_training, training_curves_of
from bench.report.summary.summarise import summarise
from bench.report.training_tables import budget_table
from tests.bench.builders import make_recipe


def curves_of(synthetic):
    return training_curves_of(read_run(synthetic.run).cases)


def test_a_curve_holds_the_numbers_of_its_log(synthetic):
    planned = synthetic.add("one")
    synthetic.write_plan()
    synthetic.train(planned, validated=((100, 0.6), (150, 0.8), (200, 0.7)))
    (curve,) = curves_of(synthetic)
    assert curve.label == "one"
    assert (curve.loss.seconds[1], curve.loss.images[1], curve.loss.values[1]) == (1.1, 88, 2 / 11**0.5)
    assert (curve.score_name, curve.val_score.seconds, curve.val_score.images) == (
        "mIoU",
        (10.0, 15.0, 20.0),
        (800, 1200, 1600),
    )
    assert curve.val_score.values == (0.6, 0.8, 0.7)
    assert curve.kept == (15.0, 1200)
    assert curve.train_score.values == ()


def test_cases_that_share_a_training_share_its_curve(synthetic):
    first, second = synthetic.add("one"), synthetic.add("one")
    synthetic.planned[1] = second.model_copy(update={"train_key": first.train_key})
    synthetic.write_plan()
    synthetic.train(first)
    assert [curve.label for curve in curves_of(synthetic)] == ["one"]


def test_models_that_are_not_trained_have_no_curve(synthetic):
    synthetic.add("waiting")
    synthetic.add("brought", recipe=None)
    trained = synthetic.add("trained")
    synthetic.write_plan()
    synthetic.train(trained)
    assert [curve.label for curve in curves_of(synthetic)] == ["trained"]


def test_labels_that_are_one_file_name_get_two_files(synthetic, tmp_path):
    for label in ("a/b", "a-b"):
        synthetic.add(label)
    synthetic.write_plan()
    for planned in synthetic.planned:
        synthetic.train(planned)
    view = read_run(synthetic.run)
    names = [path.name for path in draw_training(view, summarise(view), tmp_path)]
    assert names[0] == "training_curves.png"
    assert all(name.startswith("training_curve@a-b") for name in names[1:])
    assert len(set(names)) == 3


def test_the_data_set_is_named_where_there_are_several(synthetic):
    synthetic.add("one")
    synthetic.add("one", dataset=DatasetSpec(name="shapes", label="more"), id="one@more@cpu fp32 b1")
    synthetic.write_plan()
    for planned in synthetic.planned:
        synthetic.train(planned)
    assert [curve.label for curve in curves_of(synthetic)] == ["one · shapes", "one · more"]


def test_a_point_under_the_budget_is_the_test_score_with_its_interval_and_the_way_there(finished):
    view = read_run(finished.run)
    summary = summarise(view)
    better, _ = budget_points(view, summary)
    score = summary.rows[0].headline
    assert (better.seconds, better.images) == (20.0, 1600)
    assert (better.score, better.score_low, better.score_high) == (score.value, score.low, score.high)
    assert better.val.values == (0.7,)


def test_the_way_there_is_left_out_where_the_headline_is_another_metric(finished):
    view = read_run(finished.run)
    plan = view.plan.model_copy(update={"metrics": ("pixel_accuracy", "mean_iou")})
    points = budget_points(type(view)(view.folder, plan, view.environment, view.cases), summarise(view))
    assert [point.val.values for point in points] == [(), ()]


def test_a_training_without_a_score_has_no_point(synthetic):
    planned = synthetic.add("one", recipe=make_recipe())
    synthetic.write_plan()
    synthetic.train(planned)
    view = read_run(synthetic.run)
    assert budget_points(view, summarise(view)) == []


def test_the_score_that_was_validated_is_drawn_and_tabled_under_its_own_name(synthetic):
    planned = synthetic.add("one")
    synthetic.write_plan()
    synthetic.train(planned, validated=((100, 0.2), (200, 0.4)))
    (log,) = synthetic.run.path.rglob("training.jsonl")
    log.write_text(log.read_text().replace("val_mean_iou", "val_mask_map"))
    (curve,) = curves_of(synthetic)
    assert (curve.score_name, curve.val_score.values) == ("mask AP", (0.2, 0.4))
    table = budget_table(summarise(read_run(synthetic.run)))
    assert table["val mask AP at 50 % (0–1)"] == ["0.200"]


def test_a_run_without_a_sample_of_any_stage_has_no_picture_of_stage_times(untrained, tmp_path):
    view = read_run(untrained.run)
    summary = summarise(view)
    names = [path.name for path in draw_pictures(view, summary, tmp_path).drawn]
    assert "stage_times.png" in names
    rows = []
    for row in summary.rows:
        nothing = {name: t.model_copy(update={"ms_per_image": None}) for name, t in row.latency.stages.items()}
        rows.append(row.model_copy(update={"latency": row.latency.model_copy(update={"stages": nothing})}))
    silent = summary.model_copy(update={"rows": tuple(rows)})
    names = [path.name for path in draw_pictures(view, silent, tmp_path / "again").drawn]
    assert "stage_times.png" not in names
