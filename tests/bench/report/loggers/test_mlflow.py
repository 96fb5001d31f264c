"""Tests what MLflow's own client finds in the local store."""

from __future__ import annotations

from importlib.util import find_spec

import cv2
import pytest

from bench.report.loggers.mlflow import Logger
from tests.bench.report.loggers.conftest import made_case

pytestmark = [
    pytest.mark.skipif(find_spec("mlflow") is None, reason="the package mlflow-skinny"),
    pytest.mark.skipif(find_spec("sqlalchemy") is None, reason="the package sqlalchemy"),
    pytest.mark.usefixtures("offline"),
]


def store(folder):
    from mlflow import MlflowClient  # a second, which every other test would wait for if it stood above

    return MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")


def runs_of(client, case):
    experiment = client.get_experiment_by_name(f"{case.suite}/{case.run}")
    return client.search_runs([experiment.experiment_id])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A store with one case: making one takes seconds."""
    folder = tmp_path_factory.mktemp("mlflow")
    Logger().write(made_case(), folder)
    return folder


@pytest.mark.slow
def test_curves_scores_and_parameters_come_back(written):
    client, case = store(written), made_case()
    (run,) = runs_of(client, case)
    assert (run.info.run_name, run.info.status) == (case.case_id, "FINISHED")
    assert (run.info.start_time, run.info.end_time) == (1_767_225_600_000, 1_767_225_603_000)
    history = client.get_metric_history(run.info.run_id, "train/loss")
    assert sorted((m.step, m.value, m.timestamp - run.info.start_time) for m in history) == [
        (10, 2.0, 1500), (20, 1.0, 3000),
    ]  # fmt: skip
    assert run.data.metrics["val/mean_iou"] == 0.5
    assert (run.data.metrics["score/mean_iou"], run.data.metrics["score/mean_iou_high"]) == (0.625, 0.75)
    assert run.data.params["recipe.loss"] == "dice"
    assert run.data.params["recipe.learning_rate"] == "0.01"


def test_images_come_back_as_artifacts_beside_the_store(written):
    client, case = store(written), made_case()
    (run,) = runs_of(client, case)
    (image,) = client.list_artifacts(run.info.run_id, "images")
    pixels = cv2.imread(client.download_artifacts(run.info.run_id, image.path))
    assert (pixels[..., ::-1] == case.images[0].pixels).all()
    assert (written / "artifacts" / run.info.run_id).is_dir()


def test_writing_a_case_again_replaces_it_and_leaves_others(written):
    other = made_case(case_id="unet/bilinear@shapes@cpu fp32 b1", images=())
    Logger().write(other, written)
    Logger().write(made_case(images=(), finals={"score/mean_iou": 0.5}), written)
    found = {run.info.run_name: run.data.metrics["score/mean_iou"] for run in runs_of(store(written), other)}
    assert found == {made_case().case_id: 0.5, other.case_id: 0.625}
    assert len(runs_of(store(written), other)) == 2
