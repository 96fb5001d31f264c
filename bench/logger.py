"""The contract of a logger: one file per logger, named as suites name it.

A module `bench/report/loggers/<name>.py` has `class Logger` that follows the protocol below. A logger gets
one case at a time, once it is scored, and writes it in the form of an experiment tracker. It sees
what is in the run's files and no framework: every trainer is logged alike, without its knowledge.

Loggers run in a process of their own, which ends before the next job begins: trackers start
threads and services that must not lie beside a measurement. They are copies for other tools to
read; the run's own files stay the facts, and `training.jsonl` and `results.csv` are always there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.records.names import module_names, named_module

__all__ = ["LoggedCase", "LoggedImage", "LoggedPoint", "Logger", "Parameter", "load_logger", "logger_names"]

Parameter: TypeAlias = str | int | float | bool
"""A hyper-parameter; what is none of these is written as JSON text."""


@dataclass(frozen=True)
class LoggedPoint:
    """Hold what is known at one step of a training.

    Attributes:
        step, images: Optimiser steps and images seen so far.
        train_s: Seconds spent training so far.
        values: Name -> number, for example `train/loss`, `val/loss`, `val/mean_iou`; all finite.
    """

    step: int
    images: int
    train_s: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class LoggedImage:
    """An image beside its ground truth and its prediction.

    Attributes:
        name: Id of the image.
        pixels: uint8, (H, W, 3), RGB: image, ground truth over it and prediction over it, left to right.
    """

    name: str
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class LoggedCase:
    """All that a logger writes about a case.

    Attributes:
        suite, run: Names; together with the case they name the entry.
        case_id, model: Id and label.
        file_name: The case's id as a file name.
        started_at: Begin of the training, or of the prediction where nothing was trained; seconds
            since 1970.
        parameters: `recipe.*`, `model.*`, `dataset.*` and `target.*` by dotted name.
        curve: Curve in the order of steps; empty for a model that was not trained.
        finals: `score/<metric>` with `_low` and `_high`, and facts such as `train/seconds`.
        images: Some of the scored images.
    """

    suite: str
    run: str
    case_id: str
    model: str
    file_name: str
    started_at: float
    parameters: Mapping[str, Parameter]
    curve: Sequence[LoggedPoint]
    finals: Mapping[str, float]
    images: Sequence[LoggedImage]


class Logger(Protocol):
    """One experiment tracker.

    Attributes:
        version: Raised whenever what is written changes; entries of older versions are replaced.
        packages: Package on the index -> module whose presence shows that it is installed.
        environment: Variables of its process, unless they are set already: no network, no
            telemetry, nothing written outside the run.
    """

    version: int
    packages: Mapping[str, str]
    environment: Mapping[str, str]

    def write(self, case: LoggedCase, folder: Path) -> None:
        """Write a case into the tracker's folder of this run, in place of an older entry of it."""
        ...

    def opened_with(self, folder: Path) -> str:
        """Return the shell command that shows what lies in that folder."""
        ...


def logger_names() -> list[str]:
    """Return names of all loggers."""
    return module_names("bench.report.loggers")


def load_logger(name: str) -> Logger:
    """Load a logger by name; raises `PluginError` with the nearest name. Its package is imported when it writes."""
    logger: Logger = named_module("bench.report.loggers", name, "logger", "loggers").Logger()
    return logger
