"""A case as loggers see it: the run's own numbers, flat and finite."""

from __future__ import annotations

import numpy as np

from bench.records import ClassSpec, Target
from bench.records.store.training_log import LoggedStep, LoggedValidation, TrainingLog
from bench.report.draw.contact_sheet import Tile
from bench.report.loggers._write import curve_points, overlay, parameters_of
from tests.bench.builders import make_case, make_model, make_recipe


def test_parameters_are_recipe_model_data_set_and_target_by_dotted_name():
    case = make_case(
        model=make_model(options={"width": 32, "depths": [1, 2], "deep": {"er": True}}),
        recipe=make_recipe(loss="dice"),
        target=Target(batch_size=4),
    )
    found = parameters_of(case)
    assert found["recipe.loss"] == "dice"
    assert found["recipe.budget.steps"] == 1
    assert (found["model.options.width"], found["model.options.depths"]) == (32, "[1, 2]")
    assert found["model.options.deep.er"] is True
    assert found["target.batch_size"] == 4
    assert "recipe.budget.seconds" not in found  # not set
    assert not [name for name in found if name.startswith(("measurement", "timeouts"))]


def test_a_model_without_recipe_has_no_parameters_of_one():
    assert not [name for name in parameters_of(make_case(recipe=None)) if name.startswith("recipe")]


def test_a_step_and_a_validation_at_it_are_one_point_and_numbers_that_are_none_are_left_out():
    log = TrainingLog(
        None,
        None,
        (LoggedStep(1, 8, 0.1, float("nan"), 0.5), LoggedStep(2, 16, 0.2, 1.5, 0.4)),
        (LoggedValidation(2, 16, 0.2, {"val_mean_iou": 0.3, "mask_map": 0.1}),),
    )
    first, second = curve_points(log)
    assert (first.step, first.images, first.values) == (1, 8, {"train/learning_rate": 0.5})
    assert second.values == {
        "train/loss": 1.5, "train/learning_rate": 0.4, "val/mean_iou": 0.3, "val/mask_map": 0.1,
    }  # fmt: skip


def test_an_overlay_tints_classes_leaves_void_and_draws_outlines():
    classes = (ClassSpec(name="a", colour=(200, 0, 0)), ClassSpec(name="b", colour=(0, 100, 0)))
    image = np.full((1, 4, 3), 100, np.uint8)
    labels = np.array([[0, 1, 255, 1]], np.uint8)
    rim = np.array([[False, False, False, True]])
    shown = overlay(image, Tile(labels, rim), classes)
    assert shown.tolist() == [[[150, 50, 50], [50, 100, 50], [100, 100, 100], [0, 0, 0]]]
