"""What adapters say of a suite's options and losses before anything is trained; imports no framework."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.adapter import load_light, load_loss_grammar
from bench.errors import Mistakes
from bench.records import Case


def check_options(cases: Sequence[Case], source: Path, mistakes: Mistakes) -> None:
    """Note every wrong option of a model config and every loss that no trainer knows.

    An adapter takes part by a file `options.py` without imports of its framework that has
    `mistakes(model) -> list[str]`; one without that file is asked when its first job starts.
    """
    for model in {(case.model.name, str(case.model.options)): case.model for case in cases}.values():
        light = load_light(model.adapter, "options")
        if light is not None and hasattr(light, "mistakes"):
            for sentence in light.mistakes(model):
                mistakes.note(f"{source}: {sentence}")
    for loss in {case.recipe.loss: None for case in cases if case.recipe is not None}:
        for sentence in load_loss_grammar().loss_mistakes(loss):
            mistakes.note(f"{source}: recipe: {sentence}")
