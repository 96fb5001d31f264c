"""The harness' own floor: what a stage seems to take when the model does nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from bench.adapter import Progress, TrainingData, TrainingResult
from bench.errors import Unsupported
from bench.measure.stages import Clock, staged
from bench.records import ModelSpec, Recipe, Size, Target, TaskSpec
from bench.records.predictions import Prediction, RgbImage

ROUNDS = 500


class Identity:
    """An adapter whose stages hand on what they get."""

    fused_stages: tuple[str, ...] = ()

    def build(self, model: ModelSpec, task: TaskSpec, target: Target, weights: Path | None) -> None:
        """Nothing to build."""

    def train(  # the contract's signature
        self,
        data: TrainingData,  # noqa: ARG002
        recipe: Recipe,  # noqa: ARG002
        out: Path,  # noqa: ARG002
        progress: Progress,  # noqa: ARG002
    ) -> TrainingResult:
        """Refuse."""
        raise Unsupported("the identity is not trained")

    def preprocess(self, images: Sequence[RgbImage]) -> Sequence[RgbImage]:
        """Hand on."""
        return images

    def infer(self, batch: Sequence[RgbImage]) -> Sequence[RgbImage]:
        """Hand on."""
        return batch

    def postprocess(self, raw: Sequence[RgbImage], sizes: Sequence[Size]) -> list[Prediction]:  # noqa: ARG002
        """Predict nothing."""
        return []

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def device_timer(self) -> None:
        """None: there is no device."""

    def reset_peak_device_bytes(self) -> None:
        """Nothing to reset."""

    def peak_device_bytes(self) -> None:
        """None: there is no device."""

    def describe(self) -> dict[str, JsonValue]:
        """Nothing to describe."""
        return {}

    def versions(self) -> dict[str, str]:
        """Nothing that could change a result."""
        return {}


def stage_floor_ns(clock: Clock = time.perf_counter_ns, rounds: int = ROUNDS) -> float:
    """Return the median time of the slowest stage of a model that does nothing, by the staged clock, nanoseconds.

    Args:
        clock: Host clock; `time.perf_counter_ns` outside tests.
        rounds: Batches of one image.
    """
    image = np.zeros((1, 1, 3), dtype=np.uint8)
    stages = [staged(Identity(), [image], clock).stage_ns for _ in range(rounds)]
    return float(np.median(np.array(stages, dtype=np.float64), axis=0).max())
