"""A case made of fixed numbers, and a run of the fakes that is logged."""

from __future__ import annotations

import os

import numpy as np
import pytest

from bench.logger import LoggedCase, LoggedImage, LoggedPoint
from tests.bench.suites import perfect, write_suite

NAMES = ("tensorboard", "wandb", "mlflow")


def made_case(**changes) -> LoggedCase:
    """Two logged steps, a validation at the second, two scores and an image of three colours."""
    pixels = np.zeros((6, 9, 3), np.uint8)
    pixels[:, :3], pixels[:, 3:6], pixels[:, 6:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    fields = {
        "suite": "semantic",
        "run": "2026-01-01T00-00-00",
        "case_id": "unet/transposed@shapes@cpu fp32 b1",
        "model": "unet/transposed",
        "file_name": "unet-transposed@shapes@cpu-fp32-b1",
        "started_at": 1_767_225_600.0,
        "parameters": {"recipe.loss": "dice", "recipe.learning_rate": 0.01, "recipe.flip": True, "model.width": 32},
        "curve": (
            LoggedPoint(10, 80, 1.5, {"train/loss": 2.0, "train/learning_rate": 0.01}),
            LoggedPoint(20, 160, 3.0, {"train/loss": 1.0, "val/loss": 1.25, "val/mean_iou": 0.5}),
        ),
        "finals": {"score/mean_iou": 0.625, "score/mean_iou_low": 0.5, "score/mean_iou_high": 0.75},
        "images": (LoggedImage("image 7", pixels),),
    }
    return LoggedCase(**{**fields, **changes})


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """What the parent sets for the process of a logger."""
    from bench.logger import load_logger

    for name in NAMES:
        for variable, value in load_logger(name).environment.items():
            monkeypatch.setenv(variable, value.replace("{folder}", str(tmp_path / name)))


@pytest.fixture
def suite(tmp_path):
    """A fake that knows everything, and one that trains; the suite wants whichever loggers are named."""

    def write(*loggers):
        recipe = {"budget": {"steps": 3}, "device": "cpu", "batch_size": 4}
        models = [perfect(), {"name": "fake/trains"}]
        return write_suite(tmp_path, models, recipe=recipe, loggers=list(loggers))

    return write


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Work in an empty folder, with nobody's own settings of a tracker."""
    monkeypatch.chdir(tmp_path)
    for variable in [name for name in os.environ if name.startswith(("WANDB_", "MLFLOW_"))]:
        monkeypatch.delenv(variable)
