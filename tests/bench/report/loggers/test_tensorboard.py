"""Tests what TensorBoard's own reader finds in the event files."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("tensorboard", reason="the package tensorboard")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import PLUGIN_NAME, parse_session_start_info_plugin_data

from bench.report.loggers.tensorboard import Logger
from tests.bench.report.loggers.conftest import made_case


def read(folder, case):
    events = EventAccumulator(str(folder / case.file_name))
    events.Reload()
    return events


def test_curves_and_scores_come_back_with_their_steps_and_times(tmp_path):
    case = made_case()
    Logger().write(case, tmp_path)
    events = read(tmp_path, case)
    loss = events.Scalars("train/loss")
    assert [(e.step, e.value, e.wall_time - case.started_at) for e in loss] == [(10, 2.0, 1.5), (20, 1.0, 3.0)]
    assert [(e.step, e.value) for e in events.Scalars("val/mean_iou")] == [(20, 0.5)]
    assert [(e.step, e.value) for e in events.Scalars("train/images")] == [(10, 80.0), (20, 160.0)]
    assert [(e.step, e.value) for e in events.Scalars("score/mean_iou")] == [(20, 0.625)]


def test_hyper_parameters_come_back_with_their_types(tmp_path):
    case = made_case()
    Logger().write(case, tmp_path)
    found = read(tmp_path, case).PluginTagToContent(PLUGIN_NAME)
    content = found["_hparams_/session_start_info"]
    values = parse_session_start_info_plugin_data(content).hparams
    assert values["recipe.loss"].string_value == "dice"
    assert values["recipe.learning_rate"].number_value == 0.01
    assert values["recipe.flip"].bool_value is True
    assert values["model.width"].number_value == 32


def test_images_come_back_in_their_colours(tmp_path):
    case = made_case()
    Logger().write(case, tmp_path)
    (image,) = read(tmp_path, case).Images("test/image 7")
    pixels = cv2.imdecode(np.frombuffer(image.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    assert (pixels[..., ::-1] == case.images[0].pixels).all()


def test_writing_a_case_again_replaces_it(tmp_path):
    Logger().write(made_case(), tmp_path)
    Logger().write(made_case(finals={"score/mean_iou": 0.5}), tmp_path)
    events = read(tmp_path, made_case())
    assert [e.value for e in events.Scalars("score/mean_iou")] == [0.5]
    assert len(events.Scalars("train/loss")) == 2


def test_a_model_that_was_not_trained_has_its_score_alone(tmp_path):
    case = made_case(curve=(), images=())
    Logger().write(case, tmp_path)
    events = read(tmp_path, case)
    assert [(e.step, e.value) for e in events.Scalars("score/mean_iou")] == [(0, 0.625)]
    assert "train/loss" not in events.Tags()["scalars"]
