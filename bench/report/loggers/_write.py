"""The process that writes one case with one logger, and the case as loggers see it, of the files of its run.

It is `python -m bench.report.loggers._write RUN RESULTS CASE LOGGER FOLDER`.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from bench.errors import BenchError, DatasetError
from bench.logger import LoggedCase, LoggedImage, LoggedPoint, Parameter, load_logger
from bench.records import Case, ClassSpec, as_json_dict
from bench.records.store import layout
from bench.records.store.layout import RunFolder
from bench.records.store.runs import read_run
from bench.records.store.training_log import TrainingLog, read_training_log
from bench.records.store.views import CaseView, RunView
from bench.report.draw.contact_sheet import SheetRow, overlay
from bench.report.draw.pictures import sheet_rows


def logged_case(run: RunView, view: CaseView) -> LoggedCase:
    """Return what loggers write about a scored case."""
    log = read_training_log(view.train.folder / layout.TRAINING_LOG) if view.train is not None else None
    job = view.train or view.predict
    started = job.outcome.started_at if job is not None and job.outcome is not None else run.plan.planned_at
    return LoggedCase(
        suite=run.plan.suite,
        run=run.folder.name,
        case_id=view.case.id,
        model=view.case.model.label,
        file_name=layout.file_stem(view.case.id),
        started_at=datetime.fromisoformat(started.replace("Z", "+00:00")).timestamp(),
        parameters=parameters_of(view.case),
        curve=curve_points(log) if log is not None else (),
        finals=_finals(view),
        images=_images(view),
    )


def parameters_of(case: Case) -> dict[str, Parameter]:
    """Recipe, model, data set and target by dotted name; what is not set is left out."""
    fields = as_json_dict(case)
    found: dict[str, Parameter] = {}
    for name in ("recipe", "model", "dataset", "target"):
        _flatten(name, fields[name], found)
    return found


def _flatten(name: str, value: JsonValue, into: dict[str, Parameter]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _flatten(f"{name}.{key}", inner, into)
    elif isinstance(value, list):
        into[name] = json.dumps(value)
    elif value is not None:
        into[name] = value


def curve_points(log: TrainingLog) -> tuple[LoggedPoint, ...]:
    """Return a point per step of the log, losses and validations together, without numbers that are not finite."""
    points: dict[int, LoggedPoint] = {}
    for step in log.steps:
        values = {"train/loss": step.loss, "train/learning_rate": step.learning_rate}
        _add(points, step.step, step.images, step.train_s, values)
    for validation in log.validations:
        named = {tracker_name(name): value for name, value in validation.values.items()}
        _add(points, validation.step, validation.images, validation.train_s, named)
    return tuple(points[step] for step in sorted(points))


def tracker_name(name: str) -> str:
    """Return the name of a validated value as trackers group it.

    >>> tracker_name("val_mean_iou"), tracker_name("train_mean_iou"), tracker_name("map")
    ('val/mean_iou', 'train/mean_iou', 'val/map')
    """
    split, _, rest = name.partition("_")
    return f"{split}/{rest}" if split in ("train", "val") and rest else f"val/{name}"


def _add(
    points: dict[int, LoggedPoint], step: int, images: int, train_s: float, values: Mapping[str, float | None]
) -> None:
    finite = {name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)}
    before = points[step].values if step in points else {}
    points[step] = LoggedPoint(step, images, train_s, {**before, **finite})


def _finals(view: CaseView) -> dict[str, float]:
    found: dict[str, float | None] = {}
    for score in view.scores.scores if view.scores is not None else ():
        name = f"score/{score.metric}".replace("@", "_at_")  # which MLflow does not take in a name
        found |= {name: score.value, f"{name}_low": score.low, f"{name}_high": score.high}
    if view.train is not None and view.train.outcome is not None:
        facts = view.train.outcome.facts
        found |= {
            "train/seconds": facts.trained_s,
            "train/steps": facts.trained_steps,
            "train/images": facts.trained_images,
            "model/parameters": facts.parameters,
        }
    return {name: float(value) for name, value in found.items() if value is not None and math.isfinite(value)}


def _images(view: CaseView) -> tuple[LoggedImage, ...]:
    """Return the images it gets most wrong; none where the data set is not on this machine."""
    if view.predict is None or not view.predict.ok:
        return ()
    try:
        rows = sheet_rows([view])
    except DatasetError:
        return ()
    return tuple(LoggedImage(row.image_id, _strip(row, view.task.classes)) for row in rows)


def _strip(row: SheetRow, classes: tuple[ClassSpec, ...]) -> NDArray[np.uint8]:
    """Return image, ground truth over it and prediction over it, (H, 3 W, 3); a missing prediction is grey."""
    ((_, predicted),) = row.predictions
    missing = np.full_like(row.image, 128)
    shown = overlay(row.image, predicted, classes) if predicted is not None else missing
    return np.concatenate([row.image, overlay(row.image, row.ground_truth, classes), shown], axis=1)


def main(arguments: list[str]) -> int:
    """Write the case; 0 if it is written."""
    run_folder, results, case_id, name, folder = arguments
    run = read_run(RunFolder(Path(run_folder)), Path(results))
    view = next(view for view in run.cases if view.case.id == case_id)
    try:
        load_logger(name).write(logged_case(run, view), Path(folder))
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
