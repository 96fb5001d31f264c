"""Asks adapters and loggers about the options of a suite before anything is trained; imports no framework."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from bench.adapter import load_light, load_loss_grammar
from bench.errors import UsageErrors, did_you_mean
from bench.logger import load_logger, logger_names
from bench.records import Case
from bench.suite.lines import SuiteLines


def check_options(cases: Sequence[Case], source: Path, lines: SuiteLines, usage_errors: UsageErrors) -> None:
    """Note every wrong option of a model config and every loss that no trainer knows.

    An adapter takes part by a file `options.py` without imports of its framework that has
    `usage_errors(model) -> list[str]`; one without that file is asked when its first job starts.
    """
    models = {case.model.label: case.model for case in cases}.values()
    for model in {(model.name, str(model.options)): model for model in models}.values():
        light = load_light(model.adapter, "options")
        if light is not None and hasattr(light, "usage_errors"):
            for sentence in light.usage_errors(model):
                usage_errors.note(f"{source}{lines.of_model(model.label)}: {sentence}")
    for loss in {case.recipe.loss: None for case in cases if case.recipe is not None}:
        for sentence in load_loss_grammar().loss_errors(loss):
            usage_errors.note(f"{source}: recipe{lines.of_recipe('loss')}: {sentence}")


def check_loggers(names: Sequence[str], source: Path, lines: SuiteLines, usage_errors: UsageErrors) -> None:
    """Note loggers that are unknown or not installed, with the nearest name or the command that installs them."""
    known = logger_names()
    for index, name in enumerate(names):
        where = f"{source}: loggers[{index}]{lines.at('loggers', index)}: "
        if name not in known:
            usage_errors.note(
                f"{where}no logger named {name!r}.{did_you_mean(name, known)} There are: {', '.join(known)}."
            )
            continue
        missing = [package for package, module in load_logger(name).packages.items() if find_spec(module) is None]
        if missing:
            usage_errors.note(
                f"{where}{name} needs {' and '.join(missing)}, which {sys.executable} does not have. Install it with: "
                f"{sys.executable} -m pip install {' '.join(missing)}   (or leave it out of 'loggers': curves and "
                "scores are always in the run's own files)"
            )
