"""MLflow: one SQLite store per run, an entry per case; to look at it: `uvx mlflow ui` (see the docs, trackers).

Look at it with
`mlflow ui --backend-store-uri sqlite:///DIR/mlflow.db`, which needs the full package `mlflow` of the same
version: `uvx --from mlflow==VERSION mlflow ui …` runs it without installing. Artifacts lie beside the
store; their places are absolute paths in it, as MLflow wants them.
"""

from __future__ import annotations

import shlex
import shutil
import tempfile
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.logger import LoggedCase
from bench.records.store.layout import file_stem

CASE_TAG = "segbench.case"
PARAMETERS_AT_ONCE, METRICS_AT_ONCE, LONGEST = 100, 1000, 6000
"""Limits of the store: entries per call, and characters of a parameter."""


class Logger:
    """Writes runs into a local store."""

    version = 1
    packages = {"mlflow-skinny": "mlflow", "sqlalchemy": "sqlalchemy", "alembic": "alembic"}
    environment = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet"}

    def opened_with(self, folder: Path) -> str:
        """Return the command of MLflow's own server, from an environment with the full package where this one lacks it.

        `mlflow-skinny` writes the store and has no server; the server must be of the same version as the store.
        """
        store = shlex.quote(f"sqlite:///{folder / 'mlflow.db'}")
        command = f"mlflow ui --backend-store-uri {store}"
        if find_spec("flask") is not None:
            return command
        return f"uvx --from mlflow=={metadata.version('mlflow-skinny')} {command}"

    def write(self, case: LoggedCase, folder: Path) -> None:
        """Write the case as a run into `folder/mlflow.db`, in place of an older one."""
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{folder.resolve() / 'mlflow.db'}")
        experiment = _experiment(client, case, folder)
        for older in client.search_runs([experiment], max_results=50_000):
            if older.data.tags.get(CASE_TAG) == case.case_id:
                shutil.rmtree(folder / "artifacts" / older.info.run_id, ignore_errors=True)
                client.delete_run(older.info.run_id)
        begin_ms = round(1000 * case.started_at)
        tags = {CASE_TAG: case.case_id, "segbench.suite": case.suite, "segbench.run": case.run}
        run = client.create_run(experiment, start_time=begin_ms, tags=tags, run_name=case.case_id)
        run_id = run.info.run_id
        _log_parameters(client, run_id, case)
        end_ms = _log_metrics(client, run_id, case, begin_ms)
        _log_images(client, run_id, case)
        client.set_terminated(run_id, "FINISHED", end_ms)


def _experiment(client: Any, case: LoggedCase, folder: Path) -> str:
    name = f"{case.suite}/{case.run}"
    known = client.get_experiment_by_name(name)
    if known is not None:
        return str(known.experiment_id)
    return str(client.create_experiment(name, artifact_location=(folder.resolve() / "artifacts").as_uri()))


def _log_parameters(client: Any, run_id: str, case: LoggedCase) -> None:
    from mlflow.entities import Param

    parameters = [Param(name, str(value)[:LONGEST]) for name, value in case.parameters.items()]
    for first in range(0, len(parameters), PARAMETERS_AT_ONCE):
        client.log_batch(run_id, params=parameters[first : first + PARAMETERS_AT_ONCE])


def _log_metrics(client: Any, run_id: str, case: LoggedCase, begin_ms: int) -> int:
    """Write curves and final values; returns the time of the last, milliseconds since 1970."""
    from mlflow.entities import Metric

    metrics, at_ms, step = [], begin_ms, 0
    for point in case.curve:
        at_ms, step = begin_ms + round(1000 * point.train_s), point.step
        values = {**point.values, "train/images_seen": float(point.images), "train/time_s": point.train_s}
        metrics += [Metric(name, value, at_ms, step) for name, value in values.items()]
    metrics += [Metric(name, value, at_ms, step) for name, value in case.finals.items()]
    for first in range(0, len(metrics), METRICS_AT_ONCE):
        client.log_batch(run_id, metrics=metrics[first : first + METRICS_AT_ONCE])
    return at_ms


def _log_images(client: Any, run_id: str, case: LoggedCase) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        for number, image in enumerate(case.images):
            file = Path(scratch) / f"{number:02d}-{file_stem(image.name)}.png"
            file.write_bytes(cv2.imencode(".png", np.ascontiguousarray(image.pixels[..., ::-1]))[1].tobytes())
            client.log_artifact(run_id, str(file), "images")
