"""A model that is not here: its predictions are files, which `bench.data.predictions` reads to have them scored.

A job of kind `predict` reads them (`bench/run/worker/read_predictions.py`) and never makes this adapter; whatever else
is asked of it is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.adapter import BaseAdapter, Batch, ModelSpec, Prediction, Raw, RgbImage, Size, Target, TaskSpec, Unsupported


class Adapter(BaseAdapter):
    """Refuses to run: there is nothing to run."""

    def build(self, model: ModelSpec, task: TaskSpec, target: Target, weights: Path | None) -> None:
        """Refuse."""
        raise Unsupported("predictions are read from files; there is no model here that could be run or timed")

    def preprocess(self, images: Sequence[RgbImage]) -> Batch:
        """Raise an error: nothing is built, so that this is never called."""
        raise NotImplementedError

    def infer(self, batch: Batch) -> Raw:
        """Raise an error: nothing is built, so that this is never called."""
        raise NotImplementedError

    def postprocess(self, raw: Raw, sizes: Sequence[Size]) -> list[Prediction]:
        """Raise an error: nothing is built, so that this is never called."""
        raise NotImplementedError
