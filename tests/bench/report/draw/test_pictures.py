"""Tests which pictures a run gives: as many as it has data for, and nothing of a lost data set."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.records import DatasetSpec, Flag, TaskSpec
from bench.records.png import read_png
from bench.records.predictions import Instances, Panoptic, Segment, SemanticMap, save_prediction
from bench.records.store import layout
from bench.records.store.layout import file_stem
from bench.records.store.runs import read_run
from bench.report import write_report
from bench.report.draw.contact_sheet import Tile
from bench.report.draw.pictures import accuracy_points, draw_pictures, sheet_rows
from bench.report.draw.tiles import outlines
from bench.report.summary.summarise import RunSummary, summarise
from tests.bench.builders import make_model

TRAINING = ["training_curves.png", "training_curve@better.png", "training_curve@faster.png", "accuracy_budget.png"]
ALL = ["accuracy_latency.png", "stage_times.png", *TRAINING, "contact_sheet.png"]


def drawn(synthetic, folder):
    view = read_run(synthetic.run)
    return draw_pictures(view, summarise(view), folder)


@pytest.mark.slow
def test_a_finished_run_leaves_its_report_pictures_and_tables(finished, tmp_path):
    written = write_report(read_run(finished.run), tmp_path / "report")
    beside = [path for path in written if path.parent == tmp_path / "report"]
    assert [path.name for path in beside] == ["report.md", "results.csv", "results.json", *ALL, "report.html"]
    assert sorted(path for path in (tmp_path / "report").rglob("*") if path.is_file()) == sorted(written)
    text = written[0].read_text(encoding="utf-8")
    assert all(f"]({name})" in text for name in ALL)
    assert "Not drawn" not in text
    assert len(RunSummary.from_json(written[2].read_text(encoding="utf-8")).rows) == 2


def test_a_run_of_which_nothing_is_done_has_a_report_without_pictures(synthetic, tmp_path):
    synthetic.add("waiting")
    synthetic.write_plan()
    written = write_report(read_run(synthetic.run), tmp_path / "report")
    assert [path.name for path in written] == ["report.md", "results.csv", "results.json", "report.html"]


def test_a_run_that_is_still_training_shows_its_curves(synthetic, tmp_path):
    planned = synthetic.add("training")
    synthetic.write_plan()
    synthetic.train(planned)
    assert [path.name for path in drawn(synthetic, tmp_path).drawn] == [
        "training_curves.png",
        "training_curve@training.png",
    ]


@pytest.mark.slow
def test_a_data_set_that_cannot_be_opened_costs_only_its_sheet(finished, tmp_path):
    spec = DatasetSpec(name="shapes", label="shapes", options={"preset": "easy", "size": [4, 4]})  # too small to draw
    cases = [planned.case.model_copy(update={"dataset": spec}) for planned in finished.planned]
    pairs = zip(finished.planned, cases, strict=True)
    finished.planned = [planned.model_copy(update={"case": case}) for planned, case in pairs]
    finished.write_plan()
    found = drawn(finished, tmp_path)
    assert [path.name for path in found.drawn] == ALL[:-1]
    (reason,) = found.left_out
    assert reason.startswith("the contact sheet of shapes: ")
    assert "4" in reason


@pytest.mark.slow
def test_every_data_set_has_a_sheet_of_its_own(finished, tmp_path):
    second = finished.add("other")
    spec = DatasetSpec(name="shapes", label="more shapes", options=second.case.dataset.options)
    case = second.case.model_copy(update={"dataset": spec, "id": "other@more shapes@cpu fp32 b1"})
    finished.planned[-1] = second.model_copy(update={"case": case})
    plan = finished.write_plan()
    finished.predict(finished.planned[-1], 0.1, 5)
    finished.score(plan, finished.planned[-1])
    names = [path.name for path in drawn(finished, tmp_path).drawn]
    assert names[-2:] == ["contact_sheet.png", f"contact_sheet@{file_stem('more shapes')}.png"]


def first_image(synthetic):
    return sheet_rows(list(read_run(synthetic.run).cases))[0].image_id


def spoil(synthetic, planned, image_id):
    """Predict one class everywhere."""
    folder = synthetic.run.job("predict", planned.case.id, 0, planned.predict_key) / layout.PREDICTIONS
    shape = read_png(folder / f"{image_id}.png").shape
    save_prediction(SemanticMap(np.full(shape, 3, dtype=np.uint8)), folder, image_id)


def test_the_sheet_begins_with_the_image_on_which_the_models_differ_most(finished):
    spoil(finished, finished.planned[0], finished.ids[7])
    assert first_image(finished) == finished.ids[7]


def test_the_sheet_of_a_single_model_begins_with_its_worst_image(synthetic):
    planned = synthetic.add("only")
    synthetic.write_plan()
    synthetic.predict(planned, 0.0, 0)
    spoil(synthetic, planned, synthetic.ids[5])
    assert first_image(synthetic) == synthetic.ids[5]


def test_a_damaged_prediction_costs_only_its_tile(finished, tmp_path):
    planned = finished.planned[0]
    folder = finished.run.job("predict", planned.case.id, 0, planned.predict_key) / layout.PREDICTIONS
    for image_id in finished.ids:
        (folder / f"{image_id}.png").write_bytes(b"")
    assert "contact_sheet.png" in [path.name for path in drawn(finished, tmp_path).drawn]


def test_an_invalid_timing_is_shown_and_called_so(finished):
    planned = finished.planned[1]
    finished.write_job(planned, "time", planned.time_keys[0], invalid=(Flag(name="forgotten_sync", seen="seen"),))
    points = accuracy_points(summarise(read_run(finished.run)))
    assert [(point.label, point.pareto_optimal) for point in points] == [("better", True), ("faster (invalid)", False)]


def test_the_rim_of_an_instance_lies_in_it_and_is_one_pixel_wide():
    mask = np.zeros((7, 8), bool)
    mask[1:6, 2:7] = True
    one = Instances(mask[None], np.array([0]), np.array([0.9]), np.array([False]))
    inner = np.zeros_like(mask)
    inner[2:5, 3:6] = True
    assert (outlines(one) == (mask & ~inner)).all()


def test_segments_are_outlined_on_both_sides_of_their_border_and_label_maps_are_not():
    ids = np.repeat(np.int32([[1, 1, 1, 2, 2, 2]]), 3, axis=0)
    assert (
        outlines(Panoptic(ids, (Segment(1, 0), Segment(2, 0)))).tolist() == [[False] * 2 + [True] * 2 + [False] * 2] * 3
    )
    assert outlines(SemanticMap(ids.astype(np.uint8))) is None


def test_an_unsure_instance_model_has_no_empty_column_and_its_threshold_is_told(synthetic):
    planned = synthetic.add("unsure", model=make_model(task="instance", label="unsure"))
    planned = planned.model_copy(update={"task": TaskSpec(kind="instance", classes=synthetic.task.classes)})
    synthetic.planned[-1] = planned
    plan = synthetic.write_plan()
    folder = synthetic.write_job(planned, "predict", planned.predict_key, predicted_images=12)
    hashes = {}
    for image_id in synthetic.ids:
        ground_truth = synthetic.dataset.target(image_id).instances
        found = Instances(
            ground_truth.masks, ground_truth.class_ids, np.full(len(ground_truth.masks), 0.44), ground_truth.crowd
        )
        save_prediction(found, folder / layout.PREDICTIONS, image_id)
        hashes[image_id] = found.content_hash()
    (folder / layout.PREDICTIONS / layout.PREDICTION_INDEX).write_text(json.dumps(hashes))
    synthetic.score(plan, planned)
    views = list(read_run(synthetic.run).cases)
    ((label, tile),) = sheet_rows(views)[0].predictions
    assert label == "unsure\nscore ≥ 0.05"  # the lowest of those at which its mIoU is best
    assert tile.objects.max() > 0
    ((label, tile),) = sheet_rows(views, 0.5)[0].predictions
    assert label == "unsure\nscore ≥ 0.5"
    assert tile.objects.max() == 0


def test_two_objects_of_one_class_have_two_shades_of_its_colour():
    palette = np.array([[200, 100, 0], [0, 0, 0]], dtype=np.uint8)
    objects = np.int32([[0, 1, 2, 2]])
    tile = Tile(np.uint8([[1, 0, 0, 0]]), objects=objects, class_of=np.array([0, 0]))
    ((nothing, first, second, again),) = tile.coloured(palette).tolist()
    assert (nothing, first) == ([0, 0, 0], [200, 100, 0])
    assert second == again != first
    assert second[2] == 0  # darker, of the same hue
