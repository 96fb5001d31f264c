"""Options of predictions that lie in files."""

from __future__ import annotations

from bench.data.predictions.options import option_errors
from bench.records import ModelSpec


def usage_errors(model: ModelSpec) -> list[str]:
    """Return what is wrong with a model config's options, a sentence each."""
    return option_errors(model.options, model.label)
