"""Options of predictions that lie in files."""

from __future__ import annotations

from bench.data.predictions.options import option_errors
from bench.records import ModelSpec


def usage_errors(model: ModelSpec) -> list[str]:
    return option_errors(model.options, model.label)
