"""The harness' own floor: what a stage seems to take when the model does nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.adapter import BaseAdapter, ModelSpec, Prediction, RgbImage, Size, Target, TaskSpec
from bench.measure.stages import Clock, staged

ROUNDS = 500


class Identity(BaseAdapter):
    """An adapter whose stages hand on what they get."""

    def build(self, model: ModelSpec, task: TaskSpec, target: Target, weights: Path | None) -> None:
        """Build nothing."""

    def preprocess(self, images: Sequence[RgbImage]) -> Sequence[RgbImage]:
        """Hand on."""
        return images

    def infer(self, batch: Sequence[RgbImage]) -> Sequence[RgbImage]:
        """Hand on."""
        return batch

    def postprocess(self, raw: Sequence[RgbImage], sizes: Sequence[Size]) -> list[Prediction]:  # noqa: ARG002
        """Predict nothing."""
        return []


def stage_floor_ns(clock: Clock = time.perf_counter_ns, rounds: int = ROUNDS) -> float:
    """Return the median time of the slowest stage of a model that does nothing, by the staged clock, nanoseconds.

    Args:
        clock: Host clock; `time.perf_counter_ns` outside tests.
        rounds: Batches of one image.
    """
    image = np.zeros((1, 1, 3), dtype=np.uint8)
    stages = [staged(Identity(), [image], clock).stage_ns for _ in range(rounds)]
    return float(np.median(np.array(stages, dtype=np.float64), axis=0).max())
