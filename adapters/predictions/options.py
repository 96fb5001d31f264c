"""Options of predictions that lie in files."""

from __future__ import annotations

from bench.data.predictions.options import option_mistakes
from bench.records import ModelSpec


def mistakes(model: ModelSpec) -> list[str]:
    """Return what is wrong with a model config's options, a sentence each."""
    return option_mistakes(model.options, model.label)
