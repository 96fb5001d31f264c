"""TensorBoard: one folder of event files per case. Look at them with `tensorboard --logdir DIR`.

Events bear the time at which their step was done, so that the axis *Relative* is training time and
*Step* is optimiser steps. Written with the package `tensorboard` alone: no TensorFlow, no PyTorch.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.logger import LoggedCase


class Logger:
    """Writes event files."""

    version = 1
    packages = {"tensorboard": "tensorboard"}
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3"}

    def opened_with(self, folder: Path) -> str:
        """Return the command of TensorBoard's own server."""
        return f"tensorboard --logdir {shlex.quote(str(folder))}"

    def write(self, case: LoggedCase, folder: Path) -> None:
        """Write the case's event file into `folder/<case>`, which is emptied first."""
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        own = folder / case.file_name
        if own.exists():
            shutil.rmtree(own)
        writer = EventFileWriter(str(own))
        try:
            for event in _events(case):
                writer.add_event(event)
        finally:
            writer.close()


def _events(case: LoggedCase) -> Iterator[Any]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    end, last = case.started_at, 0
    hyper_parameters = hparams_pb(dict(case.parameters), trial_id=case.case_id, start_time_secs=case.started_at)
    yield Event(wall_time=case.started_at, step=0, summary=hyper_parameters)
    for point in case.curve:
        values = {**point.values, "train/images": float(point.images), "train/seconds": point.train_s}
        end, last = case.started_at + point.train_s, point.step
        yield Event(wall_time=end, step=last, summary=_scalars(Summary, values))
    finals = {name: value for name, value in case.finals.items() if name.startswith(("score/", "model/"))}
    yield Event(wall_time=end, step=last, summary=_scalars(Summary, finals))
    for image in case.images:
        height, width, _ = image.pixels.shape
        encoded = cv2.imencode(".png", np.ascontiguousarray(image.pixels[..., ::-1]))[1].tobytes()
        picture = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=encoded)
        value = Summary.Value(tag=f"test/{image.name}", image=picture)
        yield Event(wall_time=end, step=last, summary=Summary(value=[value]))


def _scalars(summary: Any, values: dict[str, float]) -> Any:
    return summary(value=[summary.Value(tag=name, simple_value=value) for name, value in values.items()])
